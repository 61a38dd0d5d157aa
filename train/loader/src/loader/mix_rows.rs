//! The row groups of all sets that are loaded, counted through, and the order in which an epoch shows their rows.

use crate::config::LoaderConfig;
use crate::dataset::RowGroupAt;
use crate::epoch_order::EpochOrder;
use crate::error::{Result, out_of_range};
use crate::mix::{DatasetMix, MixPart};
use crate::mixed_order::{MixedOrder, PartOrder};
use crate::selection::SampleSelection;

/// A row group of one of the sets.
#[derive(Clone, Copy)]
pub(super) struct SourceGroup {
    /// The set, from 0.
    pub part: usize,
    pub at: RowGroupAt,
}

/// What there is to read, and in which order.
pub(super) struct MixRows {
    pub groups: Vec<SourceGroup>,
    pub order: MixedOrder,
}

impl MixRows {
    /// Finds the row groups of the named splits of every set (of all splits, without names).
    ///
    /// # Errors
    /// Fails if a set has no such split, a shard is missing or broken at its end, a weight shows nothing, or samples are
    /// chosen of more than one set.
    pub fn find(mix: &DatasetMix, splits: &[&str], config: &LoaderConfig) -> Result<Self> {
        if mix.is_mixed() && config.samples.is_some() {
            return Err(out_of_range("samples", "all of them where datasets are mixed", "a selection"));
        }
        let mut groups: Vec<SourceGroup> = Vec::new();
        let mut parts: Vec<PartOrder> = Vec::new();
        for (number, part) in mix.parts().iter().enumerate() {
            let found = part.dataset.row_groups(splits)?;
            let rows = PartRows { first_group: groups.len() as u32, found: &found };
            parts.push(rows.order(part, config)?);
            groups.extend(found.into_iter().map(|at| SourceGroup { part: number, at }));
        }
        share_buffer(&mut parts, config.shuffle_buffer);
        let order = MixedOrder { fingerprint: mix.fingerprint(), seed: config.seed, parts };
        Ok(Self { groups, order })
    }

    /// Rows that an epoch shows.
    pub fn shown(&self) -> usize {
        self.order.parts.iter().map(|part| part.count).sum()
    }

    /// Rows that there are.
    pub fn stored(&self) -> usize {
        self.groups.iter().map(|group| group.at.rows).sum()
    }
}

/// The row groups of one set.
struct PartRows<'a> {
    first_group: u32,
    found: &'a [RowGroupAt],
}

impl PartRows<'_> {
    fn order(&self, part: &MixPart, config: &LoaderConfig) -> Result<PartOrder> {
        let group_rows: Vec<usize> = self.found.iter().map(|group| group.rows).collect();
        let samples = config.samples.clone();
        let total = samples.as_ref().map_or(group_rows.iter().sum(), SampleSelection::len);
        let shown = (total as f64 * part.weight).round() as usize;
        if shown == 0 && total > 0 {
            let expected = format!("a weight of {} that shows a sample", part.dataset.folder().display());
            return Err(out_of_range("--data", expected, part.weight));
        }
        let order = EpochOrder {
            fingerprint: part.dataset.fingerprint().to_owned(),
            seed: config.seed,
            buffer: config.shuffle_buffer,
            group_rows,
        };
        Ok(PartOrder { order, samples, first_group: self.first_group, count: shown * config.repeat })
    }
}

/// Divides the shuffle buffer among the sets by their sizes; one that holds all of them holds each.
fn share_buffer(parts: &mut [PartOrder], buffer: usize) {
    let sizes: Vec<usize> = parts.iter().map(|part| part.order.group_rows.iter().sum()).collect();
    let all: usize = sizes.iter().sum();
    for (part, size) in parts.iter_mut().zip(sizes) {
        let share = (buffer as u128 * size as u128).div_ceil(all.max(1) as u128);
        part.order.buffer = usize::try_from(share).unwrap_or(usize::MAX);
    }
}
