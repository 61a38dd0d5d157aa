//! Writes shards: encoded row groups are appended in order, the file then renamed into place.
//!
//! A shard gets its final name after `fsync`, so a name without a whole file behind it never exists.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use parquet::arrow::ArrowWriter;
use parquet::file::writer::SerializedFileWriter;

use crate::columns::Table;
use crate::error::{Error, Result};
use crate::row_group::{EncodedRowGroup, WriteOptions, properties};

/// Key-value pairs in the footer of a shard.
pub type Metadata = Vec<(String, String)>;

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
    file: File,
    hasher: blake3::Hasher,
    bytes: u64,
}

/// Bytes and BLAKE3 (hex) of a file, as the manifest records them; read in pieces.
///
/// # Errors
/// Fails if the file cannot be read.
pub fn file_hash(path: &Path) -> std::io::Result<(u64, String)> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok((hasher.count(), hasher.finalize().to_hex().to_string()))
}

/// Bytes collected before they are hashed and written: BLAKE3 is fastest on large pieces.
const BUFFER: usize = 1 << 20;

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
    writer: SerializedFileWriter<BufWriter<HashingFile>>,
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
        let out = HashingFile { file, hasher: blake3::Hasher::new(), bytes: 0 };
        let out = BufWriter::with_capacity(BUFFER, out);
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
        if group.rows == 0 { Ok(()) } else { self.append_even_empty(group) }
    }

    /// Appends a row group also if it has no rows, so that its number agrees with that of another table.
    ///
    /// # Errors
    /// Fails if the disk does; the temporary file is removed when the writer is dropped.
    pub fn append_even_empty(&mut self, group: EncodedRowGroup) -> Result<()> {
        self.rows += group.rows;
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
        let Self { target, temporary, writer, rows } = self;
        let out = writer.into_inner().map_err(|e| Error::parquet(&temporary.path, e))?;
        let out = out.into_inner().map_err(|e| Error::io(&temporary.path, e.into_error()))?;
        out.file.sync_all().map_err(|e| Error::io(&temporary.path, e))?;
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
