//! Encodes row groups, on any thread; the bytes depend only on the rows, their order and the options.
//!
//! Text, images and single numbers go through Arrow's writer; lists, millions of values a row group,
//! by [`crate::list_chunk`].

use std::marker::PhantomData;
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

use crate::column::{ColumnCells, ColumnDefinition, ColumnStorage, arrow_schema};
use crate::error::{Error, Result};
use crate::footer::Metadata;
use crate::list_chunk::{ListScratch, StoredChunk};
use crate::table_row::TableRow;

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

/// How a shard of these columns is written.
pub(crate) fn properties(
    columns: &[ColumnDefinition],
    options: WriteOptions,
    metadata: Metadata,
) -> WriterProperties {
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
    for column in columns {
        let path = column.name.into();
        builder = match column.storage {
            ColumnStorage::Plain => builder,
            ColumnStorage::WithStatistics => {
                builder.set_column_statistics_enabled(path, EnabledStatistics::Chunk)
            }
            ColumnStorage::Dictionary => builder.set_column_dictionary_enabled(path, true),
            ColumnStorage::Uncompressed => builder.set_column_compression(path, Compression::UNCOMPRESSED),
        };
    }
    builder.build()
}

/// One encoded row group, ready to be appended to a shard of the same table.
pub struct EncodedRowGroup<R> {
    pub(crate) rows: usize,
    chunks: Vec<EncodedChunk>,
    lists: ListBuffer,
    row: PhantomData<fn(R)>,
}

/// One column of an encoded row group.
enum EncodedChunk {
    Flat(Box<ArrowColumnChunk>),
    /// Where it lies among the bytes of all lists.
    List(Range<usize>, Box<ColumnCloseResult>),
}

/// Bytes of megabytes that go back to their encoder: fresh memory costs as much as what is written there.
struct ListBuffer {
    bytes: Vec<u8>,
    home: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl ListBuffer {
    fn take(home: &Arc<Mutex<Vec<Vec<u8>>>>) -> Self {
        Self { bytes: lock(home).pop().unwrap_or_default(), home: Arc::clone(home) }
    }
}

impl Drop for ListBuffer {
    fn drop(&mut self) {
        self.bytes.clear();
        lock(&self.home).push(std::mem::take(&mut self.bytes));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A push or pop that panicked has left a list that is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R> EncodedRowGroup<R> {
    /// Copies the chunks into a row group of an open file.
    pub(crate) fn append_to<W: std::io::Write + Send>(
        self,
        out: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        for chunk in self.chunks {
            match chunk {
                EncodedChunk::Flat(chunk) => chunk.append_to_row_group(out)?,
                EncodedChunk::List(range, close) => {
                    out.append_column(&StoredChunk(&self.lists.bytes[range]), *close)?;
                }
            }
        }
        Ok(())
    }
}

/// Encodes row groups of the table whose rows are `R`; shared by all worker threads.
pub struct RowGroupEncoder<R> {
    options: WriteOptions,
    columns: SchemaDescPtr,
    /// Arrow's names and types of the columns that are no lists, and writers of them.
    flat_fields: Vec<Arc<Field>>,
    flat_writers: ArrowRowGroupWriterFactory,
    /// One for each thread that has been encoding at the same time.
    scratch: Mutex<Vec<ListScratch>>,
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
    row: PhantomData<fn(R)>,
}

impl<R: TableRow> RowGroupEncoder<R> {
    /// An encoder for shards that are written with the same options.
    pub fn new(options: WriteOptions) -> Self {
        let schema = arrow_schema(R::COLUMNS);
        let columns = ArrowSchemaConverter::new().convert(&schema).expect("our columns have Parquet types");
        let fields = R::COLUMNS.iter().zip(schema.fields());
        let flat_fields: Vec<_> =
            fields.filter(|(column, _)| !column.is_list).map(|(_, field)| Arc::clone(field)).collect();
        let flat_schema = Arc::new(Schema::new(flat_fields.clone()));
        let properties = properties(R::COLUMNS, options, vec![]);
        let flat_writers = ArrowWriter::try_new(std::io::sink(), flat_schema, Some(properties))
            .and_then(ArrowWriter::into_serialized_writer)
            .expect("a writer into nothing cannot fail")
            .1;
        Self {
            options,
            columns: Arc::new(columns),
            flat_fields,
            flat_writers,
            scratch: Mutex::default(),
            buffers: Arc::default(),
            row: PhantomData,
        }
    }

    /// Encodes and compresses rows as one row group.
    ///
    /// # Errors
    /// Fails if the arrays of a row disagree with each other; the error names row and column.
    pub fn encode(&self, rows: &[R]) -> Result<EncodedRowGroup<R>> {
        R::check(rows)?;
        let mut lists = ListBuffer::take(&self.buffers);
        let free = lock(&self.scratch).pop();
        let encoded = free
            .map_or_else(|| ListScratch::new(self.options.zstd().compression_level()), Ok)
            .and_then(|mut scratch| {
                let chunks = self.encode_columns(&R::lay_out(rows), &mut scratch, &mut lists.bytes)?;
                lock(&self.scratch).push(scratch);
                Ok(chunks)
            });
        let chunks = encoded.map_err(|e| Error::parquet(Path::new("(memory)"), e))?;
        Ok(EncodedRowGroup { rows: rows.len(), chunks, lists, row: PhantomData })
    }

    fn encode_columns(
        &self,
        columns: &[ColumnCells<'_>],
        scratch: &mut ListScratch,
        lists: &mut Vec<u8>,
    ) -> Result<Vec<EncodedChunk>, ParquetError> {
        let compression = self.options.compression();
        let mut flat = self.flat_fields.iter().zip(self.flat_writers.create_column_writers(0)?);
        let mut chunks = Vec::with_capacity(columns.len());
        for (column, descr) in columns.iter().zip(self.columns.columns()) {
            chunks.push(match column {
                ColumnCells::Flat(array) => {
                    let (field, mut writer) = flat.next().expect("one field and writer a flat column");
                    for leaf in compute_leaves(field, array)? {
                        writer.write(&leaf)?;
                    }
                    EncodedChunk::Flat(Box::new(writer.close()?))
                }
                ColumnCells::Lists(cells) => {
                    let start = lists.len();
                    let close = cells.encode(descr, compression, scratch, lists)?;
                    EncodedChunk::List(start..lists.len(), Box::new(close))
                }
            });
        }
        Ok(chunks)
    }
}

#[allow(dead_code, reason = "a compile-time check: encoders are shared by worker threads")]
fn encoder_is_shared<R: TableRow>(encoder: RowGroupEncoder<R>) -> impl Send + Sync {
    Arc::new(encoder)
}
