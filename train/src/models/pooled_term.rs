//! The pooled term: from what the context shows of a cloud, a predictor answers for the whole cloud, as the target encoder
//! pools it (after BYOL, Grill et al., arXiv 2006.07733; the spread terms keep it from collapsing).

use candle_core::{D, Tensor};

use super::targets::{TargetPass, normalize_targets};
use crate::config::{LossConfig, PretrainConfig, TargetNorm};
use crate::error::Result;
use crate::nn::{Encoder, Mlp, ParameterBuilder};

/// The predictor of pooled features.
#[derive(Debug)]
pub(super) struct PooledTerm {
    predictor: Mlp,
    loss: LossConfig,
}

/// All patches of the clouds, as the target encoder takes them.
pub(super) struct WholeClouds<'a> {
    pub encoder: &'a Encoder,
    /// `[B, G, D]`.
    pub tokens: Tensor,
    /// `[B, G, D]`.
    pub positions: Tensor,
    pub pass: TargetPass<'a>,
}

impl PooledTerm {
    /// Drawn from the run's seed.
    pub(super) fn new(config: &PretrainConfig, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let width = config.model.width;
        Ok(Self { predictor: Mlp::new(width, width, vb)?, loss: config.loss.clone() })
    }

    /// The distance of what the encoded context `[B, n, D]` says from the mean over all patches: a scalar.
    pub(super) fn loss(&self, context: &Tensor, whole: &WholeClouds<'_>) -> Result<Tensor> {
        let predictions = self.predictor.forward(&context.mean(1)?)?.unsqueeze(1)?;
        Ok(self.loss.distance(&predictions, &whole.pool()?)?.value)
    }
}

impl WholeClouds<'_> {
    /// The last block's output through the final norm, its mean over the patches, every channel standardised over the
    /// batch: `[B, 1, D]`, without gradient.
    fn pool(&self) -> Result<Tensor> {
        let last = [self.encoder.depth() - 1];
        let outputs = self.encoder.outputs(&self.tokens, &self.positions, &last, self.pass.precision)?;
        let pooled = self.encoder.final_norm(&outputs[0])?.mean_keepdim(D::Minus2)?;
        Ok(normalize_targets(&pooled, TargetNorm::Batch, self.pass.parts)?.detach())
    }
}
