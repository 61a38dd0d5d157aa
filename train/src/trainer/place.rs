//! Where a run is: its stage, its epoch, its end.

use super::Trainer;
use crate::error::Result;
use crate::optim::StepPlace;
use crate::schedule::momentum;
use crate::stages::{Stage, StagePlace};
use crate::step_inputs::InputPlan;

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

    /// How the batch after `nth` others is handed out in the step after `step` others.
    ///
    /// Clouds are shown of a step's first batch, by the first process; none where the head learns, which says nothing of patches.
    pub(super) fn input_plan(&self, step: u64, nth: usize) -> InputPlan {
        let is_shown = nth == 0 && self.is_first() && self.stages.place(step).stage == Stage::Encoder;
        let shown = self.shown.filter(|_| is_shown).map_or(0, |plan| plan.clouds_of_step(step + 1));
        InputPlan { shown, parts: self.group.own() }
    }

    /// How the input is handed out that follows the batch after `nth` others, where it is made ahead, if one follows.
    pub(super) fn plan_ahead(&self, nth: usize) -> Option<InputPlan> {
        let (step, nth) = match nth + 1 == self.config.optim.accumulate {
            true => (self.step + 1, 0),
            false => (self.step, nth + 1),
        };
        (self.works_ahead && step < self.last_step()).then(|| self.input_plan(step, nth))
    }

    /// Steps of the run.
    pub(super) fn last_step(&self) -> u64 {
        let total = self.stages.total();
        match self.config.run.max_steps {
            0 => total,
            most => most.min(total),
        }
    }

    /// Epochs that are done after `step` steps.
    pub(super) fn epoch_after(&self, step: u64) -> f64 {
        step as f64 / self.stages.steps_per_epoch() as f64
    }
}
