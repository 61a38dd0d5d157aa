//! The quarantine: one JSON line for each object that could not be prepared, or lacks views.

use std::path::Path;

use jepa3d_schemas::{Manifest, read_regular};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::fingerprint::hash_texts;

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

/// Hash of the lines that a table of rows becomes, as the manifest states it.
pub(crate) fn quarantine_hash(lines: &str) -> String {
    hash_texts(&[lines])
}

/// Reads the quarantine of a prepared dataset, and compares it with the hashes in its manifest.
///
/// # Errors
/// Fails if the file cannot be read, a line is not a quarantine row, or the lines are not those that were written.
pub fn read_quarantine(folder: &Path, manifest: &Manifest) -> Result<Vec<QuarantineRow>> {
    let path = folder.join(QUARANTINE_FILE);
    let bytes = read_regular(&path).map_err(|e| jepa3d_schemas::Error::io(&path, e))?;
    let text = String::from_utf8(bytes).map_err(|e| contract(&path, "text", "UTF-8", e))?;
    let (mut rows, mut of_points, mut of_views) = (Vec::new(), String::new(), String::new());
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let row: QuarantineRow = serde_json::from_str(line)
            .map_err(|e| contract(&path, &format!("line {}", i + 1), "a quarantine row", e))?;
        let lines = if row.concerns_views() { &mut of_views } else { &mut of_points };
        lines.push_str(line);
        rows.push(row);
    }
    check_lines(&path, "content hash", manifest.quarantine_hash.as_ref(), &of_points)?;
    if let Some(views) = &manifest.views {
        check_lines(&path, "content hash of the lines of views", views.quarantine_hash.as_ref(), &of_views)?;
    }
    Ok(rows)
}

/// Compares lines with the hash that the manifest states; that of an older version states none.
fn check_lines(path: &Path, what: &str, expected: Option<&String>, lines: &str) -> Result<()> {
    let found = quarantine_hash(lines);
    match expected {
        Some(expected) if *expected != found => Err(contract(path, what, expected, found)),
        _ => Ok(()),
    }
}

fn contract(path: &Path, what: &str, expected: &str, found: impl ToString) -> Error {
    jepa3d_schemas::Error::contract(path, what, expected, found).into()
}
