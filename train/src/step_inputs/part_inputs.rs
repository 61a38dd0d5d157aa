//! The inputs of the parts of a batch that one process passes.

use std::time::Instant;

use jepa3d_loader::LoaderConfig;

use super::{ShownRows, StepInput, StepInputs};
use crate::error::Result;

/// Which of how many processes the inputs are for, each of which takes its share of every batch.
#[derive(Clone, Copy)]
pub(crate) struct InputShare {
    pub rank: usize,
    pub world: usize,
}

impl InputShare {
    /// What the loader of this share is asked for.
    pub(super) fn narrow(self, whole: LoaderConfig) -> LoaderConfig {
        LoaderConfig { batch: whole.batch / self.world, rank: self.rank, world: self.world, ..whole }
    }
}

/// The inputs of one forward pass of each part.
pub(crate) struct PartInputs {
    /// One a part, in their order.
    pub inputs: Vec<StepInput>,
    /// Number of the batch since the start of the run, from 0.
    pub batch: u64,
    /// Seconds that the loader was waited for.
    pub waited: f64,
    /// What is known of the rows that are shown, all of the first part.
    pub shown: ShownRows,
}

impl StepInputs {
    /// Waits for this process's share of the next batch, in `count` parts, of which masks are drawn and cut each alone; the first
    /// `shown` rows of the first are described.
    ///
    /// # Errors
    /// Fails as [`StepInputs::next`] does.
    pub(crate) fn next_parts(&mut self, shown: usize, count: usize) -> Result<PartInputs> {
        let start = Instant::now();
        let batch = self.loader.next()?;
        let waited = start.elapsed().as_secs_f64();
        let parts = batch.cut(count);
        let shown = self.describe_rows(&parts[0], shown.min(parts[0].rows))?;
        let inputs = parts.iter().map(|part| self.make(part)).collect::<Result<_>>()?;
        let number = batch.number;
        self.loader.recycle(batch);
        Ok(PartInputs { inputs, batch: number, waited, shown })
    }
}
