//! Checkpoints: one safetensors file with every parameter under its official name, the optimiser's moments, and the
//! state of the run, written aside and renamed, so that it is whole or absent.
//!
//! Weights of 1x1 convolutions have the official shape `[o, i, 1]` in the file. Moments are named
//! `optimizer.first.<name>` and `optimizer.second.<name>`; a file without them serves evaluation. The file carries a hash of
//! itself, which every reader compares.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use jepa3d_schemas::{check_seal, read_regular, seal_safetensors, write_atomically};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::monitor::{Alarms, BestProbe, MonitorState};
use crate::nn::{HostTensor, NamedTensors, Parameters};
use crate::optim::{AdamW, SavedMoments};

/// Newest checkpoint of a run folder.
pub const LAST_FILE: &str = "last.safetensors";
/// The one with the best online probe.
pub(crate) const BEST_FILE: &str = "best.safetensors";
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
    /// Fingerprint of the dataset.
    pub fingerprint: String,
    /// The groups that it learned from, in words; absent in older files and where clouds are cropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grouping: Option<String>,
    /// What the teacher's cache was made from, where the method learns from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
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
mod exact_best {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::BestProbe;

    pub(super) fn serialize<S: Serializer>(best: &Option<BestProbe>, to: S) -> Result<S::Ok, S::Error> {
        best.map(|best| (best.step, best.accuracy.to_string())).serialize(to)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Option<BestProbe>, D::Error> {
        let best = Option::<(u64, super::WrittenNumber)>::deserialize(from)?;
        best.map(|(step, written)| Ok(BestProbe { step, accuracy: written.value()? })).transpose()
    }
}

/// Writes a checkpoint; with the optimiser it can be resumed from.
///
/// # Errors
/// Fails if the file cannot be written; what was there before stays.
pub(crate) fn write(
    path: &Path,
    parameters: &Parameters,
    optimizer: Option<&AdamW>,
    state: &RunState,
) -> Result<()> {
    let mut tensors = parameters.values()?;
    if let Some(optimizer) = optimizer {
        for SavedMoments { name, first, second } in optimizer.save(parameters)? {
            tensors.insert(format!("optimizer.first.{name}"), first);
            tensors.insert(format!("optimizer.second.{name}"), second);
        }
    }
    let bytes: BTreeMap<String, (Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, tensor)| {
            let dims = official_shape(&name, tensor.dims);
            (name, (dims, tensor.values.iter().flat_map(|x| x.to_le_bytes()).collect()))
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, (dims, bytes))| Ok((name.as_str(), TensorView::new(Dtype::F32, dims.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|e| not_a_checkpoint(path, e))?;
    let text = serde_json::to_string(state).expect("a state serialises");
    let metadata = HashMap::from([(STATE_KEY.to_owned(), text)]);
    let file = safetensors::serialize(views, Some(metadata)).map_err(|e| not_a_checkpoint(path, e))?;
    Ok(write_atomically(path, &seal_safetensors(file))?)
}

/// Official 1x1 convolutions have a last dimension of one.
fn official_shape(name: &str, mut dims: Vec<usize>) -> Vec<usize> {
    if is_convolution(name) && dims.len() == 2 {
        dims.push(1);
    }
    dims
}

fn is_convolution(name: &str) -> bool {
    name.contains("_conv.") && name.ends_with(".weight")
}

/// An opened checkpoint.
pub(crate) struct Checkpoint {
    /// Parameters and moments; 1x1 convolutions as matrices.
    pub tensors: NamedTensors,
    /// The state of the run; `None` in a file that another tool made.
    pub state: Option<RunState>,
}

/// Reads a checkpoint.
///
/// # Errors
/// Fails if the file cannot be read, is no safetensors file, is not the one that was written (by the hash it carries), or
/// holds another state than this version writes. A file without a hash is read with a warning.
pub(crate) fn read(path: &Path) -> Result<Checkpoint> {
    let bytes = read_regular(path).map_err(|e| Error::io(path, e))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| not_a_checkpoint(path, e))?;
    if !check_seal(path, &bytes)? {
        tracing::warn!("{}: carries no hash, so damage in it cannot be found", path.display());
    }
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| not_a_checkpoint(path, e))?;
    let text = metadata.metadata().as_ref().and_then(|m| m.get(STATE_KEY));
    let state =
        text.map(|text| serde_json::from_str(text)).transpose().map_err(|e| not_a_checkpoint(path, e))?;
    let mut tensors = NamedTensors::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            continue; // counters of the official code
        }
        let mut dims = view.shape().to_vec();
        if is_convolution(name) && dims.len() == 3 && dims[2] == 1 {
            dims.pop();
        }
        let values = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        tensors.insert(name.to_owned(), HostTensor { dims, values });
    }
    Ok(Checkpoint { tensors, state })
}

fn not_a_checkpoint(path: &Path, reason: impl ToString) -> Error {
    Error::Checkpoint {
        path: path.to_owned(),
        expected: "a safetensors checkpoint".into(),
        found: reason.to_string(),
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
    ) -> Result<MonitorState> {
        let RunState { step, best, first_position, alarms, .. } = self.state(path)?.clone();
        parameters.set(path, &self.tensors)?;
        optimizer.restore(self.take_moments(path, parameters)?, parameters, step)?;
        Ok(MonitorState { alarms: Alarms(alarms), first_position, best })
    }

    /// The moments of every trained parameter, in their order.
    fn take_moments(&mut self, path: &Path, parameters: &Parameters) -> Result<Vec<SavedMoments>> {
        if !self.tensors.keys().any(|name| name.starts_with("optimizer.")) {
            return Err(Error::Checkpoint {
                path: path.to_owned(),
                expected: "the optimiser's moments".into(),
                found: "weights alone, which can be evaluated, not continued".into(),
            });
        }
        let mut moments = Vec::new();
        let mut wrong = Vec::new();
        for p in parameters.trained() {
            let mut take = |moment: &str| {
                let name = format!("optimizer.{moment}.{}", p.name);
                match self.tensors.remove(&name) {
                    Some(tensor) if tensor.dims == p.var.dims() => Some(tensor),
                    other => {
                        let found = other.map_or("none".to_owned(), |tensor| format!("{:?}", tensor.dims));
                        wrong.push(format!("{name}: expected {:?}, found {found}", p.var.dims()));
                        None
                    }
                }
            };
            if let (Some(first), Some(second)) = (take("first"), take("second")) {
                moments.push(SavedMoments { name: p.name.clone(), first, second });
            }
        }
        if wrong.is_empty() { Ok(moments) } else { Err(Error::Misfit { path: path.to_owned(), wrong }) }
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
