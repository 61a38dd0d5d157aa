//! Streams a prepared dataset into ready batches, on threads, in an order that is known beforehand.
//!
//! Batch `b` is made by thread `b % threads` and taken from that thread's bounded channel, so batches
//! come in order without sorting, and the batches do not depend on the number of threads. Before its batch a thread
//! decodes row groups that the next batches need and nobody has begun; a row group is decoded once an epoch
//! and dropped after its last batch, or kept for the whole run if the shuffle buffer holds the whole split. Errors
//! travel through the channels; dropping the loader closes them and joins the threads.
//!
//! In memory: the rows of the row groups within half a shuffle buffer of the current place (at most
//! `shuffle_buffer` rows, two row groups and what the next `threads` batches need), and at most
//! `prefetch + 2 threads` batches.

mod batch_maker;
mod epoch_plan;
#[cfg(test)]
mod eval_tests;
mod held_groups;
mod lock;
mod mix_rows;
#[cfg(test)]
mod mix_tests;
#[cfg(test)]
mod patch_tests;
#[cfg(test)]
mod point_tests;
mod row_group;
mod row_group_views;
mod sample_maker;
#[cfg(test)]
mod sensor_tests;
mod stored_groupings;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod view_fixture;
mod view_maker;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use crate::batch::Batch;
use crate::batch_positions::BatchPositions;
use crate::config::{EvalConfig, LoaderConfig};
use crate::dataset::PreparedDataset;
use crate::error::{Error, Result};
use crate::mix::DatasetMix;
use crate::selection::SampleSelection;
use batch_maker::{BatchMaker, RowOrder};
use lock::lock;
use mix_rows::MixRows;

/// Ready batches, endlessly.
pub struct Loader {
    maker: Arc<BatchMaker>,
    channels: Vec<Receiver<Result<Batch, Arc<Error>>>>,
    threads: Vec<JoinHandle<()>>,
    /// Batches taken.
    taken: u64,
    failed: Option<Arc<Error>>,
}

impl Loader {
    /// Starts the threads, at batch `first_batch` of the run; nothing before it is read.
    ///
    /// # Errors
    /// Fails if the config does not fit the dataset, the split does not exist or is smaller than a
    /// batch, a shard of it is missing or broken at its end, or a thread cannot be started.
    pub fn start(dataset: &Arc<PreparedDataset>, config: LoaderConfig, first_batch: u64) -> Result<Self> {
        Self::start_mix(&DatasetMix::from(dataset), config, first_batch)
    }

    /// Starts the threads over several datasets at once, each of which has the split, at batch `first_batch` of the run.
    ///
    /// # Errors
    /// Fails as [`Loader::start`] does for each of them, if they do not go together, or a weight shows no sample.
    pub fn start_mix(mix: &DatasetMix, config: LoaderConfig, first_batch: u64) -> Result<Self> {
        config.check_mix(mix)?;
        let rows = MixRows::find(mix, &[&config.split], &config)?;
        let samples = rows.shown();
        let (rank, world) = (config.rank, config.world);
        let positions = BatchPositions { samples, batch: config.batch, rank, world, drop_last: true };
        positions.check()?;
        let order = RowOrder::Shuffled { first: first_batch };
        Self::spawn(BatchMaker::new(mix, config, rows, positions, order), first_batch)
    }

    fn spawn(maker: BatchMaker, first: u64) -> Result<Self> {
        let maker = Arc::new(maker);
        let threads = maker.config.threads as u64;
        let ahead = maker.config.prefetch.div_ceil(maker.config.threads).max(1);
        let mut loader = Self { maker, channels: Vec::new(), threads: Vec::new(), taken: 0, failed: None };
        for thread in 0..threads {
            let (sender, receiver) = sync_channel(ahead);
            let maker = Arc::clone(&loader.maker);
            let named = std::thread::Builder::new().name(format!("loader {thread}"));
            let handle = named.spawn(move || maker.run(first + thread, threads, &sender));
            loader.threads.push(handle.map_err(|e| Error::Thread { found: e.to_string() })?);
            loader.channels.push(receiver);
        }
        Ok(loader)
    }

    /// Steps of an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.maker.positions.steps_per_epoch()
    }

    /// Samples that an epoch shows.
    pub fn samples(&self) -> usize {
        self.maker.positions.samples
    }

    /// The most rows that were in memory at once so far: what a shuffle buffer costs, for benches and tests.
    pub fn resident_rows(&self) -> usize {
        self.maker.held_rows.most()
    }

    /// The next batch; waits for it if it is not ready.
    ///
    /// # Errors
    /// Fails if a shard is not the one that was prepared or does not decode (the error names it), or
    /// a cloud cannot be grouped; every later call fails alike.
    #[allow(clippy::should_implement_trait, reason = "endless and fallible: no iterator")]
    pub fn next(&mut self) -> Result<Batch> {
        if let Some(error) = &self.failed {
            return Err(Error::Loading(Arc::clone(error)));
        }
        let channel = &self.channels[(self.taken % self.channels.len() as u64) as usize];
        let error = match channel.recv() {
            Ok(Ok(batch)) => {
                self.taken += 1;
                return Ok(batch);
            }
            Ok(Err(error)) => error,
            Err(_) => Arc::new(Error::Thread { found: "it ended".into() }),
        };
        self.failed = Some(Arc::clone(&error));
        Err(Error::Loading(error))
    }

    /// Gives a batch back, so that its memory is used again.
    pub fn recycle(&mut self, batch: Batch) {
        let mut pool = lock(&self.maker.pool);
        if pool.len() < self.maker.config.prefetch + 2 * self.maker.config.threads {
            pool.push(batch);
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // A thread that waits for room in its channel wakes up when the channel closes.
        self.channels.clear();
        for thread in self.threads.drain(..) {
            // A panic was already reported where the batch was missing.
            let _ = thread.join();
        }
    }
}

/// Visits every sample of the splits (of all splits, without names) that `config` wants once, in stored order, with its
/// canonical grouping.
///
/// # Errors
/// Fails as [`Loader::start`] and [`Loader::next`] do, and if `visit` fails.
pub fn for_each_in_order<E: From<Error>>(
    dataset: &Arc<PreparedDataset>,
    splits: &[&str],
    config: &EvalConfig,
    mut visit: impl FnMut(Batch) -> Result<(), E>,
) -> Result<(), E> {
    config.check(dataset)?;
    let (mix, loading) = (DatasetMix::from(dataset), config.loading());
    let rows = MixRows::find(&mix, splits, &loading)?;
    if config.samples.as_ref().is_some_and(SampleSelection::is_empty) {
        return Ok(());
    }
    let samples = rows.shown();
    let positions = BatchPositions { samples, batch: config.batch, rank: 0, world: 1, drop_last: false };
    positions.check()?;
    let maker = BatchMaker::new(&mix, loading, rows, positions, RowOrder::Stored);
    let mut loader = Loader::spawn(maker.evaluate(config), 0)?;
    for _ in 0..loader.maker.end().unwrap_or(0) {
        visit(loader.next()?)?;
    }
    Ok(())
}
