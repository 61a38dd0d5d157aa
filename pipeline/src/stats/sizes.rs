//! How large the written objects are: points, triangles, raw extents, scale, and the degenerate.

use polars::prelude::*;
use serde::Serialize;

use super::frame;
use crate::error::{Error, Result};

/// Degenerate objects named for each kind.
const EXAMPLES: usize = 3;

/// Quantiles of a quantity (linear interpolation between neighbours).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the fields are their names")]
pub(crate) struct Spread {
    pub min: f64,
    pub p5: f64,
    pub median: f64,
    pub mean: f64,
    pub p95: f64,
    pub max: f64,
}

/// An object and the size of its raw cloud.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct NamedExtent {
    /// Object id.
    pub id: String,
    /// Size along x, y, z in source units.
    pub extent: [f64; 3],
}

/// Objects whose size says that something is wrong or unusual.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Degenerate {
    /// What is degenerate.
    pub kind: &'static str,
    /// Objects.
    pub objects: usize,
    /// Ids of the first few.
    pub examples: Vec<String>,
}

/// ObjectSizes of the written objects; a spread is `None` without objects.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ObjectSizes {
    /// Stored points of a cloud.
    pub points: Option<Spread>,
    /// Clouds with fewer than `S` stored points.
    pub below_s: usize,
    /// Points of the source cloud, or vertices of the source mesh.
    pub source_points: Option<Spread>,
    /// Objects whose source has triangles.
    pub meshes: usize,
    /// Triangles of the source, over the meshes.
    pub source_triangles: Option<Spread>,
    /// Raw size along x, y, z, in source units.
    pub extent: [Option<Spread>; 3],
    /// Longest side of the raw bounding box, in source units.
    pub longest_side: Option<Spread>,
    /// The object with the shortest longest side.
    pub smallest: Option<NamedExtent>,
    /// The object with the longest side.
    pub largest: Option<NamedExtent>,
    /// Raw length of one normalised unit.
    pub norm_scale: Option<Spread>,
    /// Degenerate objects, each kind that occurs.
    pub degenerate: Vec<Degenerate>,
}

/// Measures the written objects; `s` is the letter `S` of the manifest.
pub(super) fn measure(objects: &DataFrame, s: usize) -> Result<ObjectSizes> {
    let written = frame::filter_by(objects, "is_written")?;
    let meshes = written.filter(&frame::floats(&written, "source_triangles")?.gt(0.0))?;
    let below = written.filter(&frame::floats(&written, "points")?.lt(s as f64))?;
    let spread = |column: &str| measure_spread(frame::floats(&written, column)?);
    Ok(ObjectSizes {
        points: spread("points")?,
        below_s: below.height(),
        source_points: spread("source_points")?,
        meshes: meshes.height(),
        source_triangles: measure_spread(frame::floats(&meshes, "source_triangles")?)?,
        extent: [spread("extent_x")?, spread("extent_y")?, spread("extent_z")?],
        longest_side: spread("longest_side")?,
        smallest: find_extreme(&written, false)?,
        largest: find_extreme(&written, true)?,
        norm_scale: spread("norm_scale")?,
        degenerate: find_degenerate(&written)?,
    })
}

/// How numbers are spread, `None` if there are none.
pub(super) fn measure_spread(values: &Float64Chunked) -> Result<Option<Spread>> {
    if values.is_empty() {
        return Ok(None);
    }
    Ok(Some(Spread {
        min: values.min().unwrap_or(f64::NAN),
        p5: frame::quantile(values, 0.05)?,
        median: frame::quantile(values, 0.5)?,
        mean: values.mean().unwrap_or(f64::NAN),
        p95: frame::quantile(values, 0.95)?,
        max: values.max().unwrap_or(f64::NAN),
    }))
}

/// How plain numbers are spread.
pub(super) fn spread_of(values: Vec<f64>) -> Result<Option<Spread>> {
    measure_spread(&Float64Chunked::from_vec("value".into(), values))
}

/// The object with the longest or shortest longest side, ties by id.
fn find_extreme(written: &DataFrame, largest: bool) -> Result<Option<NamedExtent>> {
    let first = frame::first_by(written, "longest_side", largest, 1)?;
    let Some(id) = (first.height() > 0).then(|| frame::text(&first, "id", 0)).transpose()?.flatten() else {
        return Ok(None);
    };
    let side = |column: &str| frame::float(&first, column, 0);
    Ok(Some(NamedExtent { id, extent: [side("extent_x")?, side("extent_y")?, side("extent_z")?] }))
}

fn find_degenerate(written: &DataFrame) -> Result<Vec<Degenerate>> {
    let is_point = frame::floats(written, "longest_side")?.lt_eq(0.0);
    let is_flat = |axis: &str| Ok::<_, Error>(frame::floats(written, axis)?.lt_eq(0.0) & !&is_point);
    let kinds = [
        ("all points coincide", is_point.clone()),
        ("flat along x", is_flat("extent_x")?),
        ("flat along y", is_flat("extent_y")?),
        ("flat along z", is_flat("extent_z")?),
        ("norm_scale not above 0", !&frame::floats(written, "norm_scale")?.gt(0.0)),
    ];
    let mut found = Vec::new();
    for (kind, flags) in kinds {
        let ids = written.filter(&flags)?.sort(["id"], SortMultipleOptions::default())?;
        let first = (0..ids.height().min(EXAMPLES)).map(|row| frame::text(&ids, "id", row));
        let examples: Vec<Option<String>> = first.collect::<Result<_>>()?;
        if ids.height() > 0 {
            let examples = examples.into_iter().flatten().collect();
            found.push(Degenerate { kind, objects: ids.height(), examples });
        }
    }
    Ok(found)
}
