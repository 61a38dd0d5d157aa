//! Stored samples of a points shard, for views that are added later: only what a renderer looks at.

use std::collections::BTreeMap;
use std::path::Path;

use jepa3d_schemas::{CLOUD_COLUMNS, Sample, ShardReader};

use crate::error::Result;

/// Samples by id.
pub(crate) type StoredSamples = BTreeMap<String, Sample>;

/// The samples of the row group whose ids lie in `first..=last`; none if there is no such row group.
///
/// # Errors
/// Fails if the shard at `path` cannot be read.
pub(crate) fn read_stored(path: &Path, first: &str, last: &str) -> Result<StoredSamples> {
    let reader = ShardReader::open(path)?;
    let Some(group) = row_group_of(&reader, first)? else { return Ok(StoredSamples::new()) };
    let rows = reader.read_row_group(group, &CLOUD_COLUMNS)?;
    let mut samples = StoredSamples::new();
    for row in 0..rows.rows {
        let sample = rows.cloud(row).ok_or_else(|| {
            let what = format!("row group {group}, row {row}");
            jepa3d_schemas::Error::contract(path, what, "a sample", "nulls")
        })?;
        if (first..=last).contains(&sample.sample_id.as_str()) {
            samples.insert(sample.sample_id.clone(), sample);
        }
    }
    Ok(samples)
}

/// The first row group whose first id is not below `first`; ids ascend through a shard.
fn row_group_of(reader: &ShardReader, first: &str) -> Result<Option<usize>> {
    let (mut low, mut high) = (0, reader.row_groups());
    while low < high {
        let middle = (low + high) / 2;
        let ids = reader.read_row_group(middle, &["sample_id"])?.sample_id.unwrap_or_default();
        if ids.first().is_some_and(|id| id.as_str() < first) { low = middle + 1 } else { high = middle }
    }
    Ok((low < reader.row_groups()).then_some(low))
}
