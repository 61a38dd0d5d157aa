//! The masked term: the context is encoded, a predictor answers for the hidden patches.

use candle_core::Tensor;
use jepa3d_loader::Masks;

use super::selection::PatchSelection;
use crate::config::{PredictorKind, PretrainConfig};
use crate::error::Result;
use crate::nn::{Decoder, Encoder, EncoderInput, ForwardPass, ParameterBuilder, Predictor};

/// The predictor of hidden patches.
#[derive(Debug)]
pub(super) enum MaskedTerm {
    Joint(Predictor),
    Decoder(Decoder),
}

/// The patches that the context encoder reads.
pub(super) struct ContextTokens {
    /// `[B, n, D]`.
    pub tokens: Tensor,
    /// `[B, n, D]`.
    pub positions: Tensor,
    /// `[B, n, 3]`.
    pub centers: Tensor,
}

/// What the term is made from.
pub(super) struct MaskedTermInput<'a> {
    pub context: &'a ContextTokens,
    /// `[B, G, 3]`: centers of all patches that there are targets of.
    pub centers: &'a Tensor,
    /// `[B, G, outputs]`: what is to be predicted of each patch.
    pub targets: &'a Tensor,
    pub masks: &'a Masks,
}

/// Predictions of the hidden patches.
pub(super) struct MaskedPredictions {
    /// `[B, n, D]`: the encoded context.
    pub context: Tensor,
    /// `[B, M, L, outputs]`.
    pub predictions: Tensor,
    /// Like the predictions.
    pub targets: Tensor,
}

impl MaskedTerm {
    /// `outputs`: channels of a prediction.
    pub(super) fn new(config: &PretrainConfig, outputs: usize, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let (model, predictor) = (&config.model, &config.predictor);
        Ok(match predictor.kind {
            PredictorKind::Joint => {
                Self::Joint(Predictor::new(model, predictor, outputs, &vb.pp("predictor"))?)
            }
            PredictorKind::Decoder => {
                Self::Decoder(Decoder::new(model, predictor, outputs, &vb.pp("decoder"))?)
            }
        })
    }

    /// Encodes the context and predicts the hidden patches.
    pub(super) fn predict(
        &self,
        encoder: &Encoder,
        input: &MaskedTermInput<'_>,
        pass: &ForwardPass,
    ) -> Result<MaskedPredictions> {
        let &MaskedTermInput { context: seen, centers, targets, masks } = input;
        let input = EncoderInput { tokens: &seen.tokens, positions: Some(&seen.positions), keys: None };
        let context = encoder.train(input, pass)?;
        pass.watch.lap("context");
        let hidden = PatchSelection::new(&masks.targets, centers)?;
        let (b, m, l) = (centers.dim(0)?, masks.blocks, masks.target_len);
        let (passes, length) = if masks.one_pass { (1, m * l) } else { (m, l) };
        let hidden_centers = hidden.select(centers)?.reshape((b, passes, length, 3))?;
        let predictions = match self {
            Self::Joint(predictor) => predictor.forward(&context, &seen.centers, &hidden_centers, pass)?,
            Self::Decoder(decoder) => decoder.forward(&context, &hidden_centers, pass)?,
        };
        let outputs = targets.dim(2)?;
        let predictions = predictions.reshape((b, m, l, outputs))?;
        let targets = hidden.select(targets)?.reshape((b, m, l, outputs))?;
        Ok(MaskedPredictions { context, predictions, targets })
    }
}
