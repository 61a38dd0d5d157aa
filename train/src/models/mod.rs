//! The pretraining models: one file a family, and what they share.

mod backbone;
mod coordinates;
mod loss;
mod masked_jepa;
mod targets;

#[cfg(test)]
mod golden_tests;

use candle_core::{Device, Tensor};

use crate::config::PretrainConfig;
use crate::error::Result;
use crate::masking::Masks;
use crate::nn::{Parameters, Pass};

use masked_jepa::MaskedJepa;

/// One batch on the model's device.
#[derive(Clone, Debug)]
pub(crate) struct StepInput {
    /// `[B, G, K, 3]`, relative to the centers.
    pub patches: Tensor,
    /// `[B, G, 3]`.
    pub centers: Tensor,
    /// Context and targets.
    pub masks: Masks,
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
}

/// The model of a run.
#[derive(Debug)]
pub(crate) enum Model {
    /// Point-JEPA and 3D-JEPA.
    Masked(MaskedJepa),
}

impl Model {
    /// A model with its parameters, drawn from the run's seed.
    pub(crate) fn new(config: &PretrainConfig, device: &Device) -> Result<(Self, Parameters)> {
        let (model, p) = MaskedJepa::new(config, device)?;
        Ok((Self::Masked(model), p))
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
        }
    }

    /// The model, if it is Point-JEPA or 3D-JEPA.
    #[cfg(test)]
    fn masked(&self) -> &MaskedJepa {
        match self {
            Self::Masked(model) => model,
        }
    }

    /// Sets the running statistics of the batch norms to those of these patches `[n, G, K, 3]`.
    pub(crate) fn calibrate(&self, patches: &Tensor) -> Result<()> {
        match self {
            Self::Masked(model) => model.calibrate(patches),
        }
    }

    /// Features of every patch for evaluation: online encoder, final norm, running statistics.
    ///
    /// # Shapes
    /// `patches [B, G, K, 3]`, `centers [B, G, 3]` to `[B, G, D]`.
    pub(crate) fn features(&self, patches: &Tensor, centers: &Tensor) -> Result<Tensor> {
        match self {
            Self::Masked(model) => model.features(patches, centers),
        }
    }

    /// Targets of every patch with the running statistics; `None` where no patch has one.
    ///
    /// # Shapes
    /// As [`Model::features`].
    pub(crate) fn target_latents(&self, patches: &Tensor, centers: &Tensor) -> Result<Option<Tensor>> {
        match self {
            Self::Masked(model) => model.target_latents(patches, centers),
        }
    }
}
