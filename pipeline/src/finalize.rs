//! Merges the records of finished tasks into catalog, quarantine and, last, the manifest.
//!
//! First those of the points, which makes the dataset complete; then those of the views. What
//! catalog and quarantine say of views counts only if the manifest has views, so that a process
//! that dies between them leaves a dataset that is complete without.

use std::collections::BTreeMap;
use std::path::Path;

use jepa3d_schemas::{
    CATALOG_FILE, CatalogViews, CatalogWriter, Manifest, SCHEMA_VERSION, ShardEntry, SplitCounts, ViewsEntry,
    read_catalog, write_atomically, write_catalog,
};

use crate::error::{Error, Result};
use crate::output_folder::{complete_points, remove_state};
use crate::plan::{Plan, hash_of};
use crate::record::{
    Fingerprint, QUARANTINE_FILE, QuarantineRow, Record, TaskRecord, ViewsRecord, quarantine_lines,
    read_quarantine,
};

/// Makes the dataset complete, and removes the state.
///
/// # Errors
/// Fails if a task has no record, or the disk does.
pub(crate) fn finalize(plan: &Plan, out: &Path, state: &Path) -> Result<Manifest> {
    let mut manifest = match complete_points(out)? {
        Some(manifest) => manifest,
        None => finalize_points(plan, out, state)?,
    };
    if let Some(hash) = &plan.views_hash {
        manifest = finalize_views(plan, hash, (out, state), manifest)?;
    }
    remove_state(state)?;
    Ok(manifest)
}

/// Merges the records of the points, one at a time.
fn finalize_points(plan: &Plan, out: &Path, state: &Path) -> Result<Manifest> {
    let mut catalog = CatalogWriter::create(&out.join(CATALOG_FILE))?;
    let mut fingerprint = Fingerprint::new(&plan.hash);
    let (mut quarantine, mut shards, mut missing) = (String::new(), Vec::new(), Vec::new());
    let mut splits: BTreeMap<String, SplitCounts> = BTreeMap::new();
    for task in &plan.tasks {
        let Some(record) = TaskRecord::read(state, out, task.number, &plan.hash) else {
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
    check_all_done(plan, out, &missing)?;
    catalog.finish()?;
    write_atomically(&out.join(QUARANTINE_FILE), quarantine.as_bytes())?;
    let manifest = Manifest { fingerprint: fingerprint.finish(), splits, shards, ..plan.empty_manifest() };
    manifest.write(out)?;
    Ok(manifest)
}

fn check_all_done(plan: &Plan, out: &Path, missing: &[usize]) -> Result<()> {
    let Some(&first) = missing.first() else { return Ok(()) };
    let (missing, total) = (missing.len(), plan.tasks.len());
    Err(Error::Unfinished { path: out.to_owned(), missing, total, first })
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
    plan: &Plan,
    hash: &str,
    (out, state): (&Path, &Path),
    manifest: Manifest,
) -> Result<Manifest> {
    let merged = merge_views(plan, hash, out, state)?;
    let mut catalog = read_catalog(&out.join(CATALOG_FILE))?;
    for row in &mut catalog {
        row.views = merged.counts.get(&row.id).copied();
    }
    let mut quarantine = read_quarantine(out)?;
    quarantine.retain(|row| !row.is_of_views());
    let failures = merged.quarantine.len();
    quarantine.extend(merged.quarantine);
    write_catalog(&out.join(CATALOG_FILE), &catalog)?;
    write_atomically(&out.join(QUARANTINE_FILE), quarantine_lines(&quarantine).as_bytes())?;
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
        failures,
        shards: merged.shards,
    };
    let manifest = Manifest { shape, views: Some(views), ..manifest };
    manifest.write(out)?;
    Ok(manifest)
}

fn merge_views(plan: &Plan, hash: &str, out: &Path, state: &Path) -> Result<MergedViews> {
    let (mut merged, mut missing) = (MergedViews::default(), Vec::new());
    for task in &plan.tasks {
        let Some(record) = ViewsRecord::read(state, out, task.number, hash) else {
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
    check_all_done(plan, out, &missing)?;
    Ok(merged)
}

/// Fingerprint of the views: that of the points and the plan of the views.
pub(crate) fn views_fingerprint(points: &str, plan: &str) -> String {
    hash_of(&[points, plan])
}

impl Plan {
    fn empty_manifest(&self) -> Manifest {
        Manifest {
            schema_version: SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            fingerprint: String::new(),
            plan: self.hash.clone(),
            split_hash: self.split_hash.clone(),
            dataset: self.dataset.name().to_owned(),
            up_axis: self.dataset.up_axis(),
            groups: self.config.groups.entry(),
            config: serde_json::to_value(self.config.of_points()).expect("a config serialises"),
            shape: self.config.points_shape(),
            classes: self.dataset.classes().to_vec(),
            box_classes: self.dataset.box_classes().to_vec(),
            splits: BTreeMap::new(),
            shards: Vec::new(),
            views: None,
        }
    }
}
