//! State dictionaries in safetensors files.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use jepa3d_schemas::{Error as DataError, check_seal, read_regular, seal_safetensors, write_atomically};
use safetensors::tensor::{Dtype, SafeTensors, View, serialize};

use crate::error::Result;
use crate::state::{ElementType, StateDict, TensorData};

/// Element types here and there.
const TYPES: [(ElementType, Dtype); 10] = [
    (ElementType::F64, Dtype::F64),
    (ElementType::F32, Dtype::F32),
    (ElementType::F16, Dtype::F16),
    (ElementType::BF16, Dtype::BF16),
    (ElementType::I64, Dtype::I64),
    (ElementType::I32, Dtype::I32),
    (ElementType::I16, Dtype::I16),
    (ElementType::I8, Dtype::I8),
    (ElementType::U8, Dtype::U8),
    (ElementType::Bool, Dtype::BOOL),
];

/// The tensors of a safetensors file.
pub(crate) struct SafetensorsState {
    pub state: StateDict,
    /// Whether the file carries a hash of itself, which then was compared.
    pub is_checked: bool,
}

/// Reads all tensors of a safetensors file.
///
/// # Errors
/// Fails if the file is not one (cut short, a wrong header) or not as it was written (by the hash it carries), or a tensor has an element type that
/// PyTorch checkpoints of these models do not have.
pub(crate) fn read_safetensors(path: &Path) -> Result<SafetensorsState> {
    let bytes = read_regular(path).map_err(|e| DataError::io(path, e))?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|e| DataError::contract(path, "file", "a whole safetensors file", e))?;
    let is_checked = check_seal(path, &bytes)?;
    let mut state = StateDict::new();
    for (name, view) in file.iter() {
        let element = TYPES.iter().find(|pair| pair.1 == view.dtype()).map(|pair| pair.0);
        let wrong =
            || DataError::contract(path, format!("tensor {name:?}"), "floats or integers", view.dtype());
        let element = element.ok_or_else(wrong)?;
        let bytes = Arc::new(view.data().to_vec());
        state.insert(name.to_owned(), TensorData { element, shape: view.shape().to_vec(), bytes });
    }
    Ok(SafetensorsState { state, is_checked })
}

/// Writes the tensors to `path`, atomically and with a hash of the file; the same tensors give the same bytes.
///
/// # Errors
/// Fails if the disk does.
pub(crate) fn write_safetensors(path: &Path, state: &StateDict) -> Result<()> {
    // What Python's loaders ask for.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let tensors = state.iter().map(|(name, tensor)| (name, SafetensorsView(tensor)));
    let bytes = serialize(tensors, Some(metadata))
        .map_err(|e| DataError::contract(path, "tensors", "ones that safetensors takes", e))?;
    Ok(write_atomically(path, &seal_safetensors(bytes))?)
}

/// A tensor as the crate asks for it.
struct SafetensorsView<'a>(&'a TensorData);

impl View for SafetensorsView<'_> {
    fn dtype(&self) -> Dtype {
        let pair = TYPES.iter().find(|pair| pair.0 == self.0.element);
        pair.expect("every element type has its twin").1
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.0.bytes)
    }

    fn data_len(&self) -> usize {
        self.0.bytes.len()
    }
}
