//! Bytes of the columns and shards, from the footers.

use std::collections::BTreeMap;
use std::path::Path;

use jepa3d_schemas::{Manifest, ShardReader, fetch_ahead};
use serde::Serialize;

use crate::error::Result;

/// Bytes of a column over all shards.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ColumnBytes {
    /// Name of the column.
    pub column: &'static str,
    /// Bytes in the files.
    pub compressed: u64,
    /// Bytes before compression.
    pub uncompressed: u64,
}

/// Shards of a split.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct SplitShards {
    /// The split.
    pub split: String,
    /// Shards.
    pub shards: usize,
    /// Row groups.
    pub row_groups: usize,
    /// Rows.
    pub rows: usize,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Adds the columns of one shard, in file order, to those of the shards before it.
pub(super) fn add(columns: &mut Vec<ColumnBytes>, shard: Vec<(&'static str, u64, u64)>) {
    for (i, (column, compressed, uncompressed)) in shard.into_iter().enumerate() {
        if i == columns.len() {
            columns.push(ColumnBytes { column, compressed: 0, uncompressed: 0 });
        }
        columns[i].compressed += compressed;
        columns[i].uncompressed += uncompressed;
    }
}

/// Opens every shard once, for its footer only.
pub(super) fn read(folder: &Path, manifest: &Manifest) -> Result<(Vec<ColumnBytes>, Vec<SplitShards>)> {
    let mut columns: Vec<ColumnBytes> = Vec::new();
    let mut splits: BTreeMap<&str, SplitShards> = BTreeMap::new();
    let paths: Vec<_> = manifest.shards.iter().map(|entry| folder.join(&entry.file)).collect();
    let _ahead = fetch_ahead(&paths);
    for entry in &manifest.shards {
        let reader = ShardReader::open(&folder.join(&entry.file))?;
        let split = splits.entry(&entry.split).or_default();
        split.shards += 1;
        split.row_groups += reader.row_groups();
        split.rows += entry.rows;
        split.bytes += entry.bytes;
        add(&mut columns, reader.column_bytes());
    }
    // Stable: equal columns stay in file order.
    columns.sort_by_key(|column| std::cmp::Reverse(column.compressed));
    let named = splits.into_iter().map(|(name, split)| SplitShards { split: name.to_owned(), ..split });
    Ok((columns, named.collect()))
}
