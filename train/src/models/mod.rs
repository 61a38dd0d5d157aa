//! The pretraining models: one file a family, and what they share.

mod backbone;
mod coordinates;
mod cross_jepa;
mod hybrid_jepa;
mod loss;
mod masked_jepa;
mod masked_term;
mod pooled_term;
mod selection;
mod side_terms;
mod sketched_gaussian;
mod step;
mod targets;
mod view_term;
mod whole_term;

#[cfg(test)]
mod golden_part_tests;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod twin_tests;

use candle_core::{Device, Tensor};

use crate::config::{FeatureConfig, Method, Pooling, PretrainConfig};
use crate::error::Result;
use crate::nn::{ForwardPass, Parameters};
use crate::turned_features::join_turns;
use cross_jepa::CrossJepa;
use hybrid_jepa::HybridJepa;
use masked_jepa::MaskedJepa;

pub(crate) use backbone::Backbone;
pub(crate) use step::{
    CrossInput, HybridInput, MaskedInput, PatchTensors, StepInput, StepOutput, ViewImages, ViewTargets,
    WholeInput,
};

/// The model of a run.
#[derive(Debug)]
pub(crate) enum PretrainModel {
    /// Point-JEPA and 3D-JEPA.
    Masked(Box<MaskedJepa>),
    /// CrossJEPA.
    Cross(Box<CrossJepa>),
    /// CrossJEPA between an image and points.
    Hybrid(Box<HybridJepa>),
}

impl PretrainModel {
    /// A model with its parameters, drawn from the run's seed.
    pub(crate) fn new(config: &PretrainConfig, device: &Device) -> Result<(Self, Parameters)> {
        Ok(match config.method {
            Method::Masked => {
                let (model, parameters) = MaskedJepa::new(config, device)?;
                (Self::Masked(Box::new(model)), parameters)
            }
            Method::Cross => {
                let (model, parameters) = CrossJepa::new(config, device)?;
                (Self::Cross(Box::new(model)), parameters)
            }
            Method::Hybrid => {
                let (model, parameters) = HybridJepa::new(config, device)?;
                (Self::Hybrid(Box::new(model)), parameters)
            }
        })
    }

    /// Loss of one batch, in training.
    pub(crate) fn step(&self, input: &StepInput, pass: &ForwardPass) -> Result<StepOutput> {
        match (self, input) {
            (Self::Masked(model), StepInput::Masked(input)) => model.step(input, pass),
            (Self::Cross(model), StepInput::Cross(input)) => model.step(input, pass),
            (Self::Hybrid(model), StepInput::Hybrid(input)) => model.step(input, pass),
            (Self::Masked(model), StepInput::Whole(input)) => model.step_of_head(input, pass),
            _ => unreachable!("model and input are made by one config's method"),
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

    /// Sets the running statistics of the batch norms to those of these patches.
    pub(crate) fn calibrate(&self, points: &PatchTensors) -> Result<()> {
        match self {
            Self::Masked(model) => model.calibrate(points),
            Self::Cross(model) => model.calibrate(points),
            Self::Hybrid(model) => model.calibrate(points),
        }
    }

    /// Features of every patch `[B, G, D]` for evaluation: online encoder, final norm, running statistics.
    pub(crate) fn features(&self, points: &PatchTensors) -> Result<Tensor> {
        match self {
            Self::Masked(model) => model.features(points),
            Self::Cross(model) => model.features(points),
            Self::Hybrid(model) => model.features(points),
        }
    }

    /// Tokens `[B, G, D]` of one look at clouds as one vector each, `[B, F]`.
    pub(crate) fn pool(&self, pooling: Pooling, tokens: &Tensor) -> Result<Tensor> {
        match (pooling, self) {
            (Pooling::Whole, Self::Masked(model)) => model.whole()?.look(tokens),
            _ => pooling.pool(tokens),
        }
    }

    /// Those vectors of several turns, `[T, B, F]`, as one of a cloud.
    pub(crate) fn join_looks(&self, looks: &Tensor, features: &FeatureConfig) -> Result<Tensor> {
        match (features.pooling, self) {
            (Pooling::Whole, Self::Masked(model)) => model.whole()?.join(looks, features),
            _ => join_turns(looks, features),
        }
    }

    /// Targets of every patch `[B, G, D]` with the running statistics; `None` where no patch has one.
    pub(crate) fn target_latents(&self, points: &PatchTensors) -> Result<Option<Tensor>> {
        match self {
            Self::Masked(model) => model.target_latents(points),
            Self::Cross(_) => Ok(None),
            Self::Hybrid(model) => Ok(Some(model.target_latents(points)?)),
        }
    }
}
