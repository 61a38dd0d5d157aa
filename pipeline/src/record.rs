//! What is kept of a finished shard until the manifest is written: one record a task and table.
//!
//! Records live in `.jepa3d/` while a dataset is being written and are merged into manifest,
//! catalog and quarantine at the end.

use std::path::{Path, PathBuf};

use jepa3d_schemas::{
    CatalogRow, CatalogViews, ShardEntry, hashed_json, parse_hashed_json, read_regular, write_atomically,
    write_unless_there,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::output_folder::{OutputFolder, remove_unless_gone};
use crate::plan::ShardTask;
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

    /// The name that a task gives to its shard.
    fn file_of(task: &ShardTask) -> String;

    /// Path of the record of task `number`.
    fn path(state: &Path, number: usize) -> PathBuf {
        state.join(format!("{}-{number:05}.json", Self::PREFIX))
    }

    /// Writes the record atomically, with the hash of its bytes; in an object store that of another process that did the same
    /// task stays.
    fn write(&self, folder: &OutputFolder, number: usize) -> Result<()> {
        let (path, text) = (Self::path(&folder.state, number), hashed_json(self));
        if write_unless_there(&path, text.as_bytes())? {
            return Ok(());
        }
        match parse::<Self>(&path) {
            Some(found) if (found.plan(), found.shard()) == (self.plan(), self.shard()) => Ok(()),
            _ => Ok(write_atomically(&path, text.as_bytes())?),
        }
    }

    /// The record of a task of this plan whose shard is in place, `None` if the task must run.
    ///
    /// A record that does not parse, was damaged, is of another plan, or names another file than the task gives its
    /// shard, or whose shard is missing or not the one that was written, counts as not done: the task is cheap to
    /// repeat and gives the same bytes.
    ///
    /// # Errors
    /// Fails if the disk does while the shard is compared with its hash.
    fn read(folder: &OutputFolder, task: &ShardTask, plan: &str) -> Result<Option<Self>> {
        let path = Self::path(&folder.state, task.number);
        let Some(record) = parse::<Self>(&path).filter(|record| record.plan() == plan) else {
            return Ok(None);
        };
        let (shard, file) = (record.shard(), Self::file_of(task));
        if (&shard.file, &shard.split) != (&file, &task.split) {
            tracing::warn!(
                "{}: shard.file: expected {file} in split {}, found {:?} in {:?}: the task is done again",
                path.display(),
                task.split,
                shard.file,
                shard.split
            );
            return Ok(None);
        }
        Ok(folder.is_whole(shard)?.then_some(record))
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

    fn file_of(task: &ShardTask) -> String {
        task.file.clone()
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

    fn file_of(task: &ShardTask) -> String {
        task.views_file()
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

/// A record that is there, and the one that was written.
fn parse<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let (value, is_hashed) = parse_hashed_json(path, &read_regular(path).ok()?).ok()?;
    is_hashed.then(|| serde_json::from_value(value).ok()).flatten()
}
