//! Errors of looking at prepared sets and runs.

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
    /// The recording could not be made or shown.
    #[error("recording: {0}")]
    Recording(String),
    /// The prepared set cannot be opened or read.
    #[error(transparent)]
    Loader(#[from] jepa3d_loader::Error),
    /// The run cannot be opened, or its model does not answer.
    #[error(transparent)]
    Train(#[from] jepa3d_train::Error),
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
