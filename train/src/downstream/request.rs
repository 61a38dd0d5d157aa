//! What a run that follows pretraining is asked for.

use std::path::PathBuf;

use super::config::DownstreamConfig;
use super::encoder_weights::EncoderSource;
use super::episode::EpisodeSamples;
use crate::trained_samples::SamplePlan;

/// What a run that follows pretraining is asked for.
pub struct DownstreamRequest {
    /// The resolved config.
    pub config: DownstreamConfig,
    /// Where the encoder comes from.
    pub encoder: EncoderSource,
    /// Only the samples of a few-shot episode, whatever the config says of labels; none: as the config says.
    pub episode: Option<EpisodeSamples>,
    /// Folder of the prepared dataset.
    pub data: PathBuf,
    /// The run folder.
    pub out: PathBuf,
    /// Continue the run in `out`, if there is one.
    pub resume: bool,
    /// Clouds that are handed out as [`Event::Samples`](crate::Event::Samples); they change nothing that is computed.
    pub shown: Option<SamplePlan>,
    /// Where tensors live: `cpu`, or `cuda:N` in a build with the feature `cuda`.
    pub device: String,
}
