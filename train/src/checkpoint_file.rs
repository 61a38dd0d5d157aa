//! Checkpoint files: one safetensors file with every parameter under its official name, the optimiser's moments, and the
//! state of the run, written aside and renamed, so that it is whole or absent.
//!
//! Weights of 1x1 convolutions have the official shape `[o, i, 1]` in the file. Moments are named
//! `optimizer.first.<name>` and `optimizer.second.<name>`; a file without them serves evaluation. The file carries a hash of
//! itself, which every reader compares.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use half::{bf16, f16};
use jepa3d_schemas::{check_seal, read_regular, seal_safetensors, write_atomically};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::nn::{HostTensor, NamedTensors, Parameters};
use crate::optim::{AdamW, SavedMoments};

/// The keys under which runs that follow pretraining keep their states: classification, labels of points.
pub(crate) const DOWNSTREAM_KEYS: [&str; 2] = ["jepa3d.finetune", "jepa3d.segment"];

/// The state of a run as a file holds it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StateEntry {
    /// What kind of run it is of.
    key: &'static str,
    json: String,
}

impl StateEntry {
    /// A state under the key of its kind.
    pub(crate) fn new(key: &'static str, state: &impl Serialize) -> Self {
        Self { key, json: serde_json::to_string(state).expect("a state serialises") }
    }
}

/// How a file holds numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NumberFormat {
    /// As they are.
    #[default]
    F32,
    /// Rounded to 11 bits, in half the bytes; for weights that nothing continues to train.
    F16,
}

impl NumberFormat {
    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
        }
    }

    /// # Errors
    /// Fails if a number does not fit.
    fn to_bytes(self, path: &Path, name: &str, values: &[f32]) -> Result<Vec<u8>> {
        if self == Self::F32 {
            return Ok(values.iter().flat_map(|x| x.to_le_bytes()).collect());
        }
        if let Some(found) = values.iter().find(|&&x| !f16::from_f32(x).is_finite()) {
            return Err(not_a_checkpoint(path, format!("{name}: {found}, which 16 bits do not hold")));
        }
        Ok(values.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect())
    }
}

/// A checkpoint off any device, before it is written.
#[derive(Clone, Debug)]
pub(crate) struct CheckpointCopy {
    tensors: NamedTensors,
    state: StateEntry,
}

impl CheckpointCopy {
    /// Copies everything; with the optimiser a run can be resumed from it.
    ///
    /// # Errors
    /// Fails if a device does not give its numbers.
    pub(crate) fn take(
        parameters: &Parameters,
        optimizer: Option<&AdamW>,
        state: StateEntry,
    ) -> Result<Self> {
        let mut tensors = parameters.values()?;
        if let Some(optimizer) = optimizer {
            for SavedMoments { name, first, second } in optimizer.save(parameters)? {
                tensors.insert(format!("optimizer.first.{name}"), first);
                tensors.insert(format!("optimizer.second.{name}"), second);
            }
        }
        Ok(Self { tensors, state })
    }

    /// Of tensors that are chosen.
    pub(crate) fn of_tensors(tensors: NamedTensors, state: StateEntry) -> Self {
        Self { tensors, state }
    }

    /// The same numbers with another state.
    pub(crate) fn with_state(self, state: StateEntry) -> Self {
        Self { state, ..self }
    }

    /// The same without the optimiser's moments.
    pub(crate) fn strip(mut self) -> Self {
        self.tensors.retain(|name, _| !name.starts_with("optimizer."));
        self
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Fails if it cannot be written; what was there before stays.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        self.write_as(path, NumberFormat::F32)
    }

    /// Writes the file with numbers of this format.
    ///
    /// # Errors
    /// Fails if a number does not fit or the file cannot be written; what was there before stays.
    pub(crate) fn write_as(&self, path: &Path, format: NumberFormat) -> Result<()> {
        let metadata = HashMap::from([(self.state.key.to_owned(), self.state.json.clone())]);
        let file = serialize_tensors(path, &self.tensors, format, metadata)?;
        Ok(write_atomically(path, &seal_safetensors(file))?)
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
    state: &StateEntry,
) -> Result<()> {
    CheckpointCopy::take(parameters, optimizer, state.clone())?.write(path)
}

/// The bytes of a safetensors file, 1x1 convolutions in their official shape.
///
/// # Errors
/// Fails if the format cannot hold the tensors; the error names `path`.
pub(crate) fn serialize_tensors(
    path: &Path,
    tensors: &NamedTensors,
    format: NumberFormat,
    metadata: HashMap<String, String>,
) -> Result<Vec<u8>> {
    let bytes: BTreeMap<&String, (Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let dims = official_shape(name, tensor.dims.clone());
            Ok((name, (dims, format.to_bytes(path, name, &tensor.values)?)))
        })
        .collect::<Result<_>>()?;
    let kind = format.dtype();
    let views = bytes
        .iter()
        .map(|(name, (dims, bytes))| Ok((name.as_str(), TensorView::new(kind, dims.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|e| not_a_checkpoint(path, e))?;
    safetensors::serialize(views, Some(metadata)).map_err(|e| not_a_checkpoint(path, e))
}

/// Official 1x1 convolutions have a last dimension of one.
fn official_shape(name: &str, mut dims: Vec<usize>) -> Vec<usize> {
    if is_convolution(name) && dims.len() == 2 {
        dims.push(1);
    }
    dims
}

/// The tokenizer's layers, and those of the part segmentation head.
fn is_convolution(name: &str) -> bool {
    let is_layer = ["_conv.", "mlp_convs.", "seg_head."].iter().any(|part| name.contains(part));
    is_layer && name.ends_with(".weight")
}

/// What a checkpoint file holds.
pub(crate) struct CheckpointFile {
    /// Parameters and moments; 1x1 convolutions as matrices.
    pub tensors: NamedTensors,
    /// States of runs, JSON, by key; none in a file that another tool made.
    pub states: HashMap<String, String>,
}

/// Reads a checkpoint file.
///
/// # Errors
/// Fails if the file cannot be read, is no safetensors file, or is not the one that was written (by the hash it carries). A
/// file without a hash is read with a warning.
pub(crate) fn read_file(path: &Path) -> Result<CheckpointFile> {
    parse_file(path, &read_regular(path).map_err(|e| Error::io(path, e))?)
}

/// Reads the bytes of a checkpoint file; `path` is its name in errors.
///
/// # Errors
/// Fails as [`read_file`] does.
pub(crate) fn parse_file(path: &Path, bytes: &[u8]) -> Result<CheckpointFile> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| not_a_checkpoint(path, e))?;
    if !check_seal(path, bytes)? {
        tracing::warn!("{}: carries no hash, so damage in it cannot be found", path.display());
    }
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| not_a_checkpoint(path, e))?;
    let mut tensors = NamedTensors::new();
    for (name, view) in file.iter() {
        let Some(values) = widen(&view) else {
            continue; // counters of the official code
        };
        let mut dims = view.shape().to_vec();
        if is_convolution(name) && dims.len() == 3 && dims[2] == 1 {
            dims.pop();
        }
        tensors.insert(name.to_owned(), HostTensor { dims, values });
    }
    Ok(CheckpointFile { tensors, states: metadata.metadata().clone().unwrap_or_default() })
}

/// The numbers of a tensor of 32 or 16 bits; `None` of another.
fn widen(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let (words, halves) = (view.data().as_chunks::<4>().0, view.data().as_chunks::<2>().0);
    match view.dtype() {
        Dtype::F32 => Some(words.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        Dtype::F16 => Some(halves.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()),
        Dtype::BF16 => Some(halves.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()),
        _ => None,
    }
}

pub(crate) fn not_a_checkpoint(path: &Path, reason: impl ToString) -> Error {
    Error::Checkpoint {
        path: path.to_owned(),
        expected: "a safetensors checkpoint".into(),
        found: reason.to_string(),
    }
}

/// Takes the moments of every trained parameter, in their order, out of a checkpoint's tensors.
///
/// # Errors
/// Fails if there are no moments at all, or one is missing or of another shape; the error names all of them.
pub(crate) fn take_moments(
    tensors: &mut NamedTensors,
    path: &Path,
    parameters: &Parameters,
) -> Result<Vec<SavedMoments>> {
    if !tensors.keys().any(|name| name.starts_with("optimizer.")) {
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
            match tensors.remove(&name) {
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
