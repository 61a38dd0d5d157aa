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

use crate::error::Result;
use crate::error::out_of_range;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn order(buffer: usize, group_rows: &[usize]) -> EpochOrder {
        EpochOrder { fingerprint: "f".into(), seed: 3, buffer, group_rows: group_rows.to_vec() }
    }

    #[test]
    fn every_row_stands_in_an_epoch_exactly_once() {
        for seed in 0..200 {
            let mut draws = Draws::new(seed, "x", "shapes");
            let group_rows: Vec<usize> = (0..1 + draws.index(20)).map(|_| 1 + draws.index(30)).collect();
            let order = EpochOrder { seed, ..order(draws.index(400), &group_rows) };
            let mut rows = order.rows(seed % 5);
            rows.sort_unstable();
            assert_eq!(rows, order.stored(), "{order:?}");
        }
    }

    #[test]
    fn seeds_epochs_and_fingerprints_have_their_own_orders() {
        for buffer in [1, 64, 10_000] {
            let one = order(buffer, &[16; 20]);
            assert_eq!(one.rows(2), one.rows(2));
            assert_ne!(one.rows(2), one.rows(3));
            assert_ne!(one.rows(2), EpochOrder { seed: 4, ..one.clone() }.rows(2));
            assert_ne!(one.rows(2), EpochOrder { fingerprint: "g".into(), ..one.clone() }.rows(2));
        }
    }

    /// The quality of 20 epochs, averaged.
    fn quality(buffer: usize, group_rows: &[usize]) -> ShuffleQuality {
        let epochs = 20;
        let mut sum = [0.0; 4];
        for epoch in 0..epochs {
            let q = shuffle_quality(&order(buffer, group_rows).rows(epoch), group_rows, 128);
            let parts = [q.displacement, q.rank_correlation, q.neighbours_apart, q.groups_of_batch];
            (0..4).for_each(|i| sum[i] += parts[i] / epochs as f64);
        }
        let [displacement, rank_correlation, neighbours_apart, groups_of_batch] = sum;
        ShuffleQuality { displacement, rank_correlation, neighbours_apart, groups_of_batch }
    }

    #[test]
    fn a_buffer_that_holds_all_shuffles_perfectly_and_a_small_one_well() {
        let group_rows = [128; 64];
        let whole = quality(8192, &group_rows);
        assert!((whole.displacement - 1.0).abs() < 0.01 && whole.rank_correlation.abs() < 0.01, "{whole:?}");
        assert!((whole.neighbours_apart - 1.0).abs() < 0.005, "{whole:?}");
        assert!((whole.groups_of_batch - 1.0).abs() < 0.005, "{whole:?}");
        let eighth = quality(1024, &group_rows);
        assert!((eighth.displacement - 1.0).abs() < 0.1 && eighth.rank_correlation.abs() < 0.1, "{eighth:?}");
        assert!(eighth.neighbours_apart > 0.87 && eighth.groups_of_batch > 0.14, "{eighth:?}");
        let none = quality(1, &group_rows);
        assert!(none.neighbours_apart < 0.02 && none.groups_of_batch < 0.03, "{none:?}");
    }

    #[test]
    fn memory_is_bounded_by_the_buffer_and_two_row_groups() {
        for (buffer, rows) in [(256, 64), (1024, 128), (1000, 7), (100, 512)] {
            let group_rows = vec![rows; 20_000 / rows];
            for epoch in 0..5 {
                let held = resident_rows(&order(buffer, &group_rows).rows(epoch), &group_rows);
                // The places of rows fluctuate around their keys by about the root of the buffer.
                let slack = 2 * (buffer as f64).sqrt() as usize + rows;
                assert!(held <= buffer + 2 * rows + slack, "buffer {buffer}, groups of {rows}: {held}");
            }
        }
    }

    #[test]
    fn ranks_share_the_order_and_have_equally_many_steps() {
        for (samples, batch, world) in [(100, 7, 2), (64, 8, 4), (33, 16, 2), (5, 5, 1)] {
            let ranks: Vec<Schedule> =
                (0..world).map(|rank| Schedule { samples, batch, rank, world, drop_last: true }).collect();
            let steps = ranks[0].steps_per_epoch();
            assert_eq!(steps as usize, samples / (batch * world));
            let mut seen = Vec::new();
            for number in steps..2 * steps {
                for rank in &ranks {
                    let (epoch, places) = rank.locate(number);
                    assert_eq!((rank.steps_per_epoch(), epoch), (steps, 1));
                    seen.extend(places);
                }
            }
            assert!(seen.into_iter().eq(0..steps as usize * batch * world));
        }
        let short = Schedule { samples: 10, batch: 4, rank: 0, world: 1, drop_last: false };
        assert_eq!((short.steps_per_epoch(), short.locate(2)), (3, (0, 8..10)));
        let none = Schedule { samples: 10, batch: 6, rank: 0, world: 2, drop_last: true };
        let error = none.check().unwrap_err().to_string();
        assert_eq!(
            error,
            "config: optim.batch: expected at most the 10 samples of the split over all ranks, found 12"
        );
    }
}
