//! Cached image embeddings as columns: the `teachers` table, one row a view, in the order of the views.
//!
//! Beside the embedding stands what a predictor may be told of the view (its pose and colours), so that training
//! reads no image.

use std::sync::{Arc, LazyLock};

use arrow_array::{BooleanArray, StringArray, UInt16Array};
use arrow_schema::{DataType, SchemaRef};
use parquet::data_type::{BoolType, FloatType, Int32Type};
use parquet::errors::ParquetError;

use crate::columns::{Column, ColumnKind, Definition, Table, schema_of};
use crate::error::{Error, Result};
use crate::shard_file::{ListColumn, Rows, Source, TableReader};

/// Numbers that describe where a camera stands: sine and cosine of azimuth, elevation and roll, distance, field of view.
pub const POSE_NUMBERS: usize = 8;

/// Numbers of a colour histogram: 16 bins of red, then of green, then of blue.
pub const HISTOGRAM_NUMBERS: usize = 48;

/// What a teacher says of one view.
#[derive(Clone, Debug, PartialEq)]
pub struct TeacherRow {
    /// The sample that the view shows.
    pub sample_id: String,
    /// Number of the view within the sample.
    pub view: u16,
    /// `[D_t]` the teacher's output, before any normalisation of the targets.
    pub embedding: Vec<f32>,
    /// Whether the teacher has anything to say; else the embedding is zero and no target.
    pub valid: bool,
    /// Sine and cosine of azimuth, elevation and roll, then distance and field of view.
    pub pose: [f32; POSE_NUMBERS],
    /// Shares of the foreground's pixels, each channel sums to 1; zeros without foreground.
    pub histogram: [f32; HISTOGRAM_NUMBERS],
}

/// The columns of `teachers`, in file order.
const COLUMNS: [Definition; 6] = {
    use ColumnKind::{List, Scalar, Text};
    [
        ("sample_id", DataType::Utf8, false, Text),
        ("view", DataType::UInt16, false, Scalar),
        ("embedding", DataType::Float32, false, List),
        ("valid", DataType::Boolean, false, Scalar),
        ("pose", DataType::Float32, false, List),
        ("histogram", DataType::Float32, false, List),
    ]
};

/// Names and kinds of the columns of a `teachers` table, in file order.
pub(crate) fn teacher_column_names() -> impl Iterator<Item = (&'static str, ColumnKind)> {
    COLUMNS.iter().map(|(name, _, _, kind)| (*name, *kind))
}

/// The Arrow schema of a `teachers` table.
pub(crate) fn teachers_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema_of(&COLUMNS));
    Arc::clone(&SCHEMA)
}

/// Lays rows out in columns.
///
/// # Errors
/// Fails if embeddings differ in length.
pub(crate) fn encode_teachers(rows: &[TeacherRow]) -> Result<Vec<Column<'_>>> {
    let width = rows.first().map_or(0, |row| row.embedding.len());
    if let Some(row) = rows.iter().find(|row| row.embedding.len() != width) {
        return Err(Error::Column {
            id: format!("{} view {}", row.sample_id, row.view),
            column: "embedding",
            expected: format!("{width} values"),
            found: row.embedding.len().to_string(),
        });
    }
    let list = |f: fn(&TeacherRow) -> &[f32]| Column::F32(rows.iter().map(|row| Some(f(row))).collect());
    Ok(vec![
        Column::Flat(Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.sample_id)))),
        Column::Flat(Arc::new(UInt16Array::from_iter_values(rows.iter().map(|row| row.view)))),
        list(|row| &row.embedding),
        Column::Flat(Arc::new(rows.iter().map(|row| Some(row.valid)).collect::<BooleanArray>())),
        list(|row| &row.pose),
        list(|row| &row.histogram),
    ])
}

/// The columns of one row group; those not asked for stay `None`.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the fields are the columns documented at TeacherRow and in the README")]
pub struct TeacherGroup {
    pub rows: usize,
    pub sample_id: Option<Vec<String>>,
    pub view: Option<Vec<u16>>,
    pub embedding: Option<ListColumn<f32>>,
    pub valid: Option<Vec<bool>>,
    pub pose: Option<ListColumn<f32>>,
    pub histogram: Option<ListColumn<f32>>,
}

/// An open `teachers` shard.
pub type TeacherReader = TableReader<TeacherGroup>;

impl Rows for TeacherGroup {
    const TABLE: Table = Table::Teachers;

    fn decode(source: &Source<'_>, wanted: &dyn Fn(&str) -> bool) -> Result<Self, ParquetError> {
        let mut out = Self { rows: source.rows, ..Self::default() };
        for (i, (name, _)) in teacher_column_names().enumerate().filter(|(_, (name, _))| wanted(name)) {
            match name {
                "sample_id" => out.sample_id = Some(source.text(i)?),
                "view" => {
                    let numbers = source.numbers::<Int32Type>(i)?;
                    out.view = Some(numbers.into_iter().map(|x| x as u16).collect());
                }
                "embedding" => out.embedding = Some(source.list::<FloatType>(i)?),
                "valid" => out.valid = Some(source.numbers::<BoolType>(i)?),
                "pose" => out.pose = Some(source.list::<FloatType>(i)?),
                "histogram" => out.histogram = Some(source.list::<FloatType>(i)?),
                _ => unreachable!("every column of the contract is matched above"),
            }
        }
        Ok(out)
    }
}

impl TeacherGroup {
    /// The row, if every column was read and the lists have their lengths.
    pub fn row(&self, row: usize) -> Option<TeacherRow> {
        Some(TeacherRow {
            sample_id: self.sample_id.as_ref()?.get(row)?.clone(),
            view: *self.view.as_ref()?.get(row)?,
            embedding: self.embedding.as_ref()?.row(row)?.to_vec(),
            valid: *self.valid.as_ref()?.get(row)?,
            pose: self.pose.as_ref()?.row(row)?.try_into().ok()?,
            histogram: self.histogram.as_ref()?.row(row)?.try_into().ok()?,
        })
    }
}
