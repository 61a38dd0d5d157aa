//! Files of a run that are damaged: kept beside under another name, so that nothing is lost, and out of the way.

use std::path::{Path, PathBuf};

use jepa3d_schemas::Error as DataError;

use crate::error::Result;

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
