//! A shard as a manifest records it: what its name may be, and whether its file is the one that was written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::hashing_file::file_hash;
use crate::remote_files::{RemotePath, is_remote};

/// Ending of every shard's name.
const ENDING: &str = ".parquet";

/// One shard as the manifest records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    /// Path relative to the dataset's folder, with `/`.
    pub file: String,
    /// Split of all its samples.
    pub split: String,
    /// Rows.
    pub rows: usize,
    /// Bytes of the file.
    pub bytes: u64,
    /// BLAKE3 of the file, hex.
    pub hash: String,
    /// Rows of each row group, so that none of a thousand shards need be opened to know them; none stated of views and
    /// embeddings, and by older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row_groups: Vec<usize>,
}

impl ShardEntry {
    /// Compares the file of the shard, below the dataset's `folder`, with size and hash, and tells its path: to be asked
    /// before anything of it is decoded.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is no regular one, or is not the one that was written.
    pub fn check_file(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join(&self.file);
        expect_shards(folder, std::slice::from_ref(self));
        let (bytes, hash) = file_hash(&path).map_err(|e| Error::io(&path, e))?;
        if bytes != self.bytes {
            return Err(Error::contract(&path, "bytes", self.bytes, bytes));
        }
        if hash != self.hash {
            return Err(Error::contract(&path, "content hash", &self.hash, hash));
        }
        Ok(path)
    }

    /// Whether the file of the shard, below the dataset's `folder`, has its size and, where a store keeps a hash beside it,
    /// its hash: what can be known without reading it. None if the store keeps none.
    ///
    /// # Errors
    /// Fails if the disk or the store does; a file that is not there is no error.
    pub fn is_stated(&self, folder: &Path) -> Result<Option<bool>> {
        let path = folder.join(&self.file);
        expect_shards(folder, std::slice::from_ref(self));
        let facts = RemotePath::find(&path).and_then(|remote| match remote {
            Some(remote) => remote.files.look_up(remote.url).map(|facts| (facts.bytes, facts.hash)),
            None => std::fs::metadata(&path).map(|file| (file.len(), None)),
        });
        match facts {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Some(false)),
            Err(e) => Err(Error::io(&path, e)),
            Ok((bytes, _)) if bytes != self.bytes => Ok(Some(false)),
            Ok((_, hash)) => Ok(hash.map(|hash| hash == self.hash)),
        }
    }
}

/// Takes down what a manifest says of the shards of the set in `folder`; of a set on a disk nothing is needed.
pub(crate) fn expect_shards(folder: &Path, shards: &[ShardEntry]) {
    if !is_remote(folder) {
        return;
    }
    for shard in shards {
        let path = folder.join(&shard.file);
        // A process that reads no URLs says so where the shard is opened.
        if let Ok(Some(remote)) = RemotePath::find(&path) {
            remote.files.expect(remote.url, shard.bytes, &shard.hash);
        }
    }
}

/// Refuses shards that are not plain files of `folder`, as the list `key` of `manifest` names them, or are there twice:
/// a name leads nowhere outside the dataset, and to no file that another table or tool has. What is there under a name,
/// below `root`, is a regular file or a link to one; a lost one is left to those that read or repair it.
///
/// # Errors
/// Fails at the first such name.
pub(crate) fn check_names(
    root: &Path,
    manifest: &Path,
    key: &str,
    folder: &str,
    shards: &[ShardEntry],
) -> Result<()> {
    let mut seen = BTreeSet::new();
    for (i, shard) in shards.iter().enumerate() {
        let wrong = |expected: String| {
            let found = format!("{:?}", shard.file);
            Err(Error::contract(manifest, format!("{key}[{i}].file"), expected, found))
        };
        if !is_file_of(folder, &shard.file) {
            return wrong(format!("the plain name of a shard, {folder}/NAME{ENDING}"));
        }
        if !seen.insert(&shard.file) {
            return wrong("every shard once".to_owned());
        }
        let stated: usize = shard.row_groups.iter().fold(0_usize, |sum, &rows| sum.saturating_add(rows));
        if !shard.row_groups.is_empty() && stated != shard.rows {
            let what = format!("{key}[{i}].row_groups");
            return Err(Error::contract(manifest, what, format!("{} rows in all", shard.rows), stated));
        }
        let there = std::fs::metadata(root.join(&shard.file));
        if there.is_ok_and(|there| !there.is_file()) {
            let found = format!("{:?}, a folder, pipe, socket or device", shard.file);
            let what = format!("{key}[{i}].file");
            return Err(Error::contract(manifest, what, "a regular file", found));
        }
    }
    Ok(())
}

/// Whether `file` is `folder`, a slash, and the plain name of a shard.
fn is_file_of(folder: &str, file: &str) -> bool {
    let name = file.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
    name.and_then(|name| name.strip_suffix(ENDING)).is_some_and(is_plain_name)
}

/// Whether a text can only be the name of a file or folder in the one that it is joined to.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let is_odd = |letter: char| letter.is_control() || matches!(letter, '/' | '\\' | ':');
    !name.is_empty() && !name.starts_with('.') && !name.contains(is_odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        for file in ["points/train-00000-of-00001.parquet", "points/a b.parquet", "points/prüf.parquet"] {
            assert!(is_file_of("points", file), "{file}");
        }
        let wrong = [
            "",
            "train.parquet",
            "/dev/zero",
            "/points/a.parquet",
            "points/../../a.parquet",
            "points/sub/a.parquet",
            "points//a.parquet",
            "points/..parquet",
            "points/.parquet",
            "points/.hidden.parquet",
            "points/a\\b.parquet",
            "points/a.txt",
            "points/a\u{1b}.parquet",
            "points/a\0.parquet",
            "views/a.parquet",
            "./points/a.parquet",
            "points",
        ];
        for file in wrong {
            assert!(!is_file_of("points", file), "{file:?}");
        }
    }

    #[test]
    fn a_wrong_name_is_told_with_its_place() {
        let entry = |file: &str| ShardEntry {
            file: file.to_owned(),
            split: "train".into(),
            rows: 1,
            bytes: 1,
            hash: "00".into(),
            row_groups: vec![],
        };
        let error = |files: [&str; 2]| {
            let shards = files.map(entry);
            check_names(Path::new("."), Path::new("m.json"), "shards", "points", &shards)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error(["points/a.parquet", "points/../\u{1b}.parquet"]),
            "m.json: shards[1].file: expected the plain name of a shard, points/NAME.parquet, \
             found \"points/../\\u{1b}.parquet\""
        );
        assert_eq!(
            error(["points/a.parquet"; 2]),
            "m.json: shards[1].file: expected every shard once, found \"points/a.parquet\""
        );
    }
}
