//! Checks a prepared dataset: hashes, counts, and the invariants of every row.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use jepa3d_schemas::{
    CATALOG_FILE, CatalogRow, MANIFEST_FILE, Manifest, Sample, ShapeLetters, ShardEntry, ShardReader,
    check_shapes, read_catalog,
};
use serde::Serialize;

use crate::config::{GroupKind, PrepareConfig};
use crate::error::Result;
use crate::normalize::Frame;
use crate::plan::POINTS_FOLDER as SHARD_FOLDER;
use crate::record::{Fingerprint, QUARANTINE_FILE, read_quarantine};

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// File below the dataset's folder.
    pub file: String,
    /// Sample, where it is one.
    pub sample: Option<String>,
    /// What was expected and found.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sample {
            Some(sample) => write!(f, "{}: sample {sample}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// What was checked and what was wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// The manifest.
    pub manifest: Manifest,
    /// Rows whose invariants were checked.
    pub rows: usize,
    /// Problems, by file and sample.
    pub problems: Vec<Problem>,
}

/// Verifies the prepared dataset in `folder` on `threads` threads.
///
/// Every shard must be there with its size and hash, carry the plan of the manifest, and every
/// row must hold finite points in its frame, distinct centers inside their subset, patches
/// sorted by (distance, index), a label of its class, and an id in order. Catalog, quarantine
/// and fingerprint must agree with the shards, and no other file may lie between them.
///
/// # Errors
/// Fails if there is no readable manifest, or its config is of another version.
pub fn verify(folder: &Path, threads: usize) -> Result<Verification> {
    let manifest = Manifest::read(folder)?;
    let config: PrepareConfig = serde_json::from_value(manifest.config.clone()).map_err(|e| {
        let path = folder.join(MANIFEST_FILE);
        jepa3d_schemas::Error::contract(&path, "config", "a config of this version", e)
    })?;
    let next = AtomicUsize::new(0);
    let results: Mutex<BTreeMap<usize, Checked>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some((i, shard)) = take(&next, &manifest.shards) {
                    let checked = check_shard(folder, shard, &manifest, &config);
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(i, checked);
                }
            });
        }
    });
    let (mut ids, mut problems) = (Vec::new(), Vec::new());
    for (i, (of_shard, found)) in results.into_inner().unwrap_or_default() {
        ids.extend(of_shard.into_iter().map(|id| (manifest.shards[i].split.clone(), id)));
        problems.extend(found);
    }
    check_listing(folder, &manifest, &mut problems);
    check_tables(folder, &manifest, &ids, &mut problems);
    Ok(Verification { rows: ids.len(), manifest, problems })
}

fn take<'a>(next: &AtomicUsize, shards: &'a [ShardEntry]) -> Option<(usize, &'a ShardEntry)> {
    let i = next.fetch_add(1, Ordering::Relaxed);
    shards.get(i).map(|shard| (i, shard))
}

/// Ids of a shard's rows, and its problems.
type Checked = (Vec<String>, Vec<Problem>);

/// Checks one shard, bytes first.
fn check_shard(folder: &Path, shard: &ShardEntry, manifest: &Manifest, config: &PrepareConfig) -> Checked {
    let mut problems = Vec::new();
    let mut report = |sample: Option<&str>, what: String| {
        problems.push(Problem { file: shard.file.clone(), sample: sample.map(str::to_owned), what });
    };
    let path = folder.join(&shard.file);
    if let Err(what) = check_bytes(&path, shard) {
        report(None, what);
        return (Vec::new(), problems);
    }
    let reader = match ShardReader::open(&path) {
        Ok(reader) => reader,
        Err(error) => {
            report(None, error.to_string());
            return (Vec::new(), problems);
        }
    };
    let plan = reader.metadata().get("jepa3d.plan").map_or("none", String::as_str);
    if plan != manifest.plan {
        report(None, format!("plan: expected {}, found {plan}", manifest.plan));
    }
    if reader.rows() != shard.rows {
        report(None, format!("rows: expected {}, found {}", shard.rows, reader.rows()));
    }
    let mut ids: Vec<String> = Vec::new();
    for group in 0..reader.row_groups() {
        match reader.read_row_group(group, &[]) {
            Err(error) => report(None, error.to_string()),
            Ok(rows) => {
                for sample in (0..rows.rows).filter_map(|i| rows.sample(i)) {
                    if let Err(what) = check_sample(&sample, manifest, config) {
                        report(Some(&sample.sample_id), what);
                    }
                    if ids.last().is_some_and(|last| *last >= sample.sample_id) {
                        report(Some(&sample.sample_id), "ids are not in ascending order".to_owned());
                    }
                    ids.push(sample.sample_id);
                }
            }
        }
    }
    (ids, problems)
}

fn check_bytes(path: &Path, shard: &ShardEntry) -> Result<(), String> {
    let mut file = std::fs::File::open(path).map_err(|e| format!("cannot read: {e}"))?;
    let mut hasher = blake3::Hasher::new();
    let bytes = std::io::copy(&mut file, &mut hasher).map_err(|e| format!("cannot read: {e}"))?;
    if bytes != shard.bytes {
        return Err(format!("bytes: expected {}, found {bytes}", shard.bytes));
    }
    let hash = hasher.finalize().to_hex().to_string();
    if hash != shard.hash {
        return Err(format!("content hash: expected {}, found {hash}", shard.hash));
    }
    Ok(())
}

/// Checks the invariants of one row; says the first that does not hold.
fn check_sample(sample: &Sample, manifest: &Manifest, config: &PrepareConfig) -> Result<(), String> {
    check_shapes(sample).map_err(|e| e.to_string())?;
    let shape = &manifest.shape;
    let s = sample.len();
    let ensure = |holds: bool, what: &str, expected: String, found: String| {
        if holds { Ok(()) } else { Err(format!("{what}: expected {expected}, found {found}")) }
    };
    let count = |what: &str, expected: usize, found: usize| {
        ensure(expected == found, what, expected.to_string(), found.to_string())
    };
    ensure((shape.N..=shape.S).contains(&s), "points", format!("{} to {}", shape.N, shape.S), s.to_string())?;
    let is_finite = sample.points.iter().all(|x| x.is_finite());
    ensure(is_finite, "points", "finite coordinates".into(), "NaN or infinity".into())?;
    count("center_indices", shape.R * shape.G, sample.center_indices.len())?;
    count("patch_indices", shape.R * shape.G * shape.K, sample.patch_indices.len())?;
    let subset = if s > shape.N { shape.R * shape.N } else { 0 };
    count("subset", subset, sample.subset.as_ref().map_or(0, Vec::len))?;
    let is_scaled = sample.norm_scale.is_finite() && sample.norm_scale > 0.0;
    ensure(is_scaled, "norm_scale", "a positive length".into(), sample.norm_scale.to_string())?;
    if config.cloud.frame == Frame::UnitSphere {
        let radius = points(sample).map(|p| p.iter().map(|x| x * x).sum::<f32>().sqrt()).fold(0.0, f32::max);
        ensure(radius <= 1.0 + 1e-5, "radius", "at most 1".into(), radius.to_string())?;
    }
    if let Some(label) = sample.label {
        let class = usize::try_from(label).ok().and_then(|l| manifest.classes.get(l));
        let found = format!("label {label}, category {:?}", sample.category);
        ensure(class == sample.category.as_ref(), "label", format!("the class {class:?}"), found)?;
    }
    (0..shape.R).try_for_each(|r| check_grouping(sample, r, shape, config.groups.kind))
}

fn points(sample: &Sample) -> impl Iterator<Item = [f32; 3]> + '_ {
    sample.points.as_chunks::<3>().0.iter().copied()
}

fn check_grouping(sample: &Sample, r: usize, shape: &ShapeLetters, kind: GroupKind) -> Result<(), String> {
    let (n, g, k) = (shape.N, shape.G, shape.K);
    let mut is_member = vec![sample.subset.is_none(); sample.len()];
    for &i in sample.subset.iter().flat_map(|subset| &subset[r * n..(r + 1) * n]) {
        if std::mem::replace(&mut is_member[i as usize], true) {
            return Err(format!("subset of grouping {r}: point {i} stands there twice"));
        }
    }
    let centers = &sample.center_indices[r * g..(r + 1) * g];
    let patches = &sample.patch_indices[r * g * k..(r + 1) * g * k];
    if let Some(i) = centers.iter().chain(patches).find(|&&i| !is_member[i as usize]) {
        return Err(format!("grouping {r}: point {i} is not in its subset"));
    }
    if kind == GroupKind::Voxel {
        return check_blocks(sample, r, (centers, patches), shape);
    }
    let mut is_center = vec![false; sample.len()];
    for (&center, patch) in centers.iter().zip(patches.chunks_exact(k)) {
        if std::mem::replace(&mut is_center[center as usize], true) {
            return Err(format!("grouping {r}: center {center} stands there twice"));
        }
        let at = |i: u32| -> [f32; 3] { std::array::from_fn(|a| sample.points[3 * i as usize + a]) };
        let c = at(center);
        let key = |&i: &u32| {
            let [x, y, z] = at(i);
            let [x, y, z] = [x - c[0], y - c[1], z - c[2]];
            ((x * x + y * y) + z * z, i)
        };
        if !patch.is_sorted_by(|a, b| key(a) < key(b)) || key(&patch[0]).0 != 0.0 {
            return Err(format!("grouping {r}: the patch of center {center} is not by (distance, index)"));
        }
    }
    Ok(())
}

fn check_blocks(
    sample: &Sample,
    r: usize,
    (centers, patches): (&[u32], &[u32]),
    shape: &ShapeLetters,
) -> Result<(), String> {
    let (g, k) = (shape.G, shape.K);
    let counts = sample.patch_counts.as_ref().ok_or("patch_counts: expected counts, found none")?;
    if sample.centers.is_none() {
        return Err("centers: expected centroids, found none".to_owned());
    }
    for ((&count, &center), patch) in counts[r * g..].iter().zip(centers).zip(patches.chunks_exact(k)) {
        let count = usize::from(count);
        if count > k {
            return Err(format!("patch_counts: expected at most {k}, found {count}"));
        }
        let repeats = (count.max(1)..k).all(|i| patch[i] == patch[i % count.max(1)]);
        if !repeats || (count == 0 && patch[0] != center) {
            return Err(format!("grouping {r}: the block of center {center} does not repeat its points"));
        }
    }
    Ok(())
}

/// Readers that take the whole folder would mix in shards that the manifest does not list.
fn check_listing(folder: &Path, manifest: &Manifest, problems: &mut Vec<Problem>) {
    let entries = std::fs::read_dir(folder.join(SHARD_FOLDER)).into_iter().flatten().flatten();
    let found = entries.map(|e| format!("{SHARD_FOLDER}/{}", e.file_name().to_string_lossy()));
    let foreign: BTreeSet<String> =
        found.filter(|file| manifest.shards.iter().all(|shard| shard.file != *file)).collect();
    let what = "expected the shards of the manifest alone, found this file";
    problems.extend(foreign.into_iter().map(|file| Problem { file, sample: None, what: what.to_owned() }));
}

/// Catalog, quarantine and counts against the rows of the shards.
fn check_tables(folder: &Path, manifest: &Manifest, ids: &[(String, String)], problems: &mut Vec<Problem>) {
    let mut report = |file: &str, what: String| {
        problems.push(Problem { file: file.to_owned(), sample: None, what });
    };
    match read_catalog(&folder.join(CATALOG_FILE)) {
        Err(error) => report(CATALOG_FILE, error.to_string()),
        Ok(catalog) => {
            let is_written = |row: &&CatalogRow| row.status == "written";
            let written = catalog.iter().filter(is_written).map(|r| (r.split.clone(), r.id.clone()));
            // With a broken shard the rows differ anyway, and that is reported already.
            if ids.len() == manifest.written() && !written.eq(ids.iter().cloned()) {
                report(
                    CATALOG_FILE,
                    "expected the ids of the shards in their order, found others".to_owned(),
                );
            }
            let (expected, found) = (manifest.written() + manifest.quarantined(), catalog.len());
            if expected != found {
                report(CATALOG_FILE, format!("rows: expected {expected}, found {found}"));
            }
            let mut fingerprint = Fingerprint::new(&manifest.plan);
            fingerprint.add(&catalog);
            let (expected, found) = (&manifest.fingerprint, fingerprint.finish());
            if *expected != found {
                report(CATALOG_FILE, format!("fingerprint: expected {expected} (manifest), found {found}"));
            }
        }
    }
    match read_quarantine(folder) {
        Err(error) => report(QUARANTINE_FILE, error.to_string()),
        Ok(rows) if rows.len() != manifest.quarantined() => {
            let found = rows.len();
            report(QUARANTINE_FILE, format!("rows: expected {}, found {found}", manifest.quarantined()));
        }
        Ok(_) => {}
    }
}
