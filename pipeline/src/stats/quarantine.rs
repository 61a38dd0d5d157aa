//! Objects that could not be prepared, by stage, with the first reasons.

use std::collections::BTreeMap;
use std::path::Path;

use jepa3d_schemas::{Manifest, file_length};
use serde::Serialize;

use crate::error::Result;
use crate::quarantine::{QUARANTINE_FILE, QuarantineRow, read_quarantine};

/// Reasons kept for each stage.
const EXAMPLES: usize = 3;

/// Objects that failed at one stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StageFailures {
    /// The stage.
    pub stage: String,
    /// Objects that failed there.
    pub objects: usize,
    /// The first few of them.
    pub examples: Vec<Failure>,
}

/// Why an object failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Failure {
    /// Object id.
    pub id: String,
    /// What was expected and found.
    pub error: String,
}

/// Counts the lines of the quarantine by stage; also gives their number. No file means no line; what it says of views
/// counts only in a dataset that has any.
///
/// # Errors
/// Fails if the file cannot be read, or is not the one that was written.
pub(super) fn read(folder: &Path, manifest: &Manifest) -> Result<(Vec<StageFailures>, usize)> {
    if file_length(&folder.join(QUARANTINE_FILE)).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
        // Counted as 0 lines, which `stats` compares with the manifest.
        return Ok((Vec::new(), 0));
    }
    let mut by_stage: BTreeMap<String, StageFailures> = BTreeMap::new();
    let mut lines = 0;
    for row in read_quarantine(folder, manifest)? {
        if row.concerns_views() && manifest.views.is_none() {
            continue;
        }
        let QuarantineRow { id, stage, error, .. } = row;
        lines += 1;
        let failures = by_stage.entry(stage.clone()).or_insert_with(|| StageFailures {
            stage,
            objects: 0,
            examples: Vec::new(),
        });
        failures.objects += 1;
        if failures.examples.len() < EXAMPLES {
            failures.examples.push(Failure { id, error });
        }
    }
    let mut stages: Vec<StageFailures> = by_stage.into_values().collect();
    stages.sort_by_key(|stage| std::cmp::Reverse(stage.objects));
    Ok((stages, lines))
}
