//! Linear layers and layer norms from candle's operators, each with a complete backward.
//!
//! candle's own `LayerNorm` is fused and has no backward: everything before it would silently stop learning.

use candle_core::{D, DType, Tensor};

use super::parameters::{Parameters, Role};
use crate::error::Result;

/// Added to variances.
const EPSILON: f64 = 1e-5;

/// `y = x weight^T + bias`.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    pub weight: Tensor,
    pub bias: Tensor,
}

impl Linear {
    /// PyTorch's initial values: weight and bias uniform in +-1 / sqrt(inputs).
    pub(crate) fn new(p: &mut Parameters, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        let bound = 1.0 / (inputs as f64).sqrt();
        let weight = p.uniform(&format!("{name}.weight"), &[outputs, inputs], bound)?;
        let bias = p.uniform(&format!("{name}.bias"), &[outputs], bound)?;
        Ok(Self { weight, bias })
    }

    /// `[.., inputs]` to `[.., outputs]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(product(x, &self.weight, false)?.broadcast_add(&self.bias)?)
    }

    /// The same, with the product in bf16 if asked for.
    pub(crate) fn forward_in(&self, x: &Tensor, is_half: bool) -> Result<Tensor> {
        Ok(product(x, &self.weight, is_half)?.broadcast_add(&self.bias)?)
    }
}

/// `x weight^T` over the last dimension of `x`.
fn product(x: &Tensor, weight: &Tensor, is_half: bool) -> Result<Tensor> {
    let mut dims = x.dims().to_vec();
    let rows = x.elem_count() / weight.dim(1)?;
    let flat = x.reshape((rows, weight.dim(1)?))?;
    let out = match is_half {
        true => {
            let (flat, weight) = (flat.to_dtype(DType::BF16)?, weight.to_dtype(DType::BF16)?);
            flat.matmul(&weight.t()?)?.to_dtype(DType::F32)?
        }
        false => flat.matmul(&weight.t()?)?,
    };
    if let Some(last) = dims.last_mut() {
        *last = weight.dim(0)?;
    }
    Ok(out.reshape(dims)?)
}

/// Layer norm with weight and bias.
#[derive(Clone, Debug)]
pub(crate) struct LayerNorm {
    pub weight: Tensor,
    pub bias: Tensor,
}

impl LayerNorm {
    pub(crate) fn new(p: &mut Parameters, name: &str, width: usize) -> Result<Self> {
        let weight = p.constant(&format!("{name}.weight"), &[width], 1.0, Role::Trained)?;
        let bias = p.constant(&format!("{name}.bias"), &[width], 0.0, Role::Trained)?;
        Ok(Self { weight, bias })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(layer_norm_plain(x)?.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)?)
    }
}

/// Layer norm over the last dimension, without parameters.
pub(crate) fn layer_norm_plain(x: &Tensor) -> Result<Tensor> {
    let centered = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centered.sqr()?.mean_keepdim(D::Minus1)?;
    Ok(centered.broadcast_div(&(variance + EPSILON)?.sqrt()?)?)
}
