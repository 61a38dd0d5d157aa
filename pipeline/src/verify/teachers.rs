//! Caches of embeddings against the views they belong to: same facts, same shards, a row for every view.

use std::path::Path;

use jepa3d_schemas::{
    Manifest, ShardEntry, Table, TeacherFacts, TeacherGroup, TeacherManifest, TeacherReader, ViewReader,
    list_folder,
};

use rayon::prelude::*;

use super::{DatasetProblem, check_bytes};

/// Checks every complete cache, its shards in parallel; one that is still being made belongs to no
/// manifest yet. Returns the number of rows.
pub(super) fn check_teachers(
    folder: &Path,
    manifest: &Manifest,
    problems: &mut Vec<DatasetProblem>,
) -> usize {
    let mut rows = 0;
    for name in list_caches(folder) {
        let file = format!("{}/{name}/{}", Table::Teachers.folder(), jepa3d_schemas::TEACHER_FILE);
        let found = match TeacherManifest::find(folder, &name) {
            Ok(None) => continue,
            Err(error) => CheckedCache::failed(&file, error.to_string()),
            Ok(Some(cache)) => check_cache(folder, &name, &file, &cache, manifest),
        };
        rows += found.rows;
        problems.extend(found.problems);
    }
    rows
}

/// What a cache, or a shard of one, holds.
#[derive(Default)]
struct CheckedCache {
    rows: usize,
    /// Rows with an embedding.
    valid: usize,
    problems: Vec<DatasetProblem>,
}

impl CheckedCache {
    fn failed(file: &str, what: String) -> Self {
        let problem = DatasetProblem { file: file.to_owned(), sample: None, what };
        Self { problems: vec![problem], ..Self::default() }
    }

    fn add(mut self, other: Self) -> Self {
        self.rows += other.rows;
        self.valid += other.valid;
        self.problems.extend(other.problems);
        self
    }
}

/// The folders of caches, in order; none if there is no such folder.
fn list_caches(folder: &Path) -> Vec<String> {
    // A store that lists nothing is told in a note of the whole set.
    let entries = list_folder(&folder.join(Table::Teachers.folder())).unwrap_or_default();
    entries.into_iter().filter(|entry| entry.is_folder).map(|entry| entry.name).collect()
}

fn check_cache(
    folder: &Path,
    name: &str,
    file: &str,
    cache: &TeacherManifest,
    manifest: &Manifest,
) -> CheckedCache {
    let Some(views) = &manifest.views else {
        return CheckedCache::failed(file, "expected views in the manifest, found none".to_owned());
    };
    let of_dataset = TeacherFacts {
        fingerprint: manifest.fingerprint.clone(),
        views_plan: views.plan.clone(),
        ..cache.facts.clone()
    };
    if let Err(error) = of_dataset.check_same(&folder.join(file), &cache.facts) {
        return CheckedCache::failed(file, error.to_string());
    }
    let check = |views: &ShardEntry| {
        let beside = TeacherManifest::shard_beside(name, &views.file);
        let Some(shard) = cache.shards.iter().find(|shard| shard.file == beside) else {
            return CheckedCache::failed(file, format!("shards: expected {beside}, found none of this name"));
        };
        match check_shard(folder, shard, views, &cache.facts) {
            Ok(valid) => CheckedCache { rows: shard.rows, valid, problems: Vec::new() },
            Err(what) => CheckedCache::failed(&shard.file, what),
        }
    };
    let shards: Vec<CheckedCache> = views.shards.par_iter().with_max_len(1).map(check).collect();
    let found = shards.into_iter().fold(CheckedCache::default(), CheckedCache::add);
    if found.rows == cache.rows() && found.valid != cache.valid {
        let what = format!("valid rows: expected {}, found {}", found.valid, cache.valid);
        return found.add(CheckedCache::failed(file, what));
    }
    found
}

/// Checks a shard, bytes first; returns its valid rows.
fn check_shard(
    folder: &Path,
    shard: &ShardEntry,
    views: &ShardEntry,
    facts: &TeacherFacts,
) -> Result<usize, String> {
    let path = folder.join(&shard.file);
    check_bytes(folder, shard)?;
    let text = |e: jepa3d_schemas::Error| e.to_string();
    let reader = TeacherReader::open(&path).map_err(text)?;
    facts.check_footer(&path, reader.metadata()).map_err(text)?;
    let views = ViewReader::open(&folder.join(&views.file)).map_err(text)?;
    if reader.row_groups() != views.row_groups() {
        let (expected, found) = (views.row_groups(), reader.row_groups());
        return Err(format!("row groups: expected {expected} as in the views, found {found}"));
    }
    let mut valid = 0;
    for group in 0..reader.row_groups() {
        let keys = views.read_row_group(group, &["sample_id", "view"]).map_err(text)?;
        let rows = reader.read_row_group(group, &[]).map_err(text)?;
        if (&keys.sample_id, &keys.view) != (&rows.sample_id, &rows.view) {
            return Err(format!(
                "row group {group}: expected the samples and views of the views, found others"
            ));
        }
        valid += check_rows(&rows, facts.width)?;
    }
    Ok(valid)
}

/// Every embedding has its length and is finite; one that is not valid is zero.
fn check_rows(rows: &TeacherGroup, width: usize) -> Result<usize, String> {
    let mut valid = 0;
    for i in 0..rows.rows {
        let row = rows.row(i).ok_or_else(|| format!("row {i}: lists of other lengths"))?;
        let at = format!("{} view {}", row.sample_id, row.view);
        if row.embedding.len() != width {
            return Err(format!("{at}: embedding: expected {width} numbers, found {}", row.embedding.len()));
        }
        let numbers = || row.embedding.iter().chain(&row.pose).chain(&row.histogram);
        if let Some(found) = numbers().find(|x| !x.is_finite()) {
            return Err(format!("{at}: expected finite numbers, found {found}"));
        }
        if !row.valid && row.embedding.iter().any(|&x| x != 0.0) {
            return Err(format!("{at}: expected zeros in a row that is not valid, found others"));
        }
        valid += usize::from(row.valid);
    }
    Ok(valid)
}
