//! Errors of opening prepared sets and of making batches of them.

use std::path::{Path, PathBuf};

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
    /// The folder holds no complete prepared dataset.
    #[error("{folder}: expected a complete prepared dataset, found no manifest.json (prepare writes it last)", folder = folder.display())]
    NotPrepared {
        /// The folder.
        folder: PathBuf,
    },
    /// There is no such split, or it is empty.
    #[error("{folder}: split: expected one of {splits}; found {split:?}", folder = folder.display(), splits = list_splits(splits))]
    NoSplit {
        /// The prepared dataset.
        folder: PathBuf,
        /// The split asked for.
        split: String,
        /// Splits that hold samples.
        splits: Vec<String>,
    },
    /// Datasets do not go together.
    #[error("{folder}: expected {expected}, found {found}", folder = folder.display())]
    Mix {
        /// The one that does not go with those before it.
        folder: PathBuf,
        /// What they have.
        expected: String,
        /// What it has.
        found: String,
    },
    /// The dataset has no views, which a teacher needs.
    #[error("{folder}: expected views, found none (prepare --only views adds them)", folder = folder.display())]
    NoViews {
        /// The prepared dataset.
        folder: PathBuf,
    },
    /// There is no complete cache of embeddings of this name.
    #[error("{path}: expected a complete cache {name}, found none (jepa3d teacher makes one)", path = path.display())]
    NoTeacher {
        /// Where its manifest would be.
        path: PathBuf,
        /// Its name.
        name: String,
    },
    /// A cache lacks a sample, or one of its views.
    #[error("{path}: sample {id}{view}: expected an embedding, found none", path = path.display(), view = name_view(*view))]
    NoEmbedding {
        /// The cache.
        path: PathBuf,
        /// The sample.
        id: String,
        /// The view; without one the sample has none at all.
        view: Option<u16>,
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
}

/// Names of splits; in words where nothing was prepared.
fn list_splits(splits: &[String]) -> String {
    if splits.is_empty() { "none, since the set holds no sample".to_owned() } else { splits.join(", ") }
}

fn name_view(view: Option<u16>) -> String {
    view.map_or_else(String::new, |view| format!(", view {view}"))
}

impl Error {
    /// An operating system error about `path`.
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        jepa3d_schemas::Error::io(path, source).into()
    }
}

/// A setting that is out of range.
pub(crate) fn out_of_range(key: &str, expected: impl Into<String>, found: impl ToString) -> Error {
    jepa3d_schemas::ConfigError::setting(key, expected, found).into()
}

/// A stored file breaks the contract.
pub(crate) fn breach(
    path: &Path,
    what: impl Into<String>,
    expected: impl ToString,
    found: impl ToString,
) -> Error {
    jepa3d_schemas::Error::contract(path, what, expected, found).into()
}

/// The values of a column that the contract asks for and a row group of `path` must have.
pub(crate) fn require_column<T>(path: &Path, name: &str, column: Option<T>) -> Result<T> {
    column.ok_or_else(|| breach(path, format!("column {name}"), "values", "none"))
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
