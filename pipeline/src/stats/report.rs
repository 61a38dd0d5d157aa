//! The statistics of a dataset as numbers: what `jepa3d stats --json` prints.

use std::collections::BTreeMap;

use jepa3d_schemas::{ShapeLetters, SplitCounts, UpAxis};
use serde::Serialize;

use super::classes::ClassCounts;
use super::columns::{ColumnBytes, SplitShards};
use super::coverage::Coverage;
use super::quarantine::StageFailures;
use super::sizes::ObjectSizes;
use super::times::StageTimes;
use super::views::ViewStats;
use crate::warnings::WarningCounts;

/// Statistics of a prepared dataset; they are displayed as tables.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// What the manifest says of the dataset as a whole.
    pub(super) dataset: DatasetSummary,
    /// Objects of each class, the largest class first.
    pub(super) classes: Vec<ClassCounts>,
    /// Objects that could not be prepared, by stage, the most frequent first.
    pub(super) quarantine: Vec<StageFailures>,
    /// Points, triangles and raw sizes of the written objects.
    pub(super) sizes: ObjectSizes,
    /// Time spent on all objects.
    pub(super) times: StageTimes,
    /// How much of its cloud a grouping reaches; `None` without rows or groups.
    pub(super) coverage: Option<Coverage>,
    /// Bytes of each column, the largest first.
    pub(super) columns: Vec<ColumnBytes>,
    /// Shards of each split.
    pub(super) shards: Vec<SplitShards>,
    /// The views; `None` without any.
    pub(super) views: Option<ViewStats>,
    /// Objects with a warning, by its name.
    pub(super) warnings: WarningCounts,
    /// What the reader of the raw data said of it as a whole, such as which files it left out.
    pub(super) notes: Vec<String>,
    /// Where the files of the dataset disagree, one sentence each.
    pub(super) disagreements: Vec<String>,
}

/// What the manifest says of a dataset as a whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct DatasetSummary {
    /// Name of the dataset.
    pub(super) name: String,
    /// Version of the on-disk contract.
    pub(super) schema_version: u32,
    /// Version of the tool that wrote it.
    pub(super) tool_version: String,
    /// Hash of plan and source hashes.
    pub(super) fingerprint: String,
    /// Axis that points up.
    pub(super) up_axis: UpAxis,
    /// How many points, groups and views a sample has.
    pub(super) shape: ShapeLetters,
    /// Counts by split.
    pub(super) splits: BTreeMap<String, SplitCounts>,
}
