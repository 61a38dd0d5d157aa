//! Encodes row groups, on any thread; the bytes depend only on the rows, their order and the options.
//!
//! Text, images and single numbers go through Arrow's writer; lists, millions of values a row group,
//! by [`crate::list_chunk`].

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_schema::{Field, Schema};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::SchemaDescPtr;

use crate::columns::{Column, ColumnKind, Table, encode};
use crate::error::{Error, Result};
use crate::list_chunk::{Scratch, StoredChunk, encode_lists};
use crate::sample::Sample;
use crate::shard_writer::Metadata;
use crate::teacher_columns::{TeacherRow, encode_teachers};
use crate::view::View;
use crate::view_columns::{camera_rows, encode_views};

/// How shards are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// zstd level, 1 to 22.
    pub zstd_level: i32,
}

impl Default for WriteOptions {
    /// Level 1: `benches/columns.rs` finds level 3 slower to write and no smaller.
    fn default() -> Self {
        Self { zstd_level: 1 }
    }
}

impl WriteOptions {
    fn zstd(self) -> ZstdLevel {
        ZstdLevel::try_new(self.zstd_level.clamp(1, 22)).expect("clamped to the legal range")
    }

    fn compression(self) -> Compression {
        Compression::ZSTD(self.zstd())
    }
}

pub(crate) fn properties(table: Table, options: WriteOptions, metadata: Metadata) -> WriterProperties {
    let pairs = metadata.into_iter().map(|(key, value)| KeyValue { key, value: Some(value) });
    let mut builder = WriterProperties::builder()
        // Fixed, so that an upgrade of the Parquet crate alone does not change a byte.
        .set_created_by("jepa3d".to_owned())
        .set_compression(options.compression())
        .set_dictionary_enabled(false)
        // Row groups are read whole.
        .set_offset_index_disabled(true)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_key_value_metadata(Some(pairs.collect()));
    for (name, _) in table.columns() {
        if name == "sample_id" {
            // Lets a foreign reader skip row groups when it looks for one sample.
            builder = builder.set_column_statistics_enabled(name.into(), EnabledStatistics::Chunk);
        }
        if matches!(name, "image" | "depth") {
            // PNG and JPEG are compressed already.
            builder = builder.set_column_compression(name.into(), Compression::UNCOMPRESSED);
        }
        if matches!(name, "dataset" | "category" | "name") {
            builder = builder.set_column_dictionary_enabled(name.into(), true);
        }
    }
    builder.build()
}

/// One encoded row group, ready to be appended to a shard.
pub struct EncodedRowGroup {
    pub(crate) rows: usize,
    chunks: Vec<Chunk>,
    lists: Buffer,
}

/// One column of an encoded row group.
enum Chunk {
    Flat(Box<ArrowColumnChunk>),
    /// Where it lies among the bytes of all lists.
    List(Range<usize>, Box<ColumnCloseResult>),
}

/// Bytes of megabytes that go back to their encoder: fresh memory costs as much as what is written there.
struct Buffer {
    bytes: Vec<u8>,
    home: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Buffer {
    fn take(home: &Arc<Mutex<Vec<Vec<u8>>>>) -> Self {
        Self { bytes: lock(home).pop().unwrap_or_default(), home: Arc::clone(home) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.bytes.clear();
        lock(&self.home).push(std::mem::take(&mut self.bytes));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A push or pop that panicked has left a list that is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EncodedRowGroup {
    /// Copies the chunks into a row group of an open file.
    pub(crate) fn append_to<W: std::io::Write + Send>(
        self,
        out: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        for chunk in self.chunks {
            match chunk {
                Chunk::Flat(chunk) => chunk.append_to_row_group(out)?,
                Chunk::List(range, close) => {
                    out.append_column(&StoredChunk(&self.lists.bytes[range]), *close)?;
                }
            }
        }
        Ok(())
    }
}

/// Encodes row groups; shared by all worker threads.
pub struct RowGroupEncoder {
    table: Table,
    options: WriteOptions,
    columns: SchemaDescPtr,
    /// Arrow's names and types of the columns that are no lists, and writers of them.
    flat_fields: Vec<Arc<Field>>,
    flat_writers: ArrowRowGroupWriterFactory,
    /// One for each thread that has been encoding at the same time.
    scratch: Mutex<Vec<Scratch>>,
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl RowGroupEncoder {
    /// An encoder of row groups of `table`.
    pub fn new(table: Table, options: WriteOptions) -> Self {
        let schema = table.schema();
        let columns = ArrowSchemaConverter::new().convert(&schema).expect("our columns have Parquet types");
        let kinds = table.columns();
        let is_flat = |i: &usize| kinds[*i].1 != ColumnKind::List;
        let flat_fields: Vec<_> =
            (0..kinds.len()).filter(is_flat).map(|i| Arc::clone(&schema.fields()[i])).collect();
        let flat_schema = Arc::new(Schema::new(flat_fields.clone()));
        let properties = properties(table, options, vec![]);
        let flat_writers = ArrowWriter::try_new(std::io::sink(), flat_schema, Some(properties))
            .and_then(ArrowWriter::into_serialized_writer)
            .expect("a writer into nothing cannot fail")
            .1;
        Self {
            table,
            options,
            columns: Arc::new(columns),
            flat_fields,
            flat_writers,
            scratch: Mutex::default(),
            buffers: Arc::default(),
        }
    }

    /// Encodes and compresses samples as one row group of `points`.
    ///
    /// # Errors
    /// Fails if the arrays of a sample disagree with each other.
    pub fn encode(&self, samples: &[Sample]) -> Result<EncodedRowGroup> {
        assert_eq!(self.table, Table::Points, "samples are rows of points");
        self.encode_columns(samples.len(), &encode(samples)?)
    }

    /// Encodes and compresses views as one row group of `views`.
    ///
    /// # Errors
    /// Fails if the arrays of a view disagree with each other.
    pub fn encode_views(&self, views: &[View]) -> Result<EncodedRowGroup> {
        assert_eq!(self.table, Table::Views, "views are rows of views");
        let cameras = camera_rows(views);
        self.encode_columns(views.len(), &encode_views(views, &cameras)?)
    }

    /// Encodes and compresses a teacher's rows as one row group of `teachers`.
    ///
    /// # Errors
    /// Fails if embeddings differ in length.
    pub fn encode_teachers(&self, rows: &[TeacherRow]) -> Result<EncodedRowGroup> {
        assert_eq!(self.table, Table::Teachers, "embeddings are rows of teachers");
        self.encode_columns(rows.len(), &encode_teachers(rows)?)
    }

    fn encode_columns(&self, rows: usize, columns: &[Column<'_>]) -> Result<EncodedRowGroup> {
        let mut lists = Buffer::take(&self.buffers);
        let free = lock(&self.scratch).pop();
        let encoded = free
            .map_or_else(|| Scratch::new(self.options.zstd().compression_level()), Ok)
            .and_then(|mut scratch| {
                let chunks = self.chunks(columns, &mut scratch, &mut lists.bytes)?;
                lock(&self.scratch).push(scratch);
                Ok(chunks)
            });
        let chunks = encoded.map_err(|e| Error::parquet(Path::new("(memory)"), e))?;
        Ok(EncodedRowGroup { rows, chunks, lists })
    }

    fn chunks(
        &self,
        columns: &[Column<'_>],
        scratch: &mut Scratch,
        lists: &mut Vec<u8>,
    ) -> Result<Vec<Chunk>, ParquetError> {
        let compression = self.options.compression();
        let mut flat = self.flat_fields.iter().zip(self.flat_writers.create_column_writers(0)?);
        let mut chunks = Vec::with_capacity(columns.len());
        for (column, descr) in columns.iter().zip(self.columns.columns()) {
            let start = lists.len();
            let close = match column {
                Column::Flat(array) => {
                    let (field, mut writer) = flat.next().expect("one field and writer a flat column");
                    for leaf in compute_leaves(field, array)? {
                        writer.write(&leaf)?;
                    }
                    chunks.push(Chunk::Flat(Box::new(writer.close()?)));
                    continue;
                }
                Column::F32(rows) => encode_lists(rows, descr, compression, scratch, lists)?,
                Column::F64(rows) => encode_lists(rows, descr, compression, scratch, lists)?,
                Column::U32(rows) => encode_lists(rows, descr, compression, scratch, lists)?,
                Column::U16(rows) => encode_lists(rows, descr, compression, scratch, lists)?,
                Column::I16(rows) => encode_lists(rows, descr, compression, scratch, lists)?,
                Column::U8(rows) => encode_lists(rows, descr, compression, scratch, lists)?,
            };
            chunks.push(Chunk::List(start..lists.len(), Box::new(close)));
        }
        Ok(chunks)
    }
}

#[allow(dead_code, reason = "a compile-time check: encoders are shared by worker threads")]
fn encoder_is_shared(encoder: RowGroupEncoder) -> impl Send + Sync {
    Arc::new(encoder)
}
