//! The predictor of CrossJEPA (Perera et al., arXiv 2511.18424): the embedding of a view from the tokens of the points and a
//! query that says which view.
//!
//! Direction and conditioning are the paper's; sizes and the form of the query are ours.

use candle_core::Tensor;
use jepa3d_schemas::{HISTOGRAM_NUMBERS, POSE_NUMBERS};

use super::encoder::Encoder;
use super::linear::Linear;
use super::mlp::Mlp;
use super::parameters::Parameters;
use super::pass::Pass;
use super::positions::PositionEmbedding;
use crate::config::{CrossConfig, ModelConfig, PredictorConfig};
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

impl ViewPredictor {
    /// `outputs`: numbers of an embedding.
    pub(crate) fn new(
        p: &mut Parameters,
        name: &str,
        (model, config, cross): (&ModelConfig, &PredictorConfig, &CrossConfig),
        outputs: usize,
    ) -> Result<Self> {
        let at = |part: &str| format!("{name}.{part}");
        let width = config.width;
        let mut mlp = |is_on: bool, part: &str, inputs: usize| {
            is_on.then(|| Mlp::new(p, &at(part), inputs, width)).transpose()
        };
        let (pose, histogram) =
            (mlp(cross.pose, "pose", POSE_NUMBERS)?, mlp(cross.histogram, "histogram", HISTOGRAM_NUMBERS)?);
        Ok(Self {
            embed: Linear::new(p, &at("predictor_embed"), model.width, width)?,
            positions: PositionEmbedding::new(p, &at("positional_encoding"), model, width)?,
            query: p.truncated_normal(&at("mask_token"), &[1, 1, width], 0.02)?,
            pose,
            histogram,
            blocks: Encoder::of_predictor(p, &at("predictor"), config)?,
            project: Linear::new(p, &at("predictor_proj"), width, outputs)?,
        })
    }

    /// Every view for itself; the tokens of a cloud serve all its views.
    ///
    /// # Shapes
    /// `tokens [B, G, D]`, `centers [B, G, 3]`, `poses [B, V, 8]`, `histograms [B, V, 48]` to `[B, V, outputs]`.
    pub(crate) fn forward(
        &self,
        (tokens, centers): (&Tensor, &Tensor),
        (poses, histograms): (&Tensor, &Tensor),
        pass: &Pass,
    ) -> Result<Tensor> {
        let known = (self.embed.forward_in(tokens, pass.is_half)? + self.positions.forward(centers)?)?;
        let ((b, g, width), views) = (known.dims3()?, poses.dim(1)?);
        let mut query = self.query.broadcast_as((b, views, width))?.contiguous()?;
        for (mlp, facts) in [(&self.pose, poses), (&self.histogram, histograms)] {
            if let Some(mlp) = mlp {
                query = (query + mlp.forward(facts)?)?;
            }
        }
        let known = known.unsqueeze(1)?.broadcast_as((b, views, g, width))?.reshape((b * views, g, width))?;
        let sequence = Tensor::cat(&[query.reshape((b * views, 1, width))?, known], 1)?;
        let out = self.project.forward_in(&self.blocks.train_first(&sequence, pass)?, pass.is_half)?;
        Ok(out.reshape((b, views, out.dim(2)?))?)
    }
}
