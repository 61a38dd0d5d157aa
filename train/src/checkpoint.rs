//! Checkpoints of pretraining runs: where a run stands, beside its parameters and moments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jepa3d_schemas::UpAxis;
use serde::{Deserialize, Serialize};

pub(crate) use crate::checkpoint_file::CheckpointCopy;
#[cfg(test)]
pub(crate) use crate::checkpoint_file::write;
use crate::checkpoint_file::{
    CheckpointFile, DOWNSTREAM_KEYS, StateEntry, not_a_checkpoint, parse_file, read_file, take_moments,
};
use crate::encoder_part::is_of_pretrained_encoder;
use crate::error::{Error, Result};
use crate::monitor::{Alarms, BestProbe, MonitorState};
use crate::nn::{NamedTensors, Parameter, Parameters};
use crate::optim::AdamW;
use crate::shipped;

/// Newest checkpoint of a run folder.
pub const LAST_FILE: &str = "last.safetensors";
/// The one with the best online probe.
pub const BEST_FILE: &str = "best.safetensors";
/// Key of the state in the file's metadata.
const STATE_KEY: &str = "jepa3d";

/// Where a run stands, and what it was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// Version of the tool that wrote it.
    pub tool_version: String,
    /// Optimiser steps done.
    pub step: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Fingerprint of the dataset; of several, those of all with their weights.
    pub fingerprint: String,
    /// The groups that it learned from, in words; absent in older files and where clouds are cropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grouping: Option<String>,
    /// The axis that was up in the clouds that it learned from; absent in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_axis: Option<UpAxis>,
    /// What the teacher's cache was made from, where the method learns from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
    /// Whether the file holds the encoder alone, as it is given away: it makes features, and nothing trains on from it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub encoder_only: bool,
    /// The resolved config, TOML, without what may differ when the run is continued.
    pub config: String,
    /// The best online probe, as step and accuracy.
    #[serde(default, with = "exact_best")]
    pub best: Option<BestProbe>,
    /// Share of the target variance that position explained before step 1.
    #[serde(default, with = "exact")]
    pub first_position: Option<f64>,
    /// Consecutive alarms, by monitor.
    pub alarms: BTreeMap<String, u32>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A number as text or, in older files, as a JSON number.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenNumber {
    Text(String),
    Number(f64),
}

impl WrittenNumber {
    fn value<E: serde::de::Error>(self) -> Result<f64, E> {
        match self {
            Self::Text(text) => text.parse().map_err(E::custom),
            Self::Number(number) => Ok(number),
        }
    }
}

/// Numbers as text: what reads JSON numbers may be off by their last bit, and a resumed run would write another file.
mod exact {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(x: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        x.map(|x| x.to_string()).serialize(to)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Option<f64>, D::Error> {
        Option::<super::WrittenNumber>::deserialize(from)?.map(super::WrittenNumber::value).transpose()
    }
}

/// Like [`exact`], for the best probe.
pub(crate) mod exact_best {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::BestProbe;

    pub(crate) fn serialize<S: Serializer>(best: &Option<BestProbe>, to: S) -> Result<S::Ok, S::Error> {
        best.map(|best| (best.step, best.accuracy.to_string())).serialize(to)
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Option<BestProbe>, D::Error> {
        let best = Option::<(u64, super::WrittenNumber)>::deserialize(from)?;
        best.map(|(step, written)| Ok(BestProbe { step, accuracy: written.value()? })).transpose()
    }
}

/// An opened checkpoint.
pub(crate) struct Checkpoint {
    /// Parameters and moments; 1x1 convolutions as matrices.
    pub tensors: NamedTensors,
    /// The state of the run; `None` in a file that another tool made.
    pub state: Option<RunState>,
}

/// The newest checkpoint of a run folder, or the checkpoint that a path is itself, or the name of a built-in encoder.
///
/// # Errors
/// Fails if there is none.
pub(crate) fn find_checkpoint(path: &Path) -> Result<PathBuf> {
    let file = if path.is_dir() { path.join(LAST_FILE) } else { path.to_owned() };
    if file.exists() || shipped::find(path).is_some() {
        return Ok(file);
    }
    let names = shipped::shipped_names().join(", ");
    let reason = format!("no run: expected {LAST_FILE} there, or a built-in encoder ({names}), found none");
    Err(Error::RunFolder { path: path.to_owned(), reason })
}

/// Reads the checkpoint of a pretraining run.
///
/// # Errors
/// Fails as [`read_file`] does, or if it holds another state than this version writes, or what follows pretraining.
pub(crate) fn read(path: &Path) -> Result<Checkpoint> {
    let CheckpointFile { tensors, states } = match shipped::find(path).filter(|_| !path.exists()) {
        Some(model) => parse_file(path, model.file)?,
        None => read_file(path)?,
    };
    if let Some(other) = DOWNSTREAM_KEYS.into_iter().find(|key| states.contains_key(*key)) {
        let expected = "the checkpoint of a pretraining run".to_owned();
        return Err(Error::Checkpoint { path: path.to_owned(), expected, found: format!("one of {other}") });
    }
    let parse = |text: &String| serde_json::from_str(text);
    let state = states.get(STATE_KEY).map(parse).transpose().map_err(|e| not_a_checkpoint(path, e))?;
    Ok(Checkpoint { tensors, state })
}

impl RunState {
    /// As a checkpoint holds it.
    pub(crate) fn entry(&self) -> StateEntry {
        StateEntry::new(STATE_KEY, self)
    }
}

impl Checkpoint {
    /// The state of the run.
    ///
    /// # Errors
    /// Fails if the file has none: it can be evaluated, not resumed.
    pub(crate) fn state(&self, path: &Path) -> Result<&RunState> {
        self.state.as_ref().ok_or_else(|| Error::Checkpoint {
            path: path.to_owned(),
            expected: "the state of a run".into(),
            found: "none".into(),
        })
    }

    /// Sets a model's parameters: all of them, or what an encoder alone has of them.
    ///
    /// # Errors
    /// Fails if one is missing or of another shape; the error names all of them.
    pub(crate) fn set(&self, path: &Path, parameters: &Parameters) -> Result<()> {
        match self.state.as_ref().is_some_and(|state| state.encoder_only) {
            true => parameters.set_part(path, &self.tensors, is_of_pretrained_encoder),
            false => parameters.set(path, &self.tensors),
        }
    }

    /// Optimiser steps done; 0 if the file does not say.
    pub(crate) fn step(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.step)
    }

    /// Sets parameters and moments; what monitors remember.
    ///
    /// # Errors
    /// Fails if a parameter or one of its moments is missing or of another shape; the error names all of them. Fails if
    /// there are no moments at all, or no state.
    pub(crate) fn restore(
        mut self,
        path: &Path,
        parameters: &Parameters,
        optimizer: &mut AdamW,
        updates: impl Fn(&Parameter) -> u64,
    ) -> Result<MonitorState> {
        let RunState { best, first_position, alarms, .. } = self.state(path)?.clone();
        parameters.set(path, &self.tensors)?;
        optimizer.restore(take_moments(&mut self.tensors, path, parameters)?, parameters, updates)?;
        Ok(MonitorState { alarms: Alarms(alarms), first_position, best })
    }
}

#[cfg(test)]
mod tests {
    use jepa3d_schemas::Draws;

    use super::*;

    #[test]
    fn the_state_keeps_every_bit_and_reads_older_ones() {
        let text = r#"{"tool_version":"0","step":5,"steps_per_epoch":4,"fingerprint":"f","config":"",
            "best":[4,0.25],"alarms":{"rank":1}}"#;
        let mut state: RunState = serde_json::from_str(text).unwrap();
        assert_eq!((state.best, state.first_position), (Some(BestProbe { step: 4, accuracy: 0.25 }), None));
        let (mut draws, mut inexact) = (Draws::new(1, "state", "test"), 0);
        for _ in 0..1000 {
            let share = draws.range(0.0, 1.0);
            state.best = Some(BestProbe { step: 4, accuracy: share });
            state.first_position = Some(draws.normal());
            let text = serde_json::to_string(&state).unwrap();
            assert_eq!(serde_json::from_str::<RunState>(&text).unwrap(), state);
            inexact += usize::from(serde_json::from_str::<f64>(&share.to_string()).unwrap() != share);
        }
        eprintln!("{inexact} of 1000 JSON numbers were read inexactly");
    }
}
