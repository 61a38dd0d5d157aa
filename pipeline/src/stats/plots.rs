//! stub
use super::error::Result;
use std::path::{Path, PathBuf};
/// stub
pub fn plots(_folder: &Path, _out: &Path) -> Result<Vec<PathBuf>> {
    Ok(vec![])
}
