//! Where the time of a preparation went: by stage, and the slowest objects.

use polars::prelude::*;
use serde::Serialize;

use super::error::Result;
use super::frame;

/// Slow objects named.
const SLOWEST: usize = 5;

/// The stages and their catalog columns.
pub(super) const STAGES: [(&str, &str); 3] =
    [("read", "read_ms"), ("sample", "sample_ms"), ("group", "group_ms")];

/// Time of one stage over all objects, in milliseconds of one thread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageTime {
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
pub struct SlowObject {
    /// Object id.
    pub id: String,
    /// Milliseconds to read and parse.
    pub read_ms: f64,
    /// Milliseconds to sample and normalise.
    pub sample_ms: f64,
    /// Milliseconds to group.
    pub group_ms: f64,
}

/// Times of all objects, also of those that failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Times {
    /// Objects.
    pub objects: usize,
    /// The three stages and their sum; empty without objects.
    pub stages: Vec<StageTime>,
    /// The slowest objects, the slowest first.
    pub slowest: Vec<SlowObject>,
}

/// Sums up the times of all objects.
pub(super) fn measure(objects: &DataFrame) -> Result<Times> {
    let mut stages = Vec::new();
    if objects.height() > 0 {
        let all: f64 = stage(objects, "all", "total_ms", 0.0)?.total_ms;
        for (name, column) in STAGES.into_iter().chain([("all", "total_ms")]) {
            stages.push(stage(objects, name, column, all)?);
        }
    }
    Ok(Times { objects: objects.height(), stages, slowest: slowest(objects)? })
}

fn stage(objects: &DataFrame, stage: &'static str, column: &str, all: f64) -> Result<StageTime> {
    let quantile = |q: f64| col(column).quantile(lit(q), QuantileMethod::Linear);
    let row = objects
        .clone()
        .lazy()
        .select([
            col(column).sum().alias("total"),
            col(column).mean().alias("mean"),
            quantile(0.5).alias("p50"),
            quantile(0.95).alias("p95"),
            col(column).max().alias("max"),
        ])
        .collect()?;
    let cell = |name: &str| frame::float(&row, name, 0);
    let total_ms = cell("total")?;
    Ok(StageTime {
        stage,
        total_ms,
        mean_ms: cell("mean")?,
        p50_ms: cell("p50")?,
        p95_ms: cell("p95")?,
        max_ms: cell("max")?,
        share: if all > 0.0 { total_ms / all } else { 0.0 },
    })
}

fn slowest(objects: &DataFrame) -> Result<Vec<SlowObject>> {
    let order = SortMultipleOptions::default().with_order_descending_multi([true, false]);
    let top = objects.clone().lazy().sort(["total_ms", "id"], order).limit(SLOWEST as u32).collect()?;
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
