//! The kernels of CUDA devices: their sources in `cuda/*.cu`, and one host code that launches them on three kinds of devices.
//!
//! [`KernelDevice`] is what that code needs of a device: memory, launches, products of matrices. A CUDA device has them; so has
//! [`EmulatedDevice`], a process made by the host's C++ compiler from the same sources, which runs every launch thread by thread
//! on the CPU and checks each access; [`CountingDevice`] only counts. What one of them is asked, all are.

mod adamw;
mod attention;
#[cfg(test)]
mod attention_tests;
mod bias_gelu;
mod block;
mod branch;
mod copies;
mod counting;
mod device;
mod emulated;
#[cfg(test)]
mod emulation_tests;
#[cfg(test)]
mod fixture;
mod gather;
mod layer_norm;
#[cfg(test)]
mod layer_tests;
mod loss;
mod partial_sums;
mod point_chunks;
mod sources;
mod stack;
#[cfg(test)]
mod stack_tests;
#[cfg(test)]
mod step_tests;
mod tokenizer;
mod tokenizer_backward;
#[cfg(test)]
mod tokenizer_tests;

pub(crate) use counting::CountingDevice;
pub(crate) use device::{
    DeviceArray, DeviceDrop, DeviceFactor, DeviceMemory, DeviceProduct, KernelArgument, KernelDevice,
    LaunchShape, NumberKind,
};
pub(crate) use emulated::EmulatedDevice;
