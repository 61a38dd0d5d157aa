//! What killed writers left behind.

use std::path::Path;

use crate::error::{Error, Result};
use crate::shard_writer::is_temporary;

/// Removes the temporary files that dead processes left in `folder`; a folder that is not there holds none.
///
/// # Errors
/// Fails if the folder cannot be listed or a file cannot be removed.
pub fn remove_temporaries(folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    let wrong = |e| Error::io(folder, e);
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.file_name().is_some_and(|name| is_temporary(&name.to_string_lossy())) {
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, e))?;
        }
    }
    Ok(())
}
