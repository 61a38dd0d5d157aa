//! The order of an epoch: a pure function of (dataset fingerprint, seed, epoch).
//!
//! Row groups of all shards are permuted and laid end to end; then every row moves by a uniform draw
//! of at most half a buffer, mirrored at the two ends (the bounded shuffle of MosaicML's py1e, which
//! needs no state: a row's place does not depend on what was read before). So position `p` of an
//! epoch is known without decoding anything, a run resumes at an offset, and at any moment only rows
//! within half a buffer of it are needed. A buffer that holds the whole split gives a perfect
//! permutation. Neither threads nor ranks enter.

use std::ops::Range;

use jepa3d_schemas::Draws;

use crate::config::out_of_range;
use crate::error::Result;

/// A row of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowAt {
    /// Number of its row group within the split.
    pub group: u32,
    /// Row within the row group.
    pub row: u32,
}

/// What the order of a run depends on, besides the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochOrder {
    /// Fingerprint of the dataset.
    pub fingerprint: String,
    /// Seed of the run.
    pub seed: u64,
    /// Samples of the shuffle buffer; at most 1 leaves rows of a row group in stored order.
    pub buffer: usize,
    /// Rows of each row group of the split.
    pub group_rows: Vec<usize>,
}

/// Steps of a key between two neighbouring places.
const UNIT: i64 = 1 << 20;

impl EpochOrder {
    /// The rows of `epoch`, each exactly once.
    pub fn rows(&self, epoch: u64) -> Vec<RowAt> {
        let draws =
            |purpose: &str| Draws::new(self.seed, &self.fingerprint, &format!("epoch {epoch} {purpose}"));
        let mut groups: Vec<u32> = (0..self.group_rows.len() as u32).collect();
        let total: usize = self.group_rows.iter().sum();
        if self.buffer >= total {
            let mut rows = self.lay_out(&groups);
            permute(&mut rows, &mut draws("rows"));
            return rows;
        }
        permute(&mut groups, &mut draws("row groups"));
        let rows = self.lay_out(&groups);
        if self.buffer <= 1 { rows } else { displace(&rows, self.buffer, &mut draws("rows")) }
    }

    /// The rows of the split in stored order.
    pub fn stored(&self) -> Vec<RowAt> {
        self.lay_out(&(0..self.group_rows.len() as u32).collect::<Vec<_>>())
    }

    fn lay_out(&self, groups: &[u32]) -> Vec<RowAt> {
        let rows =
            |&group: &u32| (0..self.group_rows[group as usize] as u32).map(move |row| RowAt { group, row });
        groups.iter().flat_map(rows).collect()
    }
}

/// Fisher-Yates.
fn permute<T>(items: &mut [T], draws: &mut Draws) {
    for i in (1..items.len()).rev() {
        items.swap(i, draws.index(i + 1));
    }
}

/// Moves every row by less than half of `buffer` places, ties in the order they had.
fn displace(rows: &[RowAt], buffer: usize, draws: &mut Draws) -> Vec<RowAt> {
    let (width, end) = (buffer as i64 * UNIT, rows.len() as i64 * UNIT);
    let mut keyed: Vec<(i64, u32)> = (0..rows.len() as u32)
        .map(|i| {
            let key = i64::from(i) * UNIT + UNIT / 2 + draws.index(width as usize) as i64 - width / 2;
            // Mirrored, so that the ends are as dense as the middle.
            let key = if key < 0 { -1 - key } else { key };
            (if key >= end { 2 * end - 1 - key } else { key }, i)
        })
        .collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, i)| rows[i as usize]).collect()
}

/// Which positions of which epoch a batch is made of.
///
/// Step `s` of an epoch takes the positions `s * batch * world ..`, of which rank `r` takes the
/// `r`-th part, so that ranks share one order and have equally many steps. What is left at the end of an
/// epoch, fewer than `batch * world` samples and others in every epoch, is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Samples of the split.
    pub samples: usize,
    /// Samples of a batch on each rank.
    pub batch: usize,
    /// This rank, below `world`.
    pub rank: usize,
    /// Ranks.
    pub world: usize,
    /// Whether the rest of an epoch is dropped; kept, it makes a last, smaller batch (one rank only).
    pub drop_last: bool,
}

impl Schedule {
    /// Checks that there is a step at all.
    ///
    /// # Errors
    /// Fails if batch or world is 0, the rank is not below world, or the split holds fewer samples
    /// than a step takes.
    pub fn check(&self) -> Result<()> {
        for (key, found) in [("optim.batch", self.batch), ("world", self.world)] {
            if found == 0 {
                return Err(out_of_range(key, "at least 1", found));
            }
        }
        if self.rank >= self.world {
            return Err(out_of_range("rank", format!("below the {} ranks", self.world), self.rank));
        }
        if self.steps_per_epoch() == 0 {
            let expected = format!("at most the {} samples of the split over all ranks", self.samples);
            return Err(out_of_range("optim.batch", expected, self.batch * self.world));
        }
        Ok(())
    }

    /// Steps of an epoch, the same on every rank.
    pub fn steps_per_epoch(&self) -> u64 {
        let step = self.batch * self.world;
        (if self.drop_last { self.samples / step } else { self.samples.div_ceil(step) }) as u64
    }

    /// Epoch of a batch, and its positions in the order of that epoch.
    pub fn locate(&self, number: u64) -> (u64, Range<usize>) {
        let (epoch, step) = (number / self.steps_per_epoch(), (number % self.steps_per_epoch()) as usize);
        let start = (step * self.world + self.rank) * self.batch;
        (epoch, start..(start + self.batch).min(self.samples))
    }
}

/// How far an epoch's order is from the stored one; a perfect shuffle gives 1 on every line but the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShuffleQuality {
    /// Mean |place in the epoch - stored place| over that of a perfect shuffle, n/3.
    pub displacement: f64,
    /// Spearman's correlation of place in the epoch and stored place; a perfect shuffle: 0.
    pub rank_correlation: f64,
    /// Share of neighbours from different row groups, over that of a perfect shuffle.
    pub neighbours_apart: f64,
    /// Mean number of row groups that a batch draws from, over that of a perfect shuffle.
    pub groups_of_batch: f64,
}

/// Measures an epoch's order, cut into batches of `batch`.
pub fn shuffle_quality(order: &[RowAt], group_rows: &[usize], batch: usize) -> ShuffleQuality {
    let n = order.len() as f64;
    let starts: Vec<usize> = group_rows
        .iter()
        .scan(0, |sum, &rows| {
            *sum += rows;
            Some(*sum - rows)
        })
        .collect();
    let (mut moved, mut squares) = (0.0, 0.0);
    for (place, at) in order.iter().enumerate() {
        let distance = (place as f64 - (starts[at.group as usize] + at.row as usize) as f64).abs();
        moved += distance;
        squares += distance * distance;
    }
    let together: f64 = group_rows.iter().map(|&g| g as f64 * (g as f64 - 1.0)).sum();
    let apart = order.windows(2).filter(|w| w[0].group != w[1].group).count() as f64 / (n - 1.0);
    let groups_of = |rows: &[RowAt]| {
        let mut groups: Vec<u32> = rows.iter().map(|at| at.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.len() as f64
    };
    let batches = order.chunks_exact(batch);
    let found = batches.len() as f64;
    // A perfect shuffle misses a row group of g rows with probability C(n-g, batch) / C(n, batch).
    let missed = |g: f64| (0..batch).map(|i| ((n - g - i as f64) / (n - i as f64)).max(0.0)).product::<f64>();
    let expected: f64 = group_rows.iter().map(|&g| 1.0 - missed(g as f64)).sum();
    ShuffleQuality {
        displacement: moved / n / (n / 3.0),
        rank_correlation: 1.0 - 6.0 * squares / (n * (n * n - 1.0)),
        neighbours_apart: apart / (1.0 - together / (n * (n - 1.0))),
        groups_of_batch: batches.map(groups_of).sum::<f64>() / found / expected,
    }
}

/// The most rows that are in memory at once if a row group is kept from its first use to its last.
pub fn resident_rows(order: &[RowAt], group_rows: &[usize]) -> usize {
    let mut first = vec![usize::MAX; group_rows.len()];
    let mut last = vec![0; group_rows.len()];
    for (place, at) in order.iter().enumerate() {
        let group = at.group as usize;
        first[group] = first[group].min(place);
        last[group] = place;
    }
    let (mut now, mut most) = (0, 0);
    for (place, at) in order.iter().enumerate() {
        let group = at.group as usize;
        now += if first[group] == place { group_rows[group] } else { 0 };
        most = most.max(now);
        now -= if last[group] == place { group_rows[group] } else { 0 };
    }
    most
}
