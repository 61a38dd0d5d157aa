//! A complete cache of embeddings in memory, as training reads it: every view of a sample by the sample's id.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jepa3d_schemas::{
    Error as DataError, HISTOGRAM_NUMBERS, POSE_NUMBERS, ShardEntry, TeacherFacts, TeacherGroup,
    TeacherManifest, TeacherReader, ViewReader, file_hash,
};

use crate::dataset::PreparedDataset;
use crate::error::{Error, Result, out_of_range};

/// What a teacher says of one view, and what a predictor may be told of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CachedView<'a> {
    /// Number of the view within its sample.
    pub view: u16,
    /// Whether the embedding is a target; else it is zero.
    pub valid: bool,
    /// `[D_t]` the teacher's output, before any normalisation of the targets.
    pub embedding: &'a [f32],
    /// `[8]` sine and cosine of azimuth, elevation and roll; distance; field of view in radians.
    pub pose: &'a [f32],
    /// `[48]` shares of the foreground by brightness, 16 bins of red, green, blue.
    pub histogram: &'a [f32],
}

/// All embeddings of some splits, in memory: 4 bytes a number.
#[derive(Debug)]
pub struct TeacherCache {
    path: PathBuf,
    facts: TeacherFacts,
    /// Rows of each sample.
    samples: BTreeMap<String, Range<usize>>,
    views: Vec<u16>,
    valid: Vec<bool>,
    /// `[rows, D_t]`, `[rows, 8]` and `[rows, 48]`.
    embeddings: Vec<f32>,
    poses: Vec<f32>,
    histograms: Vec<f32>,
}

impl TeacherCache {
    /// Reads the cache `name` of `dataset`: the shards of `splits`, without names those of all splits.
    ///
    /// # Errors
    /// Fails if there is no such split, there is no complete cache of that name, it was made from other samples or images (the error names the
    /// fact with both values), a shard is not the one that was written, or it lacks a view: the error names the first.
    pub fn open(dataset: &PreparedDataset, name: &str, splits: &[&str]) -> Result<Self> {
        check_teacher_name(name)?;
        dataset.check_splits(splits)?;
        let path = TeacherManifest::path(dataset.folder(), name);
        let Some(manifest) = TeacherManifest::find(dataset.folder(), name)? else {
            return Err(Error::NoTeacher { path, name: name.to_owned() });
        };
        let Some(views) = &dataset.manifest().views else {
            return Err(Error::NoViews { folder: dataset.folder().to_owned() });
        };
        let expected = TeacherFacts {
            fingerprint: dataset.fingerprint().to_owned(),
            views_plan: views.plan.clone(),
            ..manifest.facts.clone()
        };
        expected.check_same(&path, &manifest.facts)?;
        let mut cache = Self::empty(path, expected);
        let is_wanted = |split: &str| splits.is_empty() || splits.contains(&split);
        for views in views.shards.iter().filter(|views| is_wanted(&views.split)) {
            let file = TeacherManifest::shard_beside(name, &views.file);
            let Some(entry) = manifest.shards.iter().find(|entry| entry.file == file) else {
                return Err(DataError::contract(&cache.path, "shards", file, "none of this name").into());
            };
            cache.read(dataset.folder(), entry, views)?;
        }
        Ok(cache)
    }

    fn empty(path: PathBuf, facts: TeacherFacts) -> Self {
        Self {
            path,
            facts,
            samples: BTreeMap::new(),
            views: Vec::new(),
            valid: Vec::new(),
            embeddings: Vec::new(),
            poses: Vec::new(),
            histograms: Vec::new(),
        }
    }

    /// Numbers of an embedding, `D_t`.
    pub fn width(&self) -> usize {
        self.facts.width
    }

    /// What the cache was made from.
    pub fn facts(&self) -> &TeacherFacts {
        &self.facts
    }

    /// The views of a sample by ascending number, at least one.
    ///
    /// # Errors
    /// Fails if the cache has none of this sample; the error names it.
    pub fn views(&self, sample_id: &str) -> Result<impl ExactSizeIterator<Item = CachedView<'_>> + Clone> {
        let rows = self.samples.get(sample_id).cloned().ok_or_else(|| self.missing(sample_id, None))?;
        Ok(rows.map(|row| self.row(row)))
    }

    fn row(&self, row: usize) -> CachedView<'_> {
        let width = self.facts.width;
        CachedView {
            view: self.views[row],
            valid: self.valid[row],
            embedding: &self.embeddings[row * width..][..width],
            pose: &self.poses[row * POSE_NUMBERS..][..POSE_NUMBERS],
            histogram: &self.histograms[row * HISTOGRAM_NUMBERS..][..HISTOGRAM_NUMBERS],
        }
    }

    fn missing(&self, sample_id: &str, view: Option<u16>) -> Error {
        let path = self.path.parent().unwrap_or(&self.path).to_owned();
        Error::NoEmbedding { path, id: sample_id.to_owned(), view }
    }

    fn read(&mut self, folder: &Path, entry: &ShardEntry, views: &ShardEntry) -> Result<()> {
        let path = folder.join(&entry.file);
        let (_, hash) = file_hash(&path).map_err(|e| Error::io(&path, e))?;
        if hash != entry.hash {
            return Err(DataError::contract(&path, "content hash", &entry.hash, hash).into());
        }
        let reader = TeacherReader::open(&path)?;
        self.facts.check_footer(&path, reader.metadata())?;
        let first = self.views.len();
        for group in 0..reader.row_groups() {
            self.append(&path, reader.read_row_group(group, &[])?)?;
        }
        if self.views.len() - first != views.rows {
            return Err(self.first_missing(&folder.join(&views.file), views.rows)?);
        }
        Ok(())
    }

    /// Takes the rows of a row group over; lists must have the lengths of the contract.
    fn append(&mut self, path: &Path, group: TeacherGroup) -> Result<()> {
        let start = self.views.len();
        let lists = [
            ("embedding", group.embedding, self.facts.width, &mut self.embeddings),
            ("pose", group.pose, POSE_NUMBERS, &mut self.poses),
            ("histogram", group.histogram, HISTOGRAM_NUMBERS, &mut self.histograms),
        ];
        for (name, list, width, into) in lists {
            let list = list.map(|list| (list.ends, list.values)).unwrap_or_default();
            let is_even = list.0.iter().enumerate().all(|(i, &end)| end == (i + 1) * width);
            if !is_even || list.0.len() != group.rows {
                let expected = format!("{width} numbers in every row");
                return Err(DataError::contract(path, name, expected, "others").into());
            }
            into.extend(list.1);
        }
        self.views.extend(group.view.unwrap_or_default());
        self.valid.extend(group.valid.unwrap_or_default());
        for (row, id) in (start..).zip(group.sample_id.unwrap_or_default()) {
            let rows = self.samples.entry(id).or_insert(row..row);
            if rows.end != row || (rows.start < row && self.views[row - 1] >= self.views[row]) {
                return Err(DataError::contract(path, "rows", "ascending ids and views", "others").into());
            }
            rows.end = row + 1;
        }
        Ok(())
    }

    /// The error about the first view of a shard that has no embedding.
    fn first_missing(&self, path: &Path, expected: usize) -> Result<Error> {
        let reader = ViewReader::open(path)?;
        for group in 0..reader.row_groups() {
            let keys = reader.read_row_group(group, &["sample_id", "view"])?;
            for (id, view) in keys.sample_id.iter().flatten().zip(keys.view.iter().flatten()) {
                let rows = self.samples.get(id).cloned().unwrap_or(0..0);
                if !self.views[rows].contains(view) {
                    return Ok(self.missing(id, Some(*view)));
                }
            }
        }
        Ok(DataError::contract(path, "rows", expected, self.views.len()).into())
    }
}

/// Refuses names that are no folder of their own.
///
/// # Errors
/// Fails if a name holds another character than letters, digits, `-`, `_` and `.`, or begins with one of these three.
pub fn check_teacher_name(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name.chars().all(is_plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        true => Ok(()),
        false => Err(out_of_range("--name", "letters, digits, -, _ and .", format!("{name:?}"))),
    }
}
