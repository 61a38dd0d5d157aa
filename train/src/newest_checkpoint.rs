//! Which checkpoint of a run is the newest, and how old it is.

use std::time::Instant;

use crate::config::TrainRunConfig;

/// The newest checkpoint of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewestCheckpoint {
    /// Its step, written or about to be; `None` before the first.
    pub step: Option<u64>,
    /// When it was made, or the run began.
    at: Instant,
}

impl NewestCheckpoint {
    /// Of a run that begins after `step` steps.
    pub(crate) fn begin(step: u64) -> Self {
        Self { step: (step > 0).then_some(step), at: Instant::now() }
    }

    /// One was made of this step.
    pub(crate) fn replace(&mut self, step: u64) {
        *self = Self { step: Some(step), at: Instant::now() };
    }

    /// Whether another one that is due is to be made (`run.checkpoint_seconds`).
    pub(crate) fn is_old_enough(&self, run: &TrainRunConfig) -> bool {
        run.checkpoint_seconds == 0.0 || self.at.elapsed().as_secs_f64() >= run.checkpoint_seconds
    }
}
