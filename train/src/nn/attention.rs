//! Attention from candle's operators, each with a complete backward (candle-nn's fused softmax has none).

use candle_core::{D, Tensor};
use candle_nn::Linear;
use jepa3d_kernels::softmax_of;

use super::block_pass::BlockPass;
use super::layer_norm::LayerNorm;
use super::linear::{apply_linear, linear, narrow_outputs};
use super::parameter_builder::ParameterBuilder;
use crate::error::Result;

/// `x + proj(attention(qkv(norm x)))` without the `x +`: tokens that look at each other.
#[derive(Clone, Debug)]
pub(super) struct SelfAttention {
    norm: LayerNorm,
    qkv: Linear,
    proj: Linear,
    heads: usize,
}

impl SelfAttention {
    /// `norm1` and `name.{qkv, proj}` below `vb`.
    pub(super) fn new(width: usize, heads: usize, name: &str, vb: &ParameterBuilder<'_>) -> Result<Self> {
        Ok(Self {
            norm: LayerNorm::new(width, &vb.pp("norm1"))?,
            qkv: linear(width, 3 * width, &vb.pp(name).pp("qkv"))?,
            proj: linear(width, width, &vb.pp(name).pp("proj"))?,
            heads,
        })
    }

    /// What is added to `x [B, T, D]`; only tokens of one run of `length` see each other.
    pub(super) fn branch(&self, x: &Tensor, length: usize, how: BlockPass<'_>) -> Result<Tensor> {
        let (b, t, width) = x.dims3()?;
        let qkv = apply_linear(&self.qkv, &self.norm.forward(x)?, how.is_bf16)?;
        let qkv = qkv.reshape((b * t / length, length, 3 * width))?;
        let part = |i: usize| split_heads(&qkv.narrow(2, i * width, width)?, self.heads);
        let found = attend(&part(0)?, &part(1)?, &part(2)?, how)?.reshape((b, t, width))?;
        let out = apply_linear(&self.proj, &found, how.is_bf16)?;
        how.drop_path(how.drop_hidden(out, 1)?, 5)
    }

    /// What is added to the first token alone, `[B, 1, D]`: it looks at all of `x [B, T, D]`, and nothing is computed for
    /// the others.
    pub(super) fn first_branch(&self, x: &Tensor, is_bf16: bool) -> Result<Tensor> {
        let width = x.dim(2)?;
        let normed = self.norm.forward(x)?;
        let (query, key_value) =
            (narrow_outputs(&self.qkv, 0, width)?, narrow_outputs(&self.qkv, width, 2 * width)?);
        let q = apply_linear(&query, &normed.narrow(1, 0, 1)?, is_bf16)?;
        let kv = apply_linear(&key_value, &normed, is_bf16)?;
        let part = |i: usize| split_heads(&kv.narrow(2, i * width, width)?, self.heads);
        let q = split_heads(&q, self.heads)?;
        let found = attend(&q, &part(0)?, &part(1)?, BlockPass::plain(is_bf16))?;
        apply_linear(&self.proj, &found, is_bf16)
    }
}

/// Queries that look at a context.
#[derive(Clone, Debug)]
pub(super) struct CrossAttention {
    norm: LayerNorm,
    norm_context: LayerNorm,
    q: Linear,
    kv: Linear,
    proj: Linear,
    heads: usize,
}

impl CrossAttention {
    /// For queries of `width` and a context of `context_width`.
    pub(super) fn new(
        width: usize,
        context_width: usize,
        heads: usize,
        vb: &ParameterBuilder<'_>,
    ) -> Result<Self> {
        let attention = vb.pp("cross_attn");
        Ok(Self {
            norm: LayerNorm::new(width, &vb.pp("norm2"))?,
            norm_context: LayerNorm::new(context_width, &vb.pp("norm_context"))?,
            q: linear(width, width, &attention.pp("q"))?,
            kv: linear(context_width, 2 * width, &attention.pp("kv"))?,
            proj: linear(width, width, &attention.pp("proj"))?,
            heads,
        })
    }

    /// What is added to the queries `x [B, T, P]`, which look at `context [B, n, D]`, not at each other.
    pub(super) fn branch(&self, x: &Tensor, context: &Tensor, is_bf16: bool) -> Result<Tensor> {
        let width = x.dim(2)?;
        let q = split_heads(&apply_linear(&self.q, &self.norm.forward(x)?, is_bf16)?, self.heads)?;
        let kv = apply_linear(&self.kv, &self.norm_context.forward(context)?, is_bf16)?;
        let part = |i: usize| split_heads(&kv.narrow(2, i * width, width)?, self.heads);
        let found = attend(&q, &part(0)?, &part(1)?, BlockPass::plain(is_bf16))?;
        apply_linear(&self.proj, &found, is_bf16)
    }
}

/// `[B, T, heads * d]` to `[B, heads, T, d]`.
fn split_heads(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (b, t, d) = x.dims3()?;
    Ok(x.reshape((b, t, heads, d / heads))?.transpose(1, 2)?.contiguous()?)
}

/// What each query takes from the values, by scaled products with the keys.
///
/// # Shapes
/// `q [B, heads, T, d]`, `k`, `v` `[B, heads, S, d]` to `[B, T, heads * d]`.
fn attend(q: &Tensor, k: &Tensor, v: &Tensor, how: BlockPass<'_>) -> Result<Tensor> {
    let (b, heads, t, d) = q.dims4()?;
    let scores = (q.matmul(&k.transpose(2, 3)?)? * (1.0 / (d as f64).sqrt()))?;
    let scores = match how.key_bias {
        Some(bias) => scores.broadcast_add(bias)?,
        None => scores,
    };
    let shares = how.drop_attention(softmax(&scores)?, 0)?;
    Ok(shares.matmul(v)?.transpose(1, 2)?.reshape((b, t, heads * d))?)
}

/// Softmax over the last dimension: by a kernel on the CPU.
fn softmax(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        return Ok(softmax_of(x)?);
    }
    let e = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
    Ok(e.broadcast_div(&e.sum_keepdim(D::Minus1)?)?)
}
