//! AdamW (Loshchilov and Hutter, arXiv 1711.05101) with decay by parameter, clipping and saved moments.
//!
//! candle-nn's optimiser has one group, no clipping, no state to save, and skips parameters without a
//! gradient silently; here such a parameter is an error.

mod gradients;
mod moments;
mod rule;

use jepa3d_kernels::AdamRates;

use self::moments::MomentStore;
use self::rule::AdamRule;
use crate::config::OptimConfig;
use crate::error::{Error, Result};
use crate::nn::{Parameter, Parameters};
use crate::schedule::{ScheduleLength, learning_rate, weight_decay};

pub(crate) use self::gradients::ParameterGradients;
pub(crate) use self::moments::SavedMoments;

/// What one update is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpdateRates {
    pub learning_rate: f64,
    pub weight_decay: f64,
    /// Factor of all gradients: 1 / accumulated batches, times the clipping.
    pub gradient_scale: f64,
}

/// Where a run stands when it is updated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepPlace {
    pub length: ScheduleLength,
    /// Whether the learning rate rises first, as the config says.
    pub warms_up: bool,
    /// Steps of this length that are done.
    pub step: u64,
    /// Steps of the run that are done.
    pub done: u64,
    /// Mean over the accumulated batches.
    pub loss: f64,
    /// Step of the newest checkpoint.
    pub saved: Option<u64>,
}

impl StepPlace {
    fn learning_rate(self, config: &OptimConfig) -> f64 {
        match self.warms_up {
            true => learning_rate(config, self.length, self.step),
            false => {
                let config = OptimConfig { warmup_epochs: 0.0, ..config.clone() };
                learning_rate(&config, self.length, self.step)
            }
        }
    }
}

/// What an update was made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpdateSummary {
    pub learning_rate: f64,
    /// L2 norm of all gradients before clipping.
    pub gradient_norm: f64,
}

/// The optimiser: moments of every trained parameter, and how many updates each has had.
#[derive(Debug)]
pub(crate) struct AdamW {
    config: OptimConfig,
    moments: MomentStore,
    updates: Vec<u64>,
}

impl AdamW {
    /// Moments of zero.
    pub(crate) fn new(config: &OptimConfig, parameters: &Parameters) -> Result<Self> {
        let moments = MomentStore::zero(parameters)?;
        let updates = vec![0; parameters.trained().count()];
        Ok(Self { config: config.clone(), moments, updates })
    }

    /// Keeps copies of the weights in bf16 for the kernels of a device, as they are now and after every update; elsewhere nothing
    /// is to be done.
    pub(crate) fn keep_halves(&mut self) -> Result<()> {
        match &mut self.moments {
            MomentStore::Together(updater) => Ok(updater.keep_halves()?),
            MomentStore::Each(_) => Ok(()),
        }
    }

    /// Moments of every trained parameter, for a checkpoint.
    pub(crate) fn save(&self, parameters: &Parameters) -> Result<Vec<SavedMoments>> {
        self.moments.save(parameters)
    }

    /// Takes over the moments of a checkpoint, in the order of the trained parameters; `updates` says how many each has had.
    pub(crate) fn restore(
        &mut self,
        saved: Vec<SavedMoments>,
        parameters: &Parameters,
        updates: impl Fn(&Parameter) -> u64,
    ) -> Result<()> {
        assert_eq!(saved.len(), self.updates.len(), "one pair a trained parameter");
        self.moments.restore(saved, parameters)?;
        self.updates = parameters.trained().map(updates).collect();
        Ok(())
    }

    /// Adds the gradients of another batch.
    pub(crate) fn add(&self, sum: &mut ParameterGradients, part: &ParameterGradients) -> Result<()> {
        match &self.moments {
            MomentStore::Together(updater) => Ok(updater.add(&sum.borrow(), &part.borrow())?),
            MomentStore::Each(_) => sum.add(part),
        }
    }

    fn norm(&self, gradients: &ParameterGradients) -> Result<f64> {
        match &self.moments {
            MomentStore::Together(updater) => Ok(updater.norm(&gradients.borrow())?),
            MomentStore::Each(_) => gradients.norm(),
        }
    }

    /// The step after `at.step` steps, with its rates and clipping, each parameter at its share of the learning rate; refuses
    /// numbers that are not finite.
    ///
    /// # Errors
    /// Fails if the loss or a gradient is not finite.
    pub(crate) fn step(
        &mut self,
        parameters: &Parameters,
        gradients: &ParameterGradients,
        at: StepPlace,
        share: impl Fn(&Parameter) -> f64,
    ) -> Result<UpdateSummary> {
        let o = &self.config;
        let average = 1.0 / o.accumulate as f64;
        let norm = self.norm(gradients)? * average;
        for (what, found) in [("the loss", at.loss), ("the gradient norm", norm)] {
            if !found.is_finite() {
                return Err(Error::NotFinite { step: at.done + 1, what, found, last: at.saved });
            }
        }
        let clipped = if o.clip > 0.0 && norm > o.clip { o.clip / norm } else { 1.0 };
        let rates = UpdateRates {
            learning_rate: at.learning_rate(o),
            weight_decay: weight_decay(o, at.length, at.step),
            gradient_scale: average * clipped,
        };
        self.update_by(parameters, gradients, rates, share)?;
        Ok(UpdateSummary { learning_rate: rates.learning_rate, gradient_norm: norm })
    }

    /// One step for every trained parameter that has a gradient; the others stay, and count no update.
    pub(crate) fn update(
        &mut self,
        parameters: &Parameters,
        gradients: &ParameterGradients,
        rates: UpdateRates,
    ) -> Result<()> {
        self.update_by(parameters, gradients, rates, |_| 1.0)
    }

    /// As [`AdamW::update`], each parameter at its share of the learning rate.
    fn update_by(
        &mut self,
        parameters: &Parameters,
        gradients: &ParameterGradients,
        rates: UpdateRates,
        share: impl Fn(&Parameter) -> f64,
    ) -> Result<()> {
        for (updates, gradient) in self.updates.iter_mut().zip(&gradients.0) {
            *updates += u64::from(gradient.is_some());
        }
        let rules: Vec<AdamRule> = parameters
            .trained()
            .zip(&self.updates)
            .map(|(p, &updates)| {
                let learning_rate = rates.learning_rate * share(p);
                self.rule(p, updates, UpdateRates { learning_rate, ..rates })
            })
            .collect();
        match &mut self.moments {
            MomentStore::Together(updater) => {
                let Some(shared) = rules.first().map(AdamRule::shared) else { return Ok(()) };
                let rates: Vec<AdamRates> = rules.iter().map(AdamRule::rates).collect();
                Ok(updater.update(&gradients.borrow(), shared, &rates)?)
            }
            MomentStore::Each(all) => {
                for (((p, moments), gradient), rule) in
                    parameters.trained().zip(all).zip(&gradients.0).zip(rules)
                {
                    let Some(gradient) = gradient else { continue };
                    rule.apply(p.var.as_tensor(), moments, gradient)?;
                }
                Ok(())
            }
        }
    }

    /// Of a parameter's update of this number.
    fn rule(&self, p: &Parameter, number: u64, rates: UpdateRates) -> AdamRule {
        let decays = self.config.decay_all || p.decays;
        AdamRule {
            betas: self.config.betas,
            epsilon: self.config.epsilon,
            learning_rate: rates.learning_rate,
            keep: 1.0 - if decays { rates.learning_rate * rates.weight_decay } else { 0.0 },
            scale: rates.gradient_scale,
            corrections: self.config.betas.map(|beta| 1.0 - beta.powi(number as i32)),
        }
    }
}
