//! The catalog: one row per object of a plan, prepared or not, for statistics and look-ups.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, UInt32Type};
use arrow_array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

use crate::atomic_file::TemporaryFile;
use crate::error::{Error, Result};

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
}

/// The views of one sample in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
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
}

const FLOATS: [&str; 7] =
    ["extent_x", "extent_y", "extent_z", "norm_scale", "read_ms", "sample_ms", "group_ms"];

/// Columns before those of the views.
const WITHOUT_VIEWS: usize = 9 + FLOATS.len();

const VIEW_FLOATS: [&str; 3] = ["visible", "covered", "views_ms"];

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
    Arc::new(Schema::new(fields))
}

/// Writes the catalog part by part, so that a large one is never in memory as a whole.
pub struct CatalogWriter {
    target: PathBuf,
    temporary: TemporaryFile,
    file: File,
    writer: ArrowWriter<File>,
}

impl CatalogWriter {
    /// Starts the catalog `target` under a temporary name.
    ///
    /// # Errors
    /// Fails if the temporary file cannot be created.
    pub fn create(target: &Path) -> Result<Self> {
        let temporary = TemporaryFile::beside(target);
        let open = File::create(&temporary.path).and_then(|file| Ok((file.try_clone()?, file)));
        let (file, sink) = open.map_err(|e| Error::io(&temporary.path, e))?;
        let properties = WriterProperties::builder()
            .set_created_by("jepa3d".to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP))
            .build();
        let writer = ArrowWriter::try_new(sink, schema(), Some(properties))
            .map_err(|e| Error::parquet(&temporary.path, e))?;
        Ok(Self { target: target.to_owned(), temporary, file, writer })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// Fails if the disk does; the temporary file is removed when the writer is dropped.
    pub fn append(&mut self, rows: &[CatalogRow]) -> Result<()> {
        self.writer.write(&batch(rows)).map_err(|e| Error::parquet(&self.temporary.path, e))
    }

    /// Completes the file, syncs it to disk and gives it its final name.
    ///
    /// # Errors
    /// Fails if the disk does; an older catalog is then unchanged.
    pub fn finish(self) -> Result<()> {
        let Self { target, temporary, file, writer } = self;
        writer.close().map_err(|e| Error::parquet(&temporary.path, e))?;
        file.sync_all().map_err(|e| Error::io(&temporary.path, e))?;
        temporary.rename(&target)
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
    columns.push(Arc::new(rows.iter().map(|r| Some(r.views?.views)).collect::<UInt32Array>()));
    let views: [fn(&CatalogViews) -> f64; 3] = [|v| v.visible, |v| v.covered, |v| v.views_ms];
    for get in views {
        let values = rows.iter().map(|r| r.views.as_ref().map(get));
        columns.push(Arc::new(values.collect::<Float64Array>()));
    }
    RecordBatch::try_new(schema(), columns).expect("columns are built for this schema")
}

/// Reads the catalog.
///
/// # Errors
/// Fails if the file cannot be read or its columns are not those of [`CatalogRow`].
pub fn read_catalog(path: &Path) -> Result<Vec<CatalogRow>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|e| Error::parquet(path, e))?;
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|e| Error::parquet(path, e.into()))?;
        // Catalogs from before there were views end with `source_hash`.
        let (found, known) = (batch.schema(), schema());
        let is_older = found.fields().len() == WITHOUT_VIEWS;
        let expected = if is_older { &known.fields()[..WITHOUT_VIEWS] } else { known.fields() };
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
    let present = |c: usize| batch.column(c).is_valid(i);
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
        views: (batch.num_columns() > WITHOUT_VIEWS && present(WITHOUT_VIEWS)).then(|| CatalogViews {
            views: count(WITHOUT_VIEWS),
            visible: view(1),
            covered: view(2),
            views_ms: view(3),
        }),
    }
}
