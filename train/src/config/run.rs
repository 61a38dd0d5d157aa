//! Settings of the run and the monitors.

use serde::{Deserialize, Serialize};

use super::range::{BoundedCount, out_of_range};
use crate::error::Result;

/// What the factors of matrix products are rounded to in training; parameters, sums, norms, losses and the optimiser are `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProductPrecision {
    /// Nothing is rounded.
    #[default]
    F32,
    /// Factors of transformer blocks and of the tokenizer.
    Bf16,
}

impl ProductPrecision {
    /// Whether it is the default, which configs leave out.
    pub(crate) fn is_f32(&self) -> bool {
        *self == Self::F32
    }
}

/// Seed, length and checkpoints of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainRunConfig {
    /// Of every random draw: initial weights, order, augmentation, masks, dropout.
    pub seed: u64,
    /// Epochs of the schedules and of the run.
    pub epochs: u64,
    /// Ends the run after this many steps (0: at the end of the last epoch); the schedules keep their length.
    pub max_steps: u64,
    /// This invocation writes a checkpoint and exits after so many steps of its own (0: never).
    pub stop_after: u64,
    /// Steps between checkpoints (0: one an epoch).
    pub checkpoint_every: u64,
    /// A checkpoint is put off to the next one that is due while the newest is younger than so many seconds (0: never), which is
    /// for runs whose epochs take seconds and whose checkpoints are large. What is trained does not depend on it.
    #[serde(skip_serializing_if = "super::range::is_nothing")]
    pub checkpoint_seconds: f64,
    /// Checkpoints that are kept besides `last` and `best`.
    pub keep: usize,
    /// `"f32"` or `"bf16"`: what the factors of matrix products are rounded to. Left out: f32.
    #[serde(skip_serializing_if = "ProductPrecision::is_f32")]
    pub precision: ProductPrecision,
}

impl TrainRunConfig {
    /// Checks the numbers that no other setting decides about.
    ///
    /// # Errors
    /// Fails if one is out of range; the error names it.
    pub(crate) fn check(&self) -> Result<()> {
        BoundedCount::new("run.epochs", self.epochs as usize, 1, 1 << 20).check()?;
        let seconds = self.checkpoint_seconds;
        match seconds.is_finite() && seconds >= 0.0 {
            true => Ok(()),
            false => Err(out_of_range("run.checkpoint_seconds", "a finite number of at least 0", seconds)),
        }
    }
}

impl Default for TrainRunConfig {
    fn default() -> Self {
        let precision = ProductPrecision::F32;
        Self {
            seed: 1,
            epochs: 300,
            max_steps: 0,
            stop_after: 0,
            checkpoint_every: 0,
            checkpoint_seconds: 0.0,
            keep: 0,
            precision,
        }
    }
}

/// Logging, the online probe and alarms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MonitorConfig {
    /// Steps between printed lines.
    pub print_every: u64,
    /// Epochs between online probes (0: never). The first is before step 1, the last at the end.
    pub probe_every: u64,
    /// Samples of the fixed subset that rank and position shares are measured on.
    pub subset: usize,
    /// Alarm: standard deviation of predictions below this.
    pub min_pred_std: f64,
    /// Alarm: standard deviation of targets below this.
    pub min_target_std: f64,
    /// Alarm: effective rank below this share of the width.
    pub min_rank: f64,
    /// Alarm: what position does not explain of the targets' variance falls below this share of what it was
    /// before step 1.
    pub min_beyond_position: f64,
    /// Alarm: share of the encoder output's variance that lies between clouds above this.
    pub max_cloud: f64,
    /// Alarms in a row that make a report.
    pub patience: u32,
    /// A reported collapse ends the run with exit code 1.
    pub abort_on_collapse: bool,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            print_every: 10,
            probe_every: 10,
            subset: 512,
            min_pred_std: 0.01,
            min_target_std: 0.1,
            min_rank: 0.05,
            min_beyond_position: 0.5,
            max_cloud: 0.7,
            patience: 3,
            abort_on_collapse: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_no_negative_time_old() {
        for (seconds, is_right) in [(0.0, true), (60.0, true), (-1.0, false), (f64::NAN, false)] {
            let found = TrainRunConfig { checkpoint_seconds: seconds, ..TrainRunConfig::default() }.check();
            assert_eq!(found.is_ok(), is_right, "{seconds}");
        }
        let wrong = TrainRunConfig { checkpoint_seconds: -1.0, ..TrainRunConfig::default() }.check();
        let want = "run.checkpoint_seconds: expected a finite number of at least 0, found -1";
        assert!(wrong.unwrap_err().to_string().contains(want));
    }
}
