//! What a run is asked for, what it reports on the way, and how it ends.

use std::path::PathBuf;

use jepa3d_loader::DataShare;

use crate::config::PretrainConfig;
use crate::metrics::Scalars;
use crate::trained_samples::{SamplePlan, TrainedSamples};

/// What a pretraining run is asked for.
pub struct PretrainRequest {
    /// The resolved config.
    pub config: PretrainConfig,
    /// Folders of prepared datasets and how much of each an epoch shows; at least one. Online monitors look at the first that
    /// has classes.
    pub data: Vec<DataShare>,
    /// The run folder.
    pub out: PathBuf,
    /// Continue the run in `out`, if there is one.
    pub resume: bool,
    /// Where tensors live: `cpu`, or `cuda:N` in a build with the feature `cuda`.
    pub device: String,
    /// Whether the CPU may take products in bf16 with ordinary instructions, where the config asks for bf16.
    pub emulates_bf16: bool,
    /// Clouds that are handed out as [`Event::Samples`]; they change nothing that is computed.
    pub shown: Option<SamplePlan>,
}

/// What the loop reports while it runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The run begins, or continues after `step`.
    Begin {
        /// Parameters that are trained.
        parameters: usize,
        /// Samples of the split.
        samples: u64,
        /// Steps of an epoch.
        steps_per_epoch: u64,
        /// Steps done before.
        step: u64,
        /// Steps of the whole run.
        steps: u64,
    },
    /// How batches are made and what runs where.
    Header(String),
    /// What a step left in the record, every `monitor.print_every` steps.
    Step(Scalars),
    /// What a step left in the record, every step.
    Record(Scalars),
    /// Clouds of a step, where they are asked for.
    Samples(Box<TrainedSamples>),
    /// What an evaluation left in the record: effective rank, kNN-20 and few-label accuracy.
    Probe(Scalars),
    /// A monitor has raised an alarm.
    Alarm(String),
    /// A checkpoint was written after this step.
    Checkpoint(u64),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// All steps are done.
    Done,
    /// Asked to stop; the checkpoint can be resumed.
    Stopped,
    /// A collapse was reported and the config says to stop then.
    Collapsed,
}
