//! Hashes what passes through to a file, so that what is finished need not be read again.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::regular_file::open_regular;
use crate::remote_files::RemotePath;

/// Bytes collected before they are hashed and written: BLAKE3 is fastest on large pieces.
const BUFFER: usize = 1 << 20;

/// A file that is being written, and the hash of what was.
pub(crate) struct HashingFile {
    pub(crate) file: File,
    pub(crate) hasher: blake3::Hasher,
    pub(crate) bytes: u64,
}

impl HashingFile {
    /// Hashes what is written to `file`, in large pieces.
    pub(crate) fn buffered(file: File) -> BufWriter<Self> {
        BufWriter::with_capacity(BUFFER, Self { file, hasher: blake3::Hasher::new(), bytes: 0 })
    }
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

/// Bytes and BLAKE3 (hex) of a file, as the manifest records them; read in pieces.
///
/// # Errors
/// Fails if the file cannot be read, or is no regular one.
pub fn file_hash(path: &Path) -> std::io::Result<(u64, String)> {
    if let Some(remote) = RemotePath::find(path)? {
        return remote.files.hash_shard(remote.url);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(open_regular(path)?)?;
    Ok((hasher.count(), hasher.finalize().to_hex().to_string()))
}
