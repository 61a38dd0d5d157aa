//! How large the written objects are: points, triangles, raw extents, scale, and the degenerate.

use polars::prelude::*;
use serde::Serialize;

use super::error::Result;
use super::frame;

/// Degenerate objects named for each kind.
const EXAMPLES: usize = 3;

/// Quantiles of a quantity (linear interpolation between neighbours).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the fields are their names")]
pub struct Spread {
    pub min: f64,
    pub p5: f64,
    pub median: f64,
    pub mean: f64,
    pub p95: f64,
    pub max: f64,
}

/// An object and the size of its raw cloud.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NamedExtent {
    /// Object id.
    pub id: String,
    /// Size along x, y, z in source units.
    pub extent: [f64; 3],
}

/// Objects whose size says that something is wrong or unusual.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Degenerate {
    /// What is degenerate.
    pub kind: &'static str,
    /// Objects.
    pub objects: usize,
    /// Ids of the first few.
    pub examples: Vec<String>,
}

/// Sizes of the written objects; a spread is `None` without objects.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sizes {
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
pub(super) fn measure(objects: &DataFrame, s: usize) -> Result<Sizes> {
    let written = objects.clone().lazy().filter(col("is_written")).collect()?;
    let meshes = written.clone().lazy().filter(col("source_triangles").gt(lit(0.0))).collect()?;
    let below = written.clone().lazy().filter(col("points").lt(lit(s as f64))).collect()?;
    Ok(Sizes {
        points: spread(&written, "points")?,
        below_s: below.height(),
        source_points: spread(&written, "source_points")?,
        meshes: meshes.height(),
        source_triangles: spread(&meshes, "source_triangles")?,
        extent: [spread(&written, "extent_x")?, spread(&written, "extent_y")?, spread(&written, "extent_z")?],
        longest_side: spread(&written, "longest_side")?,
        smallest: extreme(&written, false)?,
        largest: extreme(&written, true)?,
        norm_scale: spread(&written, "norm_scale")?,
        degenerate: degenerate(&written)?,
    })
}

/// Quantiles of a float column, `None` if it is empty.
pub(super) fn spread(frame: &DataFrame, column: &str) -> Result<Option<Spread>> {
    if frame.height() == 0 {
        return Ok(None);
    }
    let quantile = |q: f64| col(column).quantile(lit(q), QuantileMethod::Linear);
    let row = frame
        .clone()
        .lazy()
        .select([
            col(column).min().alias("min"),
            quantile(0.05).alias("p5"),
            quantile(0.5).alias("median"),
            col(column).mean().alias("mean"),
            quantile(0.95).alias("p95"),
            col(column).max().alias("max"),
        ])
        .collect()?;
    let cell = |name: &str| frame::float(&row, name, 0);
    Ok(Some(Spread {
        min: cell("min")?,
        p5: cell("p5")?,
        median: cell("median")?,
        mean: cell("mean")?,
        p95: cell("p95")?,
        max: cell("max")?,
    }))
}

/// Quantiles of plain numbers, `None` if there are none.
pub(super) fn spread_of(values: Vec<f64>) -> Result<Option<Spread>> {
    spread(&df!("value" => values)?, "value")
}

/// The object with the longest or shortest longest side, ties by id.
fn extreme(written: &DataFrame, largest: bool) -> Result<Option<NamedExtent>> {
    let order = SortMultipleOptions::default().with_order_descending_multi([largest, false]);
    let first = written.clone().lazy().sort(["longest_side", "id"], order).limit(1).collect()?;
    let Some(id) = (first.height() > 0).then(|| frame::text(&first, "id", 0)).transpose()?.flatten() else {
        return Ok(None);
    };
    let side = |column: &str| frame::float(&first, column, 0);
    Ok(Some(NamedExtent { id, extent: [side("extent_x")?, side("extent_y")?, side("extent_z")?] }))
}

fn degenerate(written: &DataFrame) -> Result<Vec<Degenerate>> {
    let is_flat = |axis: &str| col(axis).lt_eq(lit(0.0));
    let is_point = || col("longest_side").lt_eq(lit(0.0));
    let kinds = [
        ("all points coincide", is_point()),
        ("flat along x", is_flat("extent_x").and(is_point().not())),
        ("flat along y", is_flat("extent_y").and(is_point().not())),
        ("flat along z", is_flat("extent_z").and(is_point().not())),
        ("norm_scale not above 0", col("norm_scale").gt(lit(0.0)).not()),
    ];
    let mut found = Vec::new();
    for (kind, test) in kinds {
        let ids = written.clone().lazy().filter(test).sort(["id"], Default::default()).collect()?;
        let first = (0..ids.height().min(EXAMPLES)).map(|row| frame::text(&ids, "id", row));
        let examples: Vec<Option<String>> = first.collect::<Result<_>>()?;
        if ids.height() > 0 {
            found.push(Degenerate {
                kind,
                objects: ids.height(),
                examples: examples.into_iter().flatten().collect(),
            });
        }
    }
    Ok(found)
}
