//! Hybrid CrossJEPA (after Perera et al., arXiv 2511.18424): a view is the context, the latents of the 3D patches that it
//! shows are the targets; a masked term on points runs beside it.
//!
//! An average of an image encoder cannot read points, so one trunk serves both: image and point tokens, each with the
//! vector of its kind, pass through the same blocks, and the target side is the average of everything that points pass
//! through, batch norm statistics too. The image side learns from the cross term, the point tokenizer from the masked
//! term, the trunk from both. This design is ours.

use candle_core::{Device, Tensor};
use jepa3d_kernels::add_parts;

use super::backbone::{Backbone, image_modality};
use super::masked_term::{ContextTokens, MaskedPredictions, MaskedTerm, MaskedTermInput};
use super::selection::PatchSelection;
use super::step::{HybridInput, PatchTensors, StepOutput, ViewImages};
use super::targets::{TargetMaker, TargetPass};
use crate::config::{LossConfig, PretrainConfig};
use crate::error::Result;
use crate::nn::{
    EncoderInput, ForwardPass, ImageTokens, ParameterStore, Parameters, VisiblePredictor, VisibleQueries,
};

/// One trunk with two tokenizers, its average, two predictors.
#[derive(Debug)]
pub(crate) struct HybridJepa {
    backbone: Backbone,
    image: ImageTokens,
    image_modality: Tensor,
    target: Backbone,
    cross: VisiblePredictor,
    local: MaskedTerm,
    targets: TargetMaker,
    loss: LossConfig,
    local_weight: f64,
}

/// The cross term: its value, and the rows it was made of.
struct CrossTerm {
    loss: Tensor,
    predictions: Tensor,
    targets: Tensor,
}

impl HybridJepa {
    /// A model with its parameters, drawn from the run's seed.
    pub(crate) fn new(config: &PretrainConfig, device: &Device) -> Result<(Self, Parameters)> {
        let store = ParameterStore::new(config.run.seed, device);
        let m = &config.model;
        let vb = store.builder();
        let model = Self {
            backbone: Backbone::new(config, &store)?,
            image: ImageTokens::new(&config.hybrid.view(), m.width, &vb.pp("image_tokenizer"))?,
            image_modality: image_modality(m.width, &vb)?,
            target: Backbone::average(config, &store)?,
            cross: VisiblePredictor::new(config, &vb.pp("view_predictor"))?,
            local: MaskedTerm::new(config, m.width, &vb)?,
            targets: TargetMaker::new(&config.target, m.extent()),
            loss: config.loss.clone(),
            local_weight: config.hybrid.local,
        };
        Ok((model, store.into_parameters()))
    }

    /// Loss of one batch, in training.
    pub(crate) fn step(&self, input: &HybridInput, pass: &ForwardPass) -> Result<StepOutput> {
        let HybridInput { points, masks, views } = input;
        let visible = PatchSelection::new(&masks.context, &points.centers)?;
        let seen = visible.select_patches(points)?;
        let tokens = self.backbone.tokenizer.train(&seen.patches, seen.counts.as_deref(), pass)?;
        let tokens = self.backbone.add_modality(tokens)?;
        pass.watch.lap("tokenizer");
        let latents = self.make_targets(points, TargetPass::within(pass))?;
        pass.watch.lap("target");
        let positions = visible.select(&self.backbone.positions.train(&points.centers, pass)?)?;
        let context = ContextTokens { tokens, positions, centers: seen.centers };
        let term = MaskedTermInput { context: &context, centers: &points.centers, targets: &latents, masks };
        let MaskedPredictions { context, predictions, targets } =
            self.local.predict(&self.backbone.encoder, &term, pass)?;
        let local = self.loss.distance(&predictions, &targets)?.value;
        pass.watch.lap("predictor");
        let cross = self.cross_term(views, &points.centers, &latents, pass)?;
        pass.watch.lap("image");
        let loss = (&cross.loss + (&local * self.local_weight)?)?;
        let loss = self.loss.add_spread(loss, &context, pass)?;
        let width = latents.dim(2)?;
        let rows = |x: &Tensor| x.reshape(((), width));
        Ok(StepOutput {
            loss,
            predictions: Tensor::cat(&[rows(&predictions)?, cross.predictions], 0)?.detach(),
            targets: Tensor::cat(&[rows(&targets)?, cross.targets], 0)?.detach(),
            kind: self.loss.kind,
            record: None,
            terms: vec![("loss_cross", cross.loss), ("loss_local", local)],
        })
    }

    /// Mean distance over the patches that views show; 0 if none shows any.
    fn cross_term(
        &self,
        views: &ViewImages,
        centers: &Tensor,
        latents: &Tensor,
        pass: &ForwardPass,
    ) -> Result<CrossTerm> {
        let tokens = self.image.forward(&views.pixels, pass.is_bf16)?.broadcast_add(&self.image_modality)?;
        let image = EncoderInput { tokens: &tokens, positions: None, keys: None };
        let encoded = self.backbone.encoder.train(image, pass)?;
        let asked = PatchSelection::new(&views.patches, centers)?;
        let asked_centers = asked.select(centers)?;
        let queries =
            VisibleQueries { centers: &asked_centers, projected: &views.projected, counts: &views.counts };
        let predictions = self.cross.forward(&encoded, queries, pass)?;
        let targets = asked.select(latents)?;
        let (b, q, width) = targets.dims3()?;
        let valid: Vec<u32> = (0..b as u32)
            .flat_map(|i| (0..views.counts[i as usize]).map(move |at| i * q as u32 + at))
            .collect();
        let share = share_of_queries(valid.len(), pass)?;
        if valid.is_empty() {
            // Padding alone: everything keeps its (zero) gradient.
            let nothing = |x: &Tensor| x.reshape((b * q, width))?.narrow(0, 0, 0);
            let loss = predictions.mul(&predictions.zeros_like()?)?.sum_all()?;
            return Ok(CrossTerm { loss, predictions: nothing(&predictions)?, targets: nothing(&targets)? });
        }
        let valid = Tensor::from_slice(&valid, valid.len(), latents.device())?;
        let predictions = predictions.reshape((b * q, width))?.index_select(&valid, 0)?;
        let targets = targets.reshape((b * q, width))?.index_select(&valid, 0)?;
        let loss = self.loss.distance(&predictions, &targets)?.value;
        let loss = share.map_or(Ok(loss.clone()), |share| loss * share)?;
        Ok(CrossTerm { loss, predictions, targets })
    }

    /// Sets the running statistics of the batch norms to those of these patches.
    pub(crate) fn calibrate(&self, points: &PatchTensors) -> Result<()> {
        self.backbone.tokenizer.calibrate(&points.patches, points.counts.as_deref())?;
        self.target.tokenizer.take_statistics(&self.backbone.tokenizer)
    }

    /// Features of every patch `[B, G, D]` for evaluation: point branch, final norm, running statistics.
    pub(crate) fn features(&self, points: &PatchTensors) -> Result<Tensor> {
        self.backbone.features(points)
    }

    /// Targets of every patch `[B, G, D]`.
    pub(crate) fn target_latents(&self, points: &PatchTensors) -> Result<Tensor> {
        self.make_targets(points, TargetPass::alone())
    }

    fn make_targets(&self, points: &PatchTensors, pass: TargetPass<'_>) -> Result<Tensor> {
        let (tokens, positions) = (self.target.eval_tokens(points)?, self.target.eval_positions(points)?);
        self.targets.make(&self.target.encoder, &tokens, &positions, &points.centers, pass)
    }
}

/// What the mean over the queries of a part weighs: the mean over parts is then that over all queries. None: the batch is whole.
fn share_of_queries(own: usize, pass: &ForwardPass) -> Result<Option<f64>> {
    let Some(parts) = pass.parts() else { return Ok(None) };
    let mut all = [own as f64];
    add_parts(Some(parts), "queries", &mut all)?;
    Ok(Some(own as f64 * parts.count() as f64 / all[0].max(1.0)))
}
