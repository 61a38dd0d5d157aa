//! Fetches objects: small ones into memory, shards into a file, hashed on the way.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use futures_util::StreamExt;
use object_store::{GetOptions, ObjectStore};

use crate::bucket::ObjectPlace;
use crate::error::{Error, Result};

/// How long a body may say nothing.
const STALL: Duration = Duration::from_secs(30);

/// What a manifest says of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedShard {
    pub bytes: u64,
    /// BLAKE3, hex.
    pub hash: String,
}

impl ExpectedShard {
    /// Compares what came, at try number `tries`.
    pub(crate) fn check(&self, bytes: u64, hash: &str, tries: usize) -> Result<()> {
        let altered = |what, expected: &dyn ToString, found: &dyn ToString| {
            let (expected, found) = (expected.to_string(), found.to_string());
            Err(Error::Altered { what, expected, found, tries })
        };
        if bytes != self.bytes {
            return altered("bytes", &self.bytes, &bytes);
        }
        if hash != self.hash { altered("content hash", &self.hash, &hash) } else { Ok(()) }
    }
}

/// The bytes of a small object.
pub(crate) async fn read_object(place: &ObjectPlace, tries: usize) -> Result<Vec<u8>> {
    let wrong = |e| Error::from_store(&e, tries);
    let answer = place.store.get_opts(&place.path, GetOptions::default()).await.map_err(wrong)?;
    let size = answer.meta.size;
    let body = tokio::time::timeout(STALL * 4, answer.bytes()).await;
    let bytes = body.map_err(|_| stalled(tries))?.map_err(wrong)?;
    match bytes.len() as u64 == size {
        true => Ok(bytes.into()),
        false => Err(Error::Store { tries, reason: format!("expected {size} bytes, found {}", bytes.len()) }),
    }
}

/// Writes an object into a file from its beginning, and compares it with what is expected of it.
pub(crate) async fn fetch_shard(
    place: &ObjectPlace,
    expected: &ExpectedShard,
    file: &mut File,
    tries: usize,
) -> Result<()> {
    let wrong = |e| Error::from_store(&e, tries);
    let disk = |source| Error::Disk { path: "the cache".to_owned(), source };
    let answer = place.store.get_opts(&place.path, GetOptions::default()).await.map_err(wrong)?;
    if answer.meta.size != expected.bytes {
        return expected.check(answer.meta.size, "", tries);
    }
    file.seek(SeekFrom::Start(0)).map_err(disk)?;
    let (mut hasher, mut bytes, mut body) = (blake3::Hasher::new(), 0, answer.into_stream());
    while let Some(piece) = tokio::time::timeout(STALL, body.next()).await.map_err(|_| stalled(tries))? {
        let piece = piece.map_err(wrong)?;
        bytes += piece.len() as u64;
        if bytes > expected.bytes {
            break;
        }
        hasher.update(&piece);
        file.write_all(&piece).map_err(disk)?;
    }
    expected.check(bytes, hasher.finalize().to_hex().as_str(), tries)
}

fn stalled(tries: usize) -> Error {
    Error::Store { tries, reason: format!("nothing came for {} s", STALL.as_secs()) }
}
