//! Random draws about one sample in one epoch: every stream is a function of (seed, sample, epoch, purpose).

use jepa3d_schemas::Draws;

/// What all draws about a sample in an epoch derive from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SampleKey<'a> {
    /// Seed of the run.
    pub seed: u64,
    /// The sample's id; where an epoch shows it again, with the number of the time.
    pub id: &'a str,
    /// From 0.
    pub epoch: u64,
}

impl SampleKey<'_> {
    /// The stream of one purpose; those of different purposes are independent.
    pub fn draws(&self, purpose: &str) -> Draws {
        Draws::new(self.seed, self.id, &format!("epoch {} {purpose}", self.epoch))
    }

    /// Chooses one of `count` stored groupings.
    pub fn choose_grouping(&self, count: usize) -> usize {
        self.draws("grouping").index(count)
    }

    /// Chooses one of the `count` views of the sample; `None` if it has none.
    pub fn choose_view(&self, count: usize) -> Option<usize> {
        (count > 0).then(|| self.draws("view").index(count))
    }
}
