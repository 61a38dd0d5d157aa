//! Checks a prepared dataset: hashes, counts, and the invariants of every row.

mod rows;
mod tables;
mod teachers;
mod view;
mod views;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use jepa3d_schemas::{MANIFEST_FILE, Manifest, ShardEntry, ShardReader, file_hash};
use serde::Serialize;

use crate::config::PrepareConfig;
use crate::error::Result;
use crate::run::PLAN_KEY;
use rows::check_sample;
use tables::{Found, check_listing, check_tables};
use teachers::check_teachers;
use views::check_views;

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
    /// Views whose invariants were checked.
    pub views: usize,
    /// Correspondences that were projected back.
    pub correspondences: usize,
    /// Embeddings in caches of teachers that were checked against their views.
    pub embeddings: usize,
    /// Problems, by file and sample.
    pub problems: Vec<Problem>,
}

/// Verifies the prepared dataset in `folder` on `threads` threads.
///
/// Every shard must be there with its size and hash, carry the plan of the manifest, and every
/// row must hold finite points in its frame, distinct centers inside their subset, patches
/// sorted by (distance, index), a label of its class, and an id in order. Every view must stand in
/// the row group of its sample, decode to the size it states, have a finite rigid camera, and
/// each correspondence must be the projection of its point. Catalog, quarantine and fingerprint
/// must agree with the shards, and no other file may lie between them. A complete cache of embeddings
/// must be of these views and hold a row for each.
///
/// # Errors
/// Fails if there is no readable manifest, or its config is of another version.
pub fn verify(folder: &Path, threads: usize) -> Result<Verification> {
    let manifest = Manifest::read(folder)?;
    let config: PrepareConfig = serde_json::from_value(manifest.config.clone()).map_err(|e| {
        let path = folder.join(MANIFEST_FILE);
        jepa3d_schemas::Error::contract(&path, "config", "a config of this version", e)
    })?;
    let shards = shards(&manifest);
    let next = AtomicUsize::new(0);
    let results: Mutex<BTreeMap<usize, Checked>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some((i, shard)) = take(&next, &shards) {
                    let checked = match shard {
                        Shard::Points(entry) => check_points(folder, entry, &manifest, &config),
                        Shard::Views { points, views } => check_views(folder, *points, views, &manifest),
                    };
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(i, checked);
                }
            });
        }
    });
    let (mut found, mut problems, mut correspondences) = (Found::default(), Vec::new(), 0);
    for (i, checked) in results.into_inner().unwrap_or_default() {
        if let Shard::Points(entry) = &shards[i] {
            found.ids.extend(checked.ids.into_iter().map(|id| (entry.split.clone(), id)));
        }
        found.views.extend(checked.views);
        correspondences += checked.correspondences;
        problems.extend(checked.problems);
    }
    check_listing(folder, &manifest, &mut problems);
    check_tables(folder, &manifest, &found, &mut problems);
    let embeddings = check_teachers(folder, &manifest, &mut problems);
    let views = found.views.values().map(|&count| count as usize).sum();
    Ok(Verification { rows: found.ids.len(), views, correspondences, embeddings, manifest, problems })
}

/// A shard to check; views are checked against the points they belong to.
enum Shard<'a> {
    Points(&'a ShardEntry),
    Views { points: Option<&'a ShardEntry>, views: &'a ShardEntry },
}

/// All shards, those of the points first.
fn shards(manifest: &Manifest) -> Vec<Shard<'_>> {
    let views = manifest.views.iter().flat_map(|views| views.shards.iter().enumerate());
    let views = views.map(|(i, views)| Shard::Views { points: manifest.shards.get(i), views });
    manifest.shards.iter().map(Shard::Points).chain(views).collect()
}

fn take<'a, T>(next: &AtomicUsize, shards: &'a [T]) -> Option<(usize, &'a T)> {
    let i = next.fetch_add(1, Ordering::Relaxed);
    shards.get(i).map(|shard| (i, shard))
}

/// What a shard holds, and its problems.
#[derive(Default)]
struct Checked {
    /// Samples of a points shard.
    ids: Vec<String>,
    /// Views of each sample of a views shard.
    views: BTreeMap<String, u32>,
    correspondences: usize,
    problems: Vec<Problem>,
}

impl Checked {
    fn report(&mut self, file: &str, sample: Option<&str>, what: String) {
        self.problems.push(Problem { file: file.to_owned(), sample: sample.map(str::to_owned), what });
    }
}

/// Checks a points shard, bytes first.
fn check_points(folder: &Path, shard: &ShardEntry, manifest: &Manifest, config: &PrepareConfig) -> Checked {
    let mut checked = Checked::default();
    let file = &shard.file;
    let path = folder.join(file);
    let opened = check_bytes(&path, shard).and_then(|()| ShardReader::open(&path).map_err(|e| e.to_string()));
    let reader = match opened {
        Ok(reader) => reader,
        Err(what) => {
            checked.report(file, None, what);
            return checked;
        }
    };
    let plan = reader.metadata().get(PLAN_KEY).map_or("none", String::as_str);
    if plan != manifest.plan {
        checked.report(file, None, format!("plan: expected {}, found {plan}", manifest.plan));
    }
    if reader.rows() != shard.rows {
        checked.report(file, None, format!("rows: expected {}, found {}", shard.rows, reader.rows()));
    }
    for group in 0..reader.row_groups() {
        match reader.read_row_group(group, &[]) {
            Err(error) => checked.report(file, None, error.to_string()),
            Ok(rows) => {
                for sample in (0..rows.rows).filter_map(|i| rows.sample(i)) {
                    if let Err(what) = check_sample(&sample, manifest, config) {
                        checked.report(file, Some(&sample.sample_id), what);
                    }
                    if checked.ids.last().is_some_and(|last| *last >= sample.sample_id) {
                        let what = "ids are not in ascending order".to_owned();
                        checked.report(file, Some(&sample.sample_id), what);
                    }
                    checked.ids.push(sample.sample_id);
                }
            }
        }
    }
    checked
}

fn check_bytes(path: &Path, shard: &ShardEntry) -> Result<(), String> {
    let (bytes, hash) = file_hash(path).map_err(|e| format!("cannot read: {e}"))?;
    if bytes != shard.bytes {
        return Err(format!("bytes: expected {}, found {bytes}", shard.bytes));
    }
    if hash != shard.hash {
        return Err(format!("content hash: expected {}, found {hash}", shard.hash));
    }
    Ok(())
}
