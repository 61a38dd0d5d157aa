//! Complete caches of embeddings in memory, as training reads them: every view of a sample by its dataset and its id.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jepa3d_schemas::{
    Error as DataError, HISTOGRAM_NUMBERS, POSE_NUMBERS, ShardEntry, TeacherFacts, TeacherGroup,
    TeacherManifest, TeacherReader, ViewReader, file_hash,
};

use crate::dataset::PreparedDataset;
use crate::error::{Error, Result, out_of_range};
use crate::mix::DatasetMix;

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

impl CachedView<'_> {
    /// Its pose beside a cloud that was turned by so many radians about the vertical ([`crate::Batch::turns`]): a camera that turned along
    /// takes the same image, so the embedding is still right. A mirrored cloud has no such camera.
    pub fn turned_pose(&self, turn: f64) -> [f32; POSE_NUMBERS] {
        let mut pose = [0.0; POSE_NUMBERS];
        pose.copy_from_slice(self.pose);
        if turn != 0.0 {
            let (sin, cos) = (libm::sin(turn), libm::cos(turn));
            let [sin_azimuth, cos_azimuth] = [pose[0], pose[1]].map(f64::from);
            pose[0] = (sin_azimuth * cos + cos_azimuth * sin) as f32;
            pose[1] = (cos_azimuth * cos - sin_azimuth * sin) as f32;
        }
        pose
    }
}

/// All embeddings of some splits, in memory: 4 bytes a number.
#[derive(Debug)]
pub struct TeacherCache {
    path: PathBuf,
    /// Those of the first dataset; the others differ in what dataset and views they are of.
    facts: Option<TeacherFacts>,
    /// Rows of each sample of each dataset.
    samples: Vec<BTreeMap<String, Range<usize>>>,
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
        let mut cache = Self::empty();
        cache.add(dataset, name, splits)?;
        Ok(cache)
    }

    /// Reads the caches `name` of all datasets of a mix, made by one teacher in one way: the shards of `splits`.
    ///
    /// # Errors
    /// Fails as [`TeacherCache::open`] does for each of them, or if they are of different teachers.
    pub fn open_mix(mix: &DatasetMix, name: &str, splits: &[&str]) -> Result<Self> {
        let mut cache = Self::empty();
        mix.parts().iter().try_for_each(|part| cache.add(&part.dataset, name, splits))?;
        Ok(cache)
    }

    fn add(&mut self, dataset: &PreparedDataset, name: &str, splits: &[&str]) -> Result<()> {
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
            ..self.facts.clone().unwrap_or_else(|| manifest.facts.clone())
        };
        expected.check_same(&path, &manifest.facts)?;
        self.path = path;
        self.samples.push(BTreeMap::new());
        self.facts.get_or_insert_with(|| expected.clone());
        let is_wanted = |split: &str| splits.is_empty() || splits.contains(&split);
        for views in views.shards.iter().filter(|views| is_wanted(&views.split)) {
            let file = TeacherManifest::shard_beside(name, &views.file);
            let Some(entry) = manifest.shards.iter().find(|entry| entry.file == file) else {
                return Err(DataError::contract(&self.path, "shards", file, "none of this name").into());
            };
            self.read(&expected, dataset.folder(), entry, views)?;
        }
        Ok(())
    }

    fn empty() -> Self {
        Self {
            path: PathBuf::new(),
            facts: None,
            samples: Vec::new(),
            views: Vec::new(),
            valid: Vec::new(),
            embeddings: Vec::new(),
            poses: Vec::new(),
            histograms: Vec::new(),
        }
    }

    /// Numbers of an embedding, `D_t`.
    pub fn width(&self) -> usize {
        self.facts().width
    }

    /// What the cache was made from; of several, that of the first dataset.
    pub fn facts(&self) -> &TeacherFacts {
        self.facts.as_ref().expect("a cache is of one dataset at least")
    }

    /// The views of a sample of the first dataset by ascending number, at least one.
    ///
    /// # Errors
    /// Fails if the cache has none of this sample; the error names it.
    pub fn views(&self, sample_id: &str) -> Result<impl ExactSizeIterator<Item = CachedView<'_>> + Clone> {
        self.views_of(0, sample_id)
    }

    /// The views of a sample of dataset `set` of a mix by ascending number, at least one.
    ///
    /// # Errors
    /// Fails if there are none of this sample; the error names it.
    pub fn views_of(
        &self,
        set: u32,
        sample_id: &str,
    ) -> Result<impl ExactSizeIterator<Item = CachedView<'_>> + Clone> {
        let rows = self.samples.get(set as usize).and_then(|samples| samples.get(sample_id)).cloned();
        Ok(rows.ok_or_else(|| self.missing(sample_id, None))?.map(|row| self.row(row)))
    }

    fn row(&self, row: usize) -> CachedView<'_> {
        let width = self.width();
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

    fn read(
        &mut self,
        facts: &TeacherFacts,
        folder: &Path,
        entry: &ShardEntry,
        views: &ShardEntry,
    ) -> Result<()> {
        let path = folder.join(&entry.file);
        let (_, hash) = file_hash(&path).map_err(|e| Error::io(&path, e))?;
        if hash != entry.hash {
            return Err(DataError::contract(&path, "content hash", &entry.hash, hash).into());
        }
        let reader = TeacherReader::open(&path)?;
        facts.check_footer(&path, reader.metadata())?;
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
        let (start, width) = (self.views.len(), self.width());
        let lists = [
            ("embedding", group.embedding, width, &mut self.embeddings),
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
            let samples = self.samples.last_mut().expect("a dataset is being read");
            let rows = samples.entry(id).or_insert(row..row);
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
                let rows = self.samples.last().and_then(|samples| samples.get(id)).cloned().unwrap_or(0..0);
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
