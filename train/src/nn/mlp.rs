//! A small MLP that lifts a few numbers to a token.

use candle_core::Tensor;
use candle_nn::Linear;
use jepa3d_kernels::gelu_of;

use super::linear::{apply_linear, linear};
use super::parameter_builder::ParameterBuilder;
use crate::error::Result;

/// Channels between the two layers.
const HIDDEN: usize = 128;

/// `inputs -> 128 -> GELU -> width`.
#[derive(Clone, Debug)]
pub(crate) struct Mlp {
    first: Linear,
    second: Linear,
}

impl Mlp {
    pub(crate) fn new(inputs: usize, width: usize, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let first = linear(inputs, HIDDEN, &vb.pp("0"))?;
        Ok(Self { first, second: linear(HIDDEN, width, &vb.pp("2"))? })
    }

    /// `[.., inputs]` to `[.., width]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = apply_linear(&self.first, x, false)?;
        let hidden = if x.device().is_cpu() { gelu_of(&hidden)? } else { hidden.gelu_erf()? };
        apply_linear(&self.second, &hidden, false)
    }
}
