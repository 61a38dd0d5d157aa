//! The catalog as a data frame, and the few ways a cell is taken out of a computed one.
//!
//! The catalog crosses by plain vectors: the Parquet feature of polars stays off, because it
//! pulls in an HTTP client.

use jepa3d_schemas::CatalogRow;
use polars::prelude::*;

use crate::error::Result;
use crate::prepare::WRITTEN;

/// One row an object, in catalog order.
pub(super) fn objects(catalog: &[CatalogRow]) -> Result<DataFrame> {
    fn column<T>(catalog: &[CatalogRow], get: impl Fn(&CatalogRow) -> T) -> Vec<T> {
        catalog.iter().map(get).collect()
    }
    let categories: Vec<Option<&str>> = catalog.iter().map(|r| r.category.as_deref()).collect();
    let ids: Vec<&str> = catalog.iter().map(|r| r.id.as_str()).collect();
    let splits: Vec<&str> = catalog.iter().map(|r| r.split.as_str()).collect();
    Ok(df!(
        "id" => ids,
        "category" => categories,
        "split" => splits,
        "is_written" => column(catalog, |r| r.status == WRITTEN),
        "source_points" => column(catalog, |r| f64::from(r.source_points)),
        "source_triangles" => column(catalog, |r| f64::from(r.source_triangles)),
        "points" => column(catalog, |r| f64::from(r.points)),
        "extent_x" => column(catalog, |r| r.extent[0]),
        "extent_y" => column(catalog, |r| r.extent[1]),
        "extent_z" => column(catalog, |r| r.extent[2]),
        "longest_side" => column(catalog, |r| longest_side(r.extent)),
        "norm_scale" => column(catalog, |r| r.norm_scale),
        "read_ms" => column(catalog, |r| r.read_ms),
        "sample_ms" => column(catalog, |r| r.sample_ms),
        "group_ms" => column(catalog, |r| r.group_ms),
        "total_ms" => column(catalog, |r| r.read_ms + r.sample_ms + r.group_ms),
    )?)
}

/// The longest side of a bounding box.
pub(super) fn longest_side(extent: [f64; 3]) -> f64 {
    extent.into_iter().fold(0.0, f64::max)
}

/// The numbers of a column.
pub(super) fn floats<'a>(frame: &'a DataFrame, column: &str) -> Result<&'a Float64Chunked> {
    Ok(frame.column(column)?.f64()?)
}

/// The rows of which a column of flags says so.
pub(super) fn filter_by(frame: &DataFrame, flags: &str) -> Result<DataFrame> {
    Ok(frame.filter(frame.column(flags)?.bool()?)?)
}

/// The first `count` rows by a column, ties by id.
pub(super) fn first_by(frame: &DataFrame, column: &str, descending: bool, count: usize) -> Result<DataFrame> {
    let order = SortMultipleOptions::default().with_order_descending_multi([descending, false]);
    Ok(frame.sort([column, "id"], order)?.head(Some(count)))
}

/// Text in a cell, `None` if it is null.
pub(super) fn text(frame: &DataFrame, column: &str, row: usize) -> Result<Option<String>> {
    Ok(frame.column(column)?.str()?.get(row).map(str::to_owned))
}

/// A float in a cell; NaN if it is null.
pub(super) fn float(frame: &DataFrame, column: &str, row: usize) -> Result<f64> {
    Ok(floats(frame, column)?.get(row).unwrap_or(f64::NAN))
}

/// The value below which a share `q` of the numbers lies (linear interpolation); NaN of none.
pub(super) fn quantile(values: &Float64Chunked, q: f64) -> Result<f64> {
    Ok(values.quantile(q, QuantileMethod::Linear)?.unwrap_or(f64::NAN))
}
