//! Files that appear whole or not at all: written under a temporary name, synced, renamed.
//!
//! Whoever writes a temporary file holds a lock on it, which the system releases when the process ends, however it does. So a
//! file that nobody holds is left over, whichever machine its process ran on.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::remote_files::RemotePath;

/// Ending of temporary files.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// A file being written beside its target; it vanishes unless it is given the target's name.
pub struct TemporaryFile {
    pub(crate) path: PathBuf,
    file: File,
    is_renamed: bool,
}

impl TemporaryFile {
    /// Creates an empty file beside `target`, under a name that no other process or call uses; for a target in an object store
    /// on a disk of this machine.
    ///
    /// # Errors
    /// Fails if the folder is missing or the disk refuses; the error names the target.
    pub fn create(target: &Path) -> Result<Self> {
        let scratch =
            RemotePath::find(target).and_then(|remote| remote.map(|r| r.files.scratch()).transpose());
        let scratch = scratch.map_err(|e| Error::io(target, e))?;
        loop {
            let beside = name_beside(target);
            let path = match &scratch {
                Some(scratch) => scratch.join(beside.file_name().unwrap_or_default()),
                None => beside,
            };
            let file = File::options().read(true).write(true).create_new(true).open(&path);
            if file.as_ref().is_err_and(|e| e.kind() == ErrorKind::AlreadyExists) {
                continue; // of a process elsewhere, or one long dead, with our number
            }
            let file = file.map_err(|e| Error::io(target, e))?;
            // Where files cannot be locked, none is ever taken for left over.
            let is_cleared = matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !path.exists();
            if !is_cleared {
                return Ok(Self { path, file, is_renamed: false });
            }
            // Taken for left over between its creation and its lock.
        }
    }

    /// Where it is for now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file; writers may hold clones of it, and others may write it by its path.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Syncs it, gives it the name `target` and syncs the folder, so that the name survives a power cut.
    ///
    /// # Errors
    /// Fails if the disk or the store does; what had the name before is then unchanged, or the name is the new file's already.
    pub fn rename(mut self, target: &Path) -> Result<()> {
        if let Some(remote) = RemotePath::find(target).map_err(|e| Error::io(target, e))? {
            // Under its name in the store appears a file that is whole; ours goes with the drop.
            return remote.files.write(remote.url, &mut self.file).map_err(|e| Error::io(target, e));
        }
        self.file.sync_all().map_err(|e| Error::io(&self.path, e))?;
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

fn name_beside(target: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let unique = format!(".{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(unique);
    name.push(TEMPORARY_SUFFIX);
    target.with_file_name(name)
}

/// Writes a whole small file atomically: temporary name, sync, rename.
///
/// # Errors
/// Fails if the disk does; an older file of that name is then unchanged.
pub fn write_atomically(target: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = TemporaryFile::create(target)?;
    temporary.file().write_all(bytes).map_err(|e| Error::io(temporary.path(), e))?;
    temporary.rename(target)
}

/// Writes a small file into an object store unless there is one of its name, and says whether it did: of several processes that do
/// so at once, one does. On a disk it is written atomically, whatever was there.
///
/// # Errors
/// Fails if the disk or the store does.
pub fn write_unless_there(target: &Path, bytes: &[u8]) -> Result<bool> {
    match RemotePath::find(target).map_err(|e| Error::io(target, e))? {
        Some(remote) => remote.files.write_new(remote.url, bytes).map_err(|e| Error::io(target, e)),
        None => write_atomically(target, bytes).map(|()| true),
    }
}

/// Removes what killed processes left half-written in `folder`, if there is such a folder; its subfolders, and files that a
/// process is writing, are left alone.
///
/// # Errors
/// Fails if the folder cannot be listed or a file not be removed.
pub fn remove_temporaries(folder: &Path) -> Result<()> {
    remove_left_overs(folder, &|_| true)
}

/// Removes what killed processes left half-written of the file `target`, which need not exist.
///
/// # Errors
/// Fails if the folder of `target` cannot be listed or a file not be removed.
pub fn remove_temporaries_of(target: &Path) -> Result<()> {
    let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = target.file_name() else { return Ok(()) };
    let name = name.to_string_lossy();
    remove_left_overs(folder, &|target| target == name)
}

/// Removes the temporary files of the targets that are `wanted` (by name) and that nobody holds.
fn remove_left_overs(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|e| Error::io(folder, e))?,
    };
    for entry in entries {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        let name = entry.file_name();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && target_of(&name.to_string_lossy()).is_some_and(wanted) {
            remove_unless_held(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_unless_held(path: &Path) -> Result<()> {
    let unless_gone = |e: std::io::Error| match e.kind() {
        ErrorKind::NotFound => Ok(()), // removed or renamed meanwhile
        _ => Err(Error::io(path, e)),
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) => return unless_gone(e),
    };
    match file.try_lock() {
        Ok(()) => std::fs::remove_file(path).or_else(unless_gone),
        // Being written; or locks say nothing here.
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => Ok(()),
    }
}

/// The target's name in a name that [`name_beside`] gives, so that no other file is cleared away.
fn target_of(name: &str) -> Option<&str> {
    let is_number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let (target, unique) = name.strip_suffix(TEMPORARY_SUFFIX)?.rsplit_once('.')?;
    let (process, count) = unique.split_once('-')?;
    (is_number(process) && is_number(count)).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut left: Vec<_> =
            entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        left.sort();
        left
    }

    #[test]
    fn only_our_temporary_names_are_temporary() {
        let ours = name_beside(Path::new("points/train-00000-of-00001.parquet"));
        let name = ours.file_name().unwrap().to_string_lossy();
        assert_eq!(target_of(&name), Some("train-00000-of-00001.parquet"));
        for name in ["a.tmp", "a.parquet", "a.12.tmp", "a.1-x.tmp", "a.1-2", "1-2.tmp", "a.-.tmp"] {
            assert_eq!(target_of(name), None, "{name}");
        }
    }

    #[test]
    fn left_overs_go_and_everything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.parquet.12-3.tmp", "c.png.12-4.tmp", "a.parquet", "b.tmp"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        std::fs::create_dir(folder.path().join("d.1-2.tmp")).unwrap();
        remove_temporaries_of(&folder.path().join("c.png")).unwrap();
        assert_eq!(left(folder.path()), ["a.parquet", "a.parquet.12-3.tmp", "b.tmp", "d.1-2.tmp"]);
        remove_temporaries(folder.path()).unwrap();
        remove_temporaries(&folder.path().join("gone")).unwrap();
        assert_eq!(left(folder.path()), ["a.parquet", "b.tmp", "d.1-2.tmp"]);
    }

    #[test]
    fn what_is_being_written_is_not_left_over() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.png");
        let temporary = TemporaryFile::create(&target).unwrap();
        remove_temporaries(folder.path()).unwrap();
        remove_temporaries_of(&target).unwrap();
        temporary.file().write_all(b"whole").unwrap();
        temporary.rename(&target).unwrap();
        assert_eq!(left(folder.path()), ["a.png"]);
        drop(TemporaryFile::create(&target).unwrap());
        assert_eq!(left(folder.path()), ["a.png"], "one that is given up vanishes");
    }
}
