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
    /// A config file, an override or a setting is wrong.
    #[error(transparent)]
    Config(#[from] jepa3d_schemas::ConfigError),
    /// Parameters of a checkpoint do not fit the model.
    #[error("{path}: does not fit the model: {wrong}", path = path.display(), wrong = wrong.join("; "))]
    Misfit {
        /// The checkpoint.
        path: PathBuf,
        /// One entry a parameter: name, expected and found shape.
        wrong: Vec<String>,
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
    /// The run folder holds another run, or none.
    #[error("{path}: {reason}", path = path.display())]
    RunFolder {
        /// The folder.
        path: PathBuf,
        /// What stands in the way.
        reason: String,
    },
    /// A number that must be finite is not.
    #[error("step {step}: {what} is {found}; {kept}", kept = kept(*last))]
    NotFinite {
        /// The step.
        step: u64,
        /// What is not finite.
        what: &'static str,
        /// Its value.
        found: f64,
        /// Step of the newest checkpoint, if there is one.
        last: Option<u64>,
    },
    /// A trained parameter that no gradient reaches: the graph is cut somewhere above it.
    #[error("parameter {parameter}: expected a gradient, found none")]
    NoGradient {
        /// Its name.
        parameter: String,
    },
    /// A tensor operation failed: a device that refused, or shapes that do not fit.
    #[error("tensors: {0}")]
    Tensor(#[from] candle_core::Error),
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
    /// The folder holds no complete prepared dataset.
    #[error("{folder}: expected a complete prepared dataset, found no manifest.json (prepare writes it last)", folder = folder.display())]
    NotPrepared {
        /// The folder.
        folder: PathBuf,
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
    #[error("{path}: sample {id}{view}: expected an embedding, found none", path = path.display(), view = of_view(*view))]
    NoEmbedding {
        /// The cache.
        path: PathBuf,
        /// The sample.
        id: String,
        /// The view; without one the sample has none at all.
        view: Option<u16>,
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

fn kept(last: Option<u64>) -> String {
    match last {
        Some(step) => format!("the checkpoint of step {step} is the last good one"),
        None => "there is no checkpoint yet".to_owned(),
    }
}

fn of_view(view: Option<u16>) -> String {
    view.map_or_else(String::new, |view| format!(", view {view}"))
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An operating system error about `path`.
    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        jepa3d_schemas::Error::io(path, source).into()
    }
}
