//! Devices by name, and how many threads the kernels may use.

use candle_core::Device;
use jepa3d_kernels::{keep_freed_memory, use_candle_threads};

use crate::config::out_of_range;
use crate::error::Result;

/// Opens the device of a name: `cpu` or `cuda:N`.
///
/// # Errors
/// Fails if there is no such device, or this build cannot use it.
pub(crate) fn open_device(name: &str) -> Result<Device> {
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let Some(number) = name.strip_prefix("cuda:").and_then(|n| n.parse::<usize>().ok()) else {
        return Err(out_of_range("--device", "cpu or cuda:N", name));
    };
    if !candle_core::utils::cuda_is_available() {
        let expected = "cpu, because this build has no CUDA (cargo build --features cuda)";
        return Err(out_of_range("--device", expected, name));
    }
    Ok(Device::new_cuda(number)?)
}

/// With no more threads than this candle's own operators take one: on two cores that is faster by a twelfth of a step where they
/// are idle, and 2.4 times as fast where one has other work. More were not measured.
const FEW_THREADS: usize = 2;

/// Sets the threads of the training kernels, and keeps the memory that a step frees for the next; once, before the first of
/// them runs. Results do not depend on it, except that products of candle itself (CPU tensors outside the kernels) may.
pub fn use_threads(threads: usize) {
    keep_freed_memory();
    use_candle_threads(if threads <= FEW_THREADS { 1 } else { threads });
    // A pool that exists already stays: only a second call can meet one.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
}
