//! The quarantine: one JSON line for each object that could not be prepared, or lacks views.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// File name of the quarantine inside a prepared dataset.
pub const QUARANTINE_FILE: &str = "quarantine.jsonl";

/// Stage of a sample that has its points, and not all of its views.
pub(crate) const VIEWS_STAGE: &str = "views";

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

impl QuarantineRow {
    /// Whether the points of the object were prepared, and only views are missing.
    pub(crate) fn concerns_views(&self) -> bool {
        self.stage == VIEWS_STAGE
    }
}

/// Rows as JSON lines.
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
