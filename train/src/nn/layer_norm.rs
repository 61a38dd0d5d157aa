//! Layer norm: a kernel on the CPU, candle's operators elsewhere, both with a complete backward.
//!
//! candle-nn's own is fused and has none: everything before it would silently stop learning.

use candle_core::{D, Tensor};
use jepa3d_kernels::{normalize_rows, standardize_on_device};

use super::parameter_builder::{ParameterBuilder, ParameterKind};
use crate::error::Result;

/// Added to variances.
const EPSILON: f64 = 1e-5;

/// Layer norm with weight and bias.
#[derive(Clone, Debug)]
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    pub(crate) fn new(width: usize, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let weight = vb.get_with_hints(width, "weight", ParameterKind::Norm { value: 1.0 })?;
        let bias = vb.get_with_hints(width, "bias", ParameterKind::Norm { value: 0.0 })?;
        Ok(Self { weight, bias })
    }

    /// Weight and bias.
    pub(super) fn tensors(&self) -> [Tensor; 2] {
        [self.weight.clone(), self.bias.clone()]
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if x.device().is_cpu() {
            return Ok(normalize_rows(x, &self.weight, &self.bias)?);
        }
        Ok(standardize(x)?.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)?)
    }
}

/// Layer norm over the last dimension, without parameters.
pub(crate) fn standardize(x: &Tensor) -> Result<Tensor> {
    if let Some(out) = standardize_on_device(x)? {
        return Ok(out);
    }
    let centered = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centered.sqr()?.mean_keepdim(D::Minus1)?;
    Ok(centered.broadcast_div(&(variance + EPSILON)?.sqrt()?)?)
}
