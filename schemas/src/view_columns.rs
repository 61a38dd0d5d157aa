//! Views as Arrow columns: the `views` table of schema version 1, one row a view.

use std::sync::{Arc, LazyLock};

use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type, UInt32Type};
use arrow_array::{
    ArrayRef, BinaryArray, Float64Array, ListArray, PrimitiveArray, RecordBatch, StringArray, UInt16Array,
    UInt32Array,
};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, SchemaRef};

use crate::columns::{Column, ColumnKind, item, schema_of};
use crate::error::{Error, Result};
use crate::view::View;

/// The columns of `views`, in file order.
const COLUMNS: [Column; 18] = {
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

/// Lays views out in columns, one row a view.
///
/// # Errors
/// Fails if the arrays of a view disagree in length ([`check_view`]).
pub(crate) fn encode_views(views: &[View]) -> Result<RecordBatch> {
    for view in views {
        check_view(view)?;
    }
    let text =
        |f: fn(&View) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(views.iter().map(f))) };
    let real =
        |f: fn(&View) -> f64| -> ArrayRef { Arc::new(Float64Array::from_iter_values(views.iter().map(f))) };
    let size =
        |f: fn(&View) -> u32| -> ArrayRef { Arc::new(UInt32Array::from_iter_values(views.iter().map(f))) };
    let rows: Vec<[f64; 12]> = views.iter().map(|v| v.camera.rows()).collect();
    let maps: Vec<Option<Vec<u8>>> = views.iter().map(|v| v.pixel_point.as_deref().map(map_bytes)).collect();
    let lists = || views.iter().map(|v| &v.correspondences);
    let columns: Vec<ArrayRef> = vec![
        text(|v| &v.sample_id),
        Arc::new(UInt16Array::from_iter_values(views.iter().map(|v| v.view))),
        text(|v| &v.name),
        Arc::new(BinaryArray::from_iter_values(views.iter().map(|v| &v.image))),
        size(|v| v.camera.width),
        size(|v| v.camera.height),
        real(|v| v.camera.fx),
        real(|v| v.camera.fy),
        real(|v| v.camera.cx),
        real(|v| v.camera.cy),
        list::<Float64Type>(rows.iter().map(|r| r.as_slice())),
        Arc::new(BinaryArray::from_iter(views.iter().map(|v| v.depth.as_deref()))),
        real(|v| v.depth_scale),
        list::<UInt32Type>(lists().map(|c| c.point.as_slice())),
        list::<Float32Type>(lists().map(|c| c.u.as_slice())),
        list::<Float32Type>(lists().map(|c| c.v.as_slice())),
        list::<Float32Type>(lists().map(|c| c.depth.as_slice())),
        Arc::new(BinaryArray::from_iter(maps.iter().map(Option::as_deref))),
    ];
    Ok(RecordBatch::try_new(views_schema(), columns).expect("columns are built for this schema"))
}

fn list<'a, T: ArrowPrimitiveType>(rows: impl Iterator<Item = &'a [T::Native]> + Clone) -> ArrayRef {
    let values: Vec<T::Native> = rows.clone().flatten().copied().collect();
    let offsets = OffsetBuffer::from_lengths(rows.map(<[T::Native]>::len));
    let values = PrimitiveArray::<T>::new(ScalarBuffer::from(values), None);
    Arc::new(ListArray::new(item(T::DATA_TYPE), offsets, Arc::new(values), None))
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
