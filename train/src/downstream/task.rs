//! What a run that follows pretraining trains: a loss of a batch, and the measure that selects.

use candle_core::Tensor;
use jepa3d_loader::{Batch, EvalConfig, LoaderConfig};

use super::evaluation::EvaluationSource;
use super::thaw::EncoderPhase;
use crate::error::Result;
use crate::nn::ForwardPass;
use crate::trained_samples::TrainedLabels;

/// An encoder with a head.
pub(crate) trait DownstreamModel {
    /// Loss of a batch in training, a scalar.
    ///
    /// # Errors
    /// Fails if a tensor operation does.
    fn loss(&self, batch: &Batch, phase: EncoderPhase, pass: &ForwardPass) -> Result<Tensor>;

    /// The measure that selects the best epoch, from 0 to 1, on a part.
    ///
    /// # Errors
    /// Fails if a shard does.
    fn selection_score(&self, source: &EvaluationSource<'_>) -> Result<f64>;

    /// What the first clouds of a batch are, and what they are taken for.
    ///
    /// # Errors
    /// Fails if a tensor operation does.
    fn show(&self, batch: &Batch, clouds: usize) -> Result<Vec<TrainedLabels>>;

    /// Adds what it needs of samples that are trained on, besides patches.
    fn loader_config(&self, config: LoaderConfig) -> LoaderConfig {
        config
    }

    /// Whether its loss does not depend on a parameter, which then stays as it is.
    fn is_idle(&self, _name: &str) -> bool {
        false
    }

    /// Adds what it needs of samples that are judged, besides patches.
    fn eval_config(&self, config: EvalConfig) -> EvalConfig {
        config
    }
}
