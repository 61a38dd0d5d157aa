//! The stages of a run: first all but the whole head learns; then the head, of an encoder that stays as it is or whose blocks
//! learn with it.
//!
//! What the head answers for changes as long as the encoder does; learned beside it, the head lags behind, and every step
//! costs two more passes. Afterwards a step is two forward passes and the backward of two layers. Blocks that learn then answer
//! for the features that the encoder had when the stage began: these do not change.

use std::path::Path;

use crate::config::PretrainConfig;
use crate::encoder_part::{PRETRAINED_TRANSFORMER, WHOLE_HEAD};
use crate::error::{Error, Result};
use crate::nn::Parameter;
use crate::schedule::ScheduleLength;

/// What learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Encoder, predictors and averages.
    Encoder,
    /// The whole head, and the blocks of the encoder where they learn with it.
    WholeHead { blocks: bool },
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
    /// Whether the blocks of the encoder learn with the head.
    blocks: bool,
}

impl Stage {
    /// Whether a trained parameter stays as it is in this stage.
    pub(crate) fn freezes(self, p: &Parameter) -> bool {
        match self {
            Self::Encoder => is_of_head(&p.name),
            Self::WholeHead { blocks } => !(is_of_head(&p.name) || blocks && is_of_blocks(&p.name)),
        }
    }

    /// The share of the learning rate at which a parameter learns in this stage, if it does.
    pub(crate) fn rate_of(self, p: &Parameter, blocks_rate: f64) -> f64 {
        match self {
            Self::WholeHead { .. } if !is_of_head(&p.name) => blocks_rate,
            _ => 1.0,
        }
    }
}

impl Stages {
    /// Of a run whose epochs have this many steps.
    pub(crate) fn new(config: &PretrainConfig, steps_per_epoch: u64) -> Self {
        let of = |epochs| ScheduleLength { steps_per_epoch, epochs };
        let accumulate = config.optim.accumulate as u64;
        Self {
            encoder: of(config.run.epochs),
            head: of(config.whole.epochs),
            accumulate,
            blocks: config.whole.teaches_blocks(),
        }
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
                StagePlace { stage: Stage::WholeHead { blocks: self.blocks }, length: self.head, step }
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
        let of_encoder = step.min(self.encoder.total());
        let of_head = step - of_encoder;
        let learns = |stage: Stage, steps| if stage.freezes(p) { 0 } else { steps };
        learns(Stage::Encoder, of_encoder) + learns(Stage::WholeHead { blocks: self.blocks }, of_head)
    }
}

/// Whether a parameter in pretraining is one of the encoder's blocks or their final norm.
fn is_of_blocks(name: &str) -> bool {
    name.starts_with(PRETRAINED_TRANSFORMER)
}

/// Whether a parameter is the whole head's.
fn is_of_head(name: &str) -> bool {
    name.strip_prefix(WHOLE_HEAD).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use jepa3d_schemas::ConfigText;

    use super::*;
    use crate::nn::{ParameterKind, ParameterStore};

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
        let head = Stage::WholeHead { blocks: false };
        assert_eq!((at(30), at(49)), ((head, 20, 0), (head, 20, 19)));
        let check = |step| stages.check_head(Path::new("a"), step);
        assert!(check(30).unwrap_err().to_string().contains("more than 30 steps") && check(31).is_ok());
    }

    #[test]
    fn blocks_that_learn_with_the_head_count_its_steps_too() {
        let mut stages = stages(3, 2);
        let store = ParameterStore::new(1, &Device::Cpu);
        let kind = ParameterKind::Token { std: 1.0 };
        for name in ["student.norm", "tokenizer.a", "whole_head.0"] {
            store.builder().get_with_hints(1, name, kind).unwrap();
        }
        let parameters = store.into_parameters();
        let updates = |stages: Stages, step| -> Vec<u64> {
            parameters.trained().map(|p| stages.updates(p, step)).collect()
        };
        assert_eq!((updates(stages, 20), updates(stages, 45)), (vec![20, 20, 0], vec![30, 30, 15]));
        stages.blocks = true;
        assert_eq!((updates(stages, 20), updates(stages, 45)), (vec![20, 20, 0], vec![45, 30, 15]));
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
