//! Copies of parameters in bf16 that stay beside them on a device: whoever changes the parameters changes the copies in the same launch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Tensor, TensorId};

use super::device_array::DeviceArray;

/// Copies by parameter; clones share them. Parameters that nobody keeps a copy of are copied where they are used.
#[derive(Clone, Debug, Default)]
pub(crate) struct HalfCopies(Arc<Mutex<HashMap<TensorId, DeviceArray>>>);

impl HalfCopies {
    /// Keeps the copy of a parameter.
    pub(crate) fn keep(&self, parameter: &Tensor, copy: DeviceArray) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(parameter.id(), copy);
    }

    /// Forgets it.
    pub(crate) fn forget(&self, parameter: &Tensor) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&parameter.id());
    }

    /// The copies of some parameters, if all of them are kept.
    pub(crate) fn find<const N: usize>(&self, parameters: [&Tensor; N]) -> Option<[DeviceArray; N]> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found: Option<Vec<DeviceArray>> = parameters.iter().map(|p| kept.get(&p.id()).cloned()).collect();
        found?.try_into().ok()
    }
}
