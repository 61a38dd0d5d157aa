//! Which device runs the kernels of a tensor: the CUDA device it is on, a stand-in for the tests, or none (the CPU's kernels).

use std::cell::RefCell;
use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::counting::{CountingDevice, DeviceCounts};
use super::device::KernelDevice;
use super::emulated::EmulatedDevice;

thread_local! {
    static STAND_IN: RefCell<Option<Arc<dyn KernelDevice>>> = const { RefCell::new(None) };
}

/// Takes a stand-in away again, also when the work panics.
struct StandIn;

impl Drop for StandIn {
    fn drop(&mut self) {
        STAND_IN.with(|stand_in| stand_in.replace(None));
    }
}

fn run_on<T>(device: Arc<dyn KernelDevice>, work: impl FnOnce() -> T) -> T {
    STAND_IN.with(|stand_in| stand_in.replace(Some(device)));
    let _until_the_end = StandIn;
    work()
}

/// Does work on CPU tensors with the CUDA kernels, run by the emulated device, in place of the CPU's: stacks and tokenizers of this
/// thread. `None` where no C++ compiler is.
///
/// # Errors
/// Fails if the emulated device cannot be made.
pub fn emulate_cuda<T>(work: impl FnOnce() -> T) -> Result<Option<T>> {
    Ok(EmulatedDevice::start()?.map(|device| run_on(Arc::new(device), work)))
}

/// As [`emulate_cuda`] on a device that only counts what it is asked for; every number it gives back is 0.
pub fn count_cuda<T>(work: impl FnOnce() -> T) -> (T, DeviceCounts) {
    let device = CountingDevice::default();
    let done = run_on(Arc::new(device.clone()), work);
    (done, device.counts())
}

/// The device whose kernels take a tensor; `None`: those of the CPU.
///
/// # Errors
/// Fails if the tensor's device has no kernels in this build, or they cannot be compiled for it.
pub(crate) fn find_kernel_device(tensor: &Tensor) -> Result<Option<Arc<dyn KernelDevice>>> {
    match tensor.device() {
        candle_core::Device::Cpu => Ok(STAND_IN.with(|stand_in| stand_in.borrow().clone())),
        #[cfg(feature = "cuda")]
        candle_core::Device::Cuda(device) => super::cuda_device::CudaKernels::open(device).map(Some),
        other => candle_core::bail!("no kernels for {other:?} in this build"),
    }
}

/// Whether the kernels of a device run what is done with a tensor.
///
/// # Errors
/// Fails if they cannot be compiled for it.
pub(crate) fn runs_on_kernel_device(tensor: &Tensor) -> Result<bool> {
    let is_ours = tensor.device().is_cpu() || tensor.device().is_cuda();
    Ok(is_ours && find_kernel_device(tensor)?.is_some())
}

/// Bytes that are free on the device of CUDA; `None` on others.
///
/// # Errors
/// Fails if the driver does.
pub fn free_memory(device: &candle_core::Device) -> Result<Option<u64>> {
    match device {
        #[cfg(feature = "cuda")]
        candle_core::Device::Cuda(device) => super::cuda_device::free_memory(device).map(Some),
        _ => Ok(None),
    }
}
