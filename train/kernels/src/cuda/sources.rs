//! The sources of the kernels, as they are compiled for a device or for the emulation.

/// A file's place below `train/kernels/cuda`, and its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KernelSource {
    pub path: &'static str,
    pub text: &'static str,
}

macro_rules! sources {
    ($($path:literal),* $(,)?) => {
        [$(KernelSource { path: $path, text: include_str!(concat!("../../cuda/", $path)) }),*]
    };
}

/// What kernels include.
pub(crate) const HEADERS: [KernelSource; 6] =
    sources!["bf16.h", "column_tile.h", "device.h", "dropout.h", "reduce.h", "tokenizer.h"];

/// Files with kernels, each a program of its own on a device.
pub(crate) const PROGRAMS: [KernelSource; 11] = sources![
    "adamw.cu",
    "attention.cu",
    "bias_gelu.cu",
    "branch.cu",
    "column_sums.cu",
    "copies.cu",
    "gather.cu",
    "layer_norm.cu",
    "loss.cu",
    "tokenizer_backward.cu",
    "tokenizer_forward.cu",
];

/// What the emulation is made of besides.
pub(crate) const EMULATION: [KernelSource; 6] = sources![
    "emulation/faulty.cu",
    "emulation/grid.cpp",
    "emulation/grid.h",
    "emulation/kernels.inc",
    "emulation/memory.h",
    "emulation/runner.cpp",
];
