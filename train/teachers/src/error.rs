//! Errors of embedding views.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A shard, the catalog or the manifest cannot be read, or a file cannot be written.
    #[error(transparent)]
    Data(#[from] jepa3d_schemas::Error),
    /// A config file, an override or a setting is wrong.
    #[error(transparent)]
    Config(#[from] jepa3d_schemas::ConfigError),
    /// A checkpoint cannot be used.
    #[error("{path}: expected {expected}, found {found}", path = path.display())]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What it should have been.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A tensor operation failed.
    #[error("tensors: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The prepared set cannot be opened or read.
    #[error(transparent)]
    Loader(#[from] jepa3d_loader::Error),
}

impl Error {
    /// An operating system error about `path`.
    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        jepa3d_schemas::Error::io(path, source).into()
    }
}

/// A setting that is out of range.
pub(crate) fn out_of_range(key: &str, expected: impl Into<String>, found: impl ToString) -> Error {
    jepa3d_schemas::ConfigError::setting(key, expected, found).into()
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
