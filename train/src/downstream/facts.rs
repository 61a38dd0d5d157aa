//! What every run that follows pretraining says of itself beside its measures.

use serde::Serialize;

/// How a run was made, and on what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DownstreamFacts {
    /// Preset of the run.
    pub preset: String,
    /// Where the encoder's weights came from.
    pub encoder: String,
    /// Fingerprint of the dataset.
    pub fingerprint: String,
    /// Seed of the run.
    pub seed: u64,
    /// Version of the tool.
    pub tool_version: String,
    /// Which labels were used.
    pub labels: String,
    /// Samples that were trained on.
    pub n_train: usize,
    /// Samples that the best epoch was selected on; 0: none was selected.
    pub n_selection: usize,
    /// Samples that were judged.
    pub n_evaluation: usize,
    /// What was judged, in words.
    pub evaluated: String,
    /// Steps of the run.
    pub steps: u64,
    /// What is worth saying of the parts.
    pub notes: Vec<String>,
}
