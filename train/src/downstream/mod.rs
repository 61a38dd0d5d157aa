//! What follows pretraining: an encoder with a head, trained on labels, and judged once.

mod classifier;
mod config;
mod encoder_weights;
mod episode;
mod evaluation;
mod facts;
mod finetune;
mod label_budget;
mod request;
mod run;
mod sample_parts;
mod segment;
mod segment_config;
mod segment_examples;
mod segment_scores;
#[cfg(test)]
mod segment_tests;
mod segmenter;
mod start;
mod state;
mod task;
#[cfg(test)]
mod tests;
mod thaw;
mod trainer;

pub(crate) use classifier::Classifier;
pub use config::{
    DownstreamConfig, FrozenPart, HeadConfig, LabelConfig, LengthConfig, TuningConfig, VoteConfig,
};
pub use encoder_weights::{EncoderSource, EncoderWeights};
pub use episode::EpisodeSamples;
pub use facts::DownstreamFacts;
pub use finetune::{FinetuneResult, FinetuneScores, Finetuner, VoteScores};
pub use label_budget::LabelBudget;
pub use request::DownstreamRequest;
pub use run::DownstreamRun;
pub use segment::{SegmentLook, SegmentResult, SegmentRun};
pub use segment_config::{JudgedPoints, SegmentConfig, SegmentHead};
pub use segment_examples::SegmentExample;
pub use segment_scores::SegmentScores;
pub(crate) use task::DownstreamModel;
pub(crate) use thaw::EncoderPhase;
