//! What runs that follow pretraining have in common to whoever starts them.

use std::sync::atomic::AtomicBool;

use super::request::DownstreamRequest;
use crate::error::Result;
use crate::request::{Event, RunOutcome};

/// A run that follows pretraining: classification or segmentation.
pub trait DownstreamRun: Sized {
    /// What it finds.
    type Found;

    /// Starts a run, or continues one.
    ///
    /// # Errors
    /// Fails if the dataset, its labels, the encoder, the run folder or the checkpoint does not allow it.
    fn new(request: DownstreamRequest) -> Result<Self>;

    /// What is worth saying of the parts, a line each.
    fn notes(&self) -> &[String];

    /// Runs to the end, or until `stop` is set.
    ///
    /// # Errors
    /// Fails if a shard or the disk does, or a number is not finite.
    fn run(&mut self, stop: &AtomicBool, report: &mut dyn FnMut(Event)) -> Result<RunOutcome>;

    /// Judges a run that is done: the last step, and the selected one.
    ///
    /// # Errors
    /// Fails if a shard or a checkpoint does.
    fn judge(self) -> Result<Self::Found>;
}
