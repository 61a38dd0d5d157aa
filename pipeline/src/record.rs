//! What is kept beside the shards: one record a finished task, the quarantine, the plan.
//!
//! Records live in `.jepa3d/` while a dataset is being written and are merged into manifest,
//! catalog and quarantine at the end.

use std::path::{Path, PathBuf};

use jepa3d_schemas::{CatalogRow, CatalogViews, ShardEntry, write_atomically};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// File name of the quarantine inside a prepared dataset.
pub const QUARANTINE_FILE: &str = "quarantine.jsonl";

/// An object that could not be prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuarantineRow {
    /// Object id.
    pub id: String,
    /// Split it would have been in.
    pub split: String,
    /// Path of the source relative to the raw folder.
    pub source: String,
    /// `read`, `sample`, `normalize`, `group` or `panic`; `views` where the points were prepared and a view could not be made.
    pub stage: String,
    /// What was expected and what was found.
    pub error: String,
}

/// Stage of a sample that has its points, and not all of its views.
pub(crate) const VIEWS_STAGE: &str = "views";

impl QuarantineRow {
    /// Whether the points of the object were prepared, and only views are missing.
    pub(crate) fn is_of_views(&self) -> bool {
        self.stage == VIEWS_STAGE
    }
}

/// The points of a finished task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskRecord {
    pub plan: String,
    pub shard: ShardEntry,
    pub catalog: Vec<CatalogRow>,
    pub quarantine: Vec<QuarantineRow>,
}

/// The views of one sample, as their record keeps them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewsRow {
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
    pub rows: Vec<ViewsRow>,
    pub quarantine: Vec<QuarantineRow>,
}

/// The record of one shard of a finished task.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// What the names of these records begin with.
    const PREFIX: &str;

    /// The plan the shard was made by, and the shard.
    fn made(&self) -> (&str, &ShardEntry);

    /// Path of the record of task `number`.
    fn path(state: &Path, number: usize) -> PathBuf {
        state.join(format!("{}-{number:05}.json", Self::PREFIX))
    }

    /// Writes the record atomically.
    fn write(&self, state: &Path, number: usize) -> Result<()> {
        let text = serde_json::to_vec(self).expect("a record serialises");
        Ok(write_atomically(&Self::path(state, number), &text)?)
    }

    /// The record of a task of this plan whose shard is in place, `None` if the task must run.
    ///
    /// A record that does not parse, of another plan, or whose shard is missing or of another
    /// size counts as not done: the task is cheap to repeat and gives the same bytes.
    fn read(state: &Path, out: &Path, number: usize, plan: &str) -> Option<Self> {
        let record: Self = read_record(&Self::path(state, number))?;
        let (made_by, shard) = record.made();
        (made_by == plan && is_in_place(out, shard)).then_some(record)
    }
}

impl Record for TaskRecord {
    const PREFIX: &str = "task";

    fn made(&self) -> (&str, &ShardEntry) {
        (&self.plan, &self.shard)
    }
}

impl Record for ViewsRecord {
    const PREFIX: &str = "views";

    fn made(&self) -> (&str, &ShardEntry) {
        (&self.plan, &self.shard)
    }
}

impl ViewsRecord {
    /// Removes the record of views of another plan: their shard is about to be written anew, and
    /// a process that dies after that must not leave a record that seems to be of the new one.
    pub(crate) fn remove_other(state: &Path, number: usize, plan: &str) -> Result<()> {
        let path = Self::path(state, number);
        match read_record::<Self>(&path) {
            Some(record) if record.plan != plan => remove_unless_gone(&path),
            _ => Ok(()),
        }
    }
}

/// Removes a file; another process may have been faster.
pub(crate) fn remove_unless_gone(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(jepa3d_schemas::Error::io(path, e).into()),
        _ => Ok(()),
    }
}

fn read_record<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Whether the file of a shard is there with its size.
pub(crate) fn is_in_place(out: &Path, shard: &ShardEntry) -> bool {
    std::fs::metadata(out.join(&shard.file)).is_ok_and(|file| file.len() == shard.bytes)
}

/// Hash of a plan and the source bytes of its objects: equal ones mean equal samples.
pub(crate) struct Fingerprint(blake3::Hasher);

impl Fingerprint {
    /// The hash of a plan without objects.
    pub(crate) fn new(plan: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(plan.as_bytes());
        Self(hasher)
    }

    /// Adds the sources of further objects.
    pub(crate) fn add(&mut self, catalog: &[CatalogRow]) {
        for row in catalog {
            self.0.update(&(row.source_hash.len() as u64).to_le_bytes());
            self.0.update(row.source_hash.as_bytes());
        }
    }

    /// The hash in hex, 128 bits.
    pub(crate) fn finish(&self) -> String {
        self.0.finalize().to_hex()[..32].to_owned()
    }
}

/// The quarantine as JSON lines.
pub(crate) fn quarantine_lines(rows: &[QuarantineRow]) -> String {
    let line = |row| serde_json::to_string(row).expect("a quarantine row serialises") + "\n";
    rows.iter().map(line).collect()
}

/// Reads the quarantine of a prepared dataset.
///
/// # Errors
/// Fails if the file cannot be read or a line is not a quarantine row.
pub fn read_quarantine(folder: &Path) -> Result<Vec<QuarantineRow>> {
    let path = folder.join(QUARANTINE_FILE);
    let text = std::fs::read_to_string(&path).map_err(|e| jepa3d_schemas::Error::io(&path, e))?;
    let parse = |(i, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|e| {
            let what = format!("line {}", i + 1);
            jepa3d_schemas::Error::contract(&path, what, "a quarantine row", e).into()
        })
    };
    text.lines().enumerate().map(parse).collect()
}
