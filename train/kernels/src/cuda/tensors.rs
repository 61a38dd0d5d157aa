//! candle's tensors as arrays of a device, and back.

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Shape, Tensor, bail};

use super::device::{DeviceArray, KernelDevice, NumberKind};
use crate::tape::Tape;
use crate::view::CpuView;

impl dyn KernelDevice + '_ {
    /// The numbers of an f32 tensor: where it lies on a CUDA device, a copy elsewhere.
    ///
    /// # Errors
    /// Fails if it is not f32, or there is no memory.
    pub(crate) fn borrow(&self, tensor: &Tensor) -> Result<DeviceArray> {
        let tensor = tensor.contiguous()?;
        match self.share(&tensor)? {
            Some(array) => Ok(array),
            None => self.upload(CpuView::new(&tensor)?.slice()),
        }
    }

    /// As `borrow`, but numbers of its own, which may be changed.
    ///
    /// # Errors
    /// As `borrow`.
    pub(crate) fn borrow_copy(&self, tensor: &Tensor) -> Result<DeviceArray> {
        self.borrow(&tensor.copy()?)
    }

    /// Sets a tensor that `borrow` had to copy to what its array holds now; of one that lies on the device nothing is to be done.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn give_back(&self, array: &DeviceArray, tensor: &Tensor) -> Result<()> {
        if self.share(tensor)?.is_some() {
            return Ok(());
        }
        tensor.inplace_op1(&SetNumbers { values: self.download(array)? })
    }

    /// An f32 array as a tensor like another.
    ///
    /// # Errors
    /// Fails if it has another number of elements, or the device fails.
    pub(crate) fn lend(&self, array: &DeviceArray, like: &Tensor) -> Result<Tensor> {
        self.lend_as(array, like.shape().clone(), like)
    }

    /// An f32 array as a tensor of this shape, on the device of `beside`.
    ///
    /// # Errors
    /// As `lend`.
    pub(crate) fn lend_as(&self, array: &DeviceArray, shape: Shape, beside: &Tensor) -> Result<Tensor> {
        assert_eq!(array.kind(), NumberKind::F32, "candle is lent f32 numbers");
        match array.tensor()? {
            Some(tensor) => tensor.reshape(shape),
            None => Tensor::from_vec(self.download(array)?, shape, beside.device()),
        }
    }

    /// Leaves the gradient of a parameter on a tape.
    ///
    /// # Errors
    /// As `lend`.
    pub(crate) fn leave(&self, tape: &Tape, parameter: &Tensor, gradient: &DeviceArray) -> Result<()> {
        match gradient.tensor()? {
            Some(gradient) => tape.put_tensor(parameter, gradient),
            None => {
                tape.put(parameter, self.download(gradient)?);
                Ok(())
            }
        }
    }
}

/// Numbers for a contiguous tensor on the CPU.
struct SetNumbers {
    values: Vec<f32>,
}

impl InplaceOp1 for SetNumbers {
    fn name(&self) -> &'static str {
        "set-numbers"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        match (storage, layout.contiguous_offsets()) {
            (CpuStorage::F32(all), Some((start, end))) if end - start == self.values.len() => {
                all[start..end].copy_from_slice(&self.values);
                Ok(())
            }
            _ => bail!("{} numbers for a tensor of {:?}", self.values.len(), layout.shape()),
        }
    }
}
