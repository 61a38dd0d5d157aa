//! Finds the real data that some tests read; they are skipped, and say so, where it is not there.

use std::path::PathBuf;

/// A path below the test data folder, or `None` (with a note on standard error) if it is not there.
///
/// The folder is `JEPA3D_TEST_DATA`, else `../shared/data` beside the workspace.
pub(crate) fn test_data(relative: &str) -> Option<PathBuf> {
    let root = std::env::var_os("JEPA3D_TEST_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")),
        PathBuf::from,
    );
    let path = root.join(relative);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no test data at {}", path.display());
    None
}
