//! Which parameters of an encoder are trained at which step.

use super::config::{FrozenPart, TuningConfig};
use crate::encoder_part::{TRANSFORMER, is_of_encoder};
use crate::nn::Parameter;
use crate::schedule::ScheduleLength;

/// What of an encoder a step trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EncoderPhase {
    /// All of it.
    Trained,
    /// Tokenizer and positions; gradients pass through the transformer.
    TransformerFrozen,
    /// Nothing: features with the running statistics.
    Frozen,
}

/// When the frozen part of an encoder is thawed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThawPlan {
    frozen: FrozenPart,
    /// Steps before which it is frozen.
    until: u64,
}

impl ThawPlan {
    /// Of a run of `epochs` epochs by its config that was stretched to `length`.
    pub(crate) fn new(config: &TuningConfig, epochs: u64, length: ScheduleLength) -> Self {
        let share = (config.frozen_epochs as f64 / epochs.max(1) as f64).min(1.0);
        let until = (share * length.total() as f64).round() as u64;
        Self { frozen: config.frozen, until }
    }

    /// What the step after `step` steps trains.
    pub(crate) fn phase(&self, step: u64) -> EncoderPhase {
        match self.frozen {
            _ if step >= self.until => EncoderPhase::Trained,
            FrozenPart::Transformer => EncoderPhase::TransformerFrozen,
            FrozenPart::Encoder => EncoderPhase::Frozen,
        }
    }

    /// Whether the step after `step` steps leaves a parameter as it is.
    pub(crate) fn is_frozen(&self, parameter: &Parameter, step: u64) -> bool {
        self.updates(parameter, step + 1) == 0
    }

    /// Updates that a parameter has had after `step` steps.
    pub(crate) fn updates(&self, parameter: &Parameter, step: u64) -> u64 {
        let begins_frozen = match self.frozen {
            FrozenPart::Transformer => parameter.name.starts_with(TRANSFORMER),
            FrozenPart::Encoder => is_of_encoder(&parameter.name),
        };
        if begins_frozen { step.saturating_sub(self.until) } else { step }
    }
}
