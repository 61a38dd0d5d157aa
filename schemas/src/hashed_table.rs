//! Parquet files that no manifest lists, and that carry the hash of their own bytes in their footer instead.
//!
//! The hash is a key of the footer, see [`crate::self_hash`]; the name of the writer says that it must be there.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterPropertiesBuilder;

use crate::atomic_file::TemporaryFile;
use crate::error::{Error, Result};
use crate::footer::Metadata;
use crate::hashing_file::HashingFile;
use crate::regular_file::read_regular;
use crate::self_hash::{BLANK, check_place, find_place};

/// Key of the hash in the footer.
const KEY: &str = "jepa3d.self_hash";

/// What stands before the hash: the key, the header of a text, and its length, 64.
const MARKER: &[u8] = b"jepa3d.self_hash\x18\x40";

/// Writer of files that carry a hash; that of others is plain `jepa3d`.
const WRITER: &str = "jepa3d with self_hash";

/// Writes a file batch by batch, hashes it, and gives it its name when it is whole.
pub(crate) struct HashedTableWriter {
    target: PathBuf,
    temporary: TemporaryFile,
    writer: ArrowWriter<BufWriter<HashingFile>>,
}

impl HashedTableWriter {
    /// Starts the file `target` under a temporary name, with `metadata` in its footer.
    ///
    /// # Errors
    /// Fails if the temporary file cannot be created.
    pub(crate) fn create(
        target: &Path,
        schema: SchemaRef,
        properties: WriterPropertiesBuilder,
        metadata: Metadata,
    ) -> Result<Self> {
        let temporary = TemporaryFile::create(target)?;
        let file = temporary.file().try_clone();
        let out = HashingFile::buffered(file.map_err(|e| Error::io(&temporary.path, e))?);
        let pairs = metadata.into_iter().chain([(KEY.to_owned(), BLANK.to_owned())]);
        let pairs = pairs.map(|(key, value)| KeyValue { key, value: Some(value) });
        let properties =
            properties.set_created_by(WRITER.to_owned()).set_key_value_metadata(Some(pairs.collect()));
        let writer = ArrowWriter::try_new(out, schema, Some(properties.build()))
            .map_err(|e| Error::parquet(&temporary.path, e))?;
        Ok(Self { target: target.to_owned(), temporary, writer })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// Fails if the disk does; the temporary file is removed when the writer is dropped.
    pub(crate) fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(|e| Error::parquet(&self.temporary.path, e))
    }

    /// Completes the file, puts the hash into its footer, syncs it to disk and gives it its final name.
    ///
    /// # Errors
    /// Fails if the disk does; an older file is then unchanged.
    pub(crate) fn finish(self) -> Result<()> {
        let Self { target, temporary, writer } = self;
        let path = &temporary.path;
        let out = writer.into_inner().map_err(|e| Error::parquet(path, e))?;
        let out = out.into_inner().map_err(|e| Error::io(path, e.into_error()))?;
        let hash = out.hasher.finalize().to_hex();
        fill_in(out.file, out.bytes, &hash).map_err(|e| Error::io(path, e))?;
        temporary.rename(&target)
    }
}

/// Writes the hash over the blank in the footer, which is the last of `length` bytes.
fn fill_in(mut file: File, length: u64, hash: &str) -> std::io::Result<()> {
    let mut tail = [0; 8];
    file.seek(SeekFrom::Start(length - 8))?;
    file.read_exact(&mut tail)?;
    let footer = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    let start = length - 8 - footer;
    let mut bytes = vec![0; footer as usize];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut bytes)?;
    let place =
        find_place(&bytes, MARKER).ok_or_else(|| std::io::Error::other("the footer lacks its hash"))?;
    file.seek(SeekFrom::Start(start + place as u64))?;
    file.write_all(hash.as_bytes())?;
    file.sync_all()
}

/// The bytes of a file, compared with the hash in its footer; one of an older version has none.
///
/// # Errors
/// Fails if the file cannot be read, is no regular one, or is not the one that was written.
pub(crate) fn read_hashed_table(path: &Path) -> Result<Bytes> {
    let bytes = read_regular(path).map_err(|e| Error::io(path, e))?;
    let is_stated = bytes.windows(WRITER.len()).any(|here| here == WRITER.as_bytes());
    match find_place(&bytes, MARKER) {
        Some(place) if is_stated => check_place(path, &bytes, place)?,
        None if !is_stated => {}
        _ => {
            let found = "one without the other: the file was damaged or edited";
            return Err(Error::contract(path, KEY, format!("a hash, and the writer {WRITER:?}"), found));
        }
    }
    Ok(bytes.into())
}
