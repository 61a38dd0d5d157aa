//! The record of a run: scalars of each step as JSON lines and TensorBoard events.
//!
//! `metrics.jsonl` is the record: on resume it is cut back to the checkpoint's step, so the file
//! of a run that was killed and resumed equals that of one that was not (timings aside). The event
//! files are for watching; each start adds one, as TensorBoard expects.

mod crc32c;
mod jsonl;
mod line;
mod record;
mod tensorboard;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::error::Result;

pub use line::Logged;
pub use record::{METRICS_FILE, read_metrics};

/// The scalars of one step.
///
/// Names are paths like `loss`, `lr`, `tau`, `grad_norm`, `pred_std`, `target_std`, `r2`, `rank`,
/// `samples_per_s`, `data_ms`, `step_ms`, `probe/knn20`, `probe/labels20`, `position/target`;
/// `random/knn20` is what the same probe gives for random weights. Accuracies and shares are
/// fractions of 1. `step`, `epoch` and `not_finite` are taken by the record itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalars {
    /// Optimiser steps done.
    pub step: u64,
    /// Epochs done, with their fraction.
    pub epoch: f64,
    /// Names and values, in the order in which they are written.
    pub values: Vec<(&'static str, f64)>,
}

/// Writes the scalars of a run to `metrics.jsonl` and to a TensorBoard event file.
#[derive(Debug)]
pub struct MetricsWriter {
    lines: jsonl::JsonLines,
    events: tensorboard::EventFile,
}

impl MetricsWriter {
    /// Opens the record in the run folder `run`, which must exist.
    ///
    /// With `resume_after`, the step of the checkpoint that the run continues from, lines of later
    /// steps and a line torn by a kill are cut off; `None` starts an empty record. Damaged lines are left out, with a
    /// warning, and the file as it was is kept beside.
    ///
    /// # Errors
    /// Fails if a file cannot be read or written.
    pub fn open(run: &Path, resume_after: Option<u64>) -> Result<Self> {
        let lines = jsonl::JsonLines::open(run, resume_after)?;
        let first_step = resume_after.map_or(0, |step| step + 1);
        Ok(Self { lines, events: tensorboard::EventFile::create(run, first_step)? })
    }

    /// Writes the scalars of a step; both files hold them when this returns.
    ///
    /// A value that is not finite is `null` in the JSON line and named with its kind in the line's
    /// `not_finite` object (`{"loss":"NaN"}`); the event file holds it as it is.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn write(&mut self, scalars: &Scalars) -> Result<()> {
        self.lines.write(scalars)?;
        self.events.write(scalars)
    }

    /// Waits until the disk holds everything; to be called before a checkpoint is written, so that
    /// the record reaches at least as far as the checkpoint even after a power cut.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn flush(&mut self) -> Result<()> {
        self.lines.sync()?;
        self.events.sync()
    }
}
