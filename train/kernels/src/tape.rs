//! Where kernels leave the gradients of parameters that candle's backward pass never sees.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Tensor, TensorId};

use super::rows::add;

/// Gradients by parameter; clones share one store.
#[derive(Clone, Debug, Default)]
pub struct Tape(Arc<Mutex<HashMap<TensorId, Vec<f32>>>>);

impl Tape {
    /// Adds to the gradient of a parameter.
    pub fn put(&self, parameter: &Tensor, gradient: Vec<f32>) {
        let mut store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match store.entry(parameter.id()) {
            std::collections::hash_map::Entry::Vacant(empty) => {
                empty.insert(gradient);
            }
            std::collections::hash_map::Entry::Occupied(mut sum) => add(sum.get_mut(), &gradient),
        }
    }

    /// Takes the gradient of a parameter out.
    pub fn take(&self, parameter: &Tensor) -> Option<Vec<f32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&parameter.id())
    }
}
