//! Checks a prepared dataset: hashes, counts, and the invariants of every row.

mod listing;
mod rows;
mod tables;
mod teachers;
mod view;
mod views;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use jepa3d_schemas::{MANIFEST_FILE, Manifest, Sample, ShardEntry, ShardReader, fetch_ahead};
use rayon::prelude::*;
use serde::Serialize;

use crate::config::PrepareConfig;
use crate::error::{Rejected, Result};
use crate::pool::build_pool;
use crate::shard_footer::PLAN_KEY;
use listing::SetListing;
use rows::check_sample;
use tables::{ShardContents, check_tables};
use teachers::check_teachers;
use views::check_views;

const NO_SAMPLE: &str = "norm_center: expected 3 numbers, found others in row";

const NO_HASHES: &str =
    "an older version prepared this dataset: manifest, catalog, config and quarantine carry no hash";

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DatasetProblem {
    /// File below the dataset's folder.
    pub file: String,
    /// Sample, where it is one.
    pub sample: Option<String>,
    /// What was expected and found.
    pub what: String,
}

impl fmt::Display for DatasetProblem {
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
    pub problems: Vec<DatasetProblem>,
    /// What could not be checked and is no problem: files that no manifest names, hashes that an older version did not
    /// write.
    pub notes: Vec<String>,
}

/// Verifies the prepared dataset in `folder` on `threads` threads.
///
/// Every shard must be there with its size and hash, carry the plan of the manifest, and every
/// row must hold finite points in its frame, distinct centers inside their subset, patches
/// sorted by (distance, index), a label of its class, and an id in order. Every view must stand in
/// the row group of its sample, decode to the size it states, have a finite rigid camera, and
/// each correspondence must be the projection of its point. Catalog, quarantine and fingerprint
/// must agree with the shards, and no other file may lie between them. A complete cache of embeddings
/// must be of these views and hold a row for each. Manifests, catalog and config carry the hash of their
/// own bytes, and the manifest that of the quarantine.
///
/// # Errors
/// Fails if there is no readable manifest, or its config is of another version.
pub fn verify(folder: &Path, threads: usize) -> Result<Verification> {
    let manifest = Manifest::read(folder)?;
    let config: PrepareConfig = serde_json::from_value(manifest.config.clone()).map_err(|e| {
        let path = folder.join(MANIFEST_FILE);
        jepa3d_schemas::Error::contract(&path, "config", "a config of this version", e)
    })?;
    let shards = list_shards(&manifest);
    let pool = build_pool(threads)?;
    let _ahead = fetch_ahead(&shards.iter().map(|shard| folder.join(shard.file())).collect::<Vec<_>>());
    let check = |shard: &ListedShard<'_>| {
        let check = || match shard {
            ListedShard::Points(entry) => check_points(folder, entry, &manifest, &config),
            ListedShard::Views { points, views } => check_views(folder, *points, views, &manifest),
        };
        // What nobody thought of is a problem of this shard, too.
        catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
            let mut checked = CheckedShard::default();
            checked.report(shard.file(), None, Rejected::from_panic("check", panic.as_ref()).reason);
            checked
        })
    };
    let checked: Vec<CheckedShard> = pool.install(|| shards.par_iter().with_max_len(1).map(check).collect());
    let (mut contents, mut problems, mut correspondences) = (ShardContents::default(), Vec::new(), 0);
    for (shard, checked) in shards.iter().zip(checked) {
        if let ListedShard::Points(entry) = shard {
            contents.ids.extend(checked.ids.into_iter().map(|id| (entry.split.clone(), id)));
        }
        contents.views.extend(checked.views);
        correspondences += checked.correspondences;
        problems.extend(checked.problems);
    }
    let SetListing { problems: listed, mut notes, .. } = SetListing::check(folder, &manifest, &config);
    problems.extend(listed);
    if manifest.quarantine_hash.is_none() {
        notes.push(NO_HASHES.to_owned());
    }
    check_tables(folder, &manifest, &contents, &mut problems);
    let embeddings = pool.install(|| check_teachers(folder, &manifest, &mut problems));
    let views = contents.views.values().map(|&count| count as usize).sum();
    let rows = contents.ids.len();
    Ok(Verification { rows, views, correspondences, embeddings, manifest, problems, notes })
}

/// A shard to check; views are checked against the points they belong to.
enum ListedShard<'a> {
    Points(&'a ShardEntry),
    Views { points: Option<&'a ShardEntry>, views: &'a ShardEntry },
}

impl ListedShard<'_> {
    fn file(&self) -> &str {
        match self {
            Self::Points(entry) | Self::Views { views: entry, .. } => &entry.file,
        }
    }
}

/// All shards, those of the points first.
fn list_shards(manifest: &Manifest) -> Vec<ListedShard<'_>> {
    let views = manifest.views.iter().flat_map(|views| views.shards.iter().enumerate());
    let views = views.map(|(i, views)| ListedShard::Views { points: manifest.shards.get(i), views });
    manifest.shards.iter().map(ListedShard::Points).chain(views).collect()
}

/// What a shard holds, and its problems.
#[derive(Default)]
struct CheckedShard {
    /// Samples of a points shard.
    ids: Vec<String>,
    /// Views of each sample of a views shard.
    views: BTreeMap<String, u32>,
    correspondences: usize,
    problems: Vec<DatasetProblem>,
}

impl CheckedShard {
    fn report(&mut self, file: &str, sample: Option<&str>, what: String) {
        self.problems.push(DatasetProblem { file: file.to_owned(), sample: sample.map(str::to_owned), what });
    }

    /// Checks a sample of a points shard, and that its id comes after those before it.
    fn add_sample(&mut self, sample: Sample, file: &str, manifest: &Manifest, config: &PrepareConfig) {
        if let Err(what) = check_sample(&sample, manifest, config) {
            self.report(file, Some(&sample.sample_id), what);
        }
        if self.ids.last().is_some_and(|last| *last >= sample.sample_id) {
            self.report(file, Some(&sample.sample_id), "ids are not in ascending order".to_owned());
        }
        self.ids.push(sample.sample_id);
    }
}

/// Checks a points shard, bytes first.
fn check_points(
    folder: &Path,
    shard: &ShardEntry,
    manifest: &Manifest,
    config: &PrepareConfig,
) -> CheckedShard {
    let mut checked = CheckedShard::default();
    let file = &shard.file;
    let path = folder.join(file);
    let opened =
        check_bytes(folder, shard).and_then(|()| ShardReader::open(&path).map_err(|e| e.to_string()));
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
    let groups: Vec<usize> = (0..reader.row_groups()).map(|group| reader.rows_of(group)).collect();
    if !shard.row_groups.is_empty() && shard.row_groups != groups {
        let what = format!("rows of row groups: expected {:?}, found {groups:?}", shard.row_groups);
        checked.report(file, None, what);
    }
    for group in 0..reader.row_groups() {
        match reader.read_row_group(group, &[]) {
            Err(error) => checked.report(file, None, error.to_string()),
            Ok(rows) => {
                for row in 0..rows.rows {
                    match rows.sample(row) {
                        Some(sample) => checked.add_sample(sample, file, manifest, config),
                        None => checked.report(file, None, format!("{NO_SAMPLE} {row} of row group {group}")),
                    }
                }
            }
        }
    }
    checked
}

/// Compares a shard with size and hash, and opens none of it.
fn check_bytes(folder: &Path, shard: &ShardEntry) -> Result<(), String> {
    match shard.check_file(folder) {
        Ok(_) => Ok(()),
        Err(jepa3d_schemas::Error::Contract { what, expected, found, .. }) => {
            Err(format!("{what}: expected {expected}, found {found}"))
        }
        Err(jepa3d_schemas::Error::Io { source, .. }) => Err(format!("cannot read: {source}")),
        Err(error) => Err(error.to_string()),
    }
}
