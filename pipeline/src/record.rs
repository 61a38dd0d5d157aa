//! What is kept of a finished shard until the manifest is written: one record a task and table.
//!
//! Records live in `.jepa3d/` while a dataset is being written and are merged into manifest,
//! catalog and quarantine at the end.

use std::path::{Path, PathBuf};

use jepa3d_schemas::{CatalogRow, CatalogViews, ShardEntry, write_atomically};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::output_folder::{OutputFolder, remove_unless_gone};
use crate::quarantine::QuarantineRow;

/// The points of a finished task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PointsRecord {
    pub plan: String,
    pub shard: ShardEntry,
    pub catalog: Vec<CatalogRow>,
    pub quarantine: Vec<QuarantineRow>,
}

/// The views of one sample, as their record keeps them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SampleViewsRow {
    pub id: String,
    pub counts: CatalogViews,
    /// Of the largest view, in pixels.
    pub height: u32,
    pub width: u32,
}

/// The views of a finished task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewsRecord {
    pub plan: String,
    pub shard: ShardEntry,
    pub rows: Vec<SampleViewsRow>,
    pub quarantine: Vec<QuarantineRow>,
}

/// The record of one shard of a finished task.
pub(crate) trait ShardRecord: Serialize + DeserializeOwned {
    /// What the names of these records begin with.
    const PREFIX: &str;

    /// The plan that the shard was made by.
    fn plan(&self) -> &str;

    /// The shard.
    fn shard(&self) -> &ShardEntry;

    /// Path of the record of task `number`.
    fn path(state: &Path, number: usize) -> PathBuf {
        state.join(format!("{}-{number:05}.json", Self::PREFIX))
    }

    /// Writes the record atomically.
    fn write(&self, folder: &OutputFolder, number: usize) -> Result<()> {
        let text = serde_json::to_vec(self).expect("a record serialises");
        Ok(write_atomically(&Self::path(&folder.state, number), &text)?)
    }

    /// The record of a task of this plan whose shard is in place, `None` if the task must run.
    ///
    /// A record that does not parse, of another plan, or whose shard is missing or of another
    /// size counts as not done: the task is cheap to repeat and gives the same bytes.
    fn read(folder: &OutputFolder, number: usize, plan: &str) -> Option<Self> {
        let record: Self = parse(&Self::path(&folder.state, number))?;
        (record.plan() == plan && folder.is_in_place(record.shard())).then_some(record)
    }
}

impl ShardRecord for PointsRecord {
    const PREFIX: &str = "task";

    fn plan(&self) -> &str {
        &self.plan
    }

    fn shard(&self) -> &ShardEntry {
        &self.shard
    }
}

impl ShardRecord for ViewsRecord {
    const PREFIX: &str = "views";

    fn plan(&self) -> &str {
        &self.plan
    }

    fn shard(&self) -> &ShardEntry {
        &self.shard
    }
}

impl ViewsRecord {
    /// Removes the record of views of another plan: their shard is about to be written anew, and
    /// a process that dies after that must not leave a record that seems to be of the new one.
    pub(crate) fn remove_other(folder: &OutputFolder, number: usize, plan: &str) -> Result<()> {
        let path = Self::path(&folder.state, number);
        match parse::<Self>(&path) {
            Some(record) if record.plan != plan => remove_unless_gone(&path),
            _ => Ok(()),
        }
    }
}

fn parse<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
