//! The samples of one few-shot episode, as a run is asked for them.

use std::collections::BTreeSet;

use jepa3d_loader::{ListedSample, PreparedDataset};
use jepa3d_probe::Episode;

use super::sample_parts::{SamplePart, SampleParts};
use crate::config::out_of_range;
use crate::error::Result;

/// The samples of one few-shot episode.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeSamples {
    /// Its classes and their samples.
    pub episode: Episode,
    /// The split of the labelled samples.
    pub support_split: String,
    /// The split of the queries.
    pub query_split: String,
}

impl EpisodeSamples {
    /// Labels in the dataset of the classes that are told apart.
    pub(crate) fn labels(&self) -> Vec<i32> {
        self.episode.classes.iter().map(|class| class.label).collect()
    }

    /// Names of the classes.
    pub(crate) fn names(&self) -> Vec<String> {
        self.episode.classes.iter().map(|class| class.name.clone()).collect()
    }

    /// Labelled samples to train on, queries to judge.
    ///
    /// # Errors
    /// Fails if a split does not exist, or a sample is not in it.
    pub(crate) fn parts(&self, dataset: &PreparedDataset) -> Result<SampleParts> {
        let classes = &self.episode.classes;
        let support = classes.iter().flat_map(|class| &class.support).collect();
        let queries = classes.iter().flat_map(|class| &class.queries).collect();
        let split = self.support_split.clone();
        let listed = dataset.list_samples(&split)?;
        let evaluation = if self.query_split == split {
            find(&listed, &split, &queries)?
        } else {
            find(&dataset.list_samples(&self.query_split)?, &self.query_split, &queries)?
        };
        Ok(SampleParts {
            training: find(&listed, &split, &support)?,
            selection: SamplePart { split, samples: Vec::new() },
            evaluation,
            evaluated: "the queries of an episode".to_owned(),
            notes: Vec::new(),
        })
    }
}

fn find(listed: &[ListedSample], split: &str, ids: &BTreeSet<&String>) -> Result<SamplePart> {
    let samples: Vec<_> = listed.iter().filter(|sample| ids.contains(&sample.id)).cloned().collect();
    if samples.len() < ids.len() {
        let expected = format!("the {} samples of an episode in {split}", ids.len());
        return Err(out_of_range("episodes", expected, samples.len()));
    }
    Ok(SamplePart { split: split.to_owned(), samples })
}
