//! Opens and reads files of a dataset: regular ones only, so that no pipe or device holds a batch up for ever.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use crate::budget::Budget;
use crate::error::{Error, Result, io_error};

/// Opens a regular file, and tells its length in bytes.
///
/// # Errors
/// Fails if it is missing, cannot be opened, or is a folder, pipe, socket or device; the error names it.
pub(crate) fn open_file(path: &Path) -> Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.read(true);
    // A pipe without a writer would block the call itself.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let opened = options.open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
    let (file, metadata) = opened.map_err(|e| io_error(path, e))?;
    if metadata.is_file() {
        return Ok((file, metadata.len()));
    }
    let found = if metadata.is_dir() { "a folder" } else { "a pipe, socket or device" };
    let reason = format!("expected a regular file, found {found}");
    Err(io_error(path, io::Error::new(ErrorKind::InvalidInput, reason)))
}

/// The bytes of a regular file, charged to the budget of the object that they are of.
///
/// # Errors
/// Fails as [`open_file`] does, if the file cannot be read, or if it is larger than what is left of the budget.
pub(crate) fn read_file(path: &Path, budget: &Budget) -> Result<Vec<u8>> {
    let (mut file, length) = open_file(path)?;
    budget.charge(length, "the file itself").map_err(|e| e.in_file(path))?;
    let mut bytes = Vec::with_capacity(length as usize);
    file.read_to_end(&mut bytes).map_err(|e| io_error(path, e))?;
    Ok(bytes)
}

impl Error {
    /// Whether the machine is at fault and not the file: the next try may succeed.
    pub fn is_of_machine(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        is_of_machine(source)
    }
}

/// Whether an error of the operating system says nothing about the file it was met at.
pub(crate) fn is_of_machine(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        const OF_MACHINE: [i32; 9] = [
            libc::EIO,
            libc::EMFILE,
            libc::ENFILE,
            libc::ENOMEM,
            libc::ENOSPC,
            libc::EINTR,
            libc::ETIMEDOUT,
            libc::ESTALE,
            libc::EAGAIN,
        ];
        error.raw_os_error().is_some_and(|code| OF_MACHINE.contains(&code))
    }
    #[cfg(not(unix))]
    matches!(error.kind(), ErrorKind::OutOfMemory | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read_and_they_are_charged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, [7; 100]).unwrap();
        assert_eq!(read_file(&path, &Budget::default()).unwrap(), [7; 100]);
        let error = read_file(&path, &Budget::new(99)).unwrap_err().to_string();
        assert!(error.contains("run.max_object_mb"), "{error}");
        let error = read_file(dir.path(), &Budget::default()).unwrap_err().to_string();
        assert!(error.ends_with("expected a regular file, found a folder"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_refused_and_errors_of_the_machine_are_told_apart() {
        let error = open_file(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(error.ends_with("expected a regular file, found a pipe, socket or device"), "{error}");
        let of_machine = |code| io_error(Path::new("a"), io::Error::from_raw_os_error(code)).is_of_machine();
        assert!(of_machine(libc::EIO) && of_machine(libc::EMFILE));
        assert!(!of_machine(libc::ENOENT) && !of_machine(libc::EACCES));
    }
}
