//! Writes shards: encoded row groups are appended in order, the file then renamed into place.
//!
//! A shard gets its final name after `fsync`, so a name without a whole file behind it never exists.

use std::io::BufWriter;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use parquet::arrow::ArrowWriter;
use parquet::file::writer::SerializedFileWriter;

use crate::atomic_file::TemporaryFile;
use crate::column::arrow_schema;
use crate::error::{Error, Result};
use crate::footer::Metadata;
use crate::hashing_file::HashingFile;
use crate::row_group_encoder::{EncodedRowGroup, WriteOptions, properties};
use crate::table_row::TableRow;

/// A finished shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenShard {
    /// Rows.
    pub rows: usize,
    /// Bytes of the file.
    pub bytes: u64,
    /// BLAKE3 of the file, hex.
    pub hash: String,
    /// Rows of each row group.
    pub row_groups: Vec<usize>,
}

/// Writes one shard of the table whose rows are `R`.
///
/// The life of a shard: [`ShardWriter::create`] opens it under a temporary name; row groups that a [`RowGroupEncoder`]
/// made, on any thread, are appended in their order; [`ShardWriter::finish`] writes the footer, syncs the file and gives
/// it its name. A writer that is dropped before leaves nothing behind. Equal rows, options and metadata give equal bytes.
///
/// ```
/// use jepa3d_schemas::{RowGroupEncoder, Sample, ShardWriter, WriteOptions, version_footer};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("train-00000-of-00001.parquet");
/// let options = WriteOptions::default();
/// let encoder = RowGroupEncoder::new(options);
/// let mut writer = ShardWriter::create(&path, options, version_footer())?;
/// for ids in [["a", "b"], ["c", "d"]] {
///     let samples = ids.map(|id| Sample {
///         sample_id: id.into(),
///         points: vec![0.0, 0.5, 1.0],
///         ..Sample::default()
///     });
///     writer.append(encoder.encode(&samples)?)?;
/// }
/// assert!(!path.exists(), "not before it is whole");
/// let written = writer.finish()?;
/// assert_eq!((written.rows, written.bytes), (4, path.metadata()?.len()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`RowGroupEncoder`]: crate::RowGroupEncoder
pub struct ShardWriter<R> {
    target: PathBuf,
    temporary: TemporaryFile,
    writer: SerializedFileWriter<BufWriter<HashingFile>>,
    row_groups: Vec<usize>,
    row: PhantomData<fn(R)>,
}

impl<R: TableRow> ShardWriter<R> {
    /// Starts the shard `target`, with `metadata` in its footer.
    ///
    /// # Errors
    /// Fails if the temporary file beside `target` cannot be created.
    pub fn create(target: &Path, options: WriteOptions, metadata: Metadata) -> Result<Self> {
        let temporary = TemporaryFile::create(target)?;
        let file = temporary.file().try_clone().map_err(|e| Error::io(&temporary.path, e))?;
        let properties = properties(R::COLUMNS, options, metadata);
        let writer =
            ArrowWriter::try_new(HashingFile::buffered(file), arrow_schema(R::COLUMNS), Some(properties))
                .and_then(ArrowWriter::into_serialized_writer)
                .map_err(|e| Error::parquet(&temporary.path, e))?
                .0;
        Ok(Self { target: target.to_owned(), temporary, writer, row_groups: Vec::new(), row: PhantomData })
    }

    /// Appends a row group; one without rows is left out.
    ///
    /// # Errors
    /// Fails if the disk does; the temporary file is removed when the writer is dropped.
    pub fn append(&mut self, group: EncodedRowGroup<R>) -> Result<()> {
        if group.rows == 0 { Ok(()) } else { self.append_even_empty(group) }
    }

    /// Appends a row group also if it has no rows, so that its number agrees with that of another table.
    ///
    /// # Errors
    /// Fails if the disk does; the temporary file is removed when the writer is dropped.
    pub fn append_even_empty(&mut self, group: EncodedRowGroup<R>) -> Result<()> {
        self.row_groups.push(group.rows);
        let path = &self.temporary.path;
        let wrong = |e| Error::parquet(path, e);
        let mut out = self.writer.next_row_group().map_err(wrong)?;
        group.append_to(&mut out).map_err(wrong)?;
        out.close().map_err(wrong)?;
        Ok(())
    }

    /// Writes the footer, syncs the file to disk and gives it its final name.
    ///
    /// # Errors
    /// Fails if the disk does; nothing stands under the final name then.
    pub fn finish(self) -> Result<WrittenShard> {
        let Self { target, temporary, writer, row_groups, .. } = self;
        let out = writer.into_inner().map_err(|e| Error::parquet(&temporary.path, e))?;
        let out = out.into_inner().map_err(|e| Error::io(&temporary.path, e.into_error()))?;
        let (rows, hash) = (row_groups.iter().sum(), out.hasher.finalize().to_hex().to_string());
        let written = WrittenShard { rows, bytes: out.bytes, hash, row_groups };
        temporary.rename(&target)?;
        Ok(written)
    }
}
