//! What a prepared dataset holds: classes, sizes, times and bytes, as numbers, tables and plots.
//!
//! Everything comes from the manifest, the catalog, the quarantine and the footers of the shards;
//! of the rows themselves only the patch indices of a sample of row groups are read. Every shard is
//! compared with its hash first, at the speed of the disk.

mod classes;
mod columns;
mod complete_set;
mod coverage;
#[cfg(test)]
mod fixture;
mod frame;
mod plots;
mod quarantine;
mod report;
mod sizes;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod times;
mod units;
mod views;

use std::path::Path;

use jepa3d_schemas::{CatalogRow, Manifest};
use rayon::prelude::*;

pub use plots::plots;
pub use report::Stats;

use crate::error::Result;
use crate::prepare::WRITTEN;
use crate::warnings::count_warnings;
use complete_set::CompleteSet;
use report::DatasetSummary;

/// Statistics of the prepared dataset in `folder`.
///
/// # Errors
/// Fails if the dataset is not complete (no manifest), was written by another schema version, or
/// the catalog, the quarantine or a shard cannot be read or is not the one that was written.
pub fn stats(folder: &Path) -> Result<Stats> {
    let CompleteSet { manifest, catalog } = CompleteSet::read(folder)?;
    check_shards(folder, &manifest)?;
    let (quarantine, listed) = quarantine::read(folder, &manifest)?;
    let disagreements = disagreements(&manifest, &catalog, listed);
    let coverage = coverage::sample(folder, &manifest, &catalog)?.map(|seen| seen.summary()).transpose()?;
    let (columns, shards) = columns::read(folder, &manifest)?;
    let objects = frame::objects(&catalog)?;
    Ok(Stats {
        classes: classes::count(&objects, &manifest.classes)?,
        quarantine,
        sizes: sizes::measure(&objects, manifest.shape.S)?,
        times: times::measure(&objects)?,
        coverage,
        columns,
        shards,
        views: views::measure(folder, &manifest, &catalog)?,
        warnings: count_warnings(&catalog),
        notes: manifest.notes,
        disagreements,
        dataset: DatasetSummary {
            name: manifest.dataset,
            schema_version: manifest.schema_version,
            tool_version: manifest.tool_version,
            fingerprint: manifest.fingerprint,
            up_axis: manifest.up_axis,
            shape: manifest.shape,
            splits: manifest.splits,
        },
    })
}

/// Compares every shard with its hash, so that nothing damaged is decoded, or counted.
fn check_shards(folder: &Path, manifest: &Manifest) -> Result<()> {
    let views = manifest.views.as_ref().map_or(&[][..], |views| &views.shards);
    let shards = manifest.shards.par_iter().chain(views);
    shards.with_max_len(1).try_for_each(|shard| Ok(shard.check_file(folder).map(drop)?))
}

/// Compares the counts of manifest, catalog and quarantine; `jepa3d verify` looks deeper.
fn disagreements(manifest: &Manifest, catalog: &[CatalogRow], listed: usize) -> Vec<String> {
    let written = catalog.iter().filter(|row| row.status == WRITTEN).count();
    let quarantined = catalog.len() - written;
    let rows: usize = manifest.shards.iter().map(|shard| shard.rows).sum();
    let pairs = [
        ("written objects in the catalog", written, manifest.written()),
        ("rows in the shards", rows, manifest.written()),
        ("quarantined objects in the catalog", quarantined, manifest.quarantined()),
        ("lines in the quarantine", listed, manifest.failures()),
    ];
    let differs = pairs.into_iter().filter(|(_, found, expected)| found != expected);
    differs
        .map(|(what, found, expected)| {
            format!("{what}: expected {expected} as in the manifest, found {found}; run `jepa3d verify`")
        })
        .collect()
}
