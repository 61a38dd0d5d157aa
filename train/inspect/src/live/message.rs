//! What training hands to a recording that grows.

use std::path::PathBuf;

use jepa3d_schemas::UpAxis;
use jepa3d_train::{Scalars, TrainedSamples};

/// What a recording says once.
#[derive(Clone, Debug)]
pub struct LiveFacts {
    /// What is run: `pretrain`.
    pub kind: &'static str,
    /// The name of the run.
    pub name: String,
    /// The resolved config, as TOML.
    pub config: String,
    /// What tells the run from others: parts of one run, recorded one after the other, are shown as one.
    pub identity: String,
    /// The prepared dataset, for the views of clouds.
    pub data: PathBuf,
    /// Whether all clouds are of that dataset: then their views are found there by the names of the samples.
    pub is_one_set: bool,
    /// Up in the clouds that are trained on; none: as they are stored.
    pub up_axis: Option<UpAxis>,
}

/// One thing to be recorded.
pub(crate) enum LiveMessage {
    /// A record.
    Scalars(Scalars),
    /// Clouds of a step.
    Samples(Box<TrainedSamples>),
}
