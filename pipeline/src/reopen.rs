//! Takes a complete dataset apart again, so that only what it lost, or what is to be replaced, is made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jepa3d_schemas::{CATALOG_FILE, CatalogRow, Manifest, read_catalog};

use crate::error::Result;
use crate::output_folder::{OutputFolder, remove_unless_gone};
use crate::plan::{PreparePlan, ShardTask};
use crate::quarantine::{QuarantineRow, read_quarantine};
use crate::record::{PointsRecord, SampleViewsRow, ShardRecord, ViewsRecord};
use crate::request::PlanPart;

/// Writes the records of points and views of every task, then removes the manifest; a record
/// without its shard counts as not done. Several tasks may do this at once: they write the same.
///
/// # Errors
/// Fails if the manifest is there and cannot be read, or a record cannot be written.
pub(crate) fn reopen_points(plan: &PreparePlan, folder: &OutputFolder) -> Result<()> {
    let Some(manifest) = Manifest::find(&folder.out)? else { return Ok(()) };
    // Without the tables nobody knows what became of which object: every task is repeated.
    let Some(tables) = ObjectTables::read(&folder.out, &manifest) else { return folder.remove_manifest() };
    for (task, shard) in plan.tasks.iter().zip(&manifest.shards) {
        let rows = tables.catalog_of(plan, task);
        let record = PointsRecord {
            plan: plan.hash.clone(),
            shard: shard.clone(),
            catalog: rows.map(|row| CatalogRow { views: None, ..row.clone() }).collect(),
            quarantine: tables.quarantine_of(plan, task, false),
        };
        record.write(folder, task.number)?;
    }
    record_views(plan, folder, &manifest, &tables)?;
    folder.remove_manifest()
}

/// Makes the dataset complete without views, keeping records of those that are the plan's.
///
/// The manifest goes first, the files of another config after it: whatever dies in between
/// leaves a dataset that is complete without views, and names that are written again. Tasks that
/// share the folder leave the old files to be written over, and look at no record but their own: together they would read every
/// record as often as there are tasks.
///
/// # Errors
/// Fails if a record or the manifest cannot be written, or an old file cannot be removed.
pub(crate) fn reopen_views(plan: &PreparePlan, folder: &OutputFolder, part: PlanPart) -> Result<()> {
    let Some(hash) = &plan.views_hash else { return Ok(()) };
    let mut concerned = part.numbers(plan.tasks.len());
    concerned.try_for_each(|number| ViewsRecord::remove_other(folder, number, hash))?;
    let Some(manifest) = Manifest::find(&folder.out)? else { return Ok(()) };
    let Some(views) = &manifest.views else { return Ok(()) };
    if views.plan == *hash {
        if let Some(tables) = ObjectTables::read(&folder.out, &manifest) {
            record_views(plan, folder, &manifest, &tables)?;
        }
        return Ok(manifest.without_views().write(&folder.out)?);
    }
    tracing::warn!(
        "{}: the views are of another config or renderer (plan {}) and are replaced by those of plan {hash}",
        folder.out.display(),
        views.plan
    );
    let listed: BTreeSet<String> = views.shards.iter().map(|shard| shard.file.clone()).collect();
    manifest.without_views().write(&folder.out)?;
    // Only files that this plan would write: a manifest is no list of what to remove.
    let ours = plan.tasks.iter().map(ShardTask::views_file);
    for file in ours.filter(|file| !part.shares_folder() && listed.contains(file)) {
        remove_unless_gone(&folder.out.join(file))?;
    }
    Ok(())
}

/// Writes the records of the views that the manifest lists.
fn record_views(
    plan: &PreparePlan,
    folder: &OutputFolder,
    manifest: &Manifest,
    tables: &ObjectTables,
) -> Result<()> {
    let Some(views) = &manifest.views else { return Ok(()) };
    let row = |row: &CatalogRow| {
        let (height, width) = (manifest.shape.H as u32, manifest.shape.W as u32);
        Some(SampleViewsRow { id: row.id.clone(), counts: row.views.clone()?, height, width })
    };
    for (task, shard) in plan.tasks.iter().zip(&views.shards) {
        let record = ViewsRecord {
            plan: views.plan.clone(),
            shard: shard.clone(),
            rows: tables.catalog_of(plan, task).filter_map(row).collect(),
            quarantine: tables.quarantine_of(plan, task, true),
        };
        record.write(folder, task.number)?;
    }
    Ok(())
}

/// Catalog and quarantine by object.
struct ObjectTables {
    catalog: BTreeMap<String, CatalogRow>,
    quarantine: BTreeMap<String, Vec<QuarantineRow>>,
}

impl ObjectTables {
    /// Both, `None` if one is lost or not the one that was written.
    fn read(out: &Path, manifest: &Manifest) -> Option<Self> {
        let rows = read_catalog(&out.join(CATALOG_FILE)).ok()?;
        let failures = read_quarantine(out, manifest).ok()?;
        let mut quarantine: BTreeMap<String, Vec<QuarantineRow>> = BTreeMap::new();
        for row in failures {
            quarantine.entry(row.id.clone()).or_default().push(row);
        }
        Some(Self { catalog: rows.into_iter().map(|row| (row.id.clone(), row)).collect(), quarantine })
    }

    /// The catalog rows of the objects of a task, in its order.
    fn catalog_of<'a>(
        &'a self,
        plan: &'a PreparePlan,
        task: &'a ShardTask,
    ) -> impl Iterator<Item = &'a CatalogRow> {
        task.objects.iter().filter_map(|&i| self.catalog.get(plan.dataset.id(i)))
    }

    /// Why objects of a task have no points, or, `concerning_views`, not all of their views.
    fn quarantine_of(
        &self,
        plan: &PreparePlan,
        task: &ShardTask,
        concerning_views: bool,
    ) -> Vec<QuarantineRow> {
        let rows = task.objects.iter().filter_map(|&i| self.quarantine.get(plan.dataset.id(i))).flatten();
        rows.filter(|row| row.concerns_views() == concerning_views).cloned().collect()
    }
}
