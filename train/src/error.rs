//! Errors of reading prepared datasets: what was asked for and what is there.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A shard, the catalog or the manifest cannot be read, or a file cannot be written.
    #[error(transparent)]
    Data(#[from] jepa3d_schemas::Error),
    /// There is no such sample.
    #[error("{folder}: sample: expected one of {total}, like {like}; found {id:?}", folder = folder.display(), like = like.join(", "))]
    NoSample {
        /// The prepared dataset.
        folder: PathBuf,
        /// The id asked for.
        id: String,
        /// Samples that could have been asked for.
        total: usize,
        /// The ids nearest to it.
        like: Vec<String>,
    },
    /// The object is known but could not be prepared.
    #[error("{folder}: sample {id:?}: expected a written sample, found one quarantined at {stage}", folder = folder.display())]
    Quarantined {
        /// The prepared dataset.
        folder: PathBuf,
        /// The id asked for.
        id: String,
        /// Where it failed.
        stage: String,
    },
    /// There is no such split, or it is empty.
    #[error("{folder}: split: expected one of {splits}; found {split:?}", folder = folder.display(), splits = splits.join(", "))]
    NoSplit {
        /// The prepared dataset.
        folder: PathBuf,
        /// The split asked for.
        split: String,
        /// Splits that hold samples.
        splits: Vec<String>,
    },
    /// A stored view does not decode.
    #[error("sample {id}, view {view}: {what}: expected a PNG or JPEG file, found {found}")]
    Image {
        /// The sample.
        id: String,
        /// The view's number.
        view: u16,
        /// `image` or `depth`.
        what: &'static str,
        /// The decoder's reason.
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
    /// The folder holds no complete prepared dataset.
    #[error("{folder}: expected a complete prepared dataset, found no manifest.json (prepare writes it last)", folder = folder.display())]
    NotPrepared {
        /// The folder.
        folder: PathBuf,
    },
    /// A cloud cannot be grouped.
    #[error("sample {id}: cannot be grouped: {found}")]
    Regroup {
        /// The sample.
        id: String,
        /// What was expected and found.
        found: String,
    },
    /// A thread of the loader cannot be started or is gone.
    #[error("loader thread: expected one that runs, found {found}")]
    Thread {
        /// What happened.
        found: String,
    },
    /// What a thread of the loader met.
    #[error(transparent)]
    Loading(std::sync::Arc<Error>),
    /// The recording could not be made or shown.
    #[error("recording: {0}")]
    Recording(String),
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(feature = "rerun")]
impl Error {
    /// An operating system error about `path`.
    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        jepa3d_schemas::Error::io(path, source).into()
    }
}
