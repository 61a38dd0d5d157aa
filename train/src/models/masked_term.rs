//! The masked term: the context is encoded, a predictor answers for the hidden patches.

use candle_core::Tensor;
use jepa3d_loader::Masks;

use super::backbone::Chosen;
use crate::config::{PredictorKind, PretrainConfig};
use crate::error::Result;
use crate::nn::{Decoder, Encoder, Parameters, Pass, Predictor};

/// The predictor of hidden patches.
#[derive(Debug)]
pub(super) enum MaskedTerm {
    Joint(Predictor),
    Decoder(Decoder),
}

/// Patches as the context encoder takes them.
pub(super) struct Seen<'a> {
    /// `[B, n, D]`: tokens of the context.
    pub tokens: &'a Tensor,
    /// `[B, G, D]`: positions of all patches.
    pub positions: &'a Tensor,
    /// `[B, G, 3]`.
    pub centers: &'a Tensor,
}

/// What the term is made of.
pub(super) struct Answer {
    /// `[B, n, D]`: the encoded context.
    pub context: Tensor,
    /// `[B, M, L, outputs]`.
    pub predictions: Tensor,
    /// The same.
    pub targets: Tensor,
}

impl MaskedTerm {
    /// `outputs`: channels of a prediction.
    pub(super) fn new(p: &mut Parameters, config: &PretrainConfig, outputs: usize) -> Result<Self> {
        let sizes = (&config.model, &config.predictor);
        Ok(match config.predictor.kind {
            PredictorKind::Joint => Self::Joint(Predictor::new(p, "predictor", sizes, outputs)?),
            PredictorKind::Decoder => Self::Decoder(Decoder::new(p, "decoder", sizes, outputs)?),
        })
    }

    /// Predictions of the hidden patches and what `goal [B, G, outputs]` holds there.
    pub(super) fn answer(
        &self,
        encoder: &Encoder,
        seen: &Seen<'_>,
        (goal, masks): (&Tensor, &Masks),
        pass: &Pass,
        mark: &mut dyn FnMut(&'static str),
    ) -> Result<Answer> {
        let Seen { tokens, positions, centers } = seen;
        let known = Chosen::new(&masks.context, centers)?;
        let context = encoder.train(tokens, Some(&known.of(positions)?), pass)?;
        mark("context");
        let asked = Chosen::new(&masks.targets, centers)?;
        let (b, m, l) = (centers.dim(0)?, masks.blocks, masks.target_len);
        let (passes, length) = if masks.one_pass { (1, m * l) } else { (m, l) };
        let asked_centers = asked.of(centers)?.reshape((b, passes, length, 3))?;
        let predictions = match self {
            Self::Joint(predictor) => {
                predictor.forward(&context, &known.of(centers)?, &asked_centers, pass)?
            }
            Self::Decoder(decoder) => decoder.forward(&context, &asked_centers, pass)?,
        };
        let predictions = predictions.reshape((b, m, l, goal.dim(2)?))?;
        let targets = asked.of(goal)?.reshape((b, m, l, goal.dim(2)?))?;
        Ok(Answer { context, predictions, targets })
    }
}
