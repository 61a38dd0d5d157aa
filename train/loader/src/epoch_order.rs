//! The order of an epoch: a pure function of (dataset fingerprint, seed, epoch).
//!
//! Row groups of all shards are permuted and laid end to end; then every row moves by a uniform draw
//! of at most half a buffer, mirrored at the two ends (the bounded shuffle of MosaicML's py1e, which
//! needs no state: a row's place does not depend on what was read before). So position `p` of an
//! epoch is known without decoding anything, a run resumes at an offset, and at any moment only rows
//! within half a buffer of it are needed. A buffer that holds the whole split gives a perfect
//! permutation. Neither threads nor ranks enter.

use jepa3d_schemas::Draws;

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
            draws("rows").shuffle(&mut rows);
            return rows;
        }
        draws("row groups").shuffle(&mut groups);
        let rows = self.lay_out(&groups);
        if self.buffer <= 1 { rows } else { displace(&rows, self.buffer, &mut draws("rows")) }
    }

    /// The rows of the split in stored order.
    pub fn stored_rows(&self) -> Vec<RowAt> {
        self.lay_out(&(0..self.group_rows.len() as u32).collect::<Vec<_>>())
    }

    fn lay_out(&self, groups: &[u32]) -> Vec<RowAt> {
        let rows =
            |&group: &u32| (0..self.group_rows[group as usize] as u32).map(move |row| RowAt { group, row });
        groups.iter().flat_map(rows).collect()
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
            assert_eq!(rows, order.stored_rows(), "{order:?}");
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
}
