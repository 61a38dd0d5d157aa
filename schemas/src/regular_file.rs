//! Opens and reads regular files only, and tells errors of the machine from those of a file.
//!
//! A pipe without a writer would hold a batch up for ever, and a device has no end: neither is opened at all.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use crate::remote_files::RemotePath;

/// Opens a regular file, a link to one, or a shard in an object store, for reading.
///
/// # Errors
/// Fails if it is missing, cannot be opened, or is a folder, pipe, socket or device; the error says which.
pub fn open_regular(path: &Path) -> io::Result<File> {
    if let Some(remote) = RemotePath::find(path)? {
        return remote.files.open_shard(remote.url);
    }
    // What is no regular file is not opened even for a look: that alone moves tapes and wakes writers of pipes.
    check_regular(&std::fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    // Should a pipe have taken its place meanwhile, the call does not wait for a writer.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

/// The bytes of a regular file.
///
/// # Errors
/// Fails as [`open_regular`] and [`read_opened`] do.
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    if let Some(remote) = RemotePath::find(path)? {
        return remote.files.read(remote.url);
    }
    let file = open_regular(path)?;
    read_opened(&file, file.metadata()?.len())
}

/// Reads an open file of `length` bytes; fewer if it has become shorter.
///
/// Files that say they are empty are not read: those of `/proc` may never end.
///
/// # Errors
/// Fails if the file cannot be read, or grows meanwhile.
pub fn read_opened(file: &File, length: u64) -> io::Result<Vec<u8>> {
    if length == 0 {
        return Ok(Vec::new());
    }
    let too_large =
        || io::Error::new(ErrorKind::OutOfMemory, format!("{length} bytes do not fit the memory"));
    let mut bytes = Vec::new();
    // One more than there should be, so that a file that grows is noticed.
    let capacity = usize::try_from(length).ok().and_then(|n| n.checked_add(1)).ok_or_else(too_large)?;
    bytes.try_reserve_exact(capacity).map_err(|_| too_large())?;
    file.take(length.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > length {
        let reason = format!("it grew beyond its {length} bytes while it was read");
        return Err(io::Error::new(ErrorKind::InvalidData, reason));
    }
    Ok(bytes)
}

fn check_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let reason = format!("expected a regular file, found {}", name_kind(metadata.file_type()));
    Err(io::Error::new(ErrorKind::InvalidInput, reason))
}

/// What a path that is no regular file leads to.
fn name_kind(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        match kind {
            _ if kind.is_fifo() => return "a named pipe",
            _ if kind.is_socket() => return "a socket",
            _ if kind.is_block_device() || kind.is_char_device() => return "a device",
            _ => {}
        }
    }
    if kind.is_dir() { "a folder" } else { "something else" }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine_faults::is_error_of_machine;

    fn refusal(path: &Path) -> String {
        open_regular(path).unwrap_err().to_string()
    }

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, link) = (dir.path().join("pipe"), dir.path().join("link"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(refusal(&pipe), "expected a regular file, found a named pipe");
        assert_eq!(refusal(&link), "expected a regular file, found a device");
        assert_eq!(refusal(&socket), "expected a regular file, found a socket");
        assert_eq!(refusal(dir.path()), "expected a regular file, found a folder");
        assert_eq!(open_regular(&dir.path().join("gone")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_file_is_read_to_the_length_it_had_when_it_was_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, [7; 100]).unwrap();
        let read = |length| read_opened(&open_regular(&path).unwrap(), length);
        assert_eq!((read(100).unwrap(), read(0).unwrap()), (vec![7; 100], vec![]));
        assert_eq!(read_regular(&path).unwrap(), [7; 100]);
        assert_eq!(read(101).unwrap().len(), 100);
        assert_eq!(read(99).unwrap_err().to_string(), "it grew beyond its 99 bytes while it was read");
        assert!(is_error_of_machine(&read(u64::MAX).unwrap_err()));
    }
}
