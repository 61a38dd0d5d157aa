//! What the views show and weigh: counts, visible shares, times, and bytes per view.

use std::path::Path;

use jepa3d_schemas::{CatalogRow, CatalogViews, Manifest, ShapeLetters, ViewReader, ViewsEntry};
use serde::Serialize;

use super::columns::{ColumnBytes, add};
use super::sizes::{Spread, spread_of};
use crate::error::Result;

/// The views of a dataset; a spread is `None` without samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ViewStats {
    /// Hash of points and plan of the views.
    pub fingerprint: String,
    /// ViewStats in all shards.
    pub views: usize,
    /// ViewStats, or whole samples, of which none could be made.
    pub failures: usize,
    /// ViewStats of a sample.
    pub per_sample: Option<Spread>,
    /// Mean share of a sample's points that a view shows, 0 to 1.
    pub visible: Option<Spread>,
    /// Share of a sample's points that at least one view shows, 0 to 1.
    pub covered: Option<Spread>,
    /// Milliseconds of one thread to make the views of a sample.
    pub views_ms: Option<Spread>,
    /// Bytes of the files.
    pub bytes: u64,
    /// Bytes of what a view consists of, the largest first.
    pub parts: Vec<ViewBytes>,
    /// Bytes of each column, in file order.
    pub columns: Vec<ColumnBytes>,
    /// `V`, `H` and `W`.
    #[serde(skip)]
    pub shape: ShapeLetters,
}

/// Bytes of one part of the views.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ViewBytes {
    /// `image`, `depth`, `correspondences`, `dense map` or `camera and names`.
    pub part: &'static str,
    /// Bytes in the files.
    pub bytes: u64,
}

/// The part of a view that a column belongs to.
fn part_of(column: &str) -> &'static str {
    match column {
        "image" => "image",
        "depth" => "depth",
        "corr_point" | "corr_u" | "corr_v" | "corr_depth" => "correspondences",
        "pixel_point" => "dense map",
        _ => "camera and names",
    }
}

/// Measures the views, `None` without any.
pub(super) fn measure(
    folder: &Path,
    manifest: &Manifest,
    catalog: &[CatalogRow],
) -> Result<Option<ViewStats>> {
    let Some(entry) = &manifest.views else { return Ok(None) };
    let columns = columns(folder, entry)?;
    let rows: Vec<&CatalogViews> = catalog.iter().filter_map(|row| row.views.as_ref()).collect();
    let spread = |get: fn(&CatalogViews) -> f64| spread_of(rows.iter().copied().map(get).collect());
    Ok(Some(ViewStats {
        fingerprint: entry.fingerprint.clone(),
        views: entry.rows(),
        failures: entry.failures,
        per_sample: spread(|v| f64::from(v.views))?,
        visible: spread(|v| v.visible)?,
        covered: spread(|v| v.covered)?,
        views_ms: spread(|v| v.views_ms)?,
        bytes: entry.shards.iter().map(|shard| shard.bytes).sum(),
        parts: parts(&columns),
        columns,
        shape: manifest.shape,
    }))
}

/// Sums up the columns over all shards, from their footers.
fn columns(folder: &Path, entry: &ViewsEntry) -> Result<Vec<ColumnBytes>> {
    let mut columns: Vec<ColumnBytes> = Vec::new();
    for shard in &entry.shards {
        add(&mut columns, ViewReader::open(&folder.join(&shard.file))?.column_bytes());
    }
    Ok(columns)
}

fn parts(columns: &[ColumnBytes]) -> Vec<ViewBytes> {
    let mut parts: Vec<ViewBytes> = Vec::new();
    for column in columns {
        let part = part_of(column.column);
        match parts.iter_mut().find(|other| other.part == part) {
            Some(other) => other.bytes += column.compressed,
            None => parts.push(ViewBytes { part, bytes: column.compressed }),
        }
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_in_one_part() {
        let column = |column| ColumnBytes { column, compressed: 10, uncompressed: 20 };
        let columns: Vec<_> = jepa3d_schemas::Table::Views.column_names().map(column).collect();
        let parts = parts(&columns);
        assert_eq!(parts.iter().map(|part| part.bytes).sum::<u64>(), 10 * columns.len() as u64);
        let bytes = |name: &str| parts.iter().find(|part| part.part == name).unwrap().bytes;
        assert_eq!((bytes("image"), bytes("correspondences"), bytes("dense map")), (10, 40, 10));
    }
}
