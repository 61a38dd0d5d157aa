//! What a prepared dataset holds: classes, sizes, times and bytes, as numbers, tables and plots.
//!
//! Everything comes from the manifest, the catalog, the quarantine and the footers of the shards;
//! of the rows themselves only the patch indices of a sample of row groups are read. So the cost
//! grows with the number of objects (a few hundred bytes each), not with the size of the clouds.

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

pub use plots::plots;
pub use report::Stats;

use crate::error::Result;
use crate::prepare::WRITTEN;
use complete_set::CompleteSet;
use report::DatasetSummary;

/// Statistics of the prepared dataset in `folder`.
///
/// # Errors
/// Fails if the dataset is not complete (no manifest), was written by another schema version, or
/// the catalog, the quarantine or a shard cannot be read.
pub fn stats(folder: &Path) -> Result<Stats> {
    let CompleteSet { manifest, catalog } = CompleteSet::read(folder)?;
    let (quarantine, listed) = quarantine::read(folder, manifest.views.is_some())?;
    let warnings = disagreements(&manifest, &catalog, listed);
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
        warnings,
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
