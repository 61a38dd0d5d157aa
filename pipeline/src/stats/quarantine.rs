//! Objects that could not be prepared, by stage, with the first reasons.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::quarantine::{QUARANTINE_FILE, VIEWS_STAGE};

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

/// The keys of a quarantine line that are used here.
#[derive(Deserialize)]
struct QuarantineLine {
    id: String,
    stage: String,
    error: String,
}

/// Reads the quarantine line by line; also gives the number of lines. No file means no line; what
/// it says of views counts only in a dataset that `has_views`.
pub(super) fn read(folder: &Path, has_views: bool) -> Result<(Vec<StageFailures>, usize)> {
    let path = folder.join(QUARANTINE_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        // Counted as 0 lines, which `stats` compares with the manifest.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(e) => return Err(jepa3d_schemas::Error::io(&path, e).into()),
    };
    let mut by_stage: BTreeMap<String, StageFailures> = BTreeMap::new();
    let mut lines = 0;
    for (i, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|e| jepa3d_schemas::Error::io(&path, e))?;
        if line.trim().is_empty() {
            continue;
        }
        let QuarantineLine { id, stage, error } = serde_json::from_str(&line).map_err(|e| {
            jepa3d_schemas::Error::contract(&path, format!("line {}", i + 1), "a quarantine row", e)
        })?;
        if stage == VIEWS_STAGE && !has_views {
            continue;
        }
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
