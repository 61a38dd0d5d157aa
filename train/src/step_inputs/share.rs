//! Which part of every batch the inputs of one process are made of.

use jepa3d_loader::LoaderConfig;

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
