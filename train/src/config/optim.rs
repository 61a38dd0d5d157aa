//! Settings of the optimiser, its schedules and the target encoder.

use serde::{Deserialize, Serialize};

use super::range::{check_rates, out_of_range};
use crate::error::Result;

/// AdamW and its schedules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimConfig {
    /// Samples of a step.
    pub batch: usize,
    /// Batches whose gradients are averaged into a step (batch norm sees each alone).
    pub accumulate: usize,
    /// Learning rate at the end of the warm-up.
    pub lr: f64,
    /// Learning rate of the first step.
    pub lr_start: f64,
    /// Learning rate at the end.
    pub lr_end: f64,
    /// Epochs of linear warm-up.
    pub warmup_epochs: f64,
    /// The learning rate changes at epochs only (the official recipe) or at every step.
    pub lr_per_epoch: bool,
    /// Decoupled weight decay at the start.
    pub weight_decay: f64,
    /// Weight decay at the end (cosine); negative: as at the start.
    pub weight_decay_end: f64,
    /// Weight decay of biases, norms and tokens too (the official recipe).
    pub decay_all: bool,
    /// Decay rates of the moments.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Largest norm of all gradients together; 0: no clipping.
    pub clip: f64,
}

impl Default for OptimConfig {
    fn default() -> Self {
        Self {
            batch: 128,
            accumulate: 1,
            lr: 1e-3,
            lr_start: 1e-6,
            lr_end: 1e-6,
            warmup_epochs: 10.0,
            lr_per_epoch: false,
            weight_decay: 0.05,
            weight_decay_end: -1.0,
            decay_all: false,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            clip: 0.0,
        }
    }
}

/// Checks the decay rates of the moments.
///
/// # Errors
/// Fails if one is out of range.
pub(crate) fn check_optim_rates(o: &OptimConfig) -> Result<()> {
    check_rates(&o.betas.map(|beta| ("optim.betas", beta)))
}

/// Checks rates of learning, decay and clipping.
///
/// # Errors
/// Fails if one is out of range.
pub(crate) fn check_amounts(o: &OptimConfig) -> Result<()> {
    for (key, found) in [
        ("optim.lr_start", o.lr_start),
        ("optim.lr_end", o.lr_end),
        ("optim.warmup_epochs", o.warmup_epochs),
        ("optim.weight_decay", o.weight_decay),
        ("optim.epsilon", o.epsilon),
        ("optim.clip", o.clip),
    ] {
        if !(found.is_finite() && found >= 0.0) {
            return Err(out_of_range(key, "a finite number of at least 0", found));
        }
    }
    match o.lr.is_finite() && o.lr > 0.0 {
        true => Ok(()),
        false => Err(out_of_range("optim.lr", "a positive number", o.lr)),
    }
}

/// How the momentum of the target encoder grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmaShape {
    /// Updates 1 and 2 copy, then linear from `start` to `end` (the official recipe).
    OfficialLinear,
    /// Linear.
    Linear,
    /// Half a cosine.
    Cosine,
}

/// Momentum of the target encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmaConfig {
    /// How it grows.
    pub shape: EmaShape,
    /// At the first update.
    pub start: f64,
    /// At the last.
    pub end: f64,
}

impl Default for EmaConfig {
    fn default() -> Self {
        Self { shape: EmaShape::OfficialLinear, start: 0.9995, end: 0.99999 }
    }
}
