//! Embeds every stored view once: one sidecar shard beside every shard of the views, the manifest last.
//!
//! Shards that are whole and of the same facts are kept, so an interrupted call continues. The bytes depend on the views
//! and the teacher alone, not on threads, nor on how often the work was interrupted.

use std::path::{Path, PathBuf};

use jepa3d_loader::{PICTURE_SIZE, Picture, PreparedDataset, background, check_teacher_name};
use jepa3d_schemas::{
    CAMERA_COLUMNS, Error as DataError, FolderLock, RowGroupEncoder, ShardEntry, ShardWriter, TeacherFacts,
    TeacherManifest, TeacherReader, TeacherRow, UpAxis, ViewGroup, ViewReader, WriteOptions, file_hash,
    remove_temporaries,
};
use rayon::prelude::*;
use serde::Serialize;

use crate::embedding::round_to_11_bits;
use crate::error::{Error, Result};
use crate::pose::measure_pose;
use crate::teacher::Teacher;

/// Images in memory at once, decoded: 0.6 MB each.
const BATCH: usize = 32;

/// What a process that writes a cache holds, in its folder.
const LOCK_FILE: &str = ".lock";

/// How far the work is, in views.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheProgress {
    /// Views that need an embedding.
    pub total: usize,
    /// Views that have one.
    pub done: usize,
}

/// What a cache holds, and what this call did for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CacheReport {
    /// Views in the cache.
    pub views: usize,
    /// Views whose embedding is a target.
    pub valid: usize,
    /// Numbers of an embedding.
    pub width: usize,
    /// Bytes of all shards.
    pub bytes: u64,
    /// Shards that this call wrote.
    pub shards_written: usize,
    /// Shards that were there already.
    pub shards_kept: usize,
}

/// Embeds all views of `dataset` into the cache `name`, on the threads of the current pool.
///
/// # Errors
/// Fails if another process writes this cache, the dataset has no views, the name is no plain folder name, a view shard is not the one that was prepared,
/// an image does not decode, or the folder of that name holds embeddings of another teacher or of other images (the error
/// names what differs, with both values).
pub fn cache_teacher(
    dataset: &PreparedDataset,
    teacher: &Teacher,
    name: &str,
    progress: &mut dyn FnMut(CacheProgress),
) -> Result<CacheReport> {
    check_teacher_name(name)?;
    let work = CacheWork::new(dataset, teacher, name)?;
    let listed = work.find_listed()?;
    let shards = dataset.manifest().views.iter().flat_map(|views| &views.shards);
    let mut report = CacheReport { width: work.facts.width, ..CacheReport::default() };
    let (mut entries, mut kept) = (Vec::new(), Vec::new());
    for views in shards.clone() {
        kept.push(work.find_kept(views, &listed)?);
    }
    let missing = shards.clone().zip(&kept).filter(|(_, kept)| kept.is_none());
    let mut counter = CacheProgress { total: missing.map(|(views, _)| views.rows).sum(), done: 0 };
    for (views, kept) in shards.zip(kept) {
        let CachedShard { entry, valid } = match kept {
            Some(kept) => {
                report.shards_kept += 1;
                kept
            }
            None => {
                report.shards_written += 1;
                work.write(views, &mut |rows| {
                    counter.done += rows;
                    progress(counter);
                })?
            }
        };
        (report.views, report.bytes) = (report.views + entry.rows, report.bytes + entry.bytes);
        report.valid += valid;
        entries.push(entry);
    }
    if listed.as_ref().is_none_or(|listed| listed.shards != entries) {
        TeacherManifest::new(work.facts, report.valid, entries).write(dataset.folder(), name)?;
    }
    Ok(report)
}

/// A shard of the cache.
struct CachedShard {
    entry: ShardEntry,
    /// Rows whose embedding is a target.
    valid: usize,
}

/// A cache being made.
struct CacheWork<'a> {
    dataset: &'a PreparedDataset,
    teacher: &'a Teacher,
    name: &'a str,
    facts: TeacherFacts,
    encoder: RowGroupEncoder<TeacherRow>,
    background: [u8; 3],
    up: UpAxis,
    _lock: FolderLock,
}

impl<'a> CacheWork<'a> {
    fn new(dataset: &'a PreparedDataset, teacher: &'a Teacher, name: &'a str) -> Result<Self> {
        let facts = teacher.facts(dataset)?;
        let encoder = RowGroupEncoder::new(WriteOptions::default());
        let (background, up) = (background(dataset.manifest()), dataset.up_axis());
        let folder = dataset.folder().join(TeacherManifest::shard_beside(name, ""));
        let lock = FolderLock::take(&folder, &folder.join(LOCK_FILE))?;
        remove_temporaries(&folder)?;
        Ok(Self { dataset, teacher, name, facts, encoder, background, up, _lock: lock })
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dataset.folder().join(file)
    }

    /// The manifest of the cache if it is complete already.
    fn find_listed(&self) -> Result<Option<TeacherManifest>> {
        let listed = TeacherManifest::find(self.dataset.folder(), self.name)?;
        if let Some(listed) = &listed {
            let path = TeacherManifest::path(self.dataset.folder(), self.name);
            self.facts.check_same(&path, &listed.facts)?;
        }
        Ok(listed)
    }

    /// The shard beside `views`, if it is there and whole.
    fn find_kept(&self, views: &ShardEntry, listed: &Option<TeacherManifest>) -> Result<Option<CachedShard>> {
        let file = TeacherManifest::shard_beside(self.name, &views.file);
        let path = self.path(&file);
        if !path.exists() {
            return Ok(None);
        }
        let (bytes, hash) = file_hash(&path).map_err(|e| Error::io(&path, e))?;
        let (split, rows) = (views.split.clone(), views.rows);
        let entry = ShardEntry { file, split, rows, bytes, hash, row_groups: Vec::new() };
        if listed.as_ref().is_some_and(|listed| !listed.shards.contains(&entry)) {
            // Not what was written: made again.
            return Ok(None);
        }
        let reader = TeacherReader::open(&path)?;
        self.facts.check_footer(&path, reader.metadata())?;
        if reader.rows() != views.rows {
            return Ok(None);
        }
        let mut valid = 0;
        for group in 0..reader.row_groups() {
            let flags = reader.read_row_group(group, &["valid"])?.valid.unwrap_or_default();
            valid += flags.into_iter().filter(|&is_valid| is_valid).count();
        }
        Ok(Some(CachedShard { entry, valid }))
    }

    /// Embeds the views of a shard; `done` is told of every batch.
    fn write(&self, views: &ShardEntry, done: &mut dyn FnMut(usize)) -> Result<CachedShard> {
        let source = self.path(&views.file);
        let (bytes, hash) = file_hash(&source).map_err(|e| Error::io(&source, e))?;
        if (bytes, &hash) != (views.bytes, &views.hash) {
            return Err(DataError::contract(&source, "content hash", &views.hash, hash).into());
        }
        let reader = ViewReader::open(&source)?;
        let file = TeacherManifest::shard_beside(self.name, &views.file);
        let options = WriteOptions::default();
        let mut out = ShardWriter::create(&self.path(&file), options, self.facts.footer())?;
        let columns = [&["sample_id", "view", "image"], &CAMERA_COLUMNS[..]].concat();
        let mut valid = 0;
        for group in 0..reader.row_groups() {
            let rows = self.embed_group(&source, &reader.read_row_group(group, &columns)?, done)?;
            valid += rows.iter().filter(|row| row.valid).count();
            out.append_even_empty(self.encoder.encode(&rows)?)?;
        }
        let written = out.finish()?;
        let (rows, bytes, hash) = (written.rows, written.bytes, written.hash);
        let split = views.split.clone();
        let entry = ShardEntry { file, split, rows, bytes, hash, row_groups: Vec::new() };
        Ok(CachedShard { entry, valid })
    }

    /// The rows of a row group of views, a batch after the other.
    fn embed_group(
        &self,
        path: &Path,
        views: &ViewGroup,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<TeacherRow>> {
        let mut rows = Vec::with_capacity(views.rows);
        for start in (0..views.rows).step_by(BATCH) {
            let batch = start..(start + BATCH).min(views.rows);
            let seen = batch.into_par_iter().map(|row| self.see(path, views, row));
            let (images, mut batch): (Vec<_>, Vec<_>) = seen.collect::<Result<Vec<_>>>()?.into_iter().unzip();
            for (row, embedding) in batch.iter_mut().zip(self.teacher.embed(&images)?) {
                row.embedding = embedding.values.into_iter().map(round_to_11_bits).collect();
                row.valid = embedding.is_valid;
            }
            done(batch.len());
            rows.extend(batch);
        }
        Ok(rows)
    }

    /// The square image of a view, and its row without the embedding.
    fn see(&self, path: &Path, views: &ViewGroup, row: usize) -> Result<(Vec<f32>, TeacherRow)> {
        let missing =
            || DataError::contract(path, format!("row {row}"), "id, number, image and camera", "less");
        let sample_id = views.sample_id.as_ref().and_then(|ids| ids.get(row)).ok_or_else(missing)?.clone();
        let view = *views.view.as_ref().and_then(|numbers| numbers.get(row)).ok_or_else(missing)?;
        let image = views.image.as_ref().and_then(|images| images.get(row)).ok_or_else(missing)?;
        let camera = views.camera(row).ok_or_else(missing)?;
        let picture = Picture::decode(&sample_id, view, image)?;
        let (pose, histogram) = (measure_pose(&camera, self.up), picture.histogram());
        let row = TeacherRow { sample_id, view, embedding: Vec::new(), valid: false, pose, histogram };
        Ok((picture.square(self.background, PICTURE_SIZE), row))
    }
}
