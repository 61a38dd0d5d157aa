//! From raw objects to verified Parquet shards: plan, prepare, run, verify, statistics.
//!
//! [`Plan`] divides the objects of a dataset into tasks before any is read, [`prepare()`] turns
//! one object into one sample, [`run()`] does that for all of them on any number of threads with
//! the same bytes, and [`verify()`] checks the result.

mod config;
mod error;
mod execute;
mod finalize;
mod group;
mod normalize;
mod outcome;
mod output_folder;
mod plan;
mod prepare;
mod queue;
mod record;
mod reopen;
mod run;
mod stats;
mod stored;
mod surface;
mod verify;
mod views;
mod writer;

pub use config::{CloudConfig, GroupKind, GroupsConfig, PrepareConfig, RunConfig, ShardsConfig, TooFew};
pub use error::{Error, Rejected, Result};
pub use execute::Progress;
pub use group::{Groups, Scratch, group};
pub use normalize::{Frame, Normalized, normalize};
pub use plan::{Plan, Task};
pub use prepare::{Prepared, prepare};
pub use record::{QUARANTINE_FILE, QuarantineRow, read_quarantine};
pub use run::{Part, Report, Request, run};
pub use stats::{
    ClassCounts, ColumnBytes, Coverage, DatasetSummary, Degenerate, Failure, NamedExtent, Sizes, SlowObject,
    SplitShards, Spread, StageFailures, StageTime, Stats, StatsError, Times, ViewPart, Views, plots, stats,
};
pub use surface::sample_surface;
pub use verify::{Problem, Verification, verify};
