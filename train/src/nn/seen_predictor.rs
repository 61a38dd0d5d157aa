//! The predictor of hybrid CrossJEPA: latents of the patches that a view shows, from the tokens of the image.
//!
//! A query says where its patch is, in space and in the image: without the projected position the task would be
//! ill-posed, since nothing else tells the camera's pose. The form is ours.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use jepa3d_loader::ViewConfig;

use super::encoder::Encoder;
use super::image_tokens::grid_sinusoids;
use super::linear::Linear;
use super::mlp::Mlp;
use super::parameters::Parameters;
use super::pass::Pass;
use super::positions::PositionEmbedding;
use crate::config::{ModelConfig, PredictorConfig};
use crate::error::Result;

/// Numbers of a projected position: u / W, v / H, depth.
pub(crate) const PROJECTED: usize = 3;

/// Joint attention over `[image tokens, queries]`.
#[derive(Clone, Debug)]
pub(crate) struct SeenPredictor {
    embed: Linear,
    grid: Tensor,
    positions: PositionEmbedding,
    projected: Mlp,
    mask_token: Tensor,
    blocks: Encoder,
    project: Linear,
}

/// What is asked of every view.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// `[B, Q, 3]`: centers of the patches.
    pub centers: &'a Tensor,
    /// `[B, Q, 3]`: where they are seen.
    pub projected: &'a Tensor,
    /// `[B]`: queries of each sample, the rest is padding.
    pub counts: &'a [u32],
}

impl SeenPredictor {
    /// `outputs`: channels of a prediction.
    pub(crate) fn new(
        p: &mut Parameters,
        name: &str,
        (model, config, hybrid): (&ModelConfig, &PredictorConfig, &ViewConfig),
        device: &Device,
    ) -> Result<Self> {
        let at = |part: &str| format!("{name}.{part}");
        let width = config.width;
        Ok(Self {
            embed: Linear::new(p, &at("predictor_embed"), model.width, width)?,
            grid: grid_sinusoids(hybrid.side(), width, device)?,
            positions: PositionEmbedding::new(p, &at("positional_encoding"), model, width)?,
            projected: Mlp::new(p, &at("projected"), PROJECTED, width)?,
            mask_token: p.truncated_normal(&at("mask_token"), &[1, 1, width], 0.02)?,
            blocks: Encoder::of_predictor(p, &at("predictor"), config)?,
            project: Linear::new(p, &at("predictor_proj"), width, model.width)?,
        })
    }

    /// # Shapes
    /// `tokens [B, T, D]` of the image to `[B, Q, D]`; rows of padding hold nothing of use.
    pub(crate) fn forward(&self, tokens: &Tensor, asked: Asked<'_>, pass: &Pass) -> Result<Tensor> {
        let (t, q) = (tokens.dim(1)?, asked.centers.dim(1)?);
        let known = self.embed.forward_in(tokens, pass.is_half)?.broadcast_add(&self.grid)?;
        let query = (self.positions.forward(asked.centers)? + self.projected.forward(asked.projected)?)?;
        let query = query.broadcast_add(&self.mask_token)?;
        let keys = asked.counts.iter().map(|&count| t as u32 + count).collect();
        let sequence = Tensor::cat(&[known, query], 1)?;
        let out = self.blocks.train_padded(&sequence, None, Some(Arc::new(keys)), pass)?;
        self.project.forward_in(&out.narrow(1, t, q)?.contiguous()?, pass.is_half)
    }
}
