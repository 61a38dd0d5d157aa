//! Shards of a table as one Arrow C stream, which libraries of other languages read without a copy and without this one.
//!
//! Shards are opened one after the other, as the stream is read; each is compared with its hash before.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::column::arrow_schema;
use crate::error::{Error, Result};
use crate::guarded::decode_guarded;
use crate::regular_file::open_regular;
use crate::shard_entry::ShardEntry;
use crate::table::Table;

/// Rows of a batch of the stream.
const BATCH_ROWS: usize = 128;

/// The stream as the C interface has it; whoever takes it over releases it.
pub type ArrowStream = FFI_ArrowArrayStream;

/// Shards that are still to be read, and the one that is.
struct ShardBatches {
    folder: PathBuf,
    left: VecDeque<ShardEntry>,
    /// Columns by number, ascending.
    columns: Vec<usize>,
    schema: SchemaRef,
    open: Option<(PathBuf, ParquetRecordBatchReader)>,
}

/// The rows of some shards in `folder`, all of `table`, as a stream of record batches; no names mean all columns.
///
/// # Errors
/// Fails if a name is no column. What is wrong with a shard is the error of the batch that it would have given.
pub fn stream_shards(
    folder: &Path,
    shards: &[&ShardEntry],
    table: Table,
    columns: &[String],
) -> Result<ArrowStream> {
    let all = arrow_schema(table.columns());
    if let Some(unknown) = columns.iter().find(|name| all.index_of(name).is_err()) {
        let known: Vec<&str> = table.column_names().collect();
        let expected = format!("one of {}", known.join(", "));
        return Err(Error::contract(&folder.join(table.folder()), "column", expected, unknown));
    }
    let is_wanted = |name: &str| columns.is_empty() || columns.iter().any(|column| column == name);
    let fields = all.fields().iter().enumerate();
    let columns: Vec<usize> = fields.filter(|(_, field)| is_wanted(field.name())).map(|(at, _)| at).collect();
    let schema = all.project(&columns).expect("they are columns of it");
    Ok(FFI_ArrowArrayStream::new(Box::new(ShardBatches {
        folder: folder.to_owned(),
        left: shards.iter().map(|&shard| shard.clone()).collect(),
        columns,
        schema: Arc::new(schema),
        open: None,
    })))
}

impl ShardBatches {
    /// Opens the next shard; none if all are read.
    fn advance(&mut self) -> Result<bool> {
        let Some(shard) = self.left.pop_front() else { return Ok(false) };
        let path = shard.check_file(&self.folder)?;
        let file = open_regular(&path).map_err(|e| Error::io(&path, e))?;
        let reader = decode_guarded(&path, || {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
            let mask = ProjectionMask::roots(builder.parquet_schema(), self.columns.iter().copied());
            builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()
        })?;
        self.open = Some((path, reader));
        Ok(true)
    }

    fn read(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some((path, reader)) = &mut self.open {
                let batch = decode_guarded(path, || Ok(reader.next().transpose()?))?;
                if let Some(batch) = batch {
                    let found = batch.schema();
                    let is_same = found.fields() == self.schema.fields();
                    let wrong = || Error::contract(path, "columns", &self.schema, &found);
                    return if is_same { Ok(Some(batch)) } else { Err(wrong()) };
                }
            }
            if !self.advance()? {
                return Ok(None);
            }
        }
    }
}

impl Iterator for ShardBatches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().map_err(|e| ArrowError::ExternalError(Box::new(e))).transpose()
    }
}

impl RecordBatchReader for ShardBatches {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
