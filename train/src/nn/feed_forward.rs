//! The feed-forward half of a transformer block.

use candle_core::Tensor;
use candle_nn::Linear;

use super::block_pass::BlockPass;
use super::layer_norm::LayerNorm;
use super::linear::{apply_gelu, apply_linear, linear};
use super::parameter_builder::ParameterBuilder;
use crate::error::Result;

/// Ratio of the hidden width.
const RATIO: usize = 4;

/// `x + fc2(GELU(fc1(norm x)))` without the `x +`.
#[derive(Clone, Debug)]
pub(super) struct FeedForward {
    norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl FeedForward {
    /// The norm under the name `norm`, and `mlp.{fc1, fc2}`, below `vb`.
    pub(super) fn new(width: usize, norm: &str, vb: &ParameterBuilder<'_>) -> Result<Self> {
        Ok(Self {
            norm: LayerNorm::new(width, &vb.pp(norm))?,
            fc1: linear(width, RATIO * width, &vb.pp("mlp.fc1"))?,
            fc2: linear(RATIO * width, width, &vb.pp("mlp.fc2"))?,
        })
    }

    /// What is added to `x [B, T, D]`.
    pub(super) fn branch(&self, x: &Tensor, how: BlockPass<'_>) -> Result<Tensor> {
        let hidden = apply_gelu(&apply_linear(&self.fc1, &self.norm.forward(x)?, how.is_bf16)?)?;
        let out = apply_linear(&self.fc2, &how.drop_hidden(hidden, 2)?, how.is_bf16)?;
        how.drop_path(how.drop_hidden(out, 3)?, 7)
    }
}
