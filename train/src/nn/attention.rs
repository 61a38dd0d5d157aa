//! Attention from candle's operators, each with a complete backward (candle's fused softmax has none).

use candle_core::{D, Tensor};

use crate::error::Result;

/// Softmax over the last dimension.
pub(crate) fn softmax(x: &Tensor) -> Result<Tensor> {
    let e = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
    Ok(e.broadcast_div(&e.sum_keepdim(D::Minus1)?)?)
}

/// `[B, T, heads * d]` to `[B, heads, T, d]`.
pub(super) fn split_heads(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (b, t, d) = x.dims3()?;
    Ok(x.reshape((b, t, heads, d / heads))?.transpose(1, 2)?.contiguous()?)
}

/// What each query takes from the values, by scaled products with the keys.
///
/// # Shapes
/// `q [B, heads, T, d]`, `k`, `v` `[B, heads, S, d]` to `[B, T, heads * d]`.
pub(super) fn attend(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    let (b, heads, t, d) = q.dims4()?;
    let scores = (q.matmul(&k.transpose(2, 3)?)? * (1.0 / (d as f64).sqrt()))?;
    Ok(softmax(&scores)?.matmul(v)?.transpose(1, 2)?.reshape((b, t, heads * d))?)
}
