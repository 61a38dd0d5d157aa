//! From raw objects to verified Parquet shards: plan, prepare, run, verify, statistics.
//!
//! [`PreparePlan`] divides the objects of a dataset into tasks before any is read; [`run()`] turns
//! each object into one sample (`prepare.rs`, the heart of the crate), all of them on any number of
//! threads with the same bytes; [`verify()`] checks the result and [`stats()`] says what is in it.
//!
//! ```
//! use jepa3d_pipeline::{PlanPart, PrepareConfig, PreparePlan, PrepareRequest, run, stats, verify};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Without a config file it is the synthetic set; 12 shapes of it, in small.
//! let sets = ["dataset.count=12", "cloud.points=256", "groups.points=128", "groups.centers=16"];
//! let config = PrepareConfig::load(None, &sets.map(str::to_owned))?;
//! let plan = PreparePlan::new(config, "no raw data".as_ref())?;
//!
//! let out = tempfile::tempdir()?;
//! let request = PrepareRequest { part: PlanPart::Whole, only_views: false, threads: 2 };
//! let report = run(&plan, out.path(), request, &mut |progress| println!("{} done", progress.done))?;
//! assert_eq!(report.progress.written, 12);
//!
//! assert!(verify(out.path(), 2)?.problems.is_empty());
//! println!("{}", stats(out.path())?);
//! # Ok(())
//! # }
//! ```

mod card;
mod config;
mod error;
mod execute;
mod finalize;
mod findings;
mod fingerprint;
mod group;
mod normalize;
mod normals;
mod outcome;
mod output_folder;
mod plan;
mod pool;
mod prepare;
mod quarantine;
mod read;
mod record;
mod reopen;
mod request;
mod row_group;
mod run;
mod shard_footer;
mod stats;
mod stored;
mod surface;
mod surface_color;
mod verify;
mod views;
mod warnings;
mod writer;

pub use config::PrepareConfig;
pub use error::{Error, Result};
pub use plan::PreparePlan;
pub use quarantine::{QUARANTINE_FILE, QuarantineRow, read_quarantine};
pub use request::{PlanPart, PrepareReport, PrepareRequest, Progress};
pub use run::run;
pub use stats::{Stats, plots, stats};
pub use surface::sample_mesh;
pub use verify::{Verification, verify};
pub use warnings::WarningCount;
