//! Takes a complete dataset that lost shards apart again, so that only these are repeated.

use std::collections::BTreeMap;
use std::path::Path;

use jepa3d_schemas::{CATALOG_FILE, CatalogRow, MANIFEST_FILE, Manifest, read_catalog};

use crate::error::Result;
use crate::plan::Plan;
use crate::record::{QuarantineRow, TaskRecord, read_quarantine};

/// Writes the record of every task whose shard is still there, then removes the manifest.
///
/// # Errors
/// Fails if manifest, catalog or quarantine cannot be read or a record not be written.
pub(crate) fn reopen(plan: &Plan, out: &Path, state: &Path) -> Result<()> {
    let manifest = Manifest::read(out)?;
    let by_id = |rows: Vec<CatalogRow>| rows.into_iter().map(|r| (r.id.clone(), r)).collect();
    let catalog: BTreeMap<String, CatalogRow> = by_id(read_catalog(&out.join(CATALOG_FILE))?);
    let quarantine: BTreeMap<String, QuarantineRow> =
        read_quarantine(out)?.into_iter().map(|r| (r.id.clone(), r)).collect();
    for (task, shard) in plan.tasks.iter().zip(manifest.shards) {
        let ids = || task.objects.iter().map(|&i| plan.dataset.id(i));
        let record = TaskRecord {
            plan: plan.hash.clone(),
            shard,
            catalog: ids().filter_map(|id| catalog.get(id).cloned()).collect(),
            quarantine: ids().filter_map(|id| quarantine.get(id).cloned()).collect(),
        };
        record.write(state, task.number)?;
    }
    let path = out.join(MANIFEST_FILE);
    Ok(std::fs::remove_file(&path).map_err(|e| jepa3d_schemas::Error::io(&path, e))?)
}
