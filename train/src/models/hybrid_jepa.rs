//! Hybrid CrossJEPA (after Perera et al., arXiv 2511.18424): a view is the context, the latents of the 3D patches that it
//! shows are the targets; a masked term on points runs beside it.
//!
//! An average of an image encoder cannot read points, so one trunk serves both: image and point tokens, each with the
//! vector of its kind, pass through the same blocks, and the target side is the average of everything that points pass
//! through, batch norm statistics too. The image side learns from the cross term, the point tokenizer from the masked
//! term, the trunk from both. This design is ours.

use candle_core::{Device, Tensor};

use super::backbone::{Backbone, Chosen, with};
use super::masked_term::{Answer, MaskedTerm, Seen};
use super::targets::Targets;
use super::{ImageInput, StepInput, StepOutput};
use crate::config::{LossConfig, PretrainConfig};
use crate::error::Result;
use crate::nn::{
    Asked, Encoder, ImageTokens, Parameters, Pass, PositionEmbedding, Role, SeenPredictor, Tokenizer,
};

/// The average of what points pass through.
#[derive(Debug)]
struct TargetSide {
    tokenizer: Tokenizer,
    modality: Option<Tensor>,
    positions: PositionEmbedding,
    encoder: Encoder,
}

impl TargetSide {
    fn new(p: &mut Parameters, online: &Backbone) -> Result<Self> {
        let mut modality = None;
        if let Some(vector) = &online.modality {
            modality = Some(p.copy_of("teacher.point_modality", vector, Role::Target)?);
        }
        Ok(Self {
            tokenizer: online.tokenizer.target_copy(p, Role::Target)?,
            modality,
            positions: online.positions.target_copy(p, "positional_encoding")?,
            encoder: online.encoder.target_copy(p, "teacher.ema_model")?,
        })
    }

    /// Targets of all patches `[B, G, D]`.
    fn latents(&self, targets: &Targets, patches: &Tensor, centers: &Tensor) -> Result<Tensor> {
        let tokens = with(self.tokenizer.eval(patches)?, self.modality.as_ref())?;
        targets.of(&self.encoder, &tokens, &self.positions.forward(centers)?, centers)
    }
}

/// One trunk with two tokenizers, its average, two predictors.
#[derive(Debug)]
pub(crate) struct HybridJepa {
    backbone: Backbone,
    image: ImageTokens,
    image_modality: Tensor,
    target: TargetSide,
    cross: SeenPredictor,
    local: MaskedTerm,
    targets: Targets,
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
        let mut p = Parameters::new(config.run.seed, device);
        let (m, h) = (&config.model, &config.hybrid.view());
        let backbone = Backbone::new(&mut p, config)?;
        let image = ImageTokens::new(&mut p, "image_tokenizer", h, m.width, device)?;
        let image_modality = p.truncated_normal("image_modality", &[1, 1, m.width], 0.02)?;
        let target = TargetSide::new(&mut p, &backbone)?;
        let cross = SeenPredictor::new(&mut p, "view_predictor", (m, &config.predictor, h), device)?;
        let local = MaskedTerm::new(&mut p, config, m.width)?;
        let (targets, loss) = (Targets::new(&config.target, m.extent()), config.loss.clone());
        let model = Self {
            backbone,
            image,
            image_modality,
            target,
            cross,
            local,
            targets,
            loss,
            local_weight: config.hybrid.local,
        };
        Ok((model, p))
    }

    /// Loss of one batch, in training; `mark` is told the name of each part when it is done.
    pub(crate) fn step(
        &self,
        input: &StepInput,
        pass: &Pass,
        mark: &mut dyn FnMut(&'static str),
    ) -> Result<StepOutput> {
        let masks = input.masks.as_ref().expect("the trainer draws masks for this method");
        let images = input.images.as_ref().expect("the loader decodes views for this method");
        let seen = Chosen::new(&masks.context, &input.centers)?;
        let counts = input.counts.as_ref().map(|counts| seen.counts_of(counts)).transpose()?;
        let tokens = self.backbone.tokenizer.train(&seen.patches_of(&input.patches)?, counts.as_deref())?;
        let tokens = with(tokens, self.backbone.modality.as_ref())?;
        mark("tokenizer");
        let goal = self.target.latents(&self.targets, &input.patches, &input.centers)?;
        mark("target");
        let positions = self.backbone.positions.forward(&input.centers)?;
        let known = Seen { tokens: &tokens, positions: &positions, centers: &input.centers };
        let encoder = &self.backbone.encoder;
        let Answer { context, predictions, targets } =
            self.local.answer(encoder, &known, (&goal, masks), pass, mark)?;
        let local = self.loss.distance(&predictions, &targets)?;
        mark("predictor");
        let cross = self.cross_term(images, &input.centers, &goal, pass)?;
        mark("image");
        let mut loss = (&cross.loss + (&local * self.local_weight)?)?;
        if let Some(spread) = self.loss.spread(&context.mean(1)?)? {
            loss = (loss + spread)?;
        }
        let width = goal.dim(2)?;
        let rows = |x: &Tensor| x.reshape(((), width));
        Ok(StepOutput {
            loss,
            predictions: Tensor::cat(&[rows(&predictions)?, cross.predictions], 0)?.detach(),
            targets: Tensor::cat(&[rows(&targets)?, cross.targets], 0)?.detach(),
            kind: self.loss.kind,
            terms: vec![("loss_cross", cross.loss), ("loss_local", local)],
        })
    }

    /// Mean distance over the patches that views show; 0 if none shows any.
    fn cross_term(
        &self,
        images: &ImageInput,
        centers: &Tensor,
        goal: &Tensor,
        pass: &Pass,
    ) -> Result<CrossTerm> {
        let tokens = self.image.forward(&images.pixels, pass.is_half)?.broadcast_add(&self.image_modality)?;
        let encoded = self.backbone.encoder.train(&tokens, None, pass)?;
        let asked = Chosen::new(&images.patches, centers)?;
        let query =
            Asked { centers: &asked.of(centers)?, projected: &images.projected, counts: &images.counts };
        let predictions = self.cross.forward(&encoded, query, pass)?;
        let targets = asked.of(goal)?;
        let (b, q, width) = targets.dims3()?;
        let valid: Vec<u32> = (0..b as u32)
            .flat_map(|i| (0..images.counts[i as usize]).map(move |at| i * q as u32 + at))
            .collect();
        if valid.is_empty() {
            // Padding alone: everything keeps its (zero) gradient.
            let nothing = |x: &Tensor| x.reshape((b * q, width))?.narrow(0, 0, 0);
            let loss = predictions.mul(&predictions.zeros_like()?)?.sum_all()?;
            return Ok(CrossTerm { loss, predictions: nothing(&predictions)?, targets: nothing(&targets)? });
        }
        let valid = Tensor::from_slice(&valid, valid.len(), goal.device())?;
        let predictions = predictions.reshape((b * q, width))?.index_select(&valid, 0)?;
        let targets = targets.reshape((b * q, width))?.index_select(&valid, 0)?;
        let loss = self.loss.distance(&predictions, &targets)?;
        Ok(CrossTerm { loss, predictions, targets })
    }

    /// Sets the running statistics of the batch norms to those of these patches.
    pub(crate) fn calibrate(&self, patches: &Tensor, counts: Option<&[u16]>) -> Result<()> {
        self.backbone.tokenizer.calibrate(patches, counts)?;
        self.target.tokenizer.take_statistics(&self.backbone.tokenizer)
    }

    /// Features of every patch for evaluation: point branch, final norm, running statistics.
    ///
    /// # Shapes
    /// `patches [B, G, K, 3]`, `centers [B, G, 3]` to `[B, G, D]`.
    pub(crate) fn features(&self, patches: &Tensor, centers: &Tensor) -> Result<Tensor> {
        self.backbone.features(patches, centers)
    }

    /// Targets of every patch.
    ///
    /// # Shapes
    /// As [`HybridJepa::features`].
    pub(crate) fn target_latents(&self, patches: &Tensor, centers: &Tensor) -> Result<Tensor> {
        self.target.latents(&self.targets, patches, centers)
    }
}
