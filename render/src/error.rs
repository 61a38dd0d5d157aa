//! Errors of rendering: what an input should have been and what it is.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A photograph cannot be used.
    #[error("{path}: {what}: expected {expected}, found {found}", path = path.display())]
    Photo {
        /// The image file.
        path: PathBuf,
        /// What is wrong, for example `size`.
        what: &'static str,
        /// What was asked for.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A key of the config is out of range.
    #[error("views.{key}: expected {expected}, found {found}")]
    Config {
        /// The key below `[views]`.
        key: &'static str,
        /// The legal range.
        expected: String,
        /// What stands there.
        found: String,
    },
}

/// Result of this crate.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;
