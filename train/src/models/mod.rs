//! The pretraining models: one file a family, and what they share.

mod backbone;
mod coordinates;
mod cross_jepa;
mod hybrid_jepa;
mod loss;
mod masked_jepa;
mod masked_term;
mod targets;

#[cfg(test)]
mod golden_tests;

use candle_core::{D, Device, Tensor};
use jepa3d_loader::Masks;

use crate::config::{LossKind, Method, PretrainConfig};
use crate::error::Result;
use crate::nn::{Parameters, Pass};
use cross_jepa::CrossJepa;
use hybrid_jepa::HybridJepa;
use masked_jepa::MaskedJepa;

/// One batch on the model's device.
#[derive(Clone, Debug)]
pub(crate) struct StepInput {
    /// `[B, G, K, 3]`, relative to the centers.
    pub patches: Tensor,
    /// `[B, G, 3]`.
    pub centers: Tensor,
    /// `[B, G]`: distinct points of voxel blocks.
    pub counts: Option<Vec<u16>>,
    /// Context and targets, for methods that hide patches.
    pub masks: Option<Masks>,
    /// What a teacher makes of views, for methods that learn from it.
    pub views: Option<ViewTargets>,
    /// Views as images and what they show, for methods that read them.
    pub images: Option<ImageInput>,
}

/// Views of a batch and their cached embeddings.
#[derive(Clone, Debug)]
pub(crate) struct ViewTargets {
    /// `[B, V, D_t]`, as the teacher gave them.
    pub embeddings: Tensor,
    /// `[B, V, 8]`: where the camera stands.
    pub poses: Tensor,
    /// `[B, V, 48]`: histogram of the colours.
    pub histograms: Tensor,
    /// `[B, V, 1]`: 1, or 0 where there is no such view.
    pub weights: Tensor,
}

/// One view of every sample, and the patches that it shows.
#[derive(Clone, Debug)]
pub(crate) struct ImageInput {
    /// `[B, T, 3 p^2]`: image tokens before they are embedded.
    pub pixels: Tensor,
    /// `[B, Q]`: patches that are asked for, the rest is padding.
    pub patches: Vec<u32>,
    /// `[B, Q, 3]`: u / W, v / H and depth of each.
    pub projected: Tensor,
    /// `[B]`: patches of each sample that are asked for.
    pub counts: Vec<u32>,
}

/// What one forward pass gives.
#[derive(Debug)]
pub(crate) struct StepOutput {
    /// Scalar.
    pub loss: Tensor,
    /// `[.., D]`; without gradient.
    pub predictions: Tensor,
    /// Like the predictions; without gradient.
    pub targets: Tensor,
    /// How they are compared.
    pub kind: LossKind,
    /// The terms of a loss that has several, each a scalar, for the record.
    pub terms: Vec<(&'static str, Tensor)>,
}

impl StepOutput {
    /// The predictions in the scale of the targets: a cosine loss leaves their lengths free.
    pub(crate) fn compared(&self) -> Result<Tensor> {
        if self.kind != LossKind::Cosine {
            return Ok(self.predictions.clone());
        }
        let length = |x: &Tensor| -> Result<Tensor> { Ok(x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?) };
        let scale = (length(&self.targets)? / (length(&self.predictions)? + 1e-12)?)?;
        Ok(self.predictions.broadcast_mul(&scale)?)
    }
}

/// The model of a run.
#[derive(Debug)]
pub(crate) enum Model {
    /// Point-JEPA and 3D-JEPA.
    Masked(MaskedJepa),
    /// CrossJEPA.
    Cross(CrossJepa),
    /// CrossJEPA between an image and points.
    Hybrid(Box<HybridJepa>),
}

impl Model {
    /// A model with its parameters, drawn from the run's seed.
    pub(crate) fn new(config: &PretrainConfig, device: &Device) -> Result<(Self, Parameters)> {
        Ok(match config.method {
            Method::Masked => {
                let (model, p) = MaskedJepa::new(config, device)?;
                (Self::Masked(model), p)
            }
            Method::Cross => {
                let (model, p) = CrossJepa::new(config, device)?;
                (Self::Cross(model), p)
            }
            Method::Hybrid => {
                let (model, p) = HybridJepa::new(config, device)?;
                (Self::Hybrid(Box::new(model)), p)
            }
        })
    }

    /// Loss of one batch, in training.
    pub(crate) fn step(&self, input: &StepInput, pass: &Pass) -> Result<StepOutput> {
        self.marked_step(input, pass, &mut |_| ())
    }

    /// The same; `mark` is told the name of each part when it is done.
    pub(crate) fn marked_step(
        &self,
        input: &StepInput,
        pass: &Pass,
        mark: &mut dyn FnMut(&'static str),
    ) -> Result<StepOutput> {
        match self {
            Self::Masked(model) => model.step(input, pass, mark),
            Self::Cross(model) => model.step(input, pass, mark),
            Self::Hybrid(model) => model.step(input, pass, mark),
        }
    }

    /// The model, if it is Point-JEPA or 3D-JEPA.
    #[cfg(test)]
    fn masked(&self) -> &MaskedJepa {
        match self {
            Self::Masked(model) => model,
            Self::Cross(_) | Self::Hybrid(_) => unreachable!("a test of the masked models"),
        }
    }

    /// Sets the running statistics of the batch norms to those of these patches `[n, G, K, 3]`, `counts [n, G]`.
    pub(crate) fn calibrate(&self, patches: &Tensor, counts: Option<&[u16]>) -> Result<()> {
        match self {
            Self::Masked(model) => model.calibrate(patches, counts),
            Self::Cross(model) => model.calibrate(patches, counts),
            Self::Hybrid(model) => model.calibrate(patches, counts),
        }
    }

    /// Features of every patch for evaluation: online encoder, final norm, running statistics.
    ///
    /// # Shapes
    /// `patches [B, G, K, 3]`, `centers [B, G, 3]` to `[B, G, D]`.
    pub(crate) fn features(&self, patches: &Tensor, centers: &Tensor) -> Result<Tensor> {
        match self {
            Self::Masked(model) => model.features(patches, centers),
            Self::Cross(model) => model.features(patches, centers),
            Self::Hybrid(model) => model.features(patches, centers),
        }
    }

    /// Targets of every patch with the running statistics; `None` where no patch has one.
    ///
    /// # Shapes
    /// As [`Model::features`].
    pub(crate) fn target_latents(&self, patches: &Tensor, centers: &Tensor) -> Result<Option<Tensor>> {
        match self {
            Self::Masked(model) => model.target_latents(patches, centers),
            Self::Cross(_) => Ok(None),
            Self::Hybrid(model) => Ok(Some(model.target_latents(patches, centers)?)),
        }
    }
}
