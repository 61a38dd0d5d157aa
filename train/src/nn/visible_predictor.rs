//! The predictor of hybrid CrossJEPA: latents of the patches that a view shows, from the tokens of the image.
//!
//! A query says where its patch is, in space and in the image: without the projected position the task would be
//! ill-posed, since nothing else tells the camera's pose. The form is ours.

use std::sync::Arc;

use candle_core::Tensor;
use candle_nn::Linear;

use super::encoder::{Encoder, EncoderConfig, EncoderInput};
use super::forward_pass::ForwardPass;
use super::image_tokens::grid_sinusoids;
use super::linear::{apply_linear, linear};
use super::mlp::Mlp;
use super::parameter_builder::{ParameterBuilder, ParameterKind};
use super::positions::PositionEmbedding;
use crate::config::PretrainConfig;
use crate::error::Result;

/// Numbers of a projected position: u / W, v / H, depth.
pub(crate) const PROJECTED: usize = 3;

/// Joint attention over `[image tokens, queries]`.
#[derive(Clone, Debug)]
pub(crate) struct VisiblePredictor {
    embed: Linear,
    grid: Tensor,
    positions: PositionEmbedding,
    projected: Mlp,
    mask_token: Tensor,
    blocks: Encoder,
    project: Linear,
}

/// The patches that views show.
#[derive(Clone, Copy)]
pub(crate) struct VisibleQueries<'a> {
    /// `[B, Q, 3]`: centers of the patches.
    pub centers: &'a Tensor,
    /// `[B, Q, 3]`: where they are in the image.
    pub projected: &'a Tensor,
    /// `[B]`: queries of each sample, the rest is padding.
    pub counts: &'a [u32],
}

impl VisiblePredictor {
    pub(crate) fn new(config: &PretrainConfig, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let (model, predictor) = (&config.model, &config.predictor);
        let width = predictor.width;
        let side = config.hybrid.view().side();
        Ok(Self {
            embed: linear(model.width, width, &vb.pp("predictor_embed"))?,
            grid: grid_sinusoids(side, width, vb.device())?,
            positions: PositionEmbedding::new(model, width, &vb.pp("positional_encoding"))?,
            projected: Mlp::new(PROJECTED, width, &vb.pp("projected"))?,
            mask_token: vb.get_with_hints((1, 1, width), "mask_token", ParameterKind::Token { std: 0.02 })?,
            blocks: Encoder::new(EncoderConfig::for_predictor(predictor), &vb.pp("predictor"))?,
            project: linear(width, model.width, &vb.pp("predictor_proj"))?,
        })
    }

    /// # Shapes
    /// `tokens [B, T, D]` of the image to `[B, Q, D]`; rows of padding hold nothing of use.
    pub(crate) fn forward(
        &self,
        tokens: &Tensor,
        asked: VisibleQueries<'_>,
        pass: &ForwardPass,
    ) -> Result<Tensor> {
        let (t, q) = (tokens.dim(1)?, asked.centers.dim(1)?);
        let image = apply_linear(&self.embed, tokens, pass.is_bf16)?.broadcast_add(&self.grid)?;
        let queries = (self.positions.forward(asked.centers)? + self.projected.forward(asked.projected)?)?;
        let queries = queries.broadcast_add(&self.mask_token)?;
        let keys: Vec<u32> = asked.counts.iter().map(|&count| t as u32 + count).collect();
        let sequence = Tensor::cat(&[image, queries], 1)?;
        let input = EncoderInput { tokens: &sequence, positions: None, keys: Some(Arc::new(keys)) };
        let out = self.blocks.train(input, pass)?;
        apply_linear(&self.project, &out.narrow(1, t, q)?, pass.is_bf16)
    }
}
