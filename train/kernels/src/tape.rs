//! Where kernels leave the gradients of parameters that candle's backward pass never sees.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Result, Tensor, TensorId};

use super::rows::add;

/// A gradient where it was found: numbers of the CPU's kernels, or a tensor on a device.
#[derive(Clone, Debug)]
enum TapedGradient {
    Host(Vec<f32>),
    Device(Tensor),
}

/// Gradients by parameter; clones share one store.
#[derive(Clone, Debug, Default)]
pub struct Tape(Arc<Mutex<HashMap<TensorId, TapedGradient>>>);

impl Tape {
    /// Adds to the gradient of a parameter.
    ///
    /// # Panics
    /// If a gradient on a device was left for it.
    pub fn put(&self, parameter: &Tensor, gradient: Vec<f32>) {
        let mut store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match store.get_mut(&parameter.id()) {
            None => {
                store.insert(parameter.id(), TapedGradient::Host(gradient));
            }
            Some(TapedGradient::Host(sum)) => add(sum, &gradient),
            Some(TapedGradient::Device(_)) => panic!("a parameter has gradients on the CPU and on a device"),
        }
    }

    /// Adds to the gradient of a parameter on a device.
    ///
    /// # Errors
    /// Fails if a gradient on the CPU was left for it, or the device fails.
    pub(crate) fn put_tensor(&self, parameter: &Tensor, gradient: Tensor) -> Result<()> {
        let mut store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = match store.remove(&parameter.id()) {
            None => gradient,
            Some(TapedGradient::Device(sum)) => (sum + gradient)?,
            Some(TapedGradient::Host(_)) => {
                candle_core::bail!("a parameter has gradients on the CPU and on a device")
            }
        };
        store.insert(parameter.id(), TapedGradient::Device(sum));
        Ok(())
    }

    /// Takes the gradient of a parameter out, if the CPU's kernels left one.
    pub fn take(&self, parameter: &Tensor) -> Option<Vec<f32>> {
        let mut store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match store.remove(&parameter.id())? {
            TapedGradient::Host(values) => Some(values),
            device => {
                store.insert(parameter.id(), device);
                None
            }
        }
    }

    /// Takes the gradient of a parameter out, in its shape, wherever it is.
    ///
    /// # Errors
    /// Fails if it has not as many numbers as the parameter.
    pub fn take_tensor(&self, parameter: &Tensor) -> Result<Option<Tensor>> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&parameter.id());
        match found {
            None => Ok(None),
            Some(TapedGradient::Device(gradient)) => gradient.reshape(parameter.shape()).map(Some),
            Some(TapedGradient::Host(values)) => {
                Tensor::from_vec(values, parameter.shape(), parameter.device()).map(Some)
            }
        }
    }
}
