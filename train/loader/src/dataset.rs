//! A prepared dataset as training opens it: manifest, splits, row groups, and the hash of every shard.
//!
//! A shard's bytes are compared with the manifest when it is first read in a run, by the thread that
//! needs it and once, so that a run starts at once and still never trains on bytes it does not know.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use jepa3d_grouping::CellEdge;
use jepa3d_schemas::{
    GroupsEntry, Manifest, ShapeLetters, ShardEntry, ShardReader, Table, UpAxis, VoxelEdge, file_hash,
    is_remote,
};

use crate::error::{Error, Result, breach};

/// An open prepared dataset.
#[derive(Debug)]
pub struct PreparedDataset {
    folder: PathBuf,
    manifest: Manifest,
    /// One a shard: the outcome of its first hashing.
    checked: Vec<OnceLock<Result<(), Arc<Error>>>>,
    /// One a shard: the outcome of the first hashing of the views beside it.
    checked_views: Vec<OnceLock<Result<(), Arc<Error>>>>,
}

/// A row group: the unit of decoding and of shuffling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowGroupAt {
    /// Shard, an index into [`Manifest::shards`].
    pub shard: usize,
    /// Row group within the shard.
    pub index: usize,
    /// Rows.
    pub rows: usize,
}

impl PreparedDataset {
    /// Opens the prepared dataset in `folder`; reads its manifest and nothing else.
    ///
    /// # Errors
    /// Fails if the folder holds no complete prepared dataset, or its manifest does not parse or is
    /// of another schema version.
    pub fn open(folder: &Path) -> Result<Self> {
        let Some(manifest) = Manifest::find(folder)? else {
            return Err(Error::NotPrepared { folder: folder.to_owned() });
        };
        let unchecked = || manifest.shards.iter().map(|_| OnceLock::new()).collect();
        let (checked, checked_views) = (unchecked(), unchecked());
        Ok(Self { folder: folder.to_owned(), manifest, checked, checked_views })
    }

    /// The folder that it was opened from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was prepared, and how.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Hash of what the dataset was made from: equal ones mean equal samples.
    pub fn fingerprint(&self) -> &str {
        &self.manifest.fingerprint
    }

    /// Sizes of the stored arrays.
    pub fn shape(&self) -> ShapeLetters {
        self.manifest.shape
    }

    /// The axis that points up in the clouds.
    pub fn up_axis(&self) -> UpAxis {
        self.manifest.up_axis
    }

    /// The cells of voxel blocks; `None` where groups are patches.
    pub fn cell_edge(&self) -> Option<CellEdge> {
        cell_edge(&self.manifest)
    }

    /// Class names; a label is an index into them.
    pub fn classes(&self) -> &[String] {
        &self.manifest.classes
    }

    /// The splits that hold samples, in alphabetical order, with their number of samples.
    pub fn splits(&self) -> Vec<(&str, usize)> {
        let splits = self.manifest.splits.iter().filter(|(_, counts)| counts.written > 0);
        splits.map(|(name, counts)| (name.as_str(), counts.written)).collect()
    }

    /// The row groups of the named splits, in stored order; without names those of all splits.
    ///
    /// # Errors
    /// Fails if a split does not exist or is empty, or a shard of one is missing, is no shard, or
    /// holds other than the rows that the manifest states. Only the shards' footers are read, and those of a set in an object
    /// store only if an older version prepared it.
    pub fn row_groups(&self, splits: &[&str]) -> Result<Vec<RowGroupAt>> {
        self.check_splits(splits)?;
        let mut groups = Vec::new();
        for (shard, entry) in self.manifest.shards.iter().enumerate() {
            if !splits.is_empty() && !splits.contains(&entry.split.as_str()) {
                continue;
            }
            if self.is_remote() && !entry.row_groups.is_empty() {
                let stated = entry.row_groups.iter().enumerate();
                groups.extend(stated.map(|(index, &rows)| RowGroupAt { shard, index, rows }));
                continue;
            }
            let reader = ShardReader::open(&self.shard_path(shard))?;
            if reader.rows() != entry.rows {
                let path = self.shard_path(shard);
                return Err(breach(&path, "rows", entry.rows, reader.rows()));
            }
            groups.extend((0..reader.row_groups()).map(|i| RowGroupAt {
                shard,
                index: i,
                rows: reader.rows_of(i),
            }));
        }
        Ok(groups)
    }

    /// Refuses names that are no split with samples.
    pub(crate) fn check_splits(&self, splits: &[&str]) -> Result<()> {
        let known = self.splits();
        if let Some(split) = splits.iter().find(|split| known.iter().all(|(name, _)| name != *split)) {
            return Err(Error::NoSplit {
                folder: self.folder.clone(),
                split: (*split).to_owned(),
                splits: known.into_iter().map(|(name, _)| name.to_owned()).collect(),
            });
        }
        Ok(())
    }

    /// The file of a shard.
    pub(crate) fn shard_path(&self, shard: usize) -> PathBuf {
        self.folder.join(&self.manifest.shards[shard].file)
    }

    /// Whether its shards are in an object store.
    pub(crate) fn is_remote(&self) -> bool {
        is_remote(&self.folder)
    }

    /// The file of a shard, and that of the views beside it where they are read, too.
    pub(crate) fn list_files(&self, shard: usize, has_views: bool) -> Vec<PathBuf> {
        let views =
            has_views.then(|| self.folder.join(Table::Views.file_beside(&self.manifest.shards[shard].file)));
        std::iter::once(self.shard_path(shard)).chain(views).collect()
    }

    /// Compares a shard with its hash in the manifest, the first time it is called for it; threads
    /// that ask meanwhile wait for the answer.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is not the one that was prepared, now and ever after.
    pub(crate) fn check_shard(&self, shard: usize) -> Result<(), Arc<Error>> {
        let check = || check_hash(&self.shard_path(shard), &self.manifest.shards[shard]).map_err(Arc::new);
        self.checked[shard].get_or_init(check).clone()
    }

    /// The file of the views beside a shard of points, compared with its hash like [`PreparedDataset::check_shard`].
    ///
    /// # Errors
    /// Fails if there are no views, or the file cannot be read or is not the one that was prepared, now and ever after.
    pub(crate) fn check_views(&self, shard: usize) -> Result<PathBuf> {
        let no_views = || Error::NoViews { folder: self.folder.clone() };
        let file = Table::Views.file_beside(&self.manifest.shards[shard].file);
        let views = self.manifest.views.as_ref().ok_or_else(no_views)?;
        let entry = views.shards.iter().find(|entry| entry.file == file).ok_or_else(no_views)?;
        let path = self.folder.join(file);
        let check = || check_hash(&path, entry).map_err(Arc::new);
        self.checked_views[shard].get_or_init(check).clone().map_err(Error::Loading)?;
        Ok(path)
    }
}

/// Compares a file with what the manifest states of it.
fn check_hash(path: &Path, entry: &ShardEntry) -> Result<()> {
    let (bytes, hash) = file_hash(path).map_err(|e| Error::io(path, e))?;
    if bytes != entry.bytes {
        return Err(breach(path, "bytes", entry.bytes, bytes));
    }
    if hash != entry.hash {
        return Err(breach(path, "content hash", &entry.hash, hash));
    }
    Ok(())
}

/// The cells of voxel blocks; `None` where groups are patches.
pub(crate) fn cell_edge(manifest: &Manifest) -> Option<CellEdge> {
    match manifest.groups {
        GroupsEntry::Patches => None,
        GroupsEntry::VoxelBlocks { cell_edge: VoxelEdge::Auto } => Some(CellEdge::Auto),
        GroupsEntry::VoxelBlocks { cell_edge: VoxelEdge::Fixed(edge) } => Some(CellEdge::Fixed(edge)),
    }
}
