//! Masked latent prediction: a context encoder and a predictor learn the latents that an EMA target encoder gives hidden
//! patches. Point-JEPA (Saito et al., arXiv 2404.16432) and 3D-JEPA (Hu et al., arXiv 2409.15803).
//!
//! Presets `point-jepa`, `point-jepa-region`, `3d-jepa`, `3d-jepa-l2` and their ablations differ in the config only: what
//! is hidden, whether the predictor is a joint transformer or a decoder that looks at the context in every block, and
//! the loss.

use candle_core::{Device, Tensor};
use jepa3d_kernels::Precision;

use super::backbone::{Backbone, average_encoder, average_tokenizer};
use super::coordinates::chamfer;
use super::masked_term::{MaskedPredictions, MaskedTerm, MaskedTermInput};
use super::selection::PatchSelection;
use super::step::{MaskedInput, PatchTensors, StepOutput};
use super::targets::TargetMaker;
use crate::config::{LossConfig, PositionKind, PredictorKind, PretrainConfig, TargetKind, TargetTokenizer};
use crate::error::Result;
use crate::nn::{Encoder, ForwardPass, ParameterKind, ParameterStore, Parameters, Tokenizer};

/// Backbone, target encoder, predictor.
#[derive(Debug)]
pub(crate) struct MaskedJepa {
    backbone: Backbone,
    target_encoder: Option<Encoder>,
    target_tokenizer: Option<Tokenizer>,
    predictor: MaskedTerm,
    targets: TargetMaker,
    loss: LossConfig,
}

/// Tokens of one batch.
struct BatchTokens {
    /// `[B, n, D]`, with gradient.
    context: Tensor,
    /// `[B, G, D]`, for the target encoder.
    all: Tensor,
}

impl MaskedJepa {
    /// A model with its parameters, drawn from the run's seed.
    pub(crate) fn new(config: &PretrainConfig, device: &Device) -> Result<(Self, Parameters)> {
        let store = ParameterStore::new(config.run.seed, device);
        let m = &config.model;
        let backbone = Backbone::new(config, &store)?;
        let (target_encoder, outputs) = match config.target.kind {
            TargetKind::Latent => (Some(average_encoder(config, &store)?), m.width),
            TargetKind::Coordinates => (None, 3 * config.data.group_size),
        };
        let vb = store.builder();
        let predictor = MaskedTerm::new(config, outputs, &vb)?;
        if m.positions == PositionKind::Mlp && config.predictor.kind == PredictorKind::Joint {
            vb.get_with_hints(m.width, "mask_token", ParameterKind::Unused { value: 0.0 })?;
        }
        let target_tokenizer = match config.target.tokenizer {
            TargetTokenizer::Ema => Some(average_tokenizer(config, &store)?),
            TargetTokenizer::Online => None,
        };
        let targets = TargetMaker::new(&config.target, m.extent());
        let loss = config.loss.clone();
        let model = Self { backbone, target_encoder, target_tokenizer, predictor, targets, loss };
        Ok((model, store.into_parameters()))
    }

    /// Loss of one batch, in training.
    pub(crate) fn step(&self, input: &MaskedInput, pass: &ForwardPass) -> Result<StepOutput> {
        let MaskedInput { points, masks } = input;
        let visible = PatchSelection::new(&masks.context, &points.centers)?;
        let tokens = self.tokenize(points, &visible, pass.precision)?;
        let positions = self.backbone.positions.forward(&points.centers)?;
        pass.watch.lap("tokenizer");
        let targets = match &self.target_encoder {
            Some(target) => {
                self.targets.make(target, &tokens.all, &positions, &points.centers, pass.precision)?
            }
            None => coordinates(&points.patches)?,
        };
        pass.watch.lap("target");
        let term = MaskedTermInput {
            context: &tokens.context,
            positions: &positions,
            centers: &points.centers,
            targets: &targets,
            masks,
        };
        let MaskedPredictions { context, predictions, targets } =
            self.predictor.predict(&self.backbone.encoder, &term, pass)?;
        let mut loss = self.distance(&predictions, &targets)?;
        if let Some(spread) = self.loss.spread(&context.mean(1)?)? {
            loss = (loss + spread)?;
        }
        pass.watch.lap("predictor");
        Ok(StepOutput {
            loss,
            predictions: predictions.detach(),
            targets,
            kind: self.loss.kind,
            terms: Vec::new(),
        })
    }

    fn tokenize(
        &self,
        points: &PatchTensors,
        visible: &PatchSelection,
        precision: Precision,
    ) -> Result<BatchTokens> {
        let tokenizer = &self.backbone.tokenizer;
        let Some(target) = &self.target_tokenizer else {
            let all = tokenizer.train(&points.patches, points.counts.as_deref(), precision)?;
            return Ok(BatchTokens { context: visible.select(&all)?, all });
        };
        let seen = visible.select_patches(points)?;
        let context = tokenizer.train(&seen.patches, seen.counts.as_deref(), precision)?;
        target.take_statistics(tokenizer)?;
        Ok(BatchTokens { context, all: target.eval(&points.patches, precision)? })
    }

    /// Sets the running statistics of the batch norms to those of these patches.
    pub(crate) fn calibrate(&self, points: &PatchTensors) -> Result<()> {
        self.backbone.tokenizer.calibrate(&points.patches, points.counts.as_deref())?;
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

    /// Features of every patch `[B, G, D]` for evaluation: online encoder, final norm, running statistics.
    pub(crate) fn features(&self, points: &PatchTensors) -> Result<Tensor> {
        self.backbone.features(points)
    }

    /// What features are made from.
    #[cfg(test)]
    pub(super) fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// Targets of every patch `[B, G, D]` with the running statistics; `None` for coordinates.
    pub(crate) fn target_latents(&self, points: &PatchTensors) -> Result<Option<Tensor>> {
        let Some(target) = &self.target_encoder else { return Ok(None) };
        let tokenizer = self.target_tokenizer.as_ref().unwrap_or(&self.backbone.tokenizer);
        let tokens = tokenizer.eval(&points.patches, Precision::F32)?;
        let positions = self.backbone.eval_positions(points)?;
        Ok(Some(self.targets.make(target, &tokens, &positions, &points.centers, Precision::F32)?))
    }
}

fn coordinates(patches: &Tensor) -> Result<Tensor> {
    let (b, g, k, _) = patches.dims4()?;
    Ok(patches.reshape((b, g, k * 3))?)
}
