//! The context-aware decoder of 3D-JEPA (Hu et al., arXiv 2409.15803): in every block the queries of a target block look at
//! each other, then at the context.
//!
//! Depth, widths and the learned query are ours; the paper gives the structure. Blocks of targets never see each
//! other, and the context's keys and values are the same for all of them.

use candle_core::Tensor;

use super::attention::{attend, split_heads};
use super::encoder::MLP_RATIO;
use super::linear::{LayerNorm, Linear};
use super::parameters::Parameters;
use super::pass::Pass;
use super::positions::PositionEmbedding;
use crate::config::{ModelConfig, PredictorConfig};
use crate::error::Result;

/// `x += SA(norm1 x)`; `x += CA(norm2 x, norm_context context)`; `x += MLP(norm3 x)`.
#[derive(Clone, Debug)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    cross: Option<Cross>,
    norm3: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

#[derive(Clone, Debug)]
struct Cross {
    norm: LayerNorm,
    norm_context: LayerNorm,
    q: Linear,
    kv: Linear,
    proj: Linear,
}

impl Block {
    fn new(
        p: &mut Parameters,
        name: &str,
        (width, context): (usize, usize),
        has_cross: bool,
    ) -> Result<Self> {
        let at = |part: &str| format!("{name}.{part}");
        let mut cross = None;
        if has_cross {
            cross = Some(Cross {
                norm: LayerNorm::new(p, &at("norm2"), width)?,
                norm_context: LayerNorm::new(p, &at("norm_context"), context)?,
                q: Linear::new(p, &at("cross_attn.q"), width, width)?,
                kv: Linear::new(p, &at("cross_attn.kv"), context, 2 * width)?,
                proj: Linear::new(p, &at("cross_attn.proj"), width, width)?,
            });
        }
        Ok(Self {
            norm1: LayerNorm::new(p, &at("norm1"), width)?,
            qkv: Linear::new(p, &at("self_attn.qkv"), width, 3 * width)?,
            proj: Linear::new(p, &at("self_attn.proj"), width, width)?,
            cross,
            norm3: LayerNorm::new(p, &at("norm3"), width)?,
            fc1: Linear::new(p, &at("mlp.fc1"), width, MLP_RATIO * width)?,
            fc2: Linear::new(p, &at("mlp.fc2"), MLP_RATIO * width, width)?,
        })
    }

    /// `x [B, M L, P]`, the blocks one after the other; `context [B, n, D]`.
    fn forward(&self, x: &Tensor, context: &Tensor, sizes: Sizes, is_half: bool) -> Result<Tensor> {
        let x = (x + self.among_queries(x, sizes, is_half)?)?;
        let x = match &self.cross {
            Some(cross) => (&x + cross.forward(&x, context, sizes.heads, is_half)?)?,
            None => x,
        };
        let hidden = self.fc1.forward_in(&self.norm3.forward(&x)?, is_half)?.gelu_erf()?;
        Ok((&x + self.fc2.forward_in(&hidden, is_half)?)?)
    }

    fn among_queries(&self, x: &Tensor, sizes: Sizes, is_half: bool) -> Result<Tensor> {
        let (b, _, width) = x.dims3()?;
        let qkv = self.qkv.forward_in(&self.norm1.forward(x)?, is_half)?;
        let qkv = qkv.reshape((b * sizes.blocks, sizes.length, 3 * width))?;
        let part = |i: usize| split_heads(&qkv.narrow(2, i * width, width)?, sizes.heads);
        let found = attend(&part(0)?, &part(1)?, &part(2)?)?;
        self.proj.forward_in(&found.reshape((b, sizes.blocks * sizes.length, width))?, is_half)
    }
}

impl Cross {
    /// Queries do not see each other here, so those of all blocks are asked at once.
    fn forward(&self, x: &Tensor, context: &Tensor, heads: usize, is_half: bool) -> Result<Tensor> {
        let width = x.dim(2)?;
        let q = split_heads(&self.q.forward_in(&self.norm.forward(x)?, is_half)?, heads)?;
        let kv = self.kv.forward_in(&self.norm_context.forward(context)?, is_half)?;
        let part = |i: usize| split_heads(&kv.narrow(2, i * width, width)?, heads);
        self.proj.forward_in(&attend(&q, &part(0)?, &part(1)?)?, is_half)
    }
}

/// Target blocks `M`, patches `L` of each, attention heads.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    blocks: usize,
    length: usize,
    heads: usize,
}

/// Learned query, positions, blocks, final norm and projection.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    positions: PositionEmbedding,
    mask_token: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    project: Linear,
    heads: usize,
}

impl Decoder {
    /// `outputs`: channels of a prediction.
    pub(crate) fn new(
        p: &mut Parameters,
        name: &str,
        (model, config): (&ModelConfig, &PredictorConfig),
        outputs: usize,
    ) -> Result<Self> {
        let at = |part: &str| format!("{name}.{part}");
        let widths = (config.width, model.width);
        let block = |i: usize, p: &mut Parameters| {
            let has_cross = i == 0 || config.context_every_block;
            Block::new(p, &at(&format!("blocks.{i}")), widths, has_cross)
        };
        Ok(Self {
            positions: PositionEmbedding::new(p, &at("positional_encoding"), model, config.width)?,
            mask_token: p.truncated_normal(&at("mask_token"), &[1, 1, config.width], 0.02)?,
            blocks: (0..config.depth).map(|i| block(i, p)).collect::<Result<_>>()?,
            norm: LayerNorm::new(p, &at("norm"), config.width)?,
            project: Linear::new(p, &at("proj"), config.width, outputs)?,
            heads: config.heads,
        })
    }

    /// All target blocks in one pass: they never see each other.
    ///
    /// # Shapes
    /// `context [B, n, D]`, `target_centers [B, M, L, 3]` to `[B, M, L, outputs]`.
    pub(crate) fn forward(&self, context: &Tensor, target_centers: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (b, blocks, length, _) = target_centers.dims4()?;
        let asked = self.positions.forward(&target_centers.reshape((b, blocks * length, 3))?)?;
        let mut x = asked.broadcast_add(&self.mask_token)?;
        let sizes = Sizes { blocks, length, heads: self.heads };
        for block in &self.blocks {
            x = block.forward(&x, context, sizes, pass.is_half)?;
        }
        let out = self.project.forward_in(&self.norm.forward(&x)?, pass.is_half)?;
        Ok(out.reshape((b, blocks, length, out.dim(2)?))?)
    }
}
