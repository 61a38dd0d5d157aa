//! The stages of a run: first all but the whole head learns; then, of an encoder that stays as it is, the head alone.
//!
//! What the head answers for changes as long as the encoder does; learned beside it, the head lags behind, and every step
//! costs two more passes. Afterwards a step is two forward passes and the backward of two layers.

use std::path::Path;

use crate::config::PretrainConfig;
use crate::encoder_part::WHOLE_HEAD;
use crate::error::{Error, Result};
use crate::nn::Parameter;
use crate::schedule::ScheduleLength;

/// What learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Encoder, predictors and averages.
    Encoder,
    /// The whole head.
    WholeHead,
}

/// Where a step is: the schedules of each stage begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StagePlace {
    pub stage: Stage,
    /// Of the stage.
    pub length: ScheduleLength,
    /// Steps of the stage that are done.
    pub step: u64,
}

/// How long each stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stages {
    encoder: ScheduleLength,
    head: ScheduleLength,
    /// Batches of a step.
    accumulate: u64,
}

impl Stage {
    /// Whether a trained parameter stays as it is in this stage.
    pub(crate) fn freezes(self, p: &Parameter) -> bool {
        is_of_head(&p.name) != (self == Self::WholeHead)
    }
}

impl Stages {
    /// Of a run whose epochs have this many steps.
    pub(crate) fn new(config: &PretrainConfig, steps_per_epoch: u64) -> Self {
        let of = |epochs| ScheduleLength { steps_per_epoch, epochs };
        let accumulate = config.optim.accumulate as u64;
        Self { encoder: of(config.run.epochs), head: of(config.whole.epochs), accumulate }
    }

    /// Steps of the run.
    pub(crate) fn total(self) -> u64 {
        self.encoder.total() + self.head.total()
    }

    /// Steps of an epoch, the same in all.
    pub(crate) fn steps_per_epoch(self) -> u64 {
        self.encoder.steps_per_epoch
    }

    /// Where the step after `step` steps is.
    pub(crate) fn place(self, step: u64) -> StagePlace {
        match step.checked_sub(self.encoder.total()) {
            Some(step) if self.head.epochs > 0 => {
                StagePlace { stage: Stage::WholeHead, length: self.head, step }
            }
            _ => StagePlace { stage: Stage::Encoder, length: self.encoder, step },
        }
    }

    /// What learns from a batch, by its number since the start of the run.
    pub(crate) fn of_batch(self, number: u64) -> Stage {
        self.place(number / self.accumulate).stage
    }

    /// Refuses a checkpoint of `step` steps whose head has not learned yet: its answers mean nothing.
    ///
    /// # Errors
    /// Fails if that is so.
    pub(crate) fn check_head(self, file: &Path, step: u64) -> Result<()> {
        let from = self.encoder.total();
        match self.head.epochs > 0 && step <= from {
            true => Err(Error::Checkpoint {
                path: file.to_owned(),
                expected: format!(
                    "more than {from} steps: the whole head learns after these (or --pool mean-std)"
                ),
                found: step.to_string(),
            }),
            false => Ok(()),
        }
    }

    /// Updates that a trained parameter has had after `step` steps.
    pub(crate) fn updates(self, p: &Parameter, step: u64) -> u64 {
        match is_of_head(&p.name) {
            true => step.saturating_sub(self.encoder.total()),
            false => step.min(self.encoder.total()),
        }
    }
}

fn is_of_head(name: &str) -> bool {
    name.strip_prefix(WHOLE_HEAD).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use jepa3d_schemas::ConfigText;

    use super::*;

    fn stages(epochs: u64, head: u64) -> Stages {
        let toml = "preset = \"a\"\n[model]\nwidth = 2\nheads = 1\n[predictor]\nwidth = 2\nheads = 1\n";
        let text = ConfigText { origin: "a.toml".into(), toml: toml.to_owned() };
        let mut config = PretrainConfig::parse(&text, &[]).unwrap();
        (config.run.epochs, config.whole.epochs) = (epochs, head);
        Stages::new(&config, 10)
    }

    #[test]
    fn the_head_follows_the_encoder_with_a_schedule_of_its_own() {
        let stages = stages(3, 2);
        let at = |step| {
            let place = stages.place(step);
            (place.stage, place.length.total(), place.step)
        };
        assert_eq!(stages.total(), 50);
        assert_eq!((at(0), at(29)), ((Stage::Encoder, 30, 0), (Stage::Encoder, 30, 29)));
        assert_eq!((at(30), at(49)), ((Stage::WholeHead, 20, 0), (Stage::WholeHead, 20, 19)));
        let check = |step| stages.check_head(Path::new("a"), step);
        assert!(check(30).unwrap_err().to_string().contains("more than 30 steps") && check(31).is_ok());
    }

    #[test]
    fn a_run_without_a_head_is_the_encoders_to_its_end() {
        let stages = stages(3, 0);
        assert_eq!((stages.total(), stages.place(29).stage, stages.place(30).stage), {
            (30, Stage::Encoder, Stage::Encoder)
        });
        assert!(stages.check_head(Path::new("a"), 0).is_ok(), "nothing to learn");
        assert!(
            is_of_head("whole_head.0.weight") && !is_of_head("whole_header") && !is_of_head("student.norm")
        );
    }
}
