//! A small MLP that lifts a few numbers to a token.

use candle_core::Tensor;
use candle_nn::Linear;
use jepa3d_kernels::MlpTensors;

use super::forward_pass::ForwardPass;
use super::linear::{apply_gelu, apply_linear, layer_tensors, linear};
use super::parameter_builder::ParameterBuilder;
use crate::error::Result;

/// Channels between the two layers where nothing else is said.
const HIDDEN: usize = 128;

/// `inputs -> hidden -> GELU -> width`.
#[derive(Clone, Debug)]
pub(crate) struct Mlp {
    first: Linear,
    second: Linear,
}

impl Mlp {
    pub(crate) fn new(inputs: usize, width: usize, vb: &ParameterBuilder<'_>) -> Result<Self> {
        Self::with_hidden(inputs, HIDDEN, width, vb)
    }

    /// With as many channels between the two layers.
    pub(crate) fn with_hidden(
        inputs: usize,
        hidden: usize,
        width: usize,
        vb: &ParameterBuilder<'_>,
    ) -> Result<Self> {
        let first = linear(inputs, hidden, &vb.pp("0"))?;
        Ok(Self { first, second: linear(hidden, width, &vb.pp("2"))? })
    }

    /// As [`Mlp::forward`] in training, of rows that have no gradient: one kernel's node where a device has one.
    pub(crate) fn train(&self, x: &Tensor, pass: &ForwardPass) -> Result<Tensor> {
        match self.tensors().map(|tensors| tensors.train(x, &pass.tape)).transpose()?.flatten() {
            Some(out) => Ok(out),
            None => self.forward(x),
        }
    }

    /// The parameters as kernels of devices take them.
    pub(super) fn tensors(&self) -> Option<MlpTensors> {
        Some(MlpTensors { first: layer_tensors(&self.first)?, second: layer_tensors(&self.second)? })
    }

    /// `[.., inputs]` to `[.., width]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = apply_gelu(&apply_linear(&self.first, x, false)?)?;
        apply_linear(&self.second, &hidden, false)
    }
}
