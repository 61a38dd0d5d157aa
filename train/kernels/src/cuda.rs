//! The kernels of CUDA devices: their sources in `cuda/*.cu`, and one host code that launches them on three kinds of devices.
//!
//! [`KernelDevice`](device::KernelDevice) is what that code needs of a device: memory, launches, products of matrices. A CUDA device has them; so has
//! `EmulatedDevice`, a process made by the host's C++ compiler from the same sources, which runs every launch thread by thread
//! on the CPU and checks each access; `CountingDevice` only counts. What one of them is asked, all are.

mod attention;
#[cfg(test)]
mod attention_tests;
mod bias_gelu;
mod block;
mod branch;
mod computed;
mod copies;
mod counting;
#[cfg(feature = "cuda")]
mod cuda_device;
mod device;
mod device_array;
mod device_mlp;
mod device_tokenizer;
mod emulated;
#[cfg(test)]
mod emulation_tests;
mod engine;
#[cfg(test)]
mod fixture;
mod gather;
mod half_copies;
mod layer_norm;
#[cfg(test)]
mod layer_tests;
mod loss;
mod partial_sums;
mod point_chunks;
mod run_layers;
mod run_loss;
mod run_predictor;
mod run_stack;
mod run_tokenizer;
mod run_update;
mod sequences;
mod sources;
mod stack;
#[cfg(test)]
mod stack_tests;
#[cfg(test)]
mod step_tests;
mod tensor_table;
mod tensors;
mod tokenizer;
mod tokenizer_backward;
#[cfg(test)]
mod tokenizer_tests;

pub(crate) use attention::fits_shared_memory;
pub use counting::DeviceCounts;
pub(crate) use engine::find_kernel_device;
pub use engine::{count_cuda, emulate_cuda, free_memory};
pub use loss::DeviceLoss;
pub use run_layers::{MlpTensors, PickedRows, standardize_on_device};
pub use run_loss::DeviceDistance;
pub use run_predictor::{PredictorInput, PredictorTensors};
pub use run_tokenizer::{DeviceStatistics, RunningTensors};
pub(crate) use run_tokenizer::{TokenizerInput, tokenize_on};
pub use run_update::{AdamNumbers, AdamRates, DeviceAverage, DeviceUpdater};
