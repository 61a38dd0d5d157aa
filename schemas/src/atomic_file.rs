//! Files that appear whole or not at all: written under a temporary name, synced, renamed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Ending of temporary files; anything with it is left over once its process is gone.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// A file that vanishes unless it is renamed.
pub(crate) struct TemporaryFile {
    pub(crate) path: PathBuf,
    is_renamed: bool,
}

impl TemporaryFile {
    /// A name beside `target` that no other process or call uses.
    pub(crate) fn beside(target: &Path) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let unique = format!(".{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(unique);
        name.push(TEMPORARY_SUFFIX);
        Self { path: target.with_file_name(name), is_renamed: false }
    }

    /// Renames to `target` and syncs the folder, so that the name survives a power cut.
    pub(crate) fn rename(mut self, target: &Path) -> Result<()> {
        std::fs::rename(&self.path, target).map_err(|e| Error::io(target, e))?;
        self.is_renamed = true;
        if let Some(folder) = target.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io(folder, e))?;
        }
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.is_renamed {
            // The write already failed and is reported; a leftover is cleared by the next run.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Writes a whole small file atomically: temporary name, sync, rename.
///
/// # Errors
/// Fails if the disk does; an older file of that name is then unchanged.
pub fn write_atomically(target: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = TemporaryFile::beside(target);
    let mut file = File::create(&temporary.path).map_err(|e| Error::io(&temporary.path, e))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| Error::io(&temporary.path, e))?;
    drop(file);
    temporary.rename(target)
}

/// Removes what killed processes left half-written in `folder`, if there is such a folder; its subfolders are left alone.
/// No other process may be writing there.
///
/// # Errors
/// Fails if the folder cannot be listed or a file not be removed.
pub fn remove_temporaries(folder: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|e| Error::io(folder, e))?,
    };
    for entry in entries {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        if path.file_name().is_some_and(|name| is_temporary(&name.to_string_lossy())) {
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, e))?;
        }
    }
    Ok(())
}

/// Whether a file name is one that [`TemporaryFile`] gives, so that no other file is cleared away.
fn is_temporary(name: &str) -> bool {
    let is_number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let unique = name.strip_suffix(TEMPORARY_SUFFIX).and_then(|rest| rest.rsplit_once('.'));
    unique.and_then(|(_, unique)| unique.split_once('-')).is_some_and(|(a, b)| is_number(a) && is_number(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_temporary_names_are_temporary() {
        let ours = TemporaryFile::beside(Path::new("points/train-00000-of-00001.parquet"));
        assert!(is_temporary(&ours.path.file_name().unwrap().to_string_lossy()));
        for name in ["a.tmp", "a.parquet", "a.12.tmp", "a.1-x.tmp", "a.1-2", "1-2.tmp", "a.-.tmp"] {
            assert!(!is_temporary(name), "{name}");
        }
    }

    #[test]
    fn left_overs_go_and_everything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.parquet.12-3.tmp", "a.parquet", "b.tmp"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_temporaries(folder.path()).unwrap();
        remove_temporaries(&folder.path().join("gone")).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a.parquet", "b.tmp"]);
    }
}
