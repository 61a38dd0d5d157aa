//! N-way k-shot episodes: which classes, which labelled samples, which queries; a list that can be published and read back.
//!
//! The protocol is that of Sharma and Kaul (2020), as the papers of this field use it: from a pool of classes `way` are
//! drawn, of each class `shot` labelled samples and 20 queries, ten times over.

use std::path::Path;

use jepa3d_schemas::write_atomically;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a list calls itself, so that another file is told apart.
pub(crate) const FORMAT: &str = "jepa3d-episodes-1";

/// A list of episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpisodeList {
    pub(crate) format: String,
    /// Fingerprint of the prepared set that it was drawn from.
    pub fingerprint: String,
    /// Seed of the draws.
    pub seed: u64,
    /// The split of the labelled samples.
    pub support_split: String,
    /// The split of the queries.
    pub query_split: String,
    /// Names of classes that had too few samples to be drawn, with what they had.
    pub left_out: Vec<String>,
    /// The episodes, by ways, shots and fold.
    pub episodes: Vec<Episode>,
}

/// One classification task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Episode {
    /// Number of classes.
    pub way: usize,
    /// Labelled samples a class.
    pub shot: usize,
    /// Number among the episodes of these ways and shots, from 0.
    pub fold: usize,
    /// The classes, ascending by label.
    pub classes: Vec<EpisodeClass>,
}

/// A class of an episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpisodeClass {
    /// Class number in the prepared set.
    pub label: i32,
    /// Its name.
    pub name: String,
    /// Ids of the labelled samples.
    pub support: Vec<String>,
    /// Ids of the queries.
    pub queries: Vec<String>,
}

impl EpisodeList {
    /// The splits that its samples are from.
    pub fn splits(&self) -> Vec<String> {
        let mut splits = vec![self.support_split.clone()];
        if self.query_split != validation_part(&self.support_split) {
            splits.push(self.query_split.clone());
        }
        splits
    }

    /// Reads a list.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is no list of episodes, or an episode is not what it says of itself.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| jepa3d_schemas::Error::io(path, e))?;
        let contract = |expected: &str, found: String| {
            Error::Data(jepa3d_schemas::Error::contract(path, "episodes", expected, found))
        };
        let list: Self = serde_json::from_str(&text)
            .map_err(|e| contract("a list that `fewshot --write-episodes` wrote", e.to_string()))?;
        if list.format != FORMAT {
            return Err(contract(FORMAT, list.format));
        }
        match list.episodes.iter().find_map(Episode::fault) {
            Some(fault) => Err(contract("episodes of distinct samples, as many as stated", fault)),
            None => Ok(list),
        }
    }

    /// Writes the list, whole or not at all.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).expect("a list of texts and numbers serialises");
        text.push('\n');
        Ok(write_atomically(path, text.as_bytes())?)
    }
}

impl Episode {
    /// What is wrong with an episode, if anything is.
    pub(crate) fn fault(&self) -> Option<String> {
        let Self { way, shot, fold, classes } = self;
        let place = format!("{way}-way {shot}-shot fold {fold}");
        if classes.len() != *way || *way < 2 {
            return Some(format!("{place}: {} classes", classes.len()));
        }
        let is_odd = |class: &&EpisodeClass| class.support.len() != *shot || class.queries.is_empty();
        if let Some(EpisodeClass { name, support, queries, .. }) = classes.iter().find(is_odd) {
            return Some(format!(
                "{place}: class {name}: {} samples, {} queries",
                support.len(),
                queries.len()
            ));
        }
        let mut ids: Vec<&String> = classes.iter().flat_map(|c| c.support.iter().chain(&c.queries)).collect();
        ids.sort_unstable();
        let twice = ids.windows(2).find(|pair| pair[0] == pair[1])?;
        Some(format!("{place}: {} twice", twice[0]))
    }
}

/// What a list calls the part of a split that is held out by hash of the id.
pub(crate) fn validation_part(split: &str) -> String {
    format!("validation part of {split}")
}
