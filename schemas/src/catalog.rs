//! The catalog: one row per object of a plan, prepared or not, for statistics and look-ups.

use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

use crate::column::element_field;
use crate::error::{Error, Result};
use crate::footer_sizes::check_footer;
use crate::guarded::decode_guarded;
use crate::hashed_table::{HashedTableWriter, read_hashed_table};

/// File name of the catalog inside a prepared dataset.
pub const CATALOG_FILE: &str = "catalog.parquet";

/// Rows of a row group, which the writer buffers.
const ROW_GROUP: usize = 1 << 13;

/// One object: what it was, what became of it, how long it took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogRow {
    /// Object id.
    pub id: String,
    /// Class name.
    pub category: Option<String>,
    /// Class number.
    pub label: Option<i32>,
    /// Split.
    pub split: String,
    /// `written` or the stage at which it was quarantined.
    pub status: String,
    /// Points of the source cloud, or vertices of the source mesh.
    pub source_points: u32,
    /// Triangles of the source mesh, 0 for a cloud.
    pub source_triangles: u32,
    /// Stored points.
    pub points: u32,
    /// Size of the raw cloud along x, y, z, in the units of the source.
    pub extent: [f64; 3],
    /// Raw length of one normalised unit.
    pub norm_scale: f64,
    /// Milliseconds to read and parse.
    pub read_ms: f64,
    /// Milliseconds to sample and normalise.
    pub sample_ms: f64,
    /// Milliseconds to group.
    pub group_ms: f64,
    /// Hash of the source bytes, empty if they could not be read.
    pub source_hash: String,
    /// What became of the sample's views, absent without views.
    #[serde(default)]
    pub views: Option<CatalogViews>,
    /// What was odd about the source, each as `name: sentence`; none recorded by older versions.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl CatalogRow {
    /// What was odd about the object or its views, as names and sentences.
    pub fn named_warnings(&self) -> impl Iterator<Item = (&str, &str)> {
        let of_views = self.views.iter().flat_map(|views| &views.warnings);
        self.warnings.iter().chain(of_views).map(|text| text.split_once(": ").unwrap_or((text, "")))
    }
}

/// The views of one sample in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogViews {
    /// Views that were made.
    pub views: u32,
    /// Mean over the views of the share of stored points that are visible, 0 to 1.
    pub visible: f64,
    /// Share of stored points that are visible in at least one view, 0 to 1.
    pub covered: f64,
    /// Milliseconds to make the views, PNG included, reading not.
    pub views_ms: f64,
    /// What was odd about the views, each as `name: sentence`.
    #[serde(default)]
    pub warnings: Vec<String>,
}

const FLOATS: [&str; 7] =
    ["extent_x", "extent_y", "extent_z", "norm_scale", "read_ms", "sample_ms", "group_ms"];

/// Columns before those of the views.
const WITHOUT_VIEWS: usize = 9 + FLOATS.len();

const VIEW_FLOATS: [&str; 3] = ["visible", "covered", "views_ms"];

/// Columns before those of the warnings.
const WITHOUT_WARNINGS: usize = WITHOUT_VIEWS + 1 + VIEW_FLOATS.len();

impl CatalogRow {
    fn floats(&self) -> [f64; 7] {
        let [x, y, z] = self.extent;
        [x, y, z, self.norm_scale, self.read_ms, self.sample_ms, self.group_ms]
    }
}

fn schema() -> Arc<Schema> {
    let mut fields = vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("category", DataType::Utf8, true),
        Field::new("label", DataType::Int32, true),
        Field::new("split", DataType::Utf8, false),
        Field::new("status", DataType::Utf8, false),
        Field::new("source_points", DataType::UInt32, false),
        Field::new("source_triangles", DataType::UInt32, false),
        Field::new("points", DataType::UInt32, false),
    ];
    fields.extend(FLOATS.map(|name| Field::new(name, DataType::Float64, false)));
    fields.push(Field::new("source_hash", DataType::Utf8, false));
    fields.push(Field::new("views", DataType::UInt32, true));
    fields.extend(VIEW_FLOATS.map(|name| Field::new(name, DataType::Float64, true)));
    let texts = DataType::List(element_field(DataType::Utf8));
    fields.push(Field::new("warnings", texts.clone(), false));
    fields.push(Field::new("view_warnings", texts, true));
    Arc::new(Schema::new(fields))
}

/// Writes the catalog part by part, so that a large one is never in memory as a whole; it carries the hash of its bytes.
pub struct CatalogWriter(HashedTableWriter);

impl CatalogWriter {
    /// Starts the catalog `target` under a temporary name.
    ///
    /// # Errors
    /// Fails if the temporary file cannot be created.
    pub fn create(target: &Path) -> Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP));
        HashedTableWriter::create(target, schema(), properties, Vec::new()).map(Self)
    }

    /// Appends rows.
    ///
    /// # Errors
    /// Fails if the disk does; the temporary file is removed when the writer is dropped.
    pub fn append(&mut self, rows: &[CatalogRow]) -> Result<()> {
        self.0.append(&batch(rows))
    }

    /// Completes the file, syncs it to disk and gives it its final name.
    ///
    /// # Errors
    /// Fails if the disk does; an older catalog is then unchanged.
    pub fn finish(self) -> Result<()> {
        self.0.finish()
    }
}

/// Writes a whole catalog atomically.
///
/// # Errors
/// Fails if the disk does.
pub fn write_catalog(path: &Path, rows: &[CatalogRow]) -> Result<()> {
    let mut writer = CatalogWriter::create(path)?;
    writer.append(rows)?;
    writer.finish()
}

fn batch(rows: &[CatalogRow]) -> RecordBatch {
    let text = |f: fn(&CatalogRow) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(f).collect::<StringArray>())
    };
    let count = |f: fn(&CatalogRow) -> u32| -> ArrayRef {
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(f)))
    };
    let mut columns = vec![
        text(|r| Some(&r.id)),
        text(|r| r.category.as_deref()),
        Arc::new(rows.iter().map(|r| r.label).collect::<Int32Array>()),
        text(|r| Some(&r.split)),
        text(|r| Some(&r.status)),
        count(|r| r.source_points),
        count(|r| r.source_triangles),
        count(|r| r.points),
    ];
    for i in 0..FLOATS.len() {
        let values = rows.iter().map(|r| r.floats()[i]);
        columns.push(Arc::new(Float64Array::from_iter_values(values)) as ArrayRef);
    }
    columns.push(text(|r| Some(&r.source_hash)));
    columns.push(Arc::new(rows.iter().map(|r| Some(r.views.as_ref()?.views)).collect::<UInt32Array>()));
    let views: [fn(&CatalogViews) -> f64; 3] = [|v| v.visible, |v| v.covered, |v| v.views_ms];
    for get in views {
        let values = rows.iter().map(|r| r.views.as_ref().map(get));
        columns.push(Arc::new(values.collect::<Float64Array>()));
    }
    columns.push(texts(rows.iter().map(|r| Some(r.warnings.as_slice()))));
    columns.push(texts(rows.iter().map(|r| r.views.as_ref().map(|v| v.warnings.as_slice()))));
    RecordBatch::try_new(schema(), columns).expect("columns are built for this schema")
}

/// A column of lists of text.
fn texts<'a>(rows: impl Iterator<Item = Option<&'a [String]>>) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(element_field(DataType::Utf8));
    for row in rows {
        row.iter().copied().flatten().for_each(|text| lists.values().append_value(text));
        lists.append(row.is_some());
    }
    Arc::new(lists.finish())
}

/// Reads the catalog, and compares it with the hash that it carries.
///
/// # Errors
/// Fails if the file cannot be read, is not the one that was written, or its columns are not those of [`CatalogRow`].
pub fn read_catalog(path: &Path) -> Result<Vec<CatalogRow>> {
    let bytes = read_hashed_table(path)?;
    decode_guarded(path, || {
        check_footer(&bytes)?;
        Ok(decode(path, bytes))
    })?
}

/// Decodes the rows; columns that are not those of a catalog are an error of their own.
fn decode(path: &Path, bytes: Bytes) -> Result<Vec<CatalogRow>> {
    let wrong = |e: ParquetError| Error::parquet(path, e);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|builder| builder.build());
    let mut rows = Vec::new();
    for batch in reader.map_err(wrong)? {
        let batch = batch.map_err(|e| wrong(e.into()))?;
        // Older catalogs end with `source_hash` (before there were views) or without warnings.
        let (found, known) = (batch.schema(), schema());
        let count = found.fields().len();
        let is_older = [WITHOUT_VIEWS, WITHOUT_WARNINGS].contains(&count);
        let expected = if is_older { &known.fields()[..count] } else { known.fields() };
        if found.fields()[..] != *expected {
            return Err(Error::contract(path, "columns", schema(), batch.schema()));
        }
        rows.extend((0..batch.num_rows()).map(|i| row(&batch, i)));
    }
    Ok(rows)
}

fn row(batch: &RecordBatch, i: usize) -> CatalogRow {
    let text = |c: usize| batch.column(c).as_string::<i32>().value(i).to_owned();
    let count = |c: usize| batch.column(c).as_primitive::<UInt32Type>().value(i);
    let float = |c: usize| batch.column(8 + c).as_primitive::<Float64Type>().value(i);
    let view = |c: usize| batch.column(WITHOUT_VIEWS + c).as_primitive::<Float64Type>().value(i);
    let present = |c: usize| c < batch.num_columns() && batch.column(c).is_valid(i);
    let texts = |c: usize| -> Vec<String> {
        let texts = present(c).then(|| batch.column(c).as_list::<i32>().value(i));
        let texts = texts.iter().flat_map(|texts| texts.as_string::<i32>()).flatten();
        texts.map(str::to_owned).collect()
    };
    CatalogRow {
        id: text(0),
        category: present(1).then(|| text(1)),
        label: present(2).then(|| batch.column(2).as_primitive::<Int32Type>().value(i)),
        split: text(3),
        status: text(4),
        source_points: count(5),
        source_triangles: count(6),
        points: count(7),
        extent: [float(0), float(1), float(2)],
        norm_scale: float(3),
        read_ms: float(4),
        sample_ms: float(5),
        group_ms: float(6),
        source_hash: text(WITHOUT_VIEWS - 1),
        views: present(WITHOUT_VIEWS).then(|| CatalogViews {
            views: count(WITHOUT_VIEWS),
            visible: view(1),
            covered: view(2),
            views_ms: view(3),
            warnings: texts(WITHOUT_WARNINGS + 1),
        }),
        warnings: texts(WITHOUT_WARNINGS),
    }
}
