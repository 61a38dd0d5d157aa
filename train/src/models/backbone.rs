//! What all methods share on the side of points: tokenizer, positions, encoder; names are those of the official Point-JEPA
//! state dict.

use candle_core::{Tensor, Var};
use jepa3d_kernels::Precision;

use super::step::PatchTensors;
use crate::config::{Method, PretrainConfig};
use crate::error::Result;
use crate::nn::{
    Encoder, EncoderConfig, EncoderInput, ForwardPass, ParameterBuilder, ParameterKind, ParameterStore,
    PositionEmbedding, Tokenizer,
};

/// Where the official names of the tokenizer begin.
const TOKENIZER: &str = "tokenizer.embedding.encoder";
/// Before the names of an average; the official code has one of the transformer alone, under a name of its own.
const AVERAGE: &str = "teacher";
const ENCODER_AVERAGE: &str = "teacher.ema_model";
/// Initial deviation of the vectors that say what a token is of.
const MODALITY: ParameterKind = ParameterKind::Token { std: 0.02 };

/// From patches to features.
#[derive(Debug)]
pub(crate) struct Backbone {
    pub tokenizer: Tokenizer,
    /// `[1, 1, D]`: added to every token where an encoder serves images too.
    pub modality: Option<Tensor>,
    pub positions: PositionEmbedding,
    pub encoder: Encoder,
}

impl Backbone {
    /// Drawn from the run's seed.
    pub(super) fn new(config: &PretrainConfig, store: &ParameterStore) -> Result<Self> {
        Self::build(config, &store.builder(), &store.builder().pp("student"))
    }

    /// Below a head, under the names of the official classifier.
    pub(crate) fn below_head(config: &PretrainConfig, store: &ParameterStore) -> Result<Self> {
        Self::build(config, &store.builder(), &store.builder().pp("encoder"))
    }

    /// The average of a whole backbone, running statistics too.
    pub(super) fn average(config: &PretrainConfig, store: &ParameterStore) -> Result<Self> {
        Self::build(config, &store.copies("", AVERAGE, true), &encoder_copies(store))
    }

    fn build(
        config: &PretrainConfig,
        vb: &ParameterBuilder<'_>,
        encoder: &ParameterBuilder<'_>,
    ) -> Result<Self> {
        let m = &config.model;
        let tokenizer = Tokenizer::new(m.tokenizer, m.width, &vb.pp(TOKENIZER))?;
        let modality = match config.method {
            Method::Hybrid => Some(vb.get_with_hints((1, 1, m.width), "point_modality", MODALITY)?),
            Method::Masked | Method::Cross => None,
        };
        let positions = PositionEmbedding::new(m, m.width, &vb.pp("positional_encoding"))?;
        let encoder = Encoder::new(EncoderConfig::for_backbone(m), encoder)?;
        Ok(Self { tokenizer, modality, positions, encoder })
    }

    /// Features of every patch `[B, G, D]` for evaluation: final norm, running statistics, no gradient.
    pub(crate) fn features(&self, points: &PatchTensors) -> Result<Tensor> {
        self.features_in(points, Precision::F32)
    }

    /// As [`Backbone::features`], with products in `precision`.
    pub(crate) fn features_in(&self, points: &PatchTensors, precision: Precision) -> Result<Tensor> {
        self.features_by(&self.encoder, points, precision)
    }

    /// As [`Backbone::features_in`], by other blocks.
    pub(super) fn features_by(
        &self,
        encoder: &Encoder,
        points: &PatchTensors,
        precision: Precision,
    ) -> Result<Tensor> {
        let tokens = self.tokens_in(points, precision)?;
        let positions = self.eval_positions(points)?;
        let last = encoder.outputs(&tokens, &positions, &[encoder.depth() - 1], precision)?;
        Ok(encoder.final_norm(&last[0])?.detach())
    }

    /// Features `[B, G, D]` of every patch from which the blocks, and they alone, learn.
    pub(super) fn train_blocks(&self, points: &PatchTensors, pass: &ForwardPass) -> Result<Tensor> {
        // The backward of the blocks' kernels runs only for tokens that candle follows.
        let tokens = Var::from_tensor(&self.tokens_in(points, pass.precision)?)?;
        let positions = self.eval_positions(points)?;
        self.encoder.train(EncoderInput { tokens: &tokens, positions: Some(&positions), keys: None }, pass)
    }

    /// Tokens in training; updates the running statistics, so it runs once a batch.
    pub(crate) fn train_tokens(&self, points: &PatchTensors, pass: &ForwardPass) -> Result<Tensor> {
        self.add_modality(self.tokenizer.train(&points.patches, points.counts.as_deref(), pass)?)
    }

    /// Tokens with the running statistics; without gradient.
    pub(crate) fn eval_tokens(&self, points: &PatchTensors) -> Result<Tensor> {
        self.tokens_in(points, Precision::F32)
    }

    fn tokens_in(&self, points: &PatchTensors, precision: Precision) -> Result<Tensor> {
        Ok(self.add_modality(self.tokenizer.eval(&points.patches, precision)?)?.detach())
    }

    /// Positions; without gradient.
    pub(crate) fn eval_positions(&self, points: &PatchTensors) -> Result<Tensor> {
        Ok(self.positions.forward(&points.centers)?.detach())
    }

    /// Tokens `[B, G, D]` with the vector of their kind.
    pub(super) fn add_modality(&self, tokens: Tensor) -> Result<Tensor> {
        Ok(match &self.modality {
            Some(modality) => tokens.broadcast_add(modality)?,
            None => tokens,
        })
    }
}

fn encoder_copies(store: &ParameterStore) -> ParameterBuilder<'static> {
    store.copies("student", ENCODER_AVERAGE, false)
}

/// The vector `[1, 1, D]` of image tokens.
pub(super) fn image_modality(width: usize, vb: &ParameterBuilder<'_>) -> Result<Tensor> {
    Ok(vb.get_with_hints((1, 1, width), "image_modality", MODALITY)?)
}

/// The average of the encoder alone.
pub(super) fn average_encoder(config: &PretrainConfig, store: &ParameterStore) -> Result<Encoder> {
    Encoder::new(EncoderConfig::for_backbone(&config.model), &encoder_copies(store))
}

/// The average of the tokenizer alone; its running statistics are taken over from the original.
pub(super) fn average_tokenizer(config: &PretrainConfig, store: &ParameterStore) -> Result<Tokenizer> {
    let vb = store.copies("", AVERAGE, false);
    Tokenizer::new(config.model.tokenizer, config.model.width, &vb.pp(TOKENIZER))
}
