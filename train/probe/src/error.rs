//! Errors of judging features.

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A shard, the catalog or the manifest cannot be read, or a file cannot be written.
    #[error(transparent)]
    Data(#[from] jepa3d_schemas::Error),
    /// Features, their labels or their sizes do not allow what was asked for.
    #[error("features: {what}: expected {expected}, found {found}")]
    Features {
        /// The row, class or array.
        what: String,
        /// What it should have been.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A number that was asked for does not exist.
    #[error("{what}: expected {expected}, found {found}")]
    Range {
        /// What was asked for.
        what: &'static str,
        /// The legal range.
        expected: String,
        /// What was given.
        found: String,
    },
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
