//! The order of an epoch as a pure function of (dataset fingerprint, seed, epoch): its state is an offset.
//!
//! Row groups of all shards are shuffled, then cut into windows of at most `buffer` rows, and the rows of a window are
//! shuffled freely. Only the row groups of a window are needed at a time; when the buffer holds the whole
//! split, the order is a uniform permutation. Every rank reads the same order and takes every
//! `world`-th batch of it.

use jepa3d_schemas::Draws;

/// A row by its row group (index into the split's list) and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowAt {
    pub group: u32,
    pub row: u32,
}

/// The rows of one epoch, in order, and where its windows end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EpochOrder {
    pub rows: Vec<RowAt>,
    /// Ends of the windows in `rows`, and the row groups of each.
    pub windows: Vec<(usize, Vec<u32>)>,
}

impl EpochOrder {
    /// `sizes`: rows of every row group of the split, in stored order.
    pub(crate) fn new(fingerprint: &str, seed: u64, epoch: u64, sizes: &[usize], buffer: usize) -> Self {
        let mut draws = Draws::new(seed, fingerprint, &format!("order of epoch {epoch}"));
        let mut groups: Vec<u32> = (0..sizes.len() as u32).collect();
        shuffle(&mut groups, &mut draws);
        let mut order = Self { rows: Vec::with_capacity(sizes.iter().sum()), windows: Vec::new() };
        let mut window: Vec<u32> = Vec::new();
        let mut held = 0;
        for &group in &groups {
            let size = sizes[group as usize];
            if held > 0 && held + size > buffer.max(1) {
                order.close(&mut window, sizes, &mut draws);
                held = 0;
            }
            window.push(group);
            held += size;
        }
        order.close(&mut window, sizes, &mut draws);
        order
    }

    fn close(&mut self, window: &mut Vec<u32>, sizes: &[usize], draws: &mut Draws) {
        let start = self.rows.len();
        for &group in window.iter() {
            self.rows.extend((0..sizes[group as usize] as u32).map(|row| RowAt { group, row }));
        }
        shuffle(&mut self.rows[start..], draws);
        self.windows.push((self.rows.len(), std::mem::take(window)));
    }

    /// The row groups of the window that holds position `at`, and of the next one.
    pub(crate) fn near(&self, at: usize) -> impl Iterator<Item = u32> + '_ {
        let first = self.windows.partition_point(|(end, _)| *end <= at);
        self.windows.iter().skip(first).take(2).flat_map(|(_, groups)| groups.iter().copied())
    }
}

fn shuffle<T>(values: &mut [T], draws: &mut Draws) {
    for i in (1..values.len()).rev() {
        values.swap(i, draws.index(i + 1));
    }
}

/// How well an order is mixed: mean distance in stored order of rows that follow each other, over that of a uniform
/// permutation (a third of the rows). 1 is perfect; reading in stored order gives nearly 0.
pub(crate) fn mixing(order: &EpochOrder, sizes: &[usize]) -> f64 {
    let starts: Vec<usize> = sizes.iter().scan(0, |sum, n| Some(std::mem::replace(sum, *sum + n))).collect();
    let at = |row: &RowAt| starts[row.group as usize] as f64 + f64::from(row.row);
    let n = order.rows.len() as f64;
    let total: f64 = order.rows.windows(2).map(|pair| (at(&pair[0]) - at(&pair[1])).abs()).sum();
    total / (n - 1.0) / (n / 3.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_exactly_once_for_any_shape() {
        for seed in 0..200 {
            let mut draws = Draws::new(seed, "x", "order test");
            let sizes: Vec<usize> = (0..1 + draws.index(20)).map(|_| 1 + draws.index(30)).collect();
            let buffer = 1 + draws.index(400);
            let order = EpochOrder::new("f", seed, 3, &sizes, buffer);
            let mut rows = order.rows.clone();
            rows.sort_unstable();
            let all = sizes.iter().enumerate().flat_map(|(g, &n)| {
                (0..n as u32).map(move |row| RowAt { group: g as u32, row })
            });
            assert!(rows.into_iter().eq(all), "seed {seed}");
            let mut start = 0;
            for (end, groups) in &order.windows {
                let held: usize = groups.iter().map(|&g| sizes[g as usize]).sum();
                assert!(held == end - start && (held <= buffer || groups.len() == 1));
                assert!(order.rows[start..*end].iter().all(|row| groups.contains(&row.group)));
                start = *end;
            }
        }
    }

    #[test]
    fn epochs_seeds_and_datasets_differ_and_repeat() {
        let order = |f, seed, epoch| EpochOrder::new(f, seed, epoch, &[64; 8], 256).rows;
        assert_eq!(order("f", 1, 0), order("f", 1, 0));
        for other in [order("f", 1, 1), order("f", 2, 0), order("g", 1, 0)] {
            assert_ne!(order("f", 1, 0), other);
        }
    }

    #[test]
    fn mixing_is_perfect_when_all_is_held_and_good_with_a_quarter() {
        let sizes = vec![128; 32];
        let of = |buffer| {
            let one = |epoch| mixing(&EpochOrder::new("f", 5, epoch, &sizes, buffer), &sizes);
            (0..20).map(one).sum::<f64>() / 20.0
        };
        assert!((of(4096) - 1.0).abs() < 0.02, "{}", of(4096));
        assert!(of(1024) > 0.8, "{}", of(1024));
        assert!(of(512) > 0.65, "{}", of(512));
        let stored = EpochOrder { rows: (0..128).map(|row| RowAt { group: 0, row }).collect(), windows: vec![] };
        assert!(mixing(&stored, &[128]) < 0.03);
    }
}
