//! The context-aware decoder of 3D-JEPA (Hu et al., arXiv 2409.15803): in every block the queries of a target block look at
//! each other, then at the context.
//!
//! Depth, widths and the learned query are ours; the paper gives the structure. Blocks of targets never see each
//! other, and the context's keys and values are the same for all of them.

use candle_core::Tensor;
use candle_nn::Linear;

use super::attention::{CrossAttention, SelfAttention};
use super::block_pass::BlockPass;
use super::feed_forward::FeedForward;
use super::forward_pass::ForwardPass;
use super::layer_norm::LayerNorm;
use super::linear::{apply_linear, linear};
use super::parameter_builder::{ParameterBuilder, ParameterKind};
use super::positions::PositionEmbedding;
use crate::config::{ModelConfig, PredictorConfig};
use crate::error::Result;

/// Attention among queries, attention to the context, feed-forward, each added to what it reads.
#[derive(Clone, Debug)]
struct DecoderBlock {
    attention: SelfAttention,
    cross: Option<CrossAttention>,
    feed_forward: FeedForward,
}

impl DecoderBlock {
    /// `context_width`: that of the context, if the block looks at it.
    fn new(
        config: &PredictorConfig,
        context_width: Option<usize>,
        vb: &ParameterBuilder<'_>,
    ) -> Result<Self> {
        let (width, heads) = (config.width, config.heads);
        // Made first: gradients are summed in the order in which parameters are made.
        let cross =
            context_width.map(|context| CrossAttention::new(width, context, heads, vb)).transpose()?;
        Ok(Self {
            attention: SelfAttention::new(width, heads, "self_attn", vb)?,
            cross,
            feed_forward: FeedForward::new(width, "norm3", vb)?,
        })
    }

    /// Queries `x [B, M L, P]`, `length` of each target block; `context [B, n, D]`.
    fn forward(&self, x: &Tensor, context: &Tensor, length: usize, is_bf16: bool) -> Result<Tensor> {
        let how = BlockPass::plain(is_bf16);
        let x = (x + self.attention.branch(x, length, how)?)?;
        let x = match &self.cross {
            Some(cross) => (&x + cross.branch(&x, context, is_bf16)?)?,
            None => x,
        };
        Ok((&x + self.feed_forward.branch(&x, how)?)?)
    }
}

/// Learned query, positions, blocks, final norm and projection.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    positions: PositionEmbedding,
    mask_token: Tensor,
    blocks: Vec<DecoderBlock>,
    norm: LayerNorm,
    project: Linear,
}

impl Decoder {
    /// `outputs`: channels of a prediction.
    pub(crate) fn new(
        model: &ModelConfig,
        config: &PredictorConfig,
        outputs: usize,
        vb: &ParameterBuilder<'_>,
    ) -> Result<Self> {
        let width = config.width;
        let block = |i: usize| {
            let looks = i == 0 || config.context_every_block;
            DecoderBlock::new(config, looks.then_some(model.width), &vb.pp("blocks").pp(i))
        };
        Ok(Self {
            positions: PositionEmbedding::new(model, width, &vb.pp("positional_encoding"))?,
            mask_token: vb.get_with_hints((1, 1, width), "mask_token", ParameterKind::Token { std: 0.02 })?,
            blocks: (0..config.depth).map(block).collect::<Result<_>>()?,
            norm: LayerNorm::new(width, &vb.pp("norm"))?,
            project: linear(width, outputs, &vb.pp("proj"))?,
        })
    }

    /// Predictions for all target blocks in one pass: they never see each other.
    ///
    /// # Shapes
    /// `context [B, n, D]`, `target_centers [B, M, L, 3]` to `[B, M, L, outputs]`.
    pub(crate) fn forward(
        &self,
        context: &Tensor,
        target_centers: &Tensor,
        pass: &ForwardPass,
    ) -> Result<Tensor> {
        let (b, blocks, length, _) = target_centers.dims4()?;
        let queries = self.positions.forward(&target_centers.reshape((b, blocks * length, 3))?)?;
        let mut x = queries.broadcast_add(&self.mask_token)?;
        for block in &self.blocks {
            x = block.forward(&x, context, length, pass.is_bf16)?;
        }
        let out = apply_linear(&self.project, &self.norm.forward(&x)?, pass.is_bf16)?;
        Ok(out.reshape((b, blocks, length, out.dim(2)?))?)
    }
}
