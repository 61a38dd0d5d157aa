//! A tokenizer on a device: its parameters, the patches it is given, and the forms of its weights that products read.

use super::device::{DeviceArray, KernelDevice, NumberKind};
use crate::tokenizer::{FlatRanges, Widths};

/// The most points of a chunk: 4 GB of activations at the official widths.
pub(crate) const CHUNK_ROWS: usize = 1 << 20;
/// Running statistics of both batch norms, `[2, c1]` and `[2, c3]`: means, then variances.
#[derive(Clone, Debug)]
pub(crate) struct RunningArrays {
    pub bn1: DeviceArray,
    pub bn2: DeviceArray,
}

/// The parameters of a tokenizer on a device, f32; letters as in `cuda/tokenizer_forward.cu`.
#[derive(Clone, Debug)]
pub(crate) struct TokenizerArrays {
    pub first: DeviceArray,
    pub bn1_weight: DeviceArray,
    pub bn1_bias: DeviceArray,
    pub lift: DeviceArray,
    pub lift_bias: DeviceArray,
    pub mix: DeviceArray,
    pub bn2_weight: DeviceArray,
    pub bn2_bias: DeviceArray,
    pub out: DeviceArray,
    pub out_bias: DeviceArray,
    /// `lift`, `mix` and `out` in bf16, where somebody keeps them so.
    pub halves: Option<[DeviceArray; 3]>,
}

impl TokenizerArrays {
    /// In the order of the official state dict.
    pub(crate) fn new(parts: [DeviceArray; 10], halves: Option<[DeviceArray; 3]>) -> Self {
        let [first, bn1_weight, bn1_bias, lift, lift_bias, mix, bn2_weight, bn2_bias, out, out_bias] = parts;
        Self {
            first,
            bn1_weight,
            bn1_bias,
            lift,
            lift_bias,
            mix,
            bn2_weight,
            bn2_bias,
            out,
            out_bias,
            halves,
        }
    }
}

/// A tokenizer on a device.
#[derive(Clone)]
pub(crate) struct DeviceTokenizer<'a> {
    pub device: &'a dyn KernelDevice,
    /// Of activations.
    pub kind: NumberKind,
    pub widths: Widths,
    pub parameters: &'a TokenizerArrays,
    /// `None`: the statistics of the batch.
    pub running: Option<RunningArrays>,
    pub chunk_rows: usize,
}

/// Patches `[P, K, 3]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PatchArray<'a> {
    pub points: &'a DeviceArray,
    pub k: usize,
}

impl PatchArray<'_> {
    /// Points of all patches.
    pub(crate) fn rows(&self) -> usize {
        self.points.len() / 3
    }

    pub(crate) fn patches(&self) -> usize {
        self.rows() / self.k
    }
}

/// Weights of one step in the forms that products read.
#[derive(Debug)]
pub(crate) struct TokenizerFactors {
    /// `[c2, c1]`, `[c3, 2 c2]` and `[d, c3]`, of the kind of activations.
    pub lift: DeviceArray,
    pub mix: DeviceArray,
    pub out: DeviceArray,
    /// `M [c3, c1]`, f32 and of the kind of activations.
    pub merged: DeviceArray,
    /// `W3l b2 [c3]`.
    pub merged_bias: DeviceArray,
}

impl DeviceTokenizer<'_> {
    /// Where the parameters lie.
    pub(crate) fn ranges(&self) -> FlatRanges {
        self.widths.ranges()
    }

    /// Whether activations are narrower than f32, so that f32 results are copied.
    pub(crate) fn copied(&self) -> Option<NumberKind> {
        (self.kind != NumberKind::F32).then_some(self.kind)
    }
}
