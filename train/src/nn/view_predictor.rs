//! The predictor of CrossJEPA (Perera et al., arXiv 2511.18424): the embedding of a view from the tokens of the points and a
//! query that says which view.
//!
//! Direction and conditioning are the paper's; sizes and the form of the query are ours.

use candle_core::Tensor;
use candle_nn::Linear;
use jepa3d_schemas::{HISTOGRAM_NUMBERS, POSE_NUMBERS};

use super::encoder::{Encoder, EncoderConfig};
use super::forward_pass::ForwardPass;
use super::linear::{apply_linear, linear};
use super::mlp::Mlp;
use super::parameter_builder::{ParameterBuilder, ParameterKind};
use super::positions::PositionEmbedding;
use crate::config::PretrainConfig;
use crate::error::Result;

/// Joint self-attention over `[query, tokens]`; the query's row becomes the embedding.
#[derive(Clone, Debug)]
pub(crate) struct ViewPredictor {
    embed: Linear,
    positions: PositionEmbedding,
    query: Tensor,
    pose: Option<Mlp>,
    histogram: Option<Mlp>,
    blocks: Encoder,
    project: Linear,
}

/// What is said about the views of a batch.
#[derive(Clone, Copy)]
pub(crate) struct ViewQueries<'a> {
    /// `[B, V, 8]`: where the camera stands.
    pub poses: &'a Tensor,
    /// `[B, V, 48]`: histogram of the colours.
    pub histograms: &'a Tensor,
}

impl ViewPredictor {
    pub(crate) fn new(config: &PretrainConfig, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let (model, predictor) = (&config.model, &config.predictor);
        let width = predictor.width;
        let mlp = |is_on: bool, name: &str, inputs: usize| {
            is_on.then(|| Mlp::new(inputs, width, &vb.pp(name))).transpose()
        };
        let pose = mlp(config.cross.pose, "pose", POSE_NUMBERS)?;
        let histogram = mlp(config.cross.histogram, "histogram", HISTOGRAM_NUMBERS)?;
        Ok(Self {
            embed: linear(model.width, width, &vb.pp("predictor_embed"))?,
            positions: PositionEmbedding::new(model, width, &vb.pp("positional_encoding"))?,
            query: vb.get_with_hints((1, 1, width), "mask_token", ParameterKind::Token { std: 0.02 })?,
            pose,
            histogram,
            blocks: Encoder::new(EncoderConfig::for_predictor(predictor), &vb.pp("predictor"))?,
            project: linear(width, config.teacher.width, &vb.pp("predictor_proj"))?,
        })
    }

    /// Every view for itself; the tokens of a cloud serve all its views.
    ///
    /// # Shapes
    /// `tokens [B, G, D]`, `centers [B, G, 3]` to `[B, V, D_t]`.
    pub(crate) fn forward(
        &self,
        tokens: &Tensor,
        centers: &Tensor,
        asked: ViewQueries<'_>,
        pass: &ForwardPass,
    ) -> Result<Tensor> {
        let points = apply_linear(&self.embed, tokens, pass.is_bf16)?;
        let points = (points + self.positions.forward(centers)?)?;
        let ((b, g, width), views) = (points.dims3()?, asked.poses.dim(1)?);
        let mut query = self.query.broadcast_as((b, views, width))?.contiguous()?;
        for (mlp, facts) in [(&self.pose, asked.poses), (&self.histogram, asked.histograms)] {
            if let Some(mlp) = mlp {
                query = (query + mlp.forward(facts)?)?;
            }
        }
        let points = points.unsqueeze(1)?.broadcast_as((b, views, g, width))?;
        let points = points.reshape((b * views, g, width))?;
        let sequence = Tensor::cat(&[query.reshape((b * views, 1, width))?, points], 1)?;
        let out = apply_linear(&self.project, &self.blocks.train_first(&sequence, pass)?, pass.is_bf16)?;
        Ok(out.reshape((b, views, out.dim(2)?))?)
    }
}
