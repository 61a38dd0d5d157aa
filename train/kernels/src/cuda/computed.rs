//! A node of candle's graph whose output was computed before, and whose backward is a closure.
//!
//! The kernels' host code works on arrays of a [`KernelDevice`](super::device::KernelDevice), not inside candle's storages; what it gives
//! enters the graph here.

use std::sync::Mutex;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp2, Layout, Result, Shape, Storage, Tensor, bail};

/// Gradients of both arguments, from that of the output.
type Backward = Box<dyn FnOnce(&Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> + Send>;

/// The node.
pub(crate) struct Computed {
    name: &'static str,
    out: Tensor,
    backward: Mutex<Option<Backward>>,
}

impl Computed {
    /// `out` as a function of two tensors; its backward runs once.
    ///
    /// # Errors
    /// Fails if candle does not take it.
    pub(crate) fn enter(
        name: &'static str,
        arguments: [&Tensor; 2],
        out: Tensor,
        backward: impl FnOnce(&Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> + Send + 'static,
    ) -> Result<Tensor> {
        let node = Self { name, out, backward: Mutex::new(Some(Box::new(backward))) };
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
        match backward {
            Some(backward) => backward(&gradient.contiguous()?),
            None => bail!("{}: the backward runs once", self.name),
        }
    }
}
