//! Errors of a run: its config, its folder, its checkpoints, its numbers.

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
    /// A dataset holds other groups than an encoder learned from.
    #[error("{folder}: expected groups as the encoder learned from, {learned}, found {stored}: {hint}", folder = folder.display())]
    Groups {
        /// The dataset.
        folder: PathBuf,
        /// What the encoder knows.
        learned: String,
        /// What the dataset holds.
        stored: String,
        /// What can be done.
        hint: &'static str,
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
    /// An object without a class, though part segmentation reads it.
    #[error("sample {sample}: expected a class, which part segmentation reads, found none")]
    NoClass {
        /// The sample.
        sample: String,
    },
    /// The label of a point has no name.
    #[error("point_labels: expected {expected}, found {found}")]
    PointLabel {
        /// The legal labels.
        expected: String,
        /// The label.
        found: i16,
    },
    /// Processes, or parts of a batch, that train together: one of them ended, is lost, or does not fit.
    #[error("training together: {reason}")]
    Together {
        /// Which, and why.
        reason: String,
    },
    /// A tensor operation failed: a device that refused, or shapes that do not fit.
    #[error("tensors: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The prepared set cannot be opened or read.
    #[error(transparent)]
    Loader(#[from] jepa3d_loader::Error),
    /// Features cannot be judged.
    #[error(transparent)]
    Probe(#[from] jepa3d_probe::Error),
}

fn kept(last: Option<u64>) -> String {
    match last {
        Some(step) => format!("the checkpoint of step {step} is the last good one"),
        None => "there is no checkpoint yet".to_owned(),
    }
}

impl Error {
    /// An operating system error about `path`.
    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        jepa3d_schemas::Error::io(path, source).into()
    }
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
