//! Masked latent prediction: a context encoder and a predictor learn the latents that an EMA target encoder gives hidden
//! patches. Point-JEPA (Saito et al., arXiv 2404.16432) and 3D-JEPA (Hu et al., arXiv 2409.15803).
//!
//! Presets `point-jepa`, `point-jepa-region`, `3d-jepa`, `3d-jepa-l2` and their ablations differ in the config only: what
//! is hidden, whether the predictor is a joint transformer or a decoder that looks at the context in every block, and
//! the loss.

use candle_core::{Device, Tensor};

use super::backbone::{Backbone, Chosen};
use super::coordinates::chamfer;
use super::masked_term::{Answer, MaskedTerm, Seen};
use super::targets::Targets;
use super::{StepInput, StepOutput};
use crate::config::{LossConfig, Positions, PredictorKind, PretrainConfig, TargetKind, TargetTokenizer};
use crate::error::Result;
use crate::nn::{Encoder, Parameters, Pass, Role, Tokenizer};

/// Backbone, target encoder, predictor.
#[derive(Debug)]
pub(crate) struct MaskedJepa {
    backbone: Backbone,
    target_encoder: Option<Encoder>,
    target_tokenizer: Option<Tokenizer>,
    predictor: MaskedTerm,
    targets: Targets,
    loss: LossConfig,
}

impl MaskedJepa {
    /// A model with its parameters, drawn from the run's seed.
    pub(crate) fn new(config: &PretrainConfig, device: &Device) -> Result<(Self, Parameters)> {
        let mut p = Parameters::new(config.run.seed, device);
        let m = &config.model;
        let backbone = Backbone::new(&mut p, config)?;
        let (target_encoder, outputs) = match config.target.kind {
            TargetKind::Latent => (Some(backbone.encoder.target_copy(&mut p, "teacher.ema_model")?), m.width),
            TargetKind::Coordinates => (None, 3 * config.data.group_size),
        };
        let predictor = MaskedTerm::new(&mut p, config, outputs)?;
        if m.positions == Positions::Mlp && config.predictor.kind == PredictorKind::Joint {
            p.constant("mask_token", &[m.width], 0.0, Role::Unused)?;
        }
        let target_tokenizer = match config.target.tokenizer {
            TargetTokenizer::Ema => Some(backbone.tokenizer.target_copy(&mut p, Role::Statistic)?),
            TargetTokenizer::Online => None,
        };
        let (targets, loss) = (Targets::new(&config.target, m.extent()), config.loss.clone());
        Ok((Self { backbone, target_encoder, target_tokenizer, predictor, targets, loss }, p))
    }

    /// Loss of one batch, in training; `mark` is told the name of each part when it is done.
    pub(crate) fn step(
        &self,
        input: &StepInput,
        pass: &Pass,
        mark: &mut dyn FnMut(&'static str),
    ) -> Result<StepOutput> {
        let masks = input.masks.as_ref().expect("the trainer draws masks for this method");
        let seen = Chosen::new(&masks.context, &input.centers)?;
        let (seen_tokens, all_tokens) = self.tokens(input, &seen)?;
        let positions = self.backbone.positions.forward(&input.centers)?;
        mark("tokenizer");
        let goal = match &self.target_encoder {
            Some(target) => self.targets.of(target, &all_tokens, &positions, &input.centers)?,
            None => coordinates(&input.patches)?,
        };
        mark("target");
        let known = Seen { tokens: &seen_tokens, positions: &positions, centers: &input.centers };
        let term = self.predictor.answer(&self.backbone.encoder, &known, (&goal, masks), pass, mark)?;
        let Answer { context, predictions, targets } = term;
        let mut loss = self.distance(&predictions, &targets)?;
        if let Some(spread) = self.loss.spread(&context.mean(1)?)? {
            loss = (loss + spread)?;
        }
        mark("predictor");
        Ok(StepOutput {
            loss,
            predictions: predictions.detach(),
            targets,
            kind: self.loss.kind,
            terms: Vec::new(),
        })
    }

    /// Tokens of the context, with gradient, and of all patches for the target encoder.
    fn tokens(&self, input: &StepInput, seen: &Chosen) -> Result<(Tensor, Tensor)> {
        let tokenizer = &self.backbone.tokenizer;
        let Some(target) = &self.target_tokenizer else {
            let all = tokenizer.train(&input.patches, input.counts.as_deref())?;
            return Ok((seen.of(&all)?, all));
        };
        let counts = input.counts.as_ref().map(|counts| seen.counts_of(counts)).transpose()?;
        let context = tokenizer.train(&seen.patches_of(&input.patches)?, counts.as_deref())?;
        target.take_statistics(tokenizer)?;
        Ok((context, target.eval(&input.patches)?))
    }

    /// Sets the running statistics of the batch norms to those of these patches.
    pub(crate) fn calibrate(&self, patches: &Tensor, counts: Option<&[u16]>) -> Result<()> {
        self.backbone.tokenizer.calibrate(patches, counts)?;
        match &self.target_tokenizer {
            Some(target) => target.take_statistics(&self.backbone.tokenizer),
            None => Ok(()),
        }
    }

    fn distance(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        if self.target_encoder.is_none() {
            let (b, m, l, outputs) = predictions.dims4()?;
            let points = (b * m * l, outputs / 3, 3);
            return chamfer(&predictions.reshape(points)?, &targets.reshape(points)?);
        }
        self.loss.distance(predictions, targets)
    }

    /// Features of every patch for evaluation: online encoder, final norm, running statistics.
    ///
    /// # Shapes
    /// `patches [B, G, K, 3]`, `centers [B, G, 3]` to `[B, G, D]`.
    pub(crate) fn features(&self, patches: &Tensor, centers: &Tensor) -> Result<Tensor> {
        self.backbone.features(patches, centers)
    }

    /// Tokens and positions as features are made of.
    #[cfg(test)]
    pub(super) fn tokens_and_positions(
        &self,
        patches: &Tensor,
        centers: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        self.backbone.tokens_and_positions(patches, centers)
    }

    /// Targets of every patch with the running statistics; `None` for coordinates.
    ///
    /// # Shapes
    /// As [`MaskedJepa::features`].
    pub(crate) fn target_latents(&self, patches: &Tensor, centers: &Tensor) -> Result<Option<Tensor>> {
        let Some(target) = &self.target_encoder else { return Ok(None) };
        let tokens = self.target_tokenizer.as_ref().unwrap_or(&self.backbone.tokenizer).eval(patches)?;
        let positions = self.backbone.positions.forward(centers)?.detach();
        Ok(Some(self.targets.of(target, &tokens, &positions, centers)?))
    }
}

fn coordinates(patches: &Tensor) -> Result<Tensor> {
    let (b, g, k, _) = patches.dims4()?;
    Ok(patches.reshape((b, g, k * 3))?)
}
