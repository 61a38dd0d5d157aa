//! Errors of reading and writing PyTorch checkpoints.

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A checkpoint cannot be read or written, or is not what its name promises.
    #[error(transparent)]
    Data(#[from] jepa3d_schemas::Error),
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
