//! The predictor: latents of hidden patches from the context and the positions of what is asked for.
//!
//! Joint self-attention over `[context, queries]`, positions added once (Point-JEPA, arXiv 2404.16432).

use candle_core::Tensor;
use candle_nn::Linear;
use jepa3d_kernels::{PredictorInput, PredictorTensors};

use super::encoder::{Encoder, EncoderConfig, EncoderInput};
use super::forward_pass::ForwardPass;
use super::linear::{apply_linear, layer_tensors, linear};
use super::parameter_builder::{ParameterBuilder, ParameterKind};
use super::positions::PositionEmbedding;
use crate::config::{ModelConfig, PositionKind, PredictorConfig};
use crate::error::Result;

/// Embedding of the context, positions, learned query, blocks, projection.
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
        model: &ModelConfig,
        config: &PredictorConfig,
        outputs: usize,
        vb: &ParameterBuilder<'_>,
    ) -> Result<Self> {
        let width = config.width;
        // Zero as in the official code; the project's own preset draws it (method: truncated normal, 0.02).
        let std = match model.positions {
            PositionKind::Mlp => 0.0,
            PositionKind::Sinusoid => 0.02,
        };
        let mask_token = vb.get_with_hints((1, 1, width), "mask_token", ParameterKind::Token { std })?;
        if model.positions == PositionKind::Mlp {
            let norm = vb.pp("predictor_norm");
            norm.get_with_hints(width, "weight", ParameterKind::Unused { value: 1.0 })?;
            norm.get_with_hints(width, "bias", ParameterKind::Unused { value: 0.0 })?;
        }
        Ok(Self {
            embed: linear(model.width, width, &vb.pp("predictor_embed"))?,
            positions: PositionEmbedding::new(model, width, &vb.pp("positional_encoding"))?,
            mask_token,
            blocks: Encoder::new(EncoderConfig::for_predictor(config), &vb.pp("predictor"))?,
            project: linear(width, outputs, &vb.pp("predictor_proj"))?,
        })
    }

    /// As kernels of devices take the parameters, where positions are learned.
    fn tensors(&self) -> Option<PredictorTensors> {
        Some(PredictorTensors {
            embed: layer_tensors(&self.embed)?,
            positions: self.positions.mlp()?.tensors()?,
            token: self.mask_token.clone(),
            norm: self.blocks.norm_tensors(),
            project: layer_tensors(&self.project)?,
        })
    }

    /// Predictions for all target blocks in one pass: they never see each other.
    ///
    /// # Shapes
    /// `context [B, n, D]`, `context_centers [B, n, 3]`, `target_centers [B, M, L, 3]` to `[B, M, L, outputs]`.
    pub(crate) fn forward(
        &self,
        context: &Tensor,
        context_centers: &Tensor,
        target_centers: &Tensor,
        pass: &ForwardPass,
    ) -> Result<Tensor> {
        let (b, n, _) = context.dims3()?;
        let (_, m, l, _) = target_centers.dims4()?;
        if let (Some(tensors), true) = (self.tensors(), self.blocks.is_for_device(context, n + l)?) {
            let stack = self.blocks.training_stack(pass, false);
            let input = PredictorInput { context, context_centers, target_centers };
            if let Some(predictions) = tensors.predict(&stack, input, &pass.tape)? {
                return Ok(predictions);
            }
        }
        let context = apply_linear(&self.embed, context, pass.is_bf16)?;
        let context = (context + self.positions.forward(context_centers)?)?;
        let width = context.dim(2)?;
        let queries = self.positions.forward(&target_centers.reshape((b * m, l, 3))?)?;
        let queries = queries.broadcast_add(&self.mask_token)?;
        let context = context.unsqueeze(1)?.broadcast_as((b, m, n, width))?.reshape((b * m, n, width))?;
        let sequence = Tensor::cat(&[context, queries], 1)?;
        let input = EncoderInput { tokens: &sequence, positions: None, keys: None };
        let out = self.blocks.train(input, pass)?.narrow(1, n, l)?;
        let out = apply_linear(&self.project, &out, pass.is_bf16)?;
        let outputs = out.dim(2)?;
        Ok(out.reshape((b, m, l, outputs))?)
    }
}
