//! Errors of the statistics: what of a prepared dataset is missing or cannot be drawn.

use std::path::PathBuf;

/// Errors of [`crate::stats::stats`] and [`crate::stats::plots()`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatsError {
    /// There is no manifest, so the dataset is not complete.
    #[error(
        "{folder}: not a complete dataset: expected manifest.json, found none; \
         `jepa3d prepare CONFIG --data RAW --out {folder}` starts or continues it \
         (`--finalize` if all its tasks are done)", folder = folder.display()
    )]
    Incomplete {
        /// The folder asked for.
        folder: PathBuf,
    },
    /// Manifest, catalog or a shard cannot be read.
    #[error(transparent)]
    Contract(#[from] jepa3d_schemas::Error),
    /// A table could not be computed.
    #[error("statistics of the catalog: {0}")]
    Table(#[from] polars::prelude::PolarsError),
    /// A plot could not be drawn.
    #[error("{path}: {reason}", path = path.display())]
    Plot {
        /// The PNG.
        path: PathBuf,
        /// What the plot library says.
        reason: String,
    },
}

/// Result of the statistics.
pub(crate) type Result<T, E = StatsError> = std::result::Result<T, E>;
