//! Writes shards: row groups are encoded on any thread, appended in order, then renamed into place.
//!
//! The bytes depend only on the samples, their division into row groups and the metadata. A
//! shard gets its final name after `fsync`, so a name without a whole file behind it never exists.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::columns::{ColumnKind, Table, encode};
use crate::error::{Error, Result};
use crate::sample::Sample;
use crate::view::View;
use crate::view_columns::encode_views;

/// Key-value pairs in the footer of a shard.
pub type Metadata = Vec<(String, String)>;

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

fn properties(table: Table, options: WriteOptions, metadata: Metadata) -> WriterProperties {
    let level = ZstdLevel::try_new(options.zstd_level.clamp(1, 22)).expect("clamped to the legal range");
    let pairs = metadata.into_iter().map(|(key, value)| KeyValue { key, value: Some(value) });
    let mut builder = WriterProperties::builder()
        // Fixed, so that an upgrade of the Parquet crate alone does not change a byte.
        .set_created_by("jepa3d".to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_key_value_metadata(Some(pairs.collect()));
    for (name, kind) in table.columns() {
        let leaf = ColumnPath::new(vec![name.into(), "list".into(), "element".into()]);
        let is_wide = !matches!(name, "colors" | "point_labels" | "patch_counts" | "box_labels");
        if kind == ColumnKind::List && is_wide {
            builder = builder.set_column_encoding(leaf, Encoding::BYTE_STREAM_SPLIT);
        }
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
    rows: usize,
    chunks: Vec<ArrowColumnChunk>,
}

/// Encodes row groups; shared by all worker threads.
pub struct RowGroupEncoder {
    table: Table,
    factory: ArrowRowGroupWriterFactory,
}

impl RowGroupEncoder {
    /// An encoder of row groups of `table`.
    pub fn new(table: Table, options: WriteOptions) -> Self {
        let properties = properties(table, options, vec![]);
        let sink = ArrowWriter::try_new(std::io::sink(), table.schema(), Some(properties));
        let parts = sink.and_then(ArrowWriter::into_serialized_writer);
        Self { table, factory: parts.expect("a writer into nothing cannot fail").1 }
    }

    /// Encodes and compresses samples as one row group of `points`.
    ///
    /// # Errors
    /// Fails if the arrays of a sample disagree with each other.
    pub fn encode(&self, samples: &[Sample]) -> Result<EncodedRowGroup> {
        assert_eq!(self.table, Table::Points, "samples are rows of points");
        self.encode_batch(&encode(samples)?)
    }

    /// Encodes and compresses views as one row group of `views`.
    ///
    /// # Errors
    /// Fails if the arrays of a view disagree with each other.
    pub fn encode_views(&self, views: &[View]) -> Result<EncodedRowGroup> {
        assert_eq!(self.table, Table::Views, "views are rows of views");
        self.encode_batch(&encode_views(views)?)
    }

    fn encode_batch(&self, batch: &arrow_array::RecordBatch) -> Result<EncodedRowGroup> {
        let chunks = self.chunks(batch).map_err(|e| Error::parquet(Path::new("(memory)"), e))?;
        Ok(EncodedRowGroup { rows: batch.num_rows(), chunks })
    }

    fn chunks(
        &self,
        batch: &arrow_array::RecordBatch,
    ) -> Result<Vec<ArrowColumnChunk>, parquet::errors::ParquetError> {
        let mut writers = self.factory.create_column_writers(0)?.into_iter();
        let mut chunks = Vec::with_capacity(batch.num_columns());
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            for leaf in compute_leaves(field, column)? {
                let mut writer = writers.next().expect("one writer a leaf column");
                writer.write(&leaf)?;
                chunks.push(writer.close()?);
            }
        }
        Ok(chunks)
    }
}

/// A finished shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenShard {
    /// Rows.
    pub rows: usize,
    /// Bytes of the file.
    pub bytes: u64,
    /// BLAKE3 of the file, hex.
    pub hash: String,
}

/// Hashes what passes through, so that a finished shard need not be read again.
struct HashingFile {
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for HashingFile {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let n = self.file.write(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Writes one shard under a temporary name; [`ShardWriter::finish`] gives it its final one.
pub struct ShardWriter {
    target: PathBuf,
    temporary: TemporaryFile,
    writer: SerializedFileWriter<HashingFile>,
    rows: usize,
}

impl ShardWriter {
    /// Starts the shard `target` of `table`, with `metadata` in its footer.
    ///
    /// # Errors
    /// Fails if the temporary file beside `target` cannot be created.
    pub fn create(target: &Path, table: Table, options: WriteOptions, metadata: Metadata) -> Result<Self> {
        let temporary = TemporaryFile::beside(target);
        let file = File::create(&temporary.path).map_err(|e| Error::io(&temporary.path, e))?;
        let out = HashingFile {
            file: BufWriter::with_capacity(1 << 20, file),
            hasher: blake3::Hasher::new(),
            bytes: 0,
        };
        let properties = properties(table, options, metadata);
        let writer = ArrowWriter::try_new(out, table.schema(), Some(properties))
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(|e| Error::parquet(&temporary.path, e))?
            .0;
        Ok(Self { target: target.to_owned(), temporary, writer, rows: 0 })
    }

    /// Appends a row group; one without rows is left out.
    ///
    /// # Errors
    /// Fails if the disk does; the temporary file is removed when the writer is dropped.
    pub fn append(&mut self, group: EncodedRowGroup) -> Result<()> {
        if group.rows == 0 {
            return Ok(());
        }
        self.rows += group.rows;
        let path = &self.temporary.path;
        let wrong = |e| Error::parquet(path, e);
        let mut out = self.writer.next_row_group().map_err(wrong)?;
        for chunk in group.chunks {
            chunk.append_to_row_group(&mut out).map_err(wrong)?;
        }
        out.close().map_err(wrong)?;
        Ok(())
    }

    /// Writes the footer, syncs the file to disk and gives it its final name.
    ///
    /// # Errors
    /// Fails if the disk does; nothing stands under the final name then.
    pub fn finish(self) -> Result<WrittenShard> {
        let Self { target, temporary, writer, rows } = self;
        let mut out = writer.into_inner().map_err(|e| Error::parquet(&temporary.path, e))?;
        out.flush().map_err(|e| Error::io(&temporary.path, e))?;
        out.file.get_ref().sync_all().map_err(|e| Error::io(&temporary.path, e))?;
        let written =
            WrittenShard { rows, bytes: out.bytes, hash: out.hasher.finalize().to_hex().to_string() };
        temporary.rename(&target)?;
        Ok(written)
    }
}

/// A file that vanishes unless it is renamed.
pub(crate) struct TemporaryFile {
    pub(crate) path: PathBuf,
    renamed: bool,
}

/// Ending of temporary files; anything with it is left over once its process is gone.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// Whether a file name is one that a writer of this crate gives its temporary file, so that no other is cleared away.
pub fn is_temporary(name: &str) -> bool {
    let is_number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let unique = name.strip_suffix(TEMPORARY_SUFFIX).and_then(|rest| rest.rsplit_once('.'));
    unique.and_then(|(_, unique)| unique.split_once('-')).is_some_and(|(a, b)| is_number(a) && is_number(b))
}

impl TemporaryFile {
    /// A name beside `target` that no other process or call uses.
    pub(crate) fn beside(target: &Path) -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let unique = format!(".{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(unique);
        name.push(TEMPORARY_SUFFIX);
        Self { path: target.with_file_name(name), renamed: false }
    }

    /// Renames to `target` and syncs the folder, so that the name survives a power cut.
    pub(crate) fn rename(mut self, target: &Path) -> Result<()> {
        std::fs::rename(&self.path, target).map_err(|e| Error::io(target, e))?;
        self.renamed = true;
        if let Some(folder) = target.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io(folder, e))?;
        }
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.renamed {
            // The write already failed and is reported; a leftover is cleared by the next run.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Writes a whole small file atomically: temporary name, sync, rename.
///
/// # Errors
/// Fails if the disk does; an older file of that name is then unchanged.
pub fn write_atomically(target: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = TemporaryFile::beside(target);
    let mut file = File::create(&temporary.path).map_err(|e| Error::io(&temporary.path, e))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| Error::io(&temporary.path, e))?;
    drop(file);
    temporary.rename(target)
}

#[allow(dead_code, reason = "a compile-time check: encoders are shared by worker threads")]
fn encoder_is_shared(encoder: RowGroupEncoder) -> impl Send + Sync {
    Arc::new(encoder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_temporary_names_are_temporary() {
        let ours = TemporaryFile::beside(Path::new("points/train-00000-of-00001.parquet"));
        assert!(is_temporary(&ours.path.file_name().unwrap().to_string_lossy()));
        for name in ["a.tmp", "a.parquet", "a.12.tmp", "a.1-x.tmp", "a.1-2", "1-2.tmp", "a.-.tmp"] {
            assert!(!is_temporary(name), "{name}");
        }
    }
}
