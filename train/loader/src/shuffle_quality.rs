//! How good the order of an epoch is: what a shuffle buffer costs in mixing and saves in memory.
//!
//! Nothing of a run needs it: `benches/loader.rs` prints it for several buffers, and tests hold it above thresholds.

use crate::epoch_order::RowAt;

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
    use crate::epoch_order::EpochOrder;

    fn order(buffer: usize, group_rows: &[usize]) -> EpochOrder {
        EpochOrder { fingerprint: "f".into(), seed: 3, buffer, group_rows: group_rows.to_vec() }
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
}
