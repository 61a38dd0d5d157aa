//! Samples as columns: the `points` table of schema version 1.
//!
//! Bulk arrays are `List` columns with non-null elements, so that pyarrow, polars, DuckDB and
//! Hugging Face datasets show numbers and clouds may differ in size. `benches/columns.rs` holds
//! the measurement behind the choice.

use std::sync::{Arc, LazyLock};

use arrow_array::{ArrayRef, Float64Array, Int32Array, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::sample::Sample;
use crate::teacher_columns::{teacher_column_names, teachers_schema};
use crate::view_columns::{view_column_names, views_schema};

/// Numbers that describe a box in the `boxes` column.
pub const BOX_NUMBERS: usize = 10;

/// Version of the on-disk contract.
pub const SCHEMA_VERSION: u32 = 1;

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// UTF-8 text.
    Text,
    /// One number.
    Scalar,
    /// A list of numbers.
    List,
    /// A file or packed array.
    Bytes,
}

/// A table of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// One row a [`Sample`].
    Points,
    /// One row a [`crate::View`].
    Views,
    /// One row a [`crate::TeacherRow`]; every cache has a folder of its own in that of the table.
    Teachers,
}

impl Table {
    /// The folder of its shards inside a prepared dataset.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Points => "points",
            Self::Views => "views",
            Self::Teachers => "teachers",
        }
    }

    /// The shard of this table that belongs to `file`, a shard of another, by its name.
    pub fn file_beside(self, file: &str) -> String {
        let name = file.rsplit_once('/').map_or(file, |(_, name)| name);
        format!("{}/{name}", self.folder())
    }

    /// Names and kinds of its columns, in file order.
    pub fn columns(self) -> Vec<(&'static str, ColumnKind)> {
        match self {
            Self::Points => column_names().collect(),
            Self::Views => view_column_names().collect(),
            Self::Teachers => teacher_column_names().collect(),
        }
    }

    pub(crate) fn schema(self) -> SchemaRef {
        match self {
            Self::Points => points_schema(),
            Self::Views => views_schema(),
            Self::Teachers => teachers_schema(),
        }
    }
}

/// Name, Arrow type (of an element, for a list), nullability and kind of a column.
pub(crate) type Definition = (&'static str, DataType, bool, ColumnKind);

/// The columns of `points`, in file order.
const COLUMNS: [Definition; 20] = {
    use ColumnKind::{List, Scalar, Text};
    [
        ("sample_id", DataType::Utf8, false, Text),
        ("dataset", DataType::Utf8, false, Text),
        ("category", DataType::Utf8, true, Text),
        ("label", DataType::Int32, true, Scalar),
        ("points", DataType::Float32, false, List),
        ("normals", DataType::Float32, true, List),
        ("colors", DataType::UInt8, true, List),
        ("intensity", DataType::Float32, true, List),
        ("point_labels", DataType::Int16, true, List),
        ("subset", DataType::UInt32, true, List),
        ("center_indices", DataType::UInt32, false, List),
        ("patch_indices", DataType::UInt32, false, List),
        ("patch_counts", DataType::UInt16, true, List),
        ("centers", DataType::Float32, true, List),
        ("boxes", DataType::Float32, true, List),
        ("box_labels", DataType::Int16, true, List),
        ("norm_center", DataType::Float64, false, List),
        ("norm_scale", DataType::Float64, false, Scalar),
        ("source", DataType::Utf8, false, Text),
        ("source_hash", DataType::Utf8, false, Text),
    ]
};

/// Names and kinds of the columns, in file order.
pub fn column_names() -> impl Iterator<Item = (&'static str, ColumnKind)> {
    COLUMNS.iter().map(|(name, _, _, kind)| (*name, *kind))
}

/// The Arrow schema of a `points` table.
pub(crate) fn points_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema_of(&COLUMNS));
    Arc::clone(&SCHEMA)
}

/// The Arrow schema of a table with these columns.
pub(crate) fn schema_of(columns: &[Definition]) -> SchemaRef {
    let fields = columns.iter().map(|(name, value, nullable, kind)| {
        let data_type = match kind {
            ColumnKind::List => DataType::List(item(value.clone())),
            _ => value.clone(),
        };
        Field::new(*name, data_type, *nullable)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

pub(crate) fn item(value: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", value, false))
}

/// The rows of a list column; `None` is a null list.
pub(crate) type Rows<'a, T> = Vec<Option<&'a [T]>>;

/// One column of a row group: text and single numbers as Arrow arrays, lists where they lie.
pub(crate) enum Column<'a> {
    Flat(ArrayRef),
    F32(Rows<'a, f32>),
    F64(Rows<'a, f64>),
    U32(Rows<'a, u32>),
    U16(Rows<'a, u16>),
    I16(Rows<'a, i16>),
    U8(Rows<'a, u8>),
}

/// Lays samples out in columns, one row a sample.
///
/// # Errors
/// Fails if the arrays of a sample disagree in length ([`check_shapes`]).
pub(crate) fn encode(samples: &[Sample]) -> Result<Vec<Column<'_>>> {
    for sample in samples {
        check_shapes(sample)?;
    }
    Ok(vec![
        text(samples, |s| Some(&s.sample_id)),
        text(samples, |s| Some(&s.dataset)),
        text(samples, |s| s.category.as_deref()),
        Column::Flat(Arc::new(samples.iter().map(|s| s.label).collect::<Int32Array>())),
        Column::F32(rows(samples, |s| Some(&s.points))),
        Column::F32(rows(samples, |s| s.normals.as_deref())),
        Column::U8(rows(samples, |s| s.colors.as_deref())),
        Column::F32(rows(samples, |s| s.intensity.as_deref())),
        Column::I16(rows(samples, |s| s.point_labels.as_deref())),
        Column::U32(rows(samples, |s| s.subset.as_deref())),
        Column::U32(rows(samples, |s| Some(&s.center_indices))),
        Column::U32(rows(samples, |s| Some(&s.patch_indices))),
        Column::U16(rows(samples, |s| s.patch_counts.as_deref())),
        Column::F32(rows(samples, |s| s.centers.as_deref())),
        Column::F32(rows(samples, |s| s.boxes.as_deref())),
        Column::I16(rows(samples, |s| s.box_labels.as_deref())),
        Column::F64(rows(samples, |s| Some(&s.norm_center))),
        Column::Flat(Arc::new(Float64Array::from_iter_values(samples.iter().map(|s| s.norm_scale)))),
        text(samples, |s| Some(&s.source)),
        text(samples, |s| Some(&s.source_hash)),
    ])
}

fn text(samples: &[Sample], get: fn(&Sample) -> Option<&str>) -> Column<'static> {
    Column::Flat(Arc::new(samples.iter().map(get).collect::<StringArray>()))
}

fn rows<T>(samples: &[Sample], get: fn(&Sample) -> Option<&[T]>) -> Rows<'_, T> {
    samples.iter().map(get).collect()
}

/// Checks that the arrays of a sample agree: every per-point array has `S` entries, indices are
/// below `S`, and the grouping arrays divide into whole groups.
///
/// # Errors
/// Fails if one does not; the error names the sample and the column.
pub fn check_shapes(sample: &Sample) -> Result<()> {
    let s = sample.len();
    let fail = |column, expected: String, found: String| {
        Err(Error::Column { id: sample.sample_id.clone(), column, expected, found })
    };
    let boxes = sample.box_labels.as_ref().map_or(0, Vec::len);
    let lengths = [
        ("points", Some(sample.points.len()), 3 * s),
        ("normals", sample.normals.as_ref().map(Vec::len), 3 * s),
        ("colors", sample.colors.as_ref().map(Vec::len), 3 * s),
        ("intensity", sample.intensity.as_ref().map(Vec::len), s),
        ("point_labels", sample.point_labels.as_ref().map(Vec::len), s),
        ("patch_counts", sample.patch_counts.as_ref().map(Vec::len), sample.center_indices.len()),
        ("centers", sample.centers.as_ref().map(Vec::len), 3 * sample.center_indices.len()),
        ("boxes", sample.boxes.as_ref().map(Vec::len), BOX_NUMBERS * boxes),
    ];
    for (column, found, expected) in lengths {
        if let Some(found) = found.filter(|&found| found != expected) {
            return fail(column, format!("{expected} values"), format!("{found}"));
        }
    }
    let groups = sample.center_indices.len();
    if groups > 0 && !sample.patch_indices.len().is_multiple_of(groups) {
        let found = sample.patch_indices.len().to_string();
        return fail("patch_indices", format!("a multiple of {groups} centers"), found);
    }
    let indices = [
        ("subset", sample.subset.as_deref().unwrap_or_default()),
        ("center_indices", sample.center_indices.as_slice()),
        ("patch_indices", sample.patch_indices.as_slice()),
    ];
    for (column, values) in indices {
        let largest = values.iter().copied().max().unwrap_or(0) as usize;
        if !values.is_empty() && largest >= s {
            return fail(column, format!("indices below {s}"), largest.to_string());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_that_disagrees_with_itself_is_refused_by_name() {
        let sample = Sample {
            sample_id: "a".into(),
            points: vec![0.0; 9],
            center_indices: vec![0, 3],
            patch_indices: vec![0, 1],
            ..Sample::default()
        };
        let error = encode(&[sample]).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "sample a: column center_indices: expected indices below 3, found 3");
    }

    #[test]
    fn column_names_are_unique() {
        let mut names: Vec<_> = column_names().map(|(n, _)| n).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COLUMNS.len());
    }
}
