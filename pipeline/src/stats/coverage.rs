//! How much of its cloud a grouping reaches: distinct points among the patch indices.

use std::collections::BTreeMap;
use std::path::Path;

use jepa3d_schemas::{CatalogRow, Manifest, RowGroup, ShardReader};
use rayon::prelude::*;
use serde::Serialize;

use super::sizes::{Spread, spread_of};
use crate::error::Result;

/// Rows looked at, at most.
const ROWS: usize = 500;

/// Row groups read, at most: a row group is the least that can be read.
const ROW_GROUPS: usize = 16;

const COLUMNS: [&str; 4] = ["sample_id", "subset", "patch_indices", "patch_counts"];

/// How much of its cloud a grouping reaches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Coverage {
    /// Rows looked at, spread evenly over the dataset.
    pub rows: usize,
    /// CloudGroupings looked at.
    pub groupings: usize,
    /// Distinct points in the patches of a grouping.
    pub distinct: Option<Spread>,
    /// Distinct points as a share of the points that the grouping was built on, 0 to 1.
    pub share: Option<Spread>,
}

/// One entry a grouping of the sampled rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Covered {
    pub rows: usize,
    /// Distinct points.
    pub distinct: Vec<f64>,
    /// Distinct points by points that the grouping was built on.
    pub share: Vec<f64>,
}

impl Covered {
    pub(super) fn summary(&self) -> Result<Coverage> {
        Ok(Coverage {
            rows: self.rows,
            groupings: self.distinct.len(),
            distinct: spread_of(self.distinct.clone())?,
            share: spread_of(self.share.clone())?,
        })
    }
}

/// Looks at up to [`ROWS`] rows, `None` if there are none or they have no groups.
pub(super) fn sample(folder: &Path, manifest: &Manifest, catalog: &[CatalogRow]) -> Result<Option<Covered>> {
    let mut row_groups = Vec::new();
    for (shard, entry) in manifest.shards.iter().enumerate().filter(|(_, entry)| entry.rows > 0) {
        let reader = ShardReader::open(&folder.join(&entry.file))?;
        row_groups.extend((0..reader.row_groups()).map(|group| (shard, group)));
    }
    let points: BTreeMap<&str, usize> = catalog.iter().map(|r| (r.id.as_str(), r.points as usize)).collect();
    let chosen = evenly(row_groups.len(), ROW_GROUPS);
    let mut covered = Covered::default();
    let rows_each = ROWS.div_ceil(chosen.len().max(1));
    let read = |&i: &usize| -> Result<RowGroup> {
        let (shard, group) = row_groups[i];
        let reader = ShardReader::open(&folder.join(&manifest.shards[shard].file))?;
        Ok(reader.read_row_group(group, &COLUMNS)?)
    };
    // Reading is the work; how many rows are looked at depends on the row groups before.
    let groups: Vec<RowGroup> = chosen.par_iter().with_max_len(1).map(read).collect::<Result<_>>()?;
    for group in groups {
        for row in evenly(group.rows, rows_each.min(ROWS - covered.rows)) {
            let stored = group.sample_id.as_ref().and_then(|ids| points.get(ids[row].as_str()));
            add_row(&mut covered, &group, row, stored.copied().unwrap_or(0), manifest.shape.R);
        }
    }
    Ok((!covered.distinct.is_empty()).then_some(covered))
}

/// Up to `most` of `0..count`, spread evenly.
fn evenly(count: usize, most: usize) -> Vec<usize> {
    let taken = count.min(most);
    (0..taken).map(|i| i * count / taken).collect()
}

/// Counts the distinct points of each grouping of a row; `stored` points, `r` groupings.
fn add_row(covered: &mut Covered, group: &RowGroup, row: usize, stored: usize, r: usize) {
    let Some(patches) = group.patch_indices.as_ref().and_then(|column| column.row(row)) else { return };
    let subset = group.subset.as_ref().and_then(|column| column.row(row));
    let counts = group.patch_counts.as_ref().and_then(|column| column.row(row));
    if r == 0 || patches.is_empty() {
        return;
    }
    covered.rows += 1;
    let built_on = subset.map_or(stored, |subset| subset.len() / r);
    let blocks = counts.map(|counts| counts.len() / r);
    for (i, grouping) in patches.chunks(patches.len().div_ceil(r)).enumerate() {
        let counts = counts.zip(blocks).and_then(|(all, blocks)| all.get(i * blocks..(i + 1) * blocks));
        let distinct = distinct(grouping, counts) as f64;
        covered.distinct.push(distinct);
        covered.share.push(distinct / (built_on.max(1) as f64));
    }
}

/// Distinct indices of a grouping; `counts` says how many of each voxel block are valid.
fn distinct(grouping: &[u32], counts: Option<&[u16]>) -> usize {
    let mut seen: Vec<u32> = match counts {
        Some(counts) if !counts.is_empty() => {
            let blocks = grouping.chunks(grouping.len().div_ceil(counts.len()).max(1)).zip(counts);
            blocks.flat_map(|(block, &n)| block.iter().take(usize::from(n)).copied()).collect()
        }
        _ => grouping.to_vec(),
    };
    seen.sort_unstable();
    seen.dedup();
    seen.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_spread_evenly() {
        assert_eq!(evenly(10, 5), [0, 2, 4, 6, 8]);
        assert_eq!(evenly(3, 5), [0, 1, 2]);
        assert_eq!(evenly(0, 5), [0; 0]);
        assert_eq!(evenly(7, 0), [0; 0]);
    }

    #[test]
    fn padding_of_voxel_blocks_does_not_count() {
        assert_eq!(distinct(&[4, 5, 5, 9, 0, 0], None), 4);
        assert_eq!(distinct(&[4, 5, 5, 9, 0, 0], Some(&[2, 1])), 3);
        assert_eq!(distinct(&[], Some(&[])), 0);
    }
}
