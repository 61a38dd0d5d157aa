//! Errors of rendering: what an input should have been and what it is.

use std::path::PathBuf;

use jepa3d_schemas::is_error_of_machine;

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
    /// The file of a photograph cannot be read.
    #[error("{path}: file: expected a photo, found {source}", path = path.display())]
    PhotoFile {
        /// The image file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
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

impl Error {
    /// Whether the machine is at fault and not a file: the next try may succeed.
    pub fn is_of_machine(&self) -> bool {
        matches!(self, Self::PhotoFile { source, .. } if is_error_of_machine(source))
    }
}

/// Result of this crate.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;
