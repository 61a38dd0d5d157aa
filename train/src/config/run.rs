//! Settings of the run and the monitors.

use serde::{Deserialize, Serialize};

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
    /// Checkpoints that are kept besides `last` and `best`.
    pub keep: usize,
    /// `"f32"` or `"bf16"`: what the factors of matrix products are rounded to. Left out: f32.
    #[serde(skip_serializing_if = "ProductPrecision::is_f32")]
    pub precision: ProductPrecision,
}

impl Default for TrainRunConfig {
    fn default() -> Self {
        let precision = ProductPrecision::F32;
        Self { seed: 1, epochs: 300, max_steps: 0, stop_after: 0, checkpoint_every: 0, keep: 0, precision }
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
