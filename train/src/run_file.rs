//! Files of a run: regular ones, for a pipe or device of that name would hold a command up for ever; and damaged ones, which are
//! kept beside under another name, so that nothing is lost, and out of the way.

use std::fs::File;
use std::io::{Error as IoError, ErrorKind, Read};
use std::path::{Path, PathBuf};

use jepa3d_schemas::Error as DataError;

use crate::error::Result;

/// Opens a regular file, or a symbolic link to one, for reading.
///
/// # Errors
/// Fails if it cannot be opened or is something else.
pub(crate) fn open_regular(path: &Path) -> Result<File, IoError> {
    match std::fs::metadata(path)? {
        found if found.is_file() => File::open(path),
        found => {
            let found = if found.is_dir() { "a folder" } else { "a pipe, socket or device" };
            let reason = format!("expected a regular file, found {found}");
            Err(IoError::new(ErrorKind::InvalidInput, reason))
        }
    }
}

/// The bytes of a regular file.
///
/// # Errors
/// Fails if it cannot be read or is something else.
pub(crate) fn read_regular(path: &Path) -> Result<Vec<u8>, IoError> {
    let mut bytes = Vec::new();
    open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Gives `path` the first free name of `STEM.damaged-N.ENDING` and returns that.
///
/// # Errors
/// Fails if it cannot be renamed.
pub(crate) fn set_aside(path: &Path) -> Result<PathBuf> {
    let kept = damaged_name(path);
    std::fs::rename(path, &kept).map_err(|e| DataError::io(path, e))?;
    Ok(kept)
}

/// Copies `path`, as [`set_aside`] renames it, and leaves it where it is.
///
/// # Errors
/// Fails if it cannot be copied.
pub(crate) fn copy_aside(path: &Path) -> Result<PathBuf> {
    let kept = damaged_name(path);
    std::fs::copy(path, &kept).map_err(|e| DataError::io(&kept, e))?;
    Ok(kept)
}

fn damaged_name(path: &Path) -> PathBuf {
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let (stem, ending) = (part(path.file_stem()), part(path.extension()));
    let name = |n: u64| path.with_file_name(format!("{stem}.damaged-{n}.{ending}"));
    let free = (1..).map(name).find(|name| name.symlink_metadata().is_err());
    free.unwrap_or_else(|| name(0))
}
