//! The predictor: latents of hidden patches from the context and the positions of what is asked for.
//!
//! Joint self-attention over `[context, queries]`, positions added once (Point-JEPA, arXiv 2404.16432).

use candle_core::Tensor;

use super::encoder::Encoder;
use super::linear::Linear;
use super::parameters::{Parameters, Role};
use super::pass::Pass;
use super::positions::PositionEmbedding;
use crate::config::{ModelConfig, Positions, PredictorConfig};
use crate::error::Result;

/// Width of the queries' learned vector is that of the predictor.
#[derive(Clone, Debug)]
pub(crate) struct Predictor {
    embed: Linear,
    positions: PositionEmbedding,
    mask_token: Tensor,
    blocks: Encoder,
    project: Linear,
}

impl Predictor {
    /// `outputs`: channels of a prediction, the encoder's width unless coordinates are predicted.
    pub(crate) fn new(
        p: &mut Parameters,
        name: &str,
        (model, config): (&ModelConfig, &PredictorConfig),
        outputs: usize,
    ) -> Result<Self> {
        let at = |part: &str| format!("{name}.{part}");
        let token = [1, 1, config.width];
        // Zero as in the official code; the project's own preset draws it (method: truncated normal, 0.02).
        let mask_token = match model.positions {
            Positions::Mlp => p.constant(&at("mask_token"), &token, 0.0, Role::Trained)?,
            Positions::Sinusoid => p.truncated_normal(&at("mask_token"), &token, 0.02)?,
        };
        if model.positions == Positions::Mlp {
            for (part, value) in [("weight", 1.0), ("bias", 0.0)] {
                p.constant(&at(&format!("predictor_norm.{part}")), &[config.width], value, Role::Unused)?;
            }
        }
        Ok(Self {
            embed: Linear::new(p, &at("predictor_embed"), model.width, config.width)?,
            positions: PositionEmbedding::new(p, &at("positional_encoding"), model, config.width)?,
            mask_token,
            blocks: Encoder::of_predictor(p, &at("predictor"), config)?,
            project: Linear::new(p, &at("predictor_proj"), config.width, outputs)?,
        })
    }

    /// All target blocks in one pass: they never see each other.
    ///
    /// # Shapes
    /// `context [B, n, D]`, `context_centers [B, n, 3]`, `target_centers [B, M, L, 3]` to `[B, M, L, outputs]`.
    pub(crate) fn forward(
        &self,
        context: &Tensor,
        context_centers: &Tensor,
        target_centers: &Tensor,
        pass: &Pass,
    ) -> Result<Tensor> {
        let (b, n, _) = context.dims3()?;
        let (_, m, l, _) = target_centers.dims4()?;
        let known =
            (self.embed.forward_in(context, pass.is_half)? + self.positions.forward(context_centers)?)?;
        let width = known.dim(2)?;
        let asked = self.positions.forward(&target_centers.reshape((b * m, l, 3))?)?;
        let asked = asked.broadcast_add(&self.mask_token)?;
        let known = known.unsqueeze(1)?.broadcast_as((b, m, n, width))?.reshape((b * m, n, width))?;
        let sequence = Tensor::cat(&[known, asked], 1)?;
        let out = self.blocks.train(&sequence, None, pass)?.narrow(1, n, l)?;
        let out = self.project.forward_in(&out.contiguous()?, pass.is_half)?;
        let outputs = out.dim(2)?;
        Ok(out.reshape((b, m, l, outputs))?)
    }
}
