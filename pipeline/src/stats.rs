//! What a prepared dataset holds: classes, sizes, times and bytes, as numbers, tables and plots.
//!
//! Everything comes from the manifest, the catalog, the quarantine and the footers of the shards;
//! of the rows themselves only the patch indices of a sample of row groups are read. So the cost
//! grows with the number of objects (a few hundred bytes each), not with the size of the clouds.

mod chart;
mod classes;
mod columns;
mod coverage;
mod error;
#[cfg(test)]
mod fixture;
mod frame;
mod plots;
mod quarantine;
mod sizes;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod times;
mod units;
mod views;

use std::collections::BTreeMap;
use std::path::Path;

use jepa3d_schemas::{
    CATALOG_FILE, CatalogRow, MANIFEST_FILE, Manifest, ShapeLetters, SplitCounts, UpAxis, read_catalog,
};
use serde::Serialize;

pub use classes::ClassCounts;
pub use columns::{ColumnBytes, SplitShards};
pub use coverage::Coverage;
pub use error::StatsError;
pub use plots::plots;
pub use quarantine::{Failure, StageFailures};
pub use sizes::{Degenerate, NamedExtent, Sizes, Spread};
pub use times::{SlowObject, StageTime, Times};
pub use views::{ViewPart, Views};

use error::Result;

/// Statistics of a prepared dataset; [`Stats::tables`] is their text form.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// What the manifest says of the dataset as a whole.
    pub dataset: DatasetSummary,
    /// Objects of each class, the largest class first.
    pub classes: Vec<ClassCounts>,
    /// Objects that could not be prepared, by stage, the most frequent first.
    pub quarantine: Vec<StageFailures>,
    /// Points, triangles and raw sizes of the written objects.
    pub sizes: Sizes,
    /// Time spent on all objects.
    pub times: Times,
    /// How much of its cloud a grouping reaches; `None` without rows or groups.
    pub coverage: Option<Coverage>,
    /// Bytes of each column, the largest first.
    pub columns: Vec<ColumnBytes>,
    /// Shards of each split.
    pub shards: Vec<SplitShards>,
    /// The views; `None` without any.
    pub views: Option<Views>,
    /// Where the files of the dataset disagree, one sentence each.
    pub warnings: Vec<String>,
}

/// What the manifest says of a dataset as a whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DatasetSummary {
    /// Name of the dataset.
    pub name: String,
    /// Version of the on-disk contract.
    pub schema_version: u32,
    /// Version of the tool that wrote it.
    pub tool_version: String,
    /// Hash of plan and source hashes.
    pub fingerprint: String,
    /// Axis that points up.
    pub up_axis: UpAxis,
    /// The letters.
    pub shape: ShapeLetters,
    /// Counts by split.
    pub splits: BTreeMap<String, SplitCounts>,
}

/// Manifest and catalog of a complete dataset.
struct Prepared {
    manifest: Manifest,
    catalog: Vec<CatalogRow>,
}

impl Prepared {
    fn read(folder: &Path) -> Result<Self> {
        if !folder.join(MANIFEST_FILE).exists() {
            return Err(StatsError::Incomplete { folder: folder.to_owned() });
        }
        let manifest = Manifest::read(folder)?;
        let catalog = read_catalog(&folder.join(CATALOG_FILE))?;
        Ok(Self { manifest, catalog })
    }
}

/// Statistics of the prepared dataset in `folder`.
///
/// # Errors
/// Fails if the dataset is not complete (no manifest), was written by another schema version, or
/// the catalog, the quarantine or a shard cannot be read.
pub fn stats(folder: &Path) -> Result<Stats> {
    let Prepared { manifest, catalog } = Prepared::read(folder)?;
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
    let written = catalog.iter().filter(|row| row.status == frame::WRITTEN).count();
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

impl std::fmt::Display for Stats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.tables())
    }
}
