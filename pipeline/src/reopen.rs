//! Takes a complete dataset that lost shards apart again, so that only these are repeated.

use std::collections::BTreeMap;
use std::path::Path;

use jepa3d_schemas::{CATALOG_FILE, CatalogRow, MANIFEST_FILE, Manifest, read_catalog};

use crate::error::Result;
use crate::plan::Plan;
use crate::record::{QuarantineRow, TaskRecord, read_quarantine};

/// Writes the record of every task, then removes the manifest; a record without its shard counts
/// as not done. Several tasks may do this at once: they write the same records.
///
/// # Errors
/// Fails if the manifest is there and cannot be read, or a record cannot be written.
pub(crate) fn reopen(plan: &Plan, out: &Path, state: &Path) -> Result<()> {
    let Some(manifest) = Manifest::find(out)? else { return Ok(()) };
    let (rows, failures) = match (read_catalog(&out.join(CATALOG_FILE)), read_quarantine(out)) {
        (Ok(rows), Ok(failures)) => (rows, failures),
        // Without them nobody knows what became of which object: every task is repeated.
        _ => return remove_manifest(out),
    };
    let by_id = |rows: Vec<CatalogRow>| rows.into_iter().map(|r| (r.id.clone(), r)).collect();
    let catalog: BTreeMap<String, CatalogRow> = by_id(rows);
    let quarantine: BTreeMap<String, QuarantineRow> =
        failures.into_iter().map(|r| (r.id.clone(), r)).collect();
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
    remove_manifest(out)
}

fn remove_manifest(out: &Path) -> Result<()> {
    let path = out.join(MANIFEST_FILE);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(jepa3d_schemas::Error::io(&path, e).into()),
        _ => Ok(()),
    }
}
