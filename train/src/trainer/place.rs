//! Where a run is: its stage, its epoch, its end.

use super::Trainer;
use crate::error::Result;
use crate::optim::StepPlace;
use crate::schedule::momentum;
use crate::stages::{Stage, StagePlace};

impl Trainer {
    /// Of the next step.
    pub(super) fn place(&self) -> StagePlace {
        self.stages.place(self.step)
    }

    /// Of the next update, of a step with this loss.
    pub(super) fn step_place(&self, loss: f64) -> StepPlace {
        let StagePlace { stage, length, step } = self.place();
        let (warms_up, done, saved) = (stage == Stage::Encoder, self.step, self.newest.step);
        StepPlace { length, warms_up, step, done, loss, saved }
    }

    /// Moves the target encoder after this step's update, as long as all of the encoder learns; tells by which momentum.
    pub(super) fn move_average(&mut self) -> Result<f64> {
        let StagePlace { stage, length, step } = self.place();
        let momentum = match (stage, self.stages.place(self.step + 1).stage) {
            (Stage::WholeHead { .. }, _) => return Ok(1.0),
            // The encoder as it is now will teach its blocks when they learn with the head: the target becomes a copy.
            (Stage::Encoder, Stage::WholeHead { blocks: true }) => 0.0,
            (Stage::Encoder, _) => momentum(&self.config.ema, length, step),
        };
        self.average.update(&self.parameters, momentum)?;
        Ok(momentum)
    }

    /// Clouds of the step's first batch that are handed out; none where the head learns, which says nothing of patches.
    pub(super) fn shown_clouds(&self, is_first: bool) -> usize {
        let is_shown = is_first && self.place().stage == Stage::Encoder;
        self.shown.filter(|_| is_shown).map_or(0, |plan| plan.clouds_of_step(self.step + 1))
    }

    /// Steps of the run.
    pub(super) fn last_step(&self) -> u64 {
        let total = self.stages.total();
        match self.config.run.max_steps {
            0 => total,
            most => most.min(total),
        }
    }

    /// Epochs that are done.
    pub(super) fn epoch(&self) -> f64 {
        self.step as f64 / self.stages.steps_per_epoch() as f64
    }
}
