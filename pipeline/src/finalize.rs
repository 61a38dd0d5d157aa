//! Merges the records of finished tasks into catalog, quarantine and, last, the manifest.
//!
//! First those of the points, which makes the dataset complete; then those of the views. What
//! catalog and quarantine say of views counts only if the manifest has views, so that a process
//! that dies between them leaves a dataset that is complete without.

use std::collections::BTreeMap;

use jepa3d_schemas::{
    CATALOG_FILE, CatalogViews, CatalogWriter, Manifest, SCHEMA_VERSION, ShardEntry, SplitCounts, ViewsEntry,
    read_catalog, write_atomically, write_catalog,
};

use crate::card::write_card;
use crate::error::{Error, Result};
use crate::fingerprint::{Fingerprint, views_fingerprint};
use crate::output_folder::OutputFolder;
use crate::plan::PreparePlan;
use crate::quarantine::{QUARANTINE_FILE, QuarantineRow, quarantine_hash, quarantine_lines, read_quarantine};
use crate::record::{PointsRecord, ShardRecord, ViewsRecord};

/// Makes the dataset complete, and removes the state.
///
/// # Errors
/// Fails if a task has no record, or the disk does.
pub(crate) fn finalize(plan: &PreparePlan, folder: &OutputFolder) -> Result<Manifest> {
    let mut manifest = match folder.find_complete_points()? {
        Some(manifest) => manifest,
        None => finalize_points(plan, folder)?,
    };
    if let Some(hash) = &plan.views_hash {
        manifest = finalize_views(plan, hash, folder, manifest)?;
    }
    write_card(&folder.out, &manifest)?;
    folder.remove_state()?;
    Ok(manifest)
}

/// Merges the records of the points, one at a time.
fn finalize_points(plan: &PreparePlan, folder: &OutputFolder) -> Result<Manifest> {
    let mut catalog = CatalogWriter::create(&folder.out.join(CATALOG_FILE))?;
    let mut fingerprint = Fingerprint::new(&plan.hash);
    let (mut quarantine, mut shards, mut missing) = (String::new(), Vec::new(), Vec::new());
    let mut splits: BTreeMap<String, SplitCounts> = BTreeMap::new();
    for task in &plan.tasks {
        let Some(record) = PointsRecord::read(folder, task, &plan.hash)? else {
            missing.push(task.number);
            continue;
        };
        let counts = splits.entry(record.shard.split.clone()).or_default();
        counts.written += record.shard.rows;
        counts.quarantined += record.quarantine.len();
        catalog.append(&record.catalog)?;
        fingerprint.add(&record.catalog);
        quarantine += &quarantine_lines(&record.quarantine);
        shards.push(record.shard);
    }
    check_all_done(plan, folder, &missing)?;
    catalog.finish()?;
    write_atomically(&folder.out.join(QUARANTINE_FILE), quarantine.as_bytes())?;
    let manifest = Manifest {
        fingerprint: fingerprint.finish(),
        splits,
        quarantine_hash: Some(quarantine_hash(&quarantine)),
        shards,
        ..empty_manifest(plan)
    };
    manifest.write(&folder.out)?;
    Ok(manifest)
}

fn check_all_done(plan: &PreparePlan, folder: &OutputFolder, missing: &[usize]) -> Result<()> {
    let Some(&first) = missing.first() else { return Ok(()) };
    let (missing, total) = (missing.len(), plan.tasks.len());
    Err(Error::Unfinished { path: folder.out.clone(), missing, total, first })
}

/// What the records of all tasks say of the views.
#[derive(Default)]
struct MergedViews {
    counts: BTreeMap<String, CatalogViews>,
    quarantine: Vec<QuarantineRow>,
    shards: Vec<ShardEntry>,
    /// Most views of a sample, largest height and width.
    largest: [usize; 3],
}

/// Adds the views to catalog, quarantine and manifest.
fn finalize_views(
    plan: &PreparePlan,
    hash: &str,
    folder: &OutputFolder,
    manifest: Manifest,
) -> Result<Manifest> {
    let merged = merge_views(plan, hash, folder)?;
    let out = &folder.out;
    let mut catalog = read_catalog(&out.join(CATALOG_FILE))?;
    for row in &mut catalog {
        row.views = merged.counts.get(&row.id).cloned();
    }
    let mut quarantine = read_quarantine(out, &manifest)?;
    quarantine.retain(|row| !row.concerns_views());
    let of_views = quarantine_lines(&merged.quarantine);
    let lines = quarantine_lines(&quarantine) + &of_views;
    write_catalog(&out.join(CATALOG_FILE), &catalog)?;
    write_atomically(&out.join(QUARANTINE_FILE), lines.as_bytes())?;
    let mut shape = plan.config.shape();
    if shape.V == 0 {
        [shape.V, shape.H, shape.W] = merged.largest;
    }
    let config = plan.config.views.clone().unwrap_or_default();
    let [red, green, blue, _] = config.background;
    let views = ViewsEntry {
        plan: hash.to_owned(),
        fingerprint: views_fingerprint(&manifest.fingerprint, hash),
        background: [red, green, blue],
        config: serde_json::to_value(&config).expect("a config serialises"),
        failures: merged.quarantine.len(),
        quarantine_hash: Some(quarantine_hash(&of_views)),
        shards: merged.shards,
    };
    let manifest = Manifest { shape, views: Some(views), ..manifest };
    manifest.write(out)?;
    Ok(manifest)
}

fn merge_views(plan: &PreparePlan, hash: &str, folder: &OutputFolder) -> Result<MergedViews> {
    let (mut merged, mut missing) = (MergedViews::default(), Vec::new());
    for task in &plan.tasks {
        let Some(record) = ViewsRecord::read(folder, task, hash)? else {
            missing.push(task.number);
            continue;
        };
        for row in record.rows {
            let size = [row.counts.views as usize, row.height as usize, row.width as usize];
            merged.largest = [0, 1, 2].map(|i| merged.largest[i].max(size[i]));
            merged.counts.insert(row.id, row.counts);
        }
        merged.quarantine.extend(record.quarantine);
        merged.shards.push(record.shard);
    }
    check_all_done(plan, folder, &missing)?;
    Ok(merged)
}

/// What the manifest says of a plan before any shard is made.
fn empty_manifest(plan: &PreparePlan) -> Manifest {
    Manifest {
        schema_version: SCHEMA_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        fingerprint: String::new(),
        plan: plan.hash.clone(),
        split_hash: plan.split_hash.clone(),
        dataset: plan.dataset.name().to_owned(),
        up_axis: plan.dataset.up_axis(),
        groups: plan.config.groups.entry(),
        config: serde_json::to_value(plan.config.points_only()).expect("a config serialises"),
        shape: plan.config.points_shape(),
        classes: plan.dataset.classes().to_vec(),
        box_classes: plan.dataset.box_classes().to_vec(),
        point_classes: plan.dataset.point_classes(),
        splits: BTreeMap::new(),
        notes: plan.dataset.notes(),
        quarantine_hash: None,
        shards: Vec::new(),
        views: None,
    }
}
