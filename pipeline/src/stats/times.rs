//! Where the time of a preparation went: by stage, and the slowest objects.

use polars::prelude::*;
use serde::Serialize;

use super::frame;
use crate::error::Result;

/// Slow objects named.
const SLOWEST: usize = 5;

/// The stages and their catalog columns.
const STAGES: [(&str, &str); 3] = [("read", "read_ms"), ("sample", "sample_ms"), ("group", "group_ms")];

/// Time of one stage over all objects, in milliseconds of one thread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StageTime {
    /// `read` (and parse), `sample` (and normalise), `group`, or `all`.
    pub stage: &'static str,
    /// Sum.
    pub total_ms: f64,
    /// Mean of an object.
    pub mean_ms: f64,
    /// Half of the objects took less.
    pub p50_ms: f64,
    /// 95 % of the objects took less.
    pub p95_ms: f64,
    /// The slowest object.
    pub max_ms: f64,
    /// Share of the sum of all stages, 0 to 1.
    pub share: f64,
}

/// A slow object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SlowObject {
    /// Object id.
    pub id: String,
    /// Milliseconds to read and parse.
    pub read_ms: f64,
    /// Milliseconds to sample and normalise.
    pub sample_ms: f64,
    /// Milliseconds to group.
    pub group_ms: f64,
}

/// StageTimes of all objects, also of those that failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StageTimes {
    /// Objects.
    pub objects: usize,
    /// The three stages and their sum; empty without objects.
    pub stages: Vec<StageTime>,
    /// The slowest objects, the slowest first.
    pub slowest: Vec<SlowObject>,
}

/// Sums up the times of all objects.
pub(super) fn measure(objects: &DataFrame) -> Result<StageTimes> {
    let mut stages = Vec::new();
    if objects.height() > 0 {
        let all = sum(frame::floats(objects, "total_ms")?);
        for (name, column) in STAGES.into_iter().chain([("all", "total_ms")]) {
            stages.push(measure_stage(objects, name, column, all)?);
        }
    }
    Ok(StageTimes { objects: objects.height(), stages, slowest: find_slowest(objects)? })
}

fn measure_stage(objects: &DataFrame, stage: &'static str, column: &str, all: f64) -> Result<StageTime> {
    let times = frame::floats(objects, column)?;
    let total_ms = sum(times);
    Ok(StageTime {
        stage,
        total_ms,
        mean_ms: times.mean().unwrap_or(f64::NAN),
        p50_ms: frame::quantile(times, 0.5)?,
        p95_ms: frame::quantile(times, 0.95)?,
        max_ms: times.max().unwrap_or(f64::NAN),
        share: if all > 0.0 { total_ms / all } else { 0.0 },
    })
}

fn sum(times: &Float64Chunked) -> f64 {
    times.sum().unwrap_or(0.0)
}

fn find_slowest(objects: &DataFrame) -> Result<Vec<SlowObject>> {
    let top = frame::first_by(objects, "total_ms", true, SLOWEST)?;
    let object = |row| {
        Ok(SlowObject {
            id: frame::text(&top, "id", row)?.unwrap_or_default(),
            read_ms: frame::float(&top, "read_ms", row)?,
            sample_ms: frame::float(&top, "sample_ms", row)?,
            group_ms: frame::float(&top, "group_ms", row)?,
        })
    };
    (0..top.height()).map(object).collect()
}
