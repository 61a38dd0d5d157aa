//! What one training step leaves in the record of a run.

use crate::metrics::Scalars;
use crate::monitor::StepMeasures;
use crate::trained_samples::TrainedSamples;

/// One step.
#[derive(Clone, Debug)]
pub(crate) struct StepRecord {
    /// Optimiser steps done, this one included.
    pub step: u64,
    /// Epochs done, with their fraction.
    pub epoch: f64,
    /// Mean over the accumulated batches.
    pub loss: f64,
    pub measures: StepMeasures,
    pub learning_rate: f64,
    /// Momentum of the target encoder.
    pub momentum: f64,
    /// L2 norm of all gradients before clipping.
    pub gradient_norm: f64,
    /// Samples of all accumulated batches.
    pub samples: usize,
    /// Seconds that the step waited for the loader.
    pub waited: f64,
    /// Seconds of the whole step.
    pub seconds: f64,
    /// Clouds to be shown.
    pub shown: Option<Box<TrainedSamples>>,
}

impl StepRecord {
    /// As it is logged, in this order.
    pub(crate) fn scalars(&self) -> Scalars {
        let mut values = vec![("loss", self.loss)];
        values.extend(&self.measures.terms);
        values.extend([
            ("lr", self.learning_rate),
            ("tau", self.momentum),
            ("grad_norm", self.gradient_norm),
            ("pred_std", self.measures.pred_std),
            ("target_std", self.measures.target_std),
            ("r2", self.measures.r2),
            ("samples_per_s", self.samples as f64 / self.seconds),
            ("data_ms", self.waited * 1e3),
            ("step_ms", self.seconds * 1e3),
        ]);
        Scalars { step: self.step, epoch: self.epoch, values }
    }
}
