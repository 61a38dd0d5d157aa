//! Errors of the contract: what a shard or manifest should have been and what it is.

use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

use crate::machine_faults::is_error_of_machine;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The bytes of a shard are not the Parquet that was written.
    #[error("{path}: {source}", path = path.display())]
    Parquet {
        /// The shard.
        path: PathBuf,
        /// The decoder's reason.
        source: ParquetError,
    },
    /// A shard or manifest is well-formed but not what the contract says.
    #[error("{path}: {what}: expected {expected}, found {found}", path = path.display())]
    Contract {
        /// The file.
        path: PathBuf,
        /// The column, key or count.
        what: String,
        /// What the contract asks for.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Another process writes to a folder.
    #[error("{path}: another jepa3d process is writing here{holders}; wait for it or choose another folder", path = path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
        /// The process and its machine in brackets, as far as they are known.
        holders: String,
    },
    /// Samples could not be laid out in columns.
    #[error("sample {id}: column {column}: expected {expected}, found {found}")]
    Column {
        /// The sample.
        id: String,
        /// The column.
        column: &'static str,
        /// What the contract asks for.
        expected: String,
        /// What the sample holds.
        found: String,
    },
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An operating system error about `path`.
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// A decoder error about the shard at `path`.
    pub(crate) fn parquet(path: &Path, source: ParquetError) -> Self {
        Self::Parquet { path: path.to_owned(), source }
    }

    /// Whether the machine is at fault, or another process in the way: the same command may succeed later, or elsewhere.
    pub fn is_of_machine(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_error_of_machine(source),
            Self::Parquet { source: ParquetError::External(cause), .. } => {
                cause.downcast_ref().is_some_and(is_error_of_machine)
            }
            Self::Busy { .. } => true,
            _ => false,
        }
    }

    /// Something at `path` that the contract does not allow.
    pub fn contract(
        path: &Path,
        what: impl Into<String>,
        expected: impl ToString,
        found: impl ToString,
    ) -> Self {
        Self::Contract {
            path: path.to_owned(),
            what: what.into(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}
