//! Opens and reads files of a dataset, and asks what a path leads to: no other file of this crate touches the disk.
//!
//! Only regular files are opened, so that no pipe or device holds a batch up for ever. An error of the machine (a disk
//! that fails, no file handles left) is never taken for the absence of a file: what is passed over for it would be
//! missing from the prepared set for good.

use std::fs::{File, Metadata, read_dir};
use std::io::{self, ErrorKind};
use std::path::Path;

use jepa3d_schemas::{is_error_of_machine, open_regular, read_opened};

use crate::budget::Budget;
use crate::error::{Error, Result, io_error};

/// Opens a regular file, and tells its length in bytes.
///
/// # Errors
/// Fails if it is missing, cannot be opened, or is a folder, pipe, socket or device; the error names it.
pub(crate) fn open_file(path: &Path) -> Result<(File, u64)> {
    let opened = open_regular(path).and_then(|file| file.metadata().map(|metadata| (file, metadata.len())));
    opened.map_err(|e| match read_dir(path) {
        // A folder that was listed as an object because it cannot be read: that says more.
        Err(folder) if e.kind() == ErrorKind::InvalidInput && folder.kind() != ErrorKind::NotADirectory => {
            io_error(path, folder)
        }
        _ => io_error(path, e),
    })
}

/// The bytes of a regular file, charged to the budget of the object that they are of.
///
/// # Errors
/// Fails as [`open_file`] does, if the file cannot be read, or if it is larger than what is left of the budget.
pub(crate) fn read_file(path: &Path, budget: &Budget) -> Result<Vec<u8>> {
    let (file, length) = open_file(path)?;
    budget.charge(length, "the file itself").map_err(|e| e.in_file(path))?;
    read_opened(&file, length).map_err(|e| io_error(path, e))
}

/// Whether there is anything at a path; links are followed.
///
/// # Errors
/// Fails if the path leads through what may not be read, or the machine fails.
pub(crate) fn exists(path: &Path) -> Result<bool> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_error_of_machine(&error) || error.kind() == ErrorKind::PermissionDenied => {
            Err(io_error(path, error))
        }
        Err(_) => Ok(false),
    }
}

/// Whether there is something other than a folder at a path; links are followed.
///
/// # Errors
/// Fails if the machine does.
pub(crate) fn is_file(path: &Path) -> Result<bool> {
    Ok(look_up(path)?.is_some_and(|metadata| !metadata.is_dir()))
}

/// Whether there is a folder at a path; links are followed.
///
/// # Errors
/// Fails if the machine does.
pub(crate) fn is_folder(path: &Path) -> Result<bool> {
    Ok(look_up(path)?.is_some_and(|metadata| metadata.is_dir()))
}

fn look_up(path: &Path) -> Result<Option<Metadata>> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_error_of_machine(&error) => Err(io_error(path, error)),
        Err(_) => Ok(None),
    }
}

impl Error {
    /// Whether there is nothing where something was looked for.
    pub(crate) fn is_absence(&self) -> bool {
        let is_absence = |e: &io::Error| matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
        matches!(self, Self::Io { source, .. } if is_absence(source))
    }

    /// Whether the machine is at fault and not the file: the next try may succeed.
    pub fn is_of_machine(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_error_of_machine(source))
    }

    /// The error of a file that is not there as [`Error::Missing`], which says what it should be; others as they are.
    pub(crate) fn or_missing(self, expected: impl FnOnce() -> String) -> Self {
        let is_absence = self.is_absence();
        match self {
            Self::Io { path, .. } if is_absence => Self::Missing { path, expected: expected() },
            other => other,
        }
    }
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
        assert!(is_file(&path).unwrap() && !is_folder(&path).unwrap() && is_folder(dir.path()).unwrap());
        assert!(!is_file(&path.join("below")).unwrap());
        let missing = open_file(&path.join("below")).unwrap_err().or_missing(|| "a list".into());
        assert!(missing.to_string().ends_with("below: missing: expected a list"), "{missing}");
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_refused_and_errors_of_the_machine_are_told_apart() {
        let error = open_file(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(error.ends_with("expected a regular file, found a device"), "{error}");
        let of_machine = |code| io_error(Path::new("a"), io::Error::from_raw_os_error(code)).is_of_machine();
        assert!(of_machine(libc::EIO) && of_machine(libc::EMFILE));
        assert!(!of_machine(libc::ENOENT) && !of_machine(libc::EACCES));
    }

    /// Lines of production code with a word, but for those files that may have it.
    fn lines_with(word: &str, allowed: &[&str]) -> Vec<String> {
        let src = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
        let mut found = Vec::new();
        for entry in walkdir::WalkDir::new(src).sort_by_file_name() {
            let path = entry.unwrap().into_path();
            let name = path.strip_prefix(src).unwrap().display().to_string();
            let is_allowed = allowed.iter().any(|start| name.starts_with(start)) || name.contains("tests");
            if path.extension().is_none_or(|ending| ending != "rs") || is_allowed {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let lines =
                code.lines().filter(|line| !line.trim_start().starts_with("//") && line.contains(word));
            found.extend(lines.map(|line| format!("{name}: {}", line.trim())));
        }
        found
    }

    #[test]
    fn no_other_file_touches_the_disk() {
        for word in
            [" File::open(", "(File::open(", "fs::File::open(", "fs::read(", "fs::read_to", "OpenOptions"]
        {
            let found = lines_with(word, &["files.rs"]);
            assert!(found.is_empty(), "{word}: {found:#?}");
        }
        // Of those that look things up, each tells the machine's errors from absence.
        for word in ["fs::", ".is_file()", ".is_dir()", ".exists()", "read_dir(", "canonicalize("] {
            let found = lines_with(word, &["files.rs", "walk.rs", "test_data.rs", "formats/companions"]);
            let found: Vec<_> =
                found.into_iter().filter(|line| !line.contains("use std::fs::File;")).collect();
            assert!(found.is_empty(), "{word}: {found:#?}");
        }
    }
}
