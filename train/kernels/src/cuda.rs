//! The kernels of CUDA devices: their sources in `cuda/*.cu`, and one host code that launches them on three kinds of devices.
//!
//! [`KernelDevice`](device::KernelDevice) is what that code needs of a device: memory, launches, products of matrices. A CUDA device has them; so has
//! `EmulatedDevice`, a process made by the host's C++ compiler from the same sources, which runs every launch thread by thread
//! on the CPU and checks each access; `CountingDevice` only counts. What one of them is asked, all are.

#[cfg(test)]
mod adamw;
mod attention;
#[cfg(test)]
mod attention_tests;
mod bias_gelu;
mod block;
mod branch;
mod computed;
mod copies;
#[cfg(test)]
mod cost_tests;
mod counting;
#[cfg(feature = "cuda")]
mod cuda_device;
mod device;
mod device_tokenizer;
mod emulated;
#[cfg(test)]
mod emulation_tests;
mod engine;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod gather;
mod layer_norm;
#[cfg(test)]
mod layer_tests;
mod loss;
mod partial_sums;
mod point_chunks;
mod run_loss;
mod run_stack;
mod run_tokenizer;
mod run_update;
mod sources;
mod stack;
#[cfg(test)]
mod stack_tests;
#[cfg(test)]
mod step_tests;
mod tensors;
mod tokenizer;
mod tokenizer_backward;
#[cfg(test)]
mod tokenizer_tests;

pub(crate) use attention::fits_shared_memory;
pub use counting::DeviceCounts;
pub(crate) use engine::find_kernel_device;
pub use engine::{count_cuda, emulate_cuda};
pub use loss::DeviceLoss;
pub(crate) use run_tokenizer::tokenize_on;
pub use run_update::{AdamNumbers, AdamTensors, move_on_device, norm_on_device, update_on_device};
