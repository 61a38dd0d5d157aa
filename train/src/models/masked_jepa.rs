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
use super::loss::MeasuredDistance;
use super::masked_term::{ContextTokens, MaskedPredictions, MaskedTerm, MaskedTermInput};
use super::pooled_term::WholeClouds;
use super::selection::PatchSelection;
use super::side_terms::{SideInput, SideTerms};
use super::step::{MaskedInput, PatchTensors, StepOutput, WholeInput};
use super::targets::{TargetMaker, TargetPass};
use super::whole_term::{SeenAndWhole, WholeTerm};
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
    sides: SideTerms,
    targets: TargetMaker,
    loss: LossConfig,
    /// Whether the blocks of the encoder learn with the whole head.
    blocks_learn_whole: bool,
}

/// Tokens of one batch.
struct BatchTokens {
    /// `[B, n, D]`, with gradient.
    context: Tensor,
    /// `[B, G, D]`, for the target encoder.
    all: Tensor,
}

/// Which patches the context is encoded from.
enum ContextSource<'a> {
    /// Some of those that there are targets of.
    Places(PatchSelection),
    /// What a sensor saw of the same clouds.
    Seen(&'a PatchTensors),
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
        let sides = SideTerms::new(config, &vb)?;
        let target_tokenizer = match config.target.tokenizer {
            TargetTokenizer::Ema => Some(average_tokenizer(config, &store)?),
            TargetTokenizer::Online => None,
        };
        let targets = TargetMaker::new(&config.target, m.extent());
        let model = Self {
            backbone,
            target_encoder,
            target_tokenizer,
            predictor,
            sides,
            targets,
            loss: config.loss.clone(),
            blocks_learn_whole: config.whole.teaches_blocks(),
        };
        Ok((model, store.into_parameters()))
    }

    /// Loss of one batch, in training.
    pub(crate) fn step(&self, input: &MaskedInput, pass: &ForwardPass) -> Result<StepOutput> {
        let MaskedInput { points, masks, .. } = input;
        let source = match &input.context {
            Some(seen) => ContextSource::Seen(seen),
            None => ContextSource::Places(PatchSelection::new(&masks.context, &points.centers)?),
        };
        let BatchTokens { context: tokens, all } = self.tokenize(points, &source, pass)?;
        let positions = self.backbone.positions.train(&points.centers, pass)?;
        pass.watch.lap("tokenizer");
        let targets = self.make_targets(points, &all, &positions, pass)?;
        pass.watch.lap("target");
        let context = self.place_context(tokens, &source, points, &positions, pass)?;
        let term = MaskedTermInput { context: &context, centers: &points.centers, targets: &targets, masks };
        let MaskedPredictions { context: encoded, predictions, targets } =
            self.predictor.predict(&self.backbone.encoder, &term, pass)?;
        let whole = self.see_wholes(input.turned.as_ref(), &all, &positions, TargetPass::within(pass))?;
        let views = input.views.as_ref();
        let asked = SideInput { encoded: &encoded, centers: &context.centers, whole, views };
        let sides = self.sides.measure(&asked, pass)?;
        let MeasuredDistance { value, record } = self.distance(&predictions, &targets)?;
        let loss = sides.add_to(value)?;
        let loss = self.loss.add_spread(loss, &encoded, pass)?;
        pass.watch.lap("predictor");
        let (predictions, kind) = (predictions.detach(), self.loss.kind);
        Ok(StepOutput { loss, predictions, targets, kind, record, terms: sides.terms })
    }

    /// What is to be predicted of every patch.
    fn make_targets(
        &self,
        points: &PatchTensors,
        tokens: &Tensor,
        positions: &Tensor,
        pass: &ForwardPass,
    ) -> Result<Tensor> {
        match &self.target_encoder {
            Some(target) => {
                let pass = TargetPass::within(pass);
                self.targets.make(target, tokens, positions, &points.centers, pass)
            }
            None => coordinates(&points.patches),
        }
    }

    /// Loss of one batch of the whole head: nothing else learns from it but, where the config says so, the encoder's blocks.
    pub(crate) fn step_of_head(&self, input: &WholeInput, pass: &ForwardPass) -> Result<StepOutput> {
        let pair = self.see_pair(input, pass)?;
        pass.watch.lap("target");
        let step = self.sides.whole()?.step(&pair, pass.parts());
        pass.watch.lap("predictor");
        step
    }

    /// Where the blocks learn, the target encoder has those that they were before.
    fn see_pair(&self, input: &WholeInput, pass: &ForwardPass) -> Result<SeenAndWhole> {
        let WholeInput { points, seen } = input;
        let backbone = &self.backbone;
        Ok(match (self.blocks_learn_whole, &self.target_encoder) {
            (true, Some(target)) => SeenAndWhole {
                seen: each_look(seen, |look| backbone.train_blocks(look, pass))?,
                whole: each_look(points, |look| backbone.features_by(target, look, pass.precision))?,
            },
            _ => SeenAndWhole {
                seen: each_look(seen, |look| backbone.features_in(look, pass.precision))?,
                whole: each_look(points, |look| backbone.features_in(look, pass.precision))?,
            },
        })
    }

    /// What the target encoder sees for the pooled term: all patches, turned once more where that is asked for.
    fn see_wholes<'a>(
        &'a self,
        turned: Option<&PatchTensors>,
        tokens: &Tensor,
        positions: &Tensor,
        pass: TargetPass<'a>,
    ) -> Result<Option<WholeClouds<'a>>> {
        let Some(encoder) = &self.target_encoder else { return Ok(None) };
        let (tokens, positions) = match turned {
            None => (tokens.clone(), positions.detach()),
            Some(turned) => {
                let tokenizer = self.target_tokenizer.as_ref().unwrap_or(&self.backbone.tokenizer);
                (
                    tokenizer.eval(&turned.patches, pass.precision)?.detach(),
                    self.backbone.eval_positions(turned)?,
                )
            }
        };
        Ok(Some(WholeClouds { encoder, tokens, positions, pass }))
    }

    /// The tokens of the context with where they are.
    fn place_context(
        &self,
        tokens: Tensor,
        source: &ContextSource<'_>,
        points: &PatchTensors,
        positions: &Tensor,
        pass: &ForwardPass,
    ) -> Result<ContextTokens> {
        let (positions, centers) = match source {
            ContextSource::Places(places) => (places.select(positions)?, places.select(&points.centers)?),
            ContextSource::Seen(seen) => {
                (self.backbone.positions.train(&seen.centers, pass)?, seen.centers.clone())
            }
        };
        Ok(ContextTokens { tokens, positions, centers })
    }

    fn tokenize(
        &self,
        points: &PatchTensors,
        source: &ContextSource<'_>,
        pass: &ForwardPass,
    ) -> Result<BatchTokens> {
        let tokenizer = &self.backbone.tokenizer;
        let chosen;
        let seen = match (source, &self.target_tokenizer) {
            (ContextSource::Places(places), None) => {
                let all = tokenizer.train(&points.patches, points.counts.as_deref(), pass)?;
                return Ok(BatchTokens { context: places.select(&all)?, all });
            }
            (ContextSource::Places(places), Some(_)) => {
                chosen = places.select_patches(points)?;
                &chosen
            }
            (ContextSource::Seen(seen), _) => seen,
        };
        let context = tokenizer.train(&seen.patches, seen.counts.as_deref(), pass)?;
        let all = match &self.target_tokenizer {
            Some(target) => {
                pass.change_once("statistics of the target", || target.take_statistics(tokenizer))?;
                target.eval(&points.patches, pass.precision)?
            }
            None => tokenizer.eval(&points.patches, pass.precision)?.detach(),
        };
        Ok(BatchTokens { context, all })
    }

    /// Sets the running statistics of the batch norms to those of these patches.
    pub(crate) fn calibrate(&self, points: &PatchTensors) -> Result<()> {
        self.backbone.tokenizer.calibrate(&points.patches, points.counts.as_deref())?;
        match &self.target_tokenizer {
            Some(target) => target.take_statistics(&self.backbone.tokenizer),
            None => Ok(()),
        }
    }

    fn distance(&self, predictions: &Tensor, targets: &Tensor) -> Result<MeasuredDistance> {
        if self.target_encoder.is_none() {
            let (b, m, l, outputs) = predictions.dims4()?;
            let points = (b * m * l, outputs / 3, 3);
            let value = chamfer(&predictions.reshape(points)?, &targets.reshape(points)?)?;
            return Ok(MeasuredDistance { value, record: None });
        }
        self.loss.distance(predictions, targets)
    }

    /// Features of every patch `[B, G, D]` for evaluation: online encoder, final norm, running statistics.
    pub(crate) fn features(&self, points: &PatchTensors) -> Result<Tensor> {
        self.backbone.features(points)
    }

    /// The whole head.
    ///
    /// # Errors
    /// Fails if there is none.
    pub(super) fn whole(&self) -> Result<&WholeTerm> {
        self.sides.whole()
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
        Ok(Some(self.targets.make(target, &tokens, &positions, &points.centers, TargetPass::alone())?))
    }
}

fn coordinates(patches: &Tensor) -> Result<Tensor> {
    let (b, g, k, _) = patches.dims4()?;
    Ok(patches.reshape((b, g, k * 3))?)
}

fn each_look(
    looks: &[PatchTensors],
    encode: impl Fn(&PatchTensors) -> Result<Tensor>,
) -> Result<Vec<Tensor>> {
    looks.iter().map(encode).collect()
}
