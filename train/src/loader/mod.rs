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

mod crop;
mod feed;
#[cfg(test)]
pub(crate) mod fixture;
mod plan;
mod regroup;
mod row;
mod row_group;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_patches;
mod view_rows;

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

pub use crate::augment::{PatchesFrom, Subset};

use jepa3d_grouping::CellEdge;
use jepa3d_schemas::UpAxis;

use crate::augment::Augment;
pub use crate::batch::Batch;
use crate::config::{HybridConfig, out_of_range};
use crate::dataset::PreparedDataset;
use crate::epoch_order::{EpochOrder, Schedule};
use crate::error::{Error, Result};
use crate::teacher::background;
use feed::{Feed, Order};
use plan::{Plans, Resident, Slots};
pub(crate) use regroup::Regrouper;

/// What is loaded, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderConfig {
    /// The split. Default `train`.
    pub split: String,
    /// Samples of a batch (on each rank). Default 128.
    pub batch: usize,
    /// Threads that decode and gather; the batches do not depend on it. Default 1.
    pub threads: usize,
    /// Stored groupings or fresh ones. Default stored.
    pub patches_from: PatchesFrom,
    /// Points `N` of a fresh grouping; stored ones have their own. Default 1024.
    pub points: usize,
    /// Which points those are. Default the farthest.
    pub subset: Subset,
    /// Times that an epoch shows every sample. Default 1.
    pub repeat: usize,
    /// What of one view of every sample is loaded. Default none.
    pub views: Option<HybridConfig>,
    /// Centers `G`: with stored groupings the first of their centers, at most as many as stored. Default 64.
    pub groups: usize,
    /// Points `K` of a patch: with stored groupings the nearest ones, at most as many as stored. Default 32.
    pub group_size: usize,
    /// Samples of the shuffle buffer; if it holds the whole split, the order is a perfect permutation and
    /// everything is decoded once and kept. Default 8192.
    pub shuffle_buffer: usize,
    /// How samples are changed. Default not at all.
    pub augment: Augment,
    /// Clouds are turned so that this axis is up. Default as they are stored.
    pub up_axis: Option<UpAxis>,
    /// Seed of order, groupings and augmentation. Default 0.
    pub seed: u64,
    /// Batches made ahead, over all threads. Default 4.
    pub prefetch: usize,
    /// This rank, below `world`: it takes its part of each step (see [`Schedule`]). Default 0.
    pub rank: usize,
    /// Ranks. Default 1.
    pub world: usize,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            split: "train".into(),
            batch: 128,
            threads: 1,
            patches_from: PatchesFrom::Shard,
            points: 1024,
            subset: Subset::Farthest,
            repeat: 1,
            views: None,
            groups: 64,
            group_size: 32,
            shuffle_buffer: 8192,
            augment: Augment::default(),
            up_axis: None,
            seed: 0,
            prefetch: 4,
            rank: 0,
            world: 1,
        }
    }
}

impl LoaderConfig {
    /// Checks what does not need a look at the shards.
    ///
    /// # Errors
    /// Fails if a number is 0 that must not be, the augmentation is not legal, or the dataset's stored
    /// groupings are smaller than what is asked for.
    pub fn check(&self, dataset: &PreparedDataset) -> Result<()> {
        let positive = [
            ("data.threads", self.threads),
            ("data.groups", self.groups),
            ("data.group_size", self.group_size),
            ("data.points", self.points),
            ("data.repeat", self.repeat),
        ];
        if let Some((key, _)) = positive.into_iter().find(|&(_, value)| value == 0) {
            return Err(out_of_range(key, "at least 1", 0));
        }
        self.augment.check(self.patches_from)?;
        let shape = dataset.shape();
        let is_stored = self.patches_from == PatchesFrom::Shard;
        if is_stored && (self.groups > shape.G || self.group_size > shape.K || shape.R == 0) {
            let expected = format!("at most the stored {} x {} of R = {}", shape.G, shape.K, shape.R);
            let found = format!("{} x {}", self.groups, self.group_size);
            return Err(out_of_range("data.groups x data.group_size", expected, found));
        }
        if !is_stored && dataset.cell_edge().is_some() {
            let expected = "\"shard\" for voxel blocks";
            return Err(out_of_range("data.patches_from", expected, "online"));
        }
        if is_stored && self.subset == Subset::Crop {
            let expected = "\"online\" with data.subset = \"crop\": stored groupings are of whole clouds";
            return Err(out_of_range("data.patches_from", expected, "shard"));
        }
        if self.views.is_some() && dataset.manifest().views.is_none() {
            return Err(Error::NoViews { folder: dataset.folder().to_owned() });
        }
        if self.views.is_some() && matches!(dataset.cell_edge(), Some(CellEdge::Fixed(_))) {
            let expected = "patches, or voxel blocks as many in every sample (groups.voxel_edge = \"auto\")";
            return Err(out_of_range("method = \"hybrid\"", expected, "blocks of a fixed edge"));
        }
        Ok(())
    }
}

/// Ready batches, endlessly.
pub struct Loader {
    feed: Arc<Feed>,
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
        config.check(dataset)?;
        let row_groups = dataset.row_groups(&[&config.split])?;
        let samples = config.repeat * row_groups.iter().map(|group| group.rows).sum::<usize>();
        let (rank, world) = (config.rank, config.world);
        let schedule = Schedule { samples, batch: config.batch, rank, world, drop_last: true };
        schedule.check()?;
        let feed = feed(dataset, config, row_groups, schedule, Order::Shuffled { first: first_batch });
        Self::spawn(feed, first_batch)
    }

    fn spawn(feed: Feed, first: u64) -> Result<Self> {
        let feed = Arc::new(feed);
        let threads = feed.config.threads as u64;
        let ahead = feed.config.prefetch.div_ceil(feed.config.threads).max(1);
        let mut loader = Self { feed, channels: Vec::new(), threads: Vec::new(), taken: 0, failed: None };
        for thread in 0..threads {
            let (sender, receiver) = sync_channel(ahead);
            let feed = Arc::clone(&loader.feed);
            let named = std::thread::Builder::new().name(format!("loader {thread}"));
            let handle = named.spawn(move || feed.run(first + thread, threads, &sender));
            loader.threads.push(handle.map_err(|e| Error::Thread { found: e.to_string() })?);
            loader.channels.push(receiver);
        }
        Ok(loader)
    }

    /// Steps of an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.feed.schedule.steps_per_epoch()
    }

    /// Samples of the split.
    pub fn samples(&self) -> usize {
        self.feed.schedule.samples
    }

    /// The most rows that were in memory at once so far.
    pub fn resident_rows(&self) -> usize {
        self.feed.resident.most()
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
        let mut pool = self.feed.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < self.feed.config.prefetch + 2 * self.feed.config.threads {
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

fn feed(
    dataset: &Arc<PreparedDataset>,
    config: LoaderConfig,
    row_groups: Vec<crate::dataset::RowGroupAt>,
    schedule: Schedule,
    order: Order,
) -> Feed {
    let rows = EpochOrder {
        fingerprint: dataset.fingerprint().to_owned(),
        seed: config.seed,
        buffer: config.shuffle_buffer,
        group_rows: row_groups.iter().map(|group| group.rows).collect(),
    };
    let resident = Arc::<Resident>::default();
    let is_kept =
        matches!(order, Order::Shuffled { .. }) && config.shuffle_buffer >= schedule.samples / config.repeat;
    let kept = is_kept.then(|| Arc::new(Slots::new(row_groups.len(), true, Arc::clone(&resident))));
    Feed {
        dataset: Arc::clone(dataset),
        background: background(dataset.manifest()),
        columns: row_group::columns(&config, dataset.cell_edge().is_some()),
        config,
        row_groups,
        rows,
        schedule,
        order,
        kept,
        plans: Plans::default(),
        resident,
        pool: Mutex::default(),
    }
}

/// How samples are read for evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalConfig {
    /// Samples of a batch; the last one may be smaller. Default 128.
    pub batch: usize,
    /// Threads; the batches do not depend on it. Default 1.
    pub threads: usize,
    /// Centers `G`. Default 64.
    pub groups: usize,
    /// Points `K` of a patch. Default 32.
    pub group_size: usize,
    /// Move each grouping's points to their mean and into the unit sphere. Default false.
    pub normalize: bool,
    /// Instead of the canonical stored grouping, one from random starts drawn with this seed, of a
    /// fresh subset of `points` points (the official protocol). Default none.
    pub random_start: Option<u64>,
    /// Points `N` of such a subset. Default 1024.
    pub points: usize,
    /// Clouds are turned so that this axis is up. Default as they are stored.
    pub up_axis: Option<UpAxis>,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            batch: 128,
            threads: 1,
            groups: 64,
            group_size: 32,
            normalize: false,
            random_start: None,
            points: 1024,
            up_axis: None,
        }
    }
}

/// Visits every sample of the splits (of all splits, without names) once, in stored order, with its
/// canonical grouping and nothing changed.
///
/// # Errors
/// As [`Loader::start`] and [`Loader::next`], and if `visit` fails.
pub fn for_each_in_order(
    dataset: &Arc<PreparedDataset>,
    splits: &[&str],
    config: &EvalConfig,
    mut visit: impl FnMut(Batch) -> Result<()>,
) -> Result<()> {
    let patches_from = if config.random_start.is_some() { PatchesFrom::Online } else { PatchesFrom::Shard };
    let loading = LoaderConfig {
        split: String::new(),
        batch: config.batch,
        threads: config.threads,
        patches_from,
        points: config.points,
        groups: config.groups,
        group_size: config.group_size,
        shuffle_buffer: 0,
        augment: Augment { normalize: config.normalize, ..Augment::default() },
        up_axis: config.up_axis,
        seed: config.random_start.unwrap_or(0),
        ..LoaderConfig::default()
    };
    loading.check(dataset)?;
    let row_groups = dataset.row_groups(splits)?;
    let samples: usize = row_groups.iter().map(|group| group.rows).sum();
    let schedule = Schedule { samples, batch: config.batch, rank: 0, world: 1, drop_last: false };
    schedule.check()?;
    let mut loader = Loader::spawn(feed(dataset, loading, row_groups, schedule, Order::Stored), 0)?;
    for _ in 0..loader.feed.end().unwrap_or(0) {
        visit(loader.next()?)?;
    }
    Ok(())
}
