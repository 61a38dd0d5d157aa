//! What a run that follows pretraining is asked for.

use std::path::PathBuf;
use std::sync::Arc;

use jepa3d_loader::PreparedDataset;

use super::config::DownstreamConfig;
use super::encoder_weights::EncoderWeights;
use super::episode::EpisodeSamples;
use crate::trained_samples::SamplePlan;

/// What a run that follows pretraining is asked for.
pub struct DownstreamRequest {
    /// The resolved config.
    pub config: DownstreamConfig,
    /// The encoder; several runs may share it.
    pub encoder: Arc<EncoderWeights>,
    /// Only the samples of a few-shot episode, whatever the config says of labels; none: as the config says.
    pub episode: Option<EpisodeSamples>,
    /// The prepared dataset; several runs may share it, and then hash its shards once.
    pub dataset: Arc<PreparedDataset>,
    /// The run folder.
    pub out: PathBuf,
    /// Continue the run in `out`, if there is one.
    pub resume: bool,
    /// Where tensors live: `cpu`, or `cuda:N` in a build with the feature `cuda`.
    pub device: String,
    /// Clouds that are handed out as [`Event::Samples`](crate::Event::Samples); they change nothing that is computed.
    pub shown: Option<SamplePlan>,
}
