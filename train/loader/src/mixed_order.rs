//! The order of an epoch over one or several sets: a pure function of (fingerprints and weights, seed, epoch).
//!
//! Each set has an endless order of its own, pass after pass over all its rows, of which an epoch shows the next `count`:
//! so a share of a set is another one in every epoch until all of it was shown, and no epoch depends on what was read
//! before. The rows of the sets are laid side by side in proportion, each moved within its own place at random: a batch
//! of `b` rows has of every set its share of `b`, give or take two. One set alone keeps its own order.

use jepa3d_schemas::Draws;

use crate::epoch_order::{EpochOrder, RowAt};
use crate::selection::SampleSelection;

/// A row as an epoch shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShownRow {
    /// Its row group counted over all sets.
    pub at: RowAt,
    /// How often the epoch may have shown it before: what tells its draws from those of the other times.
    pub time: u32,
}

/// One set of an order.
pub(crate) struct PartOrder {
    /// Of its passes.
    pub order: EpochOrder,
    /// The rows of it that are loaded; none: all.
    pub samples: Option<SampleSelection>,
    /// Number of its first row group among those of all sets.
    pub first_group: u32,
    /// Rows of it that an epoch shows.
    pub count: usize,
}

/// What the order of a run depends on, besides the epoch.
pub(crate) struct MixedOrder {
    /// What the sets are, and how much of each is shown.
    pub fingerprint: String,
    /// Seed of the run.
    pub seed: u64,
    /// At least one.
    pub parts: Vec<PartOrder>,
}

/// Where in an epoch a row belongs.
struct PlacedRow {
    /// From 0 to 1.
    place: f64,
    part: usize,
    row: ShownRow,
}

impl MixedOrder {
    /// The rows of `epoch`.
    pub fn rows(&self, epoch: u64) -> Vec<ShownRow> {
        if let [only] = self.parts.as_slice() {
            return only.rows(epoch);
        }
        let mut draws = Draws::new(self.seed, &self.fingerprint, &format!("epoch {epoch} mix"));
        let mut placed = Vec::new();
        for (part, order) in self.parts.iter().enumerate() {
            let rows = order.rows(epoch).into_iter().enumerate();
            placed.extend(rows.map(|(i, row)| {
                let place = (i as f64 + draws.unit()) / order.count as f64;
                PlacedRow { place, part, row }
            }));
        }
        // Stable: equal places keep the order of their sets, and of their rows.
        placed.sort_by(|a, b| a.place.total_cmp(&b.place).then(a.part.cmp(&b.part)));
        placed.into_iter().map(|placed| placed.row).collect()
    }

    /// The rows of the first set in stored order.
    pub fn stored_rows(&self) -> Vec<ShownRow> {
        let part = &self.parts[0];
        part.choose(part.order.stored_rows()).map(|at| ShownRow { at, time: 0 }).collect()
    }
}

impl PartOrder {
    fn rows(&self, epoch: u64) -> Vec<ShownRow> {
        let whole = self.order.group_rows.iter().sum();
        let total = self.samples.as_ref().map_or(whole, SampleSelection::len) as u64;
        let (start, end) = (epoch * self.count as u64, (epoch + 1) * self.count as u64);
        let first = start / total.max(1);
        let mut shown = Vec::with_capacity(self.count);
        for pass in first.. {
            let begun = pass * total;
            if begun >= end || total == 0 {
                break;
            }
            let from = start.saturating_sub(begun) as usize;
            let to = (end - begun).min(total) as usize;
            let rows = self.choose(self.order.rows(pass)).take(to).skip(from);
            shown.extend(rows.map(|at| ShownRow {
                at: RowAt { group: self.first_group + at.group, ..at },
                time: (pass - first) as u32,
            }));
        }
        shown
    }

    fn choose(&self, rows: Vec<RowAt>) -> impl Iterator<Item = RowAt> {
        let is_chosen = |row: &RowAt| self.samples.as_ref().is_none_or(|samples| samples.contains(row));
        rows.into_iter().filter(is_chosen)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn part(fingerprint: &str, group_rows: &[usize], first_group: u32, count: usize) -> PartOrder {
        let (fingerprint, group_rows) = (fingerprint.to_owned(), group_rows.to_vec());
        let order = EpochOrder { fingerprint, seed: 3, buffer: 16, group_rows };
        PartOrder { order, samples: None, first_group, count }
    }

    fn mix(parts: Vec<PartOrder>) -> MixedOrder {
        MixedOrder { fingerprint: "f + g".into(), seed: 3, parts }
    }

    #[test]
    fn one_set_alone_keeps_its_own_order() {
        let alone = mix(vec![part("f", &[9, 20, 4], 0, 33)]);
        for epoch in 0..4 {
            let found = alone.rows(epoch);
            assert!(found.iter().all(|row| row.time == 0));
            let want = alone.parts[0].order.rows(epoch);
            assert!(found.iter().map(|row| row.at).eq(want));
        }
        // Shown twice an epoch: two passes, and the second time is known as such.
        let twice = mix(vec![part("f", &[9, 20, 4], 0, 66)]);
        let want = [4, 5].map(|pass| alone.parts[0].order.rows(pass)).concat();
        let found = twice.rows(2);
        assert!(found.iter().map(|row| row.at).eq(want));
        assert!(found.iter().enumerate().all(|(i, row)| row.time == (i / 33) as u32));
    }

    #[test]
    fn a_share_of_a_set_is_another_one_until_all_was_shown() {
        for (count, epochs) in [(30, 10), (7, 40), (100, 3), (150, 4), (333, 6)] {
            let order = mix(vec![part("f", &[40, 60], 0, count)]);
            let mut shown = BTreeMap::<RowAt, usize>::new();
            for epoch in 0..epochs {
                let rows = order.rows(epoch);
                assert_eq!(rows.len(), count);
                let times: std::collections::BTreeSet<(RowAt, u32)> =
                    rows.iter().map(|row| (row.at, row.time)).collect();
                assert_eq!(times.len(), count, "every time of a row is told from the others");
                rows.into_iter().for_each(|row| *shown.entry(row.at).or_default() += 1);
                let (fewest, most) = (shown.values().min(), shown.values().max());
                let is_all = shown.len() == 100;
                assert!(most <= fewest.map(|n| n + 1).as_ref(), "nothing again before all were shown");
                assert!(is_all || most == Some(&1));
            }
        }
    }

    #[test]
    fn every_batch_has_its_share_of_every_set() {
        let order = mix(vec![part("f", &[128; 10], 0, 1280), part("g", &[50; 8], 10, 120)]);
        for epoch in 0..3 {
            let rows = order.rows(epoch);
            assert_eq!(rows.len(), 1400);
            for batch in rows.chunks_exact(70) {
                let others = batch.iter().filter(|row| row.at.group >= 10).count();
                assert!((4..=8).contains(&others), "6 of 70, found {others}");
            }
            // Each set keeps the order that it has alone.
            let own = |first: bool| rows.iter().copied().filter(move |row| (row.at.group < 10) == first);
            assert!(own(true).eq(order.parts[0].rows(epoch)) && own(false).eq(order.parts[1].rows(epoch)));
        }
        assert_ne!(order.rows(0), order.rows(1));
        let other = MixedOrder { fingerprint: "f + g:0.3".into(), ..order };
        let again = mix(vec![part("f", &[128; 10], 0, 1280), part("g", &[50; 8], 10, 120)]);
        assert_ne!(other.rows(0), again.rows(0), "weights are part of what the order depends on");
    }
}
