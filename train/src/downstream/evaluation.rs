//! How a part of a set is read to be judged.

use std::sync::Arc;

use jepa3d_loader::{Batch, EvalConfig, FreshStart, PreparedDataset, for_each_in_order};

use super::sample_parts::SamplePart;
use crate::config::DataConfig;
use crate::error::{Error, Result};

/// A part of a set, as it is read: stored groups, or fresh ones of one vote.
pub(crate) struct EvaluationSource<'a> {
    dataset: &'a Arc<PreparedDataset>,
    split: &'a str,
    config: EvalConfig,
}

impl<'a> EvaluationSource<'a> {
    /// With the canonical stored groups.
    pub(crate) fn new(dataset: &'a Arc<PreparedDataset>, part: &'a SamplePart, data: &DataConfig) -> Self {
        let config = EvalConfig { samples: Some(part.selection()), ..data.eval_config(dataset) };
        Self { dataset, split: &part.split, config }
    }

    /// With groups from a random start.
    pub(crate) fn vote(mut self, fresh: FreshStart) -> Self {
        self.config.regroup = Some(fresh);
        self
    }

    /// Changes how it is read.
    pub(crate) fn map(mut self, change: impl FnOnce(EvalConfig) -> EvalConfig) -> Self {
        self.config = change(self.config);
        self
    }

    /// Visits its batches in stored order.
    ///
    /// # Errors
    /// Fails if a shard does, or `visit`.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Batch) -> Result<()>) -> Result<()> {
        for_each_in_order::<Error>(self.dataset, &[self.split], &self.config, |batch| visit(&batch))
    }
}
