//! Uploads whole files: small ones in one request, larger ones in parts that become an object together.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use object_store::{
    Attribute, Attributes, MultipartUpload, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
};

use crate::bucket::ObjectPlace;
use crate::error::{Error, Result};

/// Bytes of a part; stores want 5 MiB at least, and at most 10,000 parts.
const PART: usize = 16 << 20;

/// Key beside an object under which its BLAKE3 stands, so that a later run need not read it to know it.
pub(crate) const HASH_KEY: &str = "blake3";

/// Writes a file from its beginning; its hash stands beside it in the store.
pub(crate) async fn upload_file(place: &ObjectPlace, file: &mut File, tries: usize) -> Result<()> {
    let disk = |source| Error::Disk { path: "a file to upload".to_owned(), source };
    let wrong = |e| Error::from_store(&e, tries);
    let length = file.metadata().map_err(disk)?.len();
    let mut hasher = blake3::Hasher::new();
    file.seek(SeekFrom::Start(0)).map_err(disk)?;
    hasher.update_reader(&mut *file).map_err(disk)?;
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::Metadata(HASH_KEY.into()), hasher.finalize().to_hex().to_string().into());
    file.seek(SeekFrom::Start(0)).map_err(disk)?;
    if length <= PART as u64 {
        let body = read_part(file, length).map_err(disk)?;
        let options = PutOptions { attributes, ..PutOptions::default() };
        place.store.put_opts(&place.path, body, options).await.map_err(wrong)?;
        return Ok(());
    }
    let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
    let mut upload = place.store.put_multipart_opts(&place.path, options).await.map_err(wrong)?;
    let sent = send_parts(upload.as_mut(), file, length, tries).await;
    if sent.is_err() {
        // What was sent is of no use; a store that cannot be told keeps it until its own rules remove it.
        let _ = upload.abort().await;
    }
    sent
}

/// Sends a file part by part, a part ahead, and has the store put them together.
async fn send_parts(
    upload: &mut dyn MultipartUpload,
    file: &mut File,
    length: u64,
    tries: usize,
) -> Result<()> {
    let disk = |source| Error::Disk { path: "a file to upload".to_owned(), source };
    let wrong = |e| Error::from_store(&e, tries);
    let (mut left, mut sending) = (length, None);
    while left > 0 {
        let part = read_part(file, left.min(PART as u64)).map_err(disk)?;
        left -= part.content_length() as u64;
        let next = tokio::spawn(upload.put_part(part));
        if let Some(last) = sending.replace(next) {
            join(last, tries).await?;
        }
    }
    if let Some(last) = sending {
        join(last, tries).await?;
    }
    upload.complete().await.map_err(wrong)?;
    Ok(())
}

async fn join(part: tokio::task::JoinHandle<object_store::Result<()>>, tries: usize) -> Result<()> {
    let outcome = part.await.map_err(|e| Error::Store { tries, reason: e.to_string() })?;
    outcome.map_err(|e| Error::from_store(&e, tries))
}

fn read_part(file: &mut File, bytes: u64) -> std::io::Result<PutPayload> {
    let mut part = vec![0; bytes as usize];
    file.read_exact(&mut part)?;
    Ok(part.into())
}

/// Writes a small object unless there is one; whether it did.
pub(crate) async fn upload_new(place: &ObjectPlace, bytes: &[u8], tries: usize) -> Result<bool> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    let body = PutPayload::from(bytes.to_vec());
    match place.store.put_opts(&place.path, body, options).await {
        Ok(_) => Ok(true),
        Err(error) => match Error::from_store(&error, tries) {
            Error::Exists => Ok(false),
            error => Err(error),
        },
    }
}
