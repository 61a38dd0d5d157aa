//! Errors of preparing and checking a dataset.

use std::path::PathBuf;

/// Errors that end a command; what concerns one object only becomes a quarantine row instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A shard, manifest or catalog.
    #[error(transparent)]
    Contract(#[from] jepa3d_schemas::Error),
    /// A dataset cannot be opened.
    #[error(transparent)]
    Dataset(#[from] jepa3d_datasets::Error),
    /// A setting of `[views]` is out of range.
    #[error("config: {0}")]
    Render(#[from] jepa3d_render::Error),
    /// A config file, an override or a setting is wrong.
    #[error(transparent)]
    Config(#[from] jepa3d_schemas::ConfigError),
    /// The output folder belongs to another plan.
    #[error(
        "{path}: was prepared by another config or from other objects: plan expected {expected}, found {found}; \
         choose another --out, or delete the folder", path = path.display()
    )]
    OtherPlan {
        /// The output folder.
        path: PathBuf,
        /// Plan of this command.
        expected: String,
        /// Plan of the folder.
        found: String,
    },
    /// The output folder holds files that are not those of an unfinished preparation.
    #[error(
        "{path}: holds {file}, and neither a manifest nor a preparation to continue; \
         choose an empty --out, or delete the folder", path = path.display()
    )]
    Foreign {
        /// The output folder.
        path: PathBuf,
        /// A file that would be mixed up with the shards, or overwritten.
        file: String,
    },
    /// `--finalize` came before all tasks were done.
    #[error("{path}: {missing} of {total} tasks are not done, the first is --task {first}", path = path.display())]
    Unfinished {
        /// The output folder.
        path: PathBuf,
        /// Tasks without a record.
        missing: usize,
        /// All tasks.
        total: usize,
        /// The first of them.
        first: usize,
    },
    /// `--only views` came before the points were there.
    #[error("{path}: --only views adds views to prepared points, and they are not complete; prepare without --only first",
        path = path.display())]
    NoPoints {
        /// The output folder.
        path: PathBuf,
    },
    /// `--only views` without a `[views]` table.
    #[error("--only views: expected a [views] table in the config, or --set views.KEY=VALUE; found none")]
    NoViews,
    /// Points were lost from a dataset that has views, and the config has none.
    #[error("{path}: {file} is lost and the dataset has views; repair it by the config that has its [views] table",
        path = path.display())]
    LostBesideViews {
        /// The output folder.
        path: PathBuf,
        /// What is missing, or of another size.
        file: String,
    },
    /// A task number beyond the plan.
    #[error("--task {task}: expected a number below {total}, the tasks of the plan; --dry-run lists them")]
    NoSuchTask {
        /// The number given.
        task: usize,
        /// Tasks of the plan.
        total: usize,
    },
    /// There is no manifest to make statistics of, so the dataset is not complete.
    #[error(
        "{folder}: not a complete dataset: expected manifest.json, found none; \
         `jepa3d prepare CONFIG --data RAW --out {folder}` starts or continues it \
         (`--finalize` if all its tasks are done)", folder = folder.display()
    )]
    Incomplete {
        /// The folder asked for.
        folder: PathBuf,
    },
    /// A table of the statistics could not be computed.
    #[error("statistics of the catalog: {0}")]
    Statistics(#[from] polars::prelude::PolarsError),
    /// A plot could not be drawn.
    #[error("{path}: {source}", path = path.display())]
    Plot {
        /// The PNG.
        path: PathBuf,
        /// What the picture lacks.
        source: jepa3d_charts::Error,
    },
    /// The system refuses threads.
    #[error("--threads {threads}: expected to start them, found {reason}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system says.
        reason: String,
    },
    /// The machine failed at a file, and kept failing.
    #[error(
        "{reason}; tried {tries} times. The machine is at fault, not the file, so nothing is quarantined for it; should it \
         be the file for good, put an empty one in its place, which is"
    )]
    Machine {
        /// The file and what the system says.
        reason: String,
        /// How often it was tried.
        tries: usize,
    },
    /// The raw data went away while they were read.
    #[error("{path}: expected the raw data, found {found}; nothing is quarantined for what is not there any more", path = path.display())]
    DataGone {
        /// The raw folder.
        path: PathBuf,
        /// What is left.
        found: String,
    },
    /// A mesh has nothing that points could be drawn on.
    #[error("{reason}")]
    Surface {
        /// What was expected and found.
        reason: String,
    },
    /// The dataset has no objects.
    #[error("{path}: no objects found for dataset {dataset}", path = path.display())]
    NoObjects {
        /// The raw folder.
        path: PathBuf,
        /// Dataset name.
        dataset: String,
    },
}

impl Error {
    /// Whether the machine is at fault, or another process in the way, and not what was asked: the same command may succeed
    /// later, or on another machine.
    pub fn is_of_machine(&self) -> bool {
        match self {
            Self::Contract(error) => error.is_of_machine(),
            Self::Dataset(error) => error.is_of_machine(),
            Self::Machine { .. } | Self::DataGone { .. } | Self::Threads { .. } => true,
            _ => false,
        }
    }
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why one object could not be prepared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{stage}: {reason}")]
pub(crate) struct Rejected {
    /// `read`, `sample`, `normalize`, `group` or `panic`.
    pub stage: &'static str,
    /// What was expected and found.
    pub reason: String,
}

impl Rejected {
    /// A rejection at a stage.
    pub(crate) fn new(stage: &'static str, reason: impl Into<String>) -> Self {
        Self { stage, reason: reason.into() }
    }

    /// A rejection by `who` panicked.
    pub(crate) fn from_panic(who: &str, panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Self::new("panic", format!("the {who} gave up: {}", text.unwrap_or("no message")))
    }
}
