//! What a checkpoint of a run that follows pretraining says of it, and how such a run is continued.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::checkpoint::exact_best;
use crate::checkpoint_file::{
    CheckpointFile, DOWNSTREAM_KEYS, StateEntry, not_a_checkpoint, read_file, take_moments,
};
use crate::error::{Error, Result};
use crate::monitor::BestProbe;
use crate::nn::Parameters;
use crate::optim::AdamW;
use crate::run_folder::find_differences;

use super::thaw::ThawPlan;

/// Where a run stands, and what it was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DownstreamState {
    /// Version of the tool that wrote it.
    pub tool_version: String,
    /// `finetune` or `segment`.
    pub task: String,
    /// Optimiser steps done.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Fingerprint of the dataset.
    pub fingerprint: String,
    /// Where the encoder's weights come from.
    pub origin: String,
    /// The resolved config, TOML, without what may differ when the run is continued.
    pub config: String,
    /// Config of the encoder, TOML.
    pub encoder: String,
    /// What the outputs stand for, in their order.
    pub classes: Vec<String>,
    /// The best look at the part that is selected on, as step and the measure that selects, from 0 to 1.
    #[serde(default, with = "exact_best")]
    pub best: Option<BestProbe>,
}

impl DownstreamState {
    /// Under which key the file holds it.
    fn key(task: &str) -> &'static str {
        let [classes, points] = DOWNSTREAM_KEYS;
        if task == "segment" { points } else { classes }
    }

    /// As a checkpoint holds it.
    pub(crate) fn entry(&self) -> StateEntry {
        StateEntry::new(Self::key(&self.task), self)
    }

    /// Checks that a run of this state goes on from `before`.
    ///
    /// # Errors
    /// Fails with what differs.
    pub(crate) fn check_continues(&self, path: &Path, before: &Self) -> Result<()> {
        let wrong =
            |expected: String, found: String| Error::Checkpoint { path: path.to_owned(), expected, found };
        for (what, was, is) in [
            ("the dataset it was trained on, fingerprint", &before.fingerprint, &self.fingerprint),
            ("the encoder it began with,", &before.origin, &self.origin),
        ] {
            if was != is {
                return Err(wrong(format!("{what} {was}"), is.clone()));
            }
        }
        let mut differences = find_differences(&before.config, &self.config);
        differences.extend(find_differences(&before.encoder, &self.encoder));
        if differences.is_empty() && before.classes == self.classes {
            return Ok(());
        }
        Err(wrong("the config it was started with".to_owned(), differences.join(", ")))
    }
}

/// A checkpoint to continue from.
pub(crate) struct DownstreamCheckpoint {
    file: CheckpointFile,
    pub state: DownstreamState,
}

impl DownstreamCheckpoint {
    /// Reads a checkpoint of a task.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is not as it was written, or is of another kind of run.
    pub(crate) fn read(path: &Path, task: &str) -> Result<Self> {
        let file = read_file(path)?;
        let key = DownstreamState::key(task);
        let Some(text) = file.states.get(key) else {
            let is_ours = |key: &&String| !key.ends_with("blake3");
            let found = file.states.keys().find(is_ours).map_or("none", String::as_str);
            return Err(Error::Checkpoint {
                path: path.to_owned(),
                expected: format!("the state of {key}"),
                found: found.to_owned(),
            });
        };
        let state = serde_json::from_str(text).map_err(|e| not_a_checkpoint(path, e))?;
        Ok(Self { file, state })
    }

    /// Sets parameters and moments.
    ///
    /// # Errors
    /// Fails if one is missing or of another shape.
    pub(crate) fn restore(
        mut self,
        path: &Path,
        parameters: &Parameters,
        optimizer: &mut AdamW,
        thaw: &ThawPlan,
    ) -> Result<DownstreamState> {
        parameters.set(path, &self.file.tensors)?;
        let moments = take_moments(&mut self.file.tensors, path, parameters)?;
        let step = self.state.step;
        optimizer.restore(moments, parameters, |p| thaw.updates(p, step))?;
        Ok(self.state)
    }

    /// Sets parameters alone, for evaluation.
    ///
    /// # Errors
    /// Fails if one is missing or of another shape.
    pub(crate) fn set(&self, path: &Path, parameters: &Parameters) -> Result<()> {
        parameters.set(path, &self.file.tensors)
    }
}
