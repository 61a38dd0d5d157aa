//! Views as columns: the `views` table of schema version 1, one row a view.

use std::sync::{Arc, LazyLock};

use arrow_array::{Array, BinaryArray, Float64Array, StringArray, UInt16Array, UInt32Array};
use arrow_schema::{DataType, SchemaRef};

use crate::columns::{Column, ColumnKind, Definition, schema_of};
use crate::error::{Error, Result};
use crate::view::View;

/// The columns of `views`, in file order.
const COLUMNS: [Definition; 18] = {
    use ColumnKind::{Bytes, List, Scalar, Text};
    [
        ("sample_id", DataType::Utf8, false, Text),
        ("view", DataType::UInt16, false, Scalar),
        ("name", DataType::Utf8, false, Text),
        ("image", DataType::Binary, false, Bytes),
        ("width", DataType::UInt32, false, Scalar),
        ("height", DataType::UInt32, false, Scalar),
        ("fx", DataType::Float64, false, Scalar),
        ("fy", DataType::Float64, false, Scalar),
        ("cx", DataType::Float64, false, Scalar),
        ("cy", DataType::Float64, false, Scalar),
        ("camera_from_world", DataType::Float64, false, List),
        ("depth", DataType::Binary, true, Bytes),
        ("depth_scale", DataType::Float64, false, Scalar),
        ("corr_point", DataType::UInt32, false, List),
        ("corr_u", DataType::Float32, false, List),
        ("corr_v", DataType::Float32, false, List),
        ("corr_depth", DataType::Float32, false, List),
        ("pixel_point", DataType::Binary, true, Bytes),
    ]
};

/// Names and kinds of the columns of a `views` table, in file order.
pub fn view_column_names() -> impl Iterator<Item = (&'static str, ColumnKind)> {
    COLUMNS.iter().map(|(name, _, _, kind)| (*name, *kind))
}

/// The Arrow schema of a `views` table.
pub(crate) fn views_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema_of(&COLUMNS));
    Arc::clone(&SCHEMA)
}

/// `camera_from_world` of every view, row by row: [`encode_views`] borrows it.
pub(crate) fn camera_rows(views: &[View]) -> Vec<[f64; 12]> {
    views.iter().map(|v| v.camera.rows()).collect()
}

/// Lays views out in columns, one row a view; `cameras` are their [`camera_rows`].
///
/// # Errors
/// Fails if the arrays of a view disagree in length ([`check_view`]).
pub(crate) fn encode_views<'a>(views: &'a [View], cameras: &'a [[f64; 12]]) -> Result<Vec<Column<'a>>> {
    for view in views {
        check_view(view)?;
    }
    let text = |f: fn(&View) -> &str| flat(StringArray::from_iter_values(views.iter().map(f)));
    let real = |f: fn(&View) -> f64| flat(Float64Array::from_iter_values(views.iter().map(f)));
    let size = |f: fn(&View) -> u32| flat(UInt32Array::from_iter_values(views.iter().map(f)));
    let maps: Vec<Option<Vec<u8>>> = views.iter().map(|v| v.pixel_point.as_deref().map(map_bytes)).collect();
    let lists = || views.iter().map(|v| &v.correspondences);
    Ok(vec![
        text(|v| &v.sample_id),
        flat(UInt16Array::from_iter_values(views.iter().map(|v| v.view))),
        text(|v| &v.name),
        flat(BinaryArray::from_iter_values(views.iter().map(|v| &v.image))),
        size(|v| v.camera.width),
        size(|v| v.camera.height),
        real(|v| v.camera.fx),
        real(|v| v.camera.fy),
        real(|v| v.camera.cx),
        real(|v| v.camera.cy),
        Column::F64(cameras.iter().map(|rows| Some(rows.as_slice())).collect()),
        flat(BinaryArray::from_iter(views.iter().map(|v| v.depth.as_deref()))),
        real(|v| v.depth_scale),
        Column::U32(lists().map(|c| Some(c.point.as_slice())).collect()),
        Column::F32(lists().map(|c| Some(c.u.as_slice())).collect()),
        Column::F32(lists().map(|c| Some(c.v.as_slice())).collect()),
        Column::F32(lists().map(|c| Some(c.depth.as_slice())).collect()),
        flat(BinaryArray::from_iter(maps.iter().map(Option::as_deref))),
    ])
}

fn flat(array: impl Array + 'static) -> Column<'static> {
    Column::Flat(Arc::new(array))
}

/// The dense map as stored: little-endian u32, row by row.
fn map_bytes(points: &[u32]) -> Vec<u8> {
    points.iter().flat_map(|p| p.to_le_bytes()).collect()
}

/// Checks that the arrays of a view agree with each other and with its image size.
///
/// # Errors
/// Fails if one does not; the error names sample, view and column.
pub fn check_view(view: &View) -> Result<()> {
    let c = &view.correspondences;
    let pixels = view.camera.width as usize * view.camera.height as usize;
    let lengths = [
        ("corr_u", Some(c.u.len()), c.len()),
        ("corr_v", Some(c.v.len()), c.len()),
        ("corr_depth", Some(c.depth.len()), c.len()),
        ("pixel_point", view.pixel_point.as_ref().map(Vec::len), pixels),
    ];
    for (column, found, expected) in lengths {
        if let Some(found) = found.filter(|&found| found != expected) {
            return Err(Error::Column {
                id: format!("{} view {}", view.sample_id, view.view),
                column,
                expected: format!("{expected} values"),
                found: found.to_string(),
            });
        }
    }
    Ok(())
}
