//! The lock of a folder that one process at a time may write: a file in it, locked until the process ends, however it does.
//!
//! Some network disks (Lustre, old NFS) are mounted without `flock`. There nobody can be kept out: a warning says so.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Holders that an error names.
const NAMED: usize = 3;

/// A folder's lock, held as long as this lives.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    file: File,
    is_shared: bool,
}

impl FolderLock {
    /// Takes the lock file `path` of `folder` alone.
    ///
    /// # Errors
    /// Fails if another process holds it (the error names its number and machine, as far as they are known), or the system
    /// cannot lock the file, though its disk has locks.
    pub fn take(folder: &Path, path: &Path) -> Result<Self> {
        Self::lock(folder, path, false, File::try_lock)
    }

    /// Takes the lock file `path` of `folder` together with others that share it.
    ///
    /// # Errors
    /// Fails like [`FolderLock::take`], if another process wants it alone.
    pub fn share(folder: &Path, path: &Path) -> Result<Self> {
        Self::lock(folder, path, true, File::try_lock_shared)
    }

    fn lock(
        folder: &Path,
        path: &Path,
        is_shared: bool,
        try_lock: impl Fn(&File) -> std::result::Result<(), TryLockError>,
    ) -> Result<Self> {
        let wrong = |e| Error::io(path, e);
        loop {
            // A holder that is done may have taken the folder of the file away.
            path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(wrong)?;
            let open = File::options().create(true).append(true).read(true).open(path);
            let file = open.map_err(wrong)?;
            match try_lock(&file) {
                Ok(()) if !is_same_file(&file, path) => continue, // removed by the holder before
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Busy { path: folder.to_owned(), holders: name_holders(path) });
                }
                Err(TryLockError::Error(e)) if is_unsupported(&e) => warn_of_no_lock(folder, &e),
                Err(TryLockError::Error(e)) => return Err(wrong(e)),
            }
            let lock = Self { path: path.to_owned(), file, is_shared };
            // Who holds it is good to know; the lock does not depend on it.
            let _ = lock.sign();
            return Ok(lock);
        }
    }

    /// Writes down who holds it.
    fn sign(&self) -> std::io::Result<()> {
        if !self.is_shared {
            self.file.set_len(0)?;
        }
        (&self.file).write_all(format!("process {} on {}\n", std::process::id(), host_name()).as_bytes())
    }
}

impl Drop for FolderLock {
    /// Leaves no lock file behind; after a kill it stays and means nothing.
    fn drop(&mut self) {
        if !self.is_shared && is_same_file(&self.file, &self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether a disk refuses every lock: it is mounted without, or its lock server is not there.
fn is_unsupported(error: &std::io::Error) -> bool {
    #[cfg(unix)]
    if let Some(code) = error.raw_os_error() {
        return [libc::ENOSYS, libc::ENOTSUP, libc::EOPNOTSUPP, libc::ENOLCK].contains(&code);
    }
    error.kind() == std::io::ErrorKind::Unsupported
}

fn warn_of_no_lock(folder: &Path, reason: &std::io::Error) {
    tracing::warn!(
        "{}: this disk has no locks ({reason}), so no other process is kept from writing here: run one command at a time on \
         this folder; only `prepare --task` and `--tasks` go together",
        folder.display()
    );
}

/// Whether a path still leads to the file that is open: it may have been replaced or removed.
#[cfg(unix)]
pub fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Whether a path still leads somewhere: here nothing tells two files apart.
#[cfg(not(unix))]
pub fn is_same_file(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Who signed the lock file, as text behind "another process": the newest, without those that ended on this machine.
fn name_holders(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(1 << 16).read_to_string(&mut text));
    let host = host_name();
    let is_gone = |line: &str| {
        let ours = line.strip_prefix("process ").and_then(|rest| rest.strip_suffix(&format!(" on {host}")));
        let proc = Path::new("/proc");
        proc.join("self").exists() && ours.is_some_and(|id| !proc.join(id).exists())
    };
    let signed = text.lines().rev().filter(|line| line.starts_with("process ") && !is_gone(line));
    let names: Vec<&str> = signed.take(NAMED).collect();
    match (read, &names[..]) {
        (Err(_), _) | (_, []) => String::new(),
        (_, names) => format!(" ({})", names.join(", ")),
    }
}

/// The name of this machine, or a word for it.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() { "this machine".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_and_told_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let lock = FolderLock::take(folder.path(), &path).unwrap();
        for second in [FolderLock::take(folder.path(), &path), FolderLock::share(folder.path(), &path)] {
            let error = second.unwrap_err().to_string();
            let holder = format!("process {} on {}", std::process::id(), host_name());
            let says = format!(
                "{}: another jepa3d process is writing here ({holder}); wait for it or choose another folder",
                folder.path().display()
            );
            assert_eq!(error, says);
        }
        drop(lock);
        assert!(!path.exists(), "nothing is left behind");
        // Left by a process that was killed.
        std::fs::write(&path, "process 1 on elsewhere\n").unwrap();
        drop(FolderLock::take(folder.path(), &path).unwrap());
    }

    #[test]
    fn several_share_and_none_is_alone_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = FolderLock::share(folder.path(), &path).unwrap();
        let second = FolderLock::share(folder.path(), &path).unwrap();
        drop(first);
        let error = FolderLock::take(folder.path(), &path).unwrap_err().to_string();
        assert!(error.contains("is writing here (process "), "{error}");
        drop(second);
        FolderLock::take(folder.path(), &path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_disk_without_locks_is_warned_of_and_other_errors_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/lock");
        let refuse = |code| {
            let error = move || TryLockError::Error(std::io::Error::from_raw_os_error(code));
            FolderLock::lock(folder.path(), &path, false, move |_| Err(error()))
        };
        for code in [libc::ENOSYS, libc::ENOTSUP, libc::EOPNOTSUPP, libc::ENOLCK] {
            let first = refuse(code).unwrap();
            drop(refuse(code).unwrap());
            drop(first);
            assert!(!path.exists(), "{code}: nothing is left behind");
        }
        for code in [libc::EIO, libc::EACCES, libc::ESTALE] {
            let error = refuse(code).unwrap_err();
            assert!(matches!(error, Error::Io { .. }), "{code}: {error}");
        }
        let busy =
            FolderLock::lock(folder.path(), &path, true, |_| Err(TryLockError::WouldBlock)).unwrap_err();
        assert!(matches!(busy, Error::Busy { .. }) && busy.is_of_machine(), "{busy}");
    }

    #[test]
    fn what_is_no_lock_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = FolderLock::take(folder.path(), folder.path()).unwrap_err().to_string();
        assert!(error.starts_with(&folder.path().display().to_string()), "{error}");
    }
}
