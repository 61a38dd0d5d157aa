//! A node of candle's graph whose output was computed before, and whose backward is a closure.
//!
//! The kernels' host code works on arrays of a [`KernelDevice`], not inside candle's storages; what it gives
//! enters the graph here. Each costs a copy of its output, and in the backward zeros and a sum for every gradient that candle is given:
//! so there are few of them, and gradients of parameters go to a tape.

use std::sync::{Arc, Mutex};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp2, Layout, Result, Shape, Storage, Tensor, bail};

use super::device::KernelDevice;

/// Gradients of both arguments, from that of the output.
type Backward = Box<dyn FnOnce(&dyn KernelDevice, &Tensor) -> Result<ArgumentGradients> + Send>;
/// `None`: an argument has none, or it was left on a tape.
pub(crate) type ArgumentGradients = (Option<Tensor>, Option<Tensor>);

/// The node.
pub(crate) struct Computed {
    name: &'static str,
    device: Arc<dyn KernelDevice>,
    out: Tensor,
    backward: Mutex<Option<Backward>>,
}

impl Computed {
    /// `out` as a function of two tensors, of which one at least has a gradient in candle's graph; its backward runs once.
    ///
    /// # Errors
    /// Fails if candle does not take it.
    pub(crate) fn enter(
        device: &Arc<dyn KernelDevice>,
        name: &'static str,
        arguments: [&Tensor; 2],
        out: Tensor,
        backward: impl FnOnce(&dyn KernelDevice, &Tensor) -> Result<ArgumentGradients> + Send + 'static,
    ) -> Result<Tensor> {
        let backward: Backward = Box::new(backward);
        let node = Self { name, device: device.clone(), out, backward: Mutex::new(Some(backward)) };
        device.note("candle copy", 1);
        arguments[0].apply_op2(arguments[1], node)
    }
}

impl CustomOp2 for Computed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match &*self.out.storage_and_layout().0 {
            Storage::Cpu(storage) => Ok((storage.clone(), self.out.shape().clone())),
            _ => bail!("{}: the output is not where its arguments are", self.name),
        }
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (storage, layout) = self.out.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => Ok((storage.try_clone(layout)?, self.out.shape().clone())),
            _ => bail!("{}: the output is not where its arguments are", self.name),
        }
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let backward = self.backward.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(backward) = backward else { bail!("{}: the backward runs once", self.name) };
        let found = backward(&*self.device, &gradient.contiguous()?)?;
        let count = u64::from(found.0.is_some()) + u64::from(found.1.is_some());
        self.device.note("candle zeros", count);
        self.device.note("candle add", count);
        Ok(found)
    }
}
