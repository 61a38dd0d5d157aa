//! Takes a complete dataset apart again, so that only what it lost, or what is to be replaced, is made.

use std::collections::BTreeMap;
use std::path::Path;

use jepa3d_schemas::{CATALOG_FILE, CatalogRow, Manifest, read_catalog};

use crate::error::Result;
use crate::output_folder::remove_manifest;
use crate::plan::Plan;
use crate::record::{
    QuarantineRow, Record, TaskRecord, ViewsRecord, ViewsRow, read_quarantine, remove_unless_gone,
};

/// Writes the records of points and views of every task, then removes the manifest; a record
/// without its shard counts as not done. Several tasks may do this at once: they write the same.
///
/// # Errors
/// Fails if the manifest is there and cannot be read, or a record cannot be written.
pub(crate) fn reopen(plan: &Plan, out: &Path, state: &Path) -> Result<()> {
    let Some(manifest) = Manifest::find(out)? else { return Ok(()) };
    // Without the tables nobody knows what became of which object: every task is repeated.
    let Some(tables) = Tables::read(out) else { return remove_manifest(out) };
    for (task, shard) in plan.tasks.iter().zip(&manifest.shards) {
        let ids = || task.objects.iter().map(|&i| plan.dataset.id(i));
        let rows = ids().filter_map(|id| tables.catalog.get(id));
        let record = TaskRecord {
            plan: plan.hash.clone(),
            shard: shard.clone(),
            catalog: rows.map(|row| CatalogRow { views: None, ..row.clone() }).collect(),
            quarantine: ids().flat_map(|id| tables.failures(id, false)).collect(),
        };
        record.write(state, task.number)?;
    }
    record_views(plan, &manifest, &tables, state)?;
    remove_manifest(out)
}

/// Makes the dataset complete without views, keeping records of those that are the plan's.
///
/// The manifest goes first, the files of another config after it: whatever dies in between
/// leaves a dataset that is complete without views, and names that are written again. Tasks that
/// share the folder leave the old files to be written over.
///
/// # Errors
/// Fails if a record or the manifest cannot be written, or an old file cannot be removed.
pub(crate) fn reopen_views(plan: &Plan, out: &Path, state: &Path, is_alone: bool) -> Result<()> {
    let Some(hash) = &plan.views_hash else { return Ok(()) };
    plan.tasks.iter().try_for_each(|task| ViewsRecord::remove_other(state, task.number, hash))?;
    let Some(manifest) = Manifest::find(out)? else { return Ok(()) };
    let Some(views) = &manifest.views else { return Ok(()) };
    if views.plan == *hash {
        if let Some(tables) = Tables::read(out) {
            record_views(plan, &manifest, &tables, state)?;
        }
        return Ok(manifest.without_views().write(out)?);
    }
    tracing::warn!(
        "{}: the views are of another config or renderer (plan {}) and are replaced by those of plan {hash}",
        out.display(),
        views.plan
    );
    let listed: Vec<String> = views.shards.iter().map(|shard| shard.file.clone()).collect();
    manifest.without_views().write(out)?;
    for file in listed.iter().filter(|_| is_alone) {
        remove_unless_gone(&out.join(file))?;
    }
    Ok(())
}

/// Writes the records of the views that the manifest lists.
fn record_views(plan: &Plan, manifest: &Manifest, tables: &Tables, state: &Path) -> Result<()> {
    let Some(views) = &manifest.views else { return Ok(()) };
    let row = |row: &CatalogRow| {
        let (height, width) = (manifest.shape.H as u32, manifest.shape.W as u32);
        Some(ViewsRow { id: row.id.clone(), counts: row.views?, height, width })
    };
    for (task, shard) in plan.tasks.iter().zip(&views.shards) {
        let ids = || task.objects.iter().map(|&i| plan.dataset.id(i));
        let record = ViewsRecord {
            plan: views.plan.clone(),
            shard: shard.clone(),
            rows: ids().filter_map(|id| tables.catalog.get(id)).filter_map(row).collect(),
            quarantine: ids().flat_map(|id| tables.failures(id, true)).collect(),
        };
        record.write(state, task.number)?;
    }
    Ok(())
}

/// Catalog and quarantine by object.
struct Tables {
    catalog: BTreeMap<String, CatalogRow>,
    quarantine: BTreeMap<String, Vec<QuarantineRow>>,
}

impl Tables {
    fn read(out: &Path) -> Option<Self> {
        let (rows, failures) = (read_catalog(&out.join(CATALOG_FILE)).ok()?, read_quarantine(out).ok()?);
        let mut quarantine: BTreeMap<String, Vec<QuarantineRow>> = BTreeMap::new();
        for row in failures {
            quarantine.entry(row.id.clone()).or_default().push(row);
        }
        Some(Self { catalog: rows.into_iter().map(|row| (row.id.clone(), row)).collect(), quarantine })
    }

    /// Why an object has no points, or not all of its views.
    fn failures(&self, id: &str, of_views: bool) -> Vec<QuarantineRow> {
        let rows = self.quarantine.get(id).into_iter().flatten();
        rows.filter(|row| row.is_of_views() == of_views).cloned().collect()
    }
}
