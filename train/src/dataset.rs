//! An open prepared dataset: its manifest, and its shards, each checked against the manifest before it is first used.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jepa3d_schemas::{MANIFEST_FILE, Manifest, ShardEntry, ShardReader};

use crate::error::{Error, Result};

/// A complete prepared dataset.
#[derive(Debug)]
pub struct PreparedDataset {
    folder: PathBuf,
    manifest: Manifest,
    /// By file: what the check of its hash gave.
    checked: HashMap<String, OnceLock<std::result::Result<(), String>>>,
}

/// One row group of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowGroupAt {
    /// Index into the manifest's shards.
    pub shard: usize,
    /// Row group of the shard.
    pub group: usize,
    /// Its rows.
    pub rows: usize,
}

impl PreparedDataset {
    /// Opens a dataset.
    ///
    /// # Errors
    /// Fails if the folder holds no complete dataset of this version.
    pub fn open(folder: &Path) -> Result<Self> {
        if !folder.join(MANIFEST_FILE).exists() {
            let reason = format!("not a complete prepared dataset: no {MANIFEST_FILE}");
            return Err(Error::RunFolder { path: folder.to_owned(), reason });
        }
        let manifest = Manifest::read(folder)?;
        let checked = manifest.shards.iter().map(|s| (s.file.clone(), OnceLock::new())).collect();
        Ok(Self { folder: folder.to_owned(), manifest, checked })
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Equal fingerprints mean equal samples.
    pub fn fingerprint(&self) -> &str {
        &self.manifest.fingerprint
    }

    /// Names of the splits that hold samples, sorted.
    pub fn splits(&self) -> impl Iterator<Item = &str> {
        self.manifest.splits.iter().filter(|(_, n)| n.written > 0).map(|(name, _)| name.as_str())
    }

    /// Where the dataset is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The row groups of a split, in stored order.
    ///
    /// # Errors
    /// Fails if there is no such split, or a shard cannot be opened.
    pub(crate) fn row_groups(&self, split: &str) -> Result<Vec<RowGroupAt>> {
        let mut all = Vec::new();
        for (shard, entry) in self.manifest.shards.iter().enumerate().filter(|(_, e)| e.split == split) {
            let reader = ShardReader::open(&self.folder.join(&entry.file))?;
            let group = |group| RowGroupAt { shard, group, rows: reader.rows_of(group) };
            all.extend((0..reader.row_groups()).map(group).filter(|at| at.rows > 0));
        }
        if all.is_empty() {
            return Err(Error::NoSplit {
                folder: self.folder.clone(),
                split: split.to_owned(),
                splits: self.splits().map(str::to_owned).collect(),
            });
        }
        Ok(all)
    }

    /// Opens a shard; the first time, its bytes are compared with the manifest.
    ///
    /// # Errors
    /// Fails if it cannot be read or is not the file that was written.
    pub(crate) fn shard(&self, shard: usize) -> Result<ShardReader> {
        let entry = &self.manifest.shards[shard];
        let path = self.folder.join(&entry.file);
        let check = self.checked[&entry.file].get_or_init(|| hash_of(&path, entry));
        if let Err(found) = check {
            let expected = format!("the {} bytes of hash {} that were written", entry.bytes, entry.hash);
            return Err(Error::Shard { path, expected, found: found.clone() });
        }
        Ok(ShardReader::open(&path)?)
    }
}

fn hash_of(path: &Path, entry: &ShardEntry) -> std::result::Result<(), String> {
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0u8; 1 << 20]);
    let mut bytes = 0u64;
    loop {
        match file.read(&mut buffer).map_err(|e| e.to_string())? {
            0 => break,
            n => {
                hasher.update(&buffer[..n]);
                bytes += n as u64;
            }
        }
    }
    let hash = hasher.finalize().to_hex();
    match hash.as_str() == entry.hash {
        true => Ok(()),
        false => Err(format!("{bytes} bytes of hash {hash}")),
    }
}
