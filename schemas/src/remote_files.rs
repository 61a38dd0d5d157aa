//! Files of prepared sets in object stores: a path that begins with a scheme leads there, and who can fetch it is told here.
//!
//! The files of a set are named by joining its folder with names, and `s3://bucket/set` joins like any folder. So whoever reads or
//! writes a set need not know where it is: the few functions of this crate that touch a disk look at the scheme, and hand the
//! path on to the [`RemoteFiles`] of the process, of which there is at most one. Without it such a path is an error that says so.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::error::{Error, Result};

/// What paths into object stores begin with.
const SCHEMES: [&str; 5] = ["s3://", "gs://", "az://", "https://", "http://"];

static REMOTE: OnceLock<Box<dyn RemoteFiles>> = OnceLock::new();

/// Reads and writes the files behind URLs; errors are those of a file that a disk refuses.
pub trait RemoteFiles: Send + Sync {
    /// Opens a shard that a manifest has named, whole and compared with its hash; it stays on the disk as long as it is open.
    fn open_shard(&self, url: &str) -> io::Result<File>;

    /// Compares a shard that a manifest has named with its hash; gives its bytes and its hash.
    fn hash_shard(&self, url: &str) -> io::Result<(u64, String)>;

    /// The bytes of a small file.
    fn read(&self, url: &str) -> io::Result<Vec<u8>>;

    /// What is directly in a folder, in the order of names; nothing if there is no such folder.
    fn list(&self, url: &str) -> io::Result<Vec<FolderEntry>>;

    /// What is known of a file without reading it.
    fn look_up(&self, url: &str) -> io::Result<RemoteFacts>;

    /// Writes a file from its beginning; under the name appears all of it, or nothing.
    fn write(&self, url: &str, file: &mut File) -> io::Result<()>;

    /// Writes a small file unless there is one of its name; whether it did.
    fn write_new(&self, url: &str, bytes: &[u8]) -> io::Result<bool>;

    /// Removes a file, or all files of a folder; what is not there is no error.
    fn remove(&self, url: &str) -> io::Result<()>;

    /// Takes down what a manifest says of a shard: its bytes, and their BLAKE3 (hex).
    fn expect(&self, url: &str, bytes: u64, hash: &str);

    /// Fetches shards in this order, ahead of those that open them, until what is returned is dropped.
    fn fetch_ahead(&self, urls: Vec<String>) -> Box<dyn Send + Sync>;

    /// A folder of this machine for files that are being written.
    fn scratch(&self) -> io::Result<PathBuf>;
}

/// What is known of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFacts {
    /// Bytes.
    pub bytes: u64,
    /// BLAKE3 (hex) that its writer left beside it, of files that this project wrote.
    pub hash: Option<String>,
}

/// A file or folder in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FolderEntry {
    /// Its name alone.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// Shards that are being fetched as long as this lives; nothing for a set on a disk.
#[derive(Default)]
pub struct FetchAhead(Option<Box<dyn Send + Sync>>);

impl std::fmt::Debug for FetchAhead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("FetchAhead").field(&self.0.is_some()).finish()
    }
}

/// Has `files` read and write all paths with a scheme from now on; `false` if another does already.
pub fn serve_remote(files: Box<dyn RemoteFiles>) -> bool {
    REMOTE.set(files).is_ok()
}

/// Whether a path leads into an object store.
pub fn is_remote(path: &Path) -> bool {
    url_of(path).is_some()
}

fn url_of(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| SCHEMES.iter().any(|scheme| text.starts_with(scheme)))
}

/// A URL, and who reads and writes what is behind it.
#[derive(Clone, Copy)]
pub(crate) struct RemotePath<'a> {
    pub(crate) url: &'a str,
    pub(crate) files: &'static dyn RemoteFiles,
}

impl<'a> RemotePath<'a> {
    /// The URL that `path` is; none if it is a path of this machine.
    ///
    /// # Errors
    /// Fails if nobody reads URLs in this process.
    pub(crate) fn find(path: &'a Path) -> io::Result<Option<Self>> {
        let Some(url) = url_of(path) else { return Ok(None) };
        match REMOTE.get() {
            Some(files) => Ok(Some(Self { url, files: &**files })),
            None => {
                let reason = "expected a folder of this machine, found a URL; this build reads none (feature `object-store`)";
                Err(io::Error::new(ErrorKind::Unsupported, reason))
            }
        }
    }
}

/// Fetches those of the shards at `paths` that are in object stores, in this order, ahead of whoever opens them, until what is
/// returned is dropped. A shard that cannot be fetched is an error where it is opened, not here.
pub fn fetch_ahead(paths: &[PathBuf]) -> FetchAhead {
    let urls: Vec<String> = paths.iter().filter_map(|path| url_of(path)).map(str::to_owned).collect();
    let files = REMOTE.get().filter(|_| !urls.is_empty());
    FetchAhead(files.map(|files| files.fetch_ahead(urls)))
}

/// What is directly in a folder, in the order of names; nothing if there is no such folder.
///
/// # Errors
/// Fails if the disk or the store does, or the store lists nothing, as plain HTTP.
pub fn list_folder(folder: &Path) -> io::Result<Vec<FolderEntry>> {
    if let Some(remote) = RemotePath::find(folder)? {
        return remote.files.list(remote.url);
    }
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let entry = |entry: std::fs::DirEntry| FolderEntry {
        name: entry.file_name().to_string_lossy().into_owned(),
        is_folder: entry.path().is_dir(),
    };
    let mut found = entries.map(|found| found.map(entry)).collect::<io::Result<Vec<_>>>()?;
    found.sort_unstable();
    Ok(found)
}

/// Bytes of a file.
///
/// # Errors
/// Fails if there is none, or the disk or the store does not answer.
pub fn file_length(path: &Path) -> io::Result<u64> {
    match RemotePath::find(path)? {
        Some(remote) => Ok(remote.files.look_up(remote.url)?.bytes),
        None => Ok(std::fs::metadata(path)?.len()),
    }
}

/// Removes a file, or a folder of an object store with all that is in it; what is not there is no error.
///
/// # Errors
/// Fails if the disk or the store does.
pub fn remove_file(path: &Path) -> Result<()> {
    let removed = RemotePath::find(path).and_then(|remote| match remote {
        Some(remote) => remote.files.remove(remote.url),
        None => std::fs::remove_file(path),
    });
    match removed {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(path, e)),
        _ => Ok(()),
    }
}

/// Removes a folder with all that is in it; one that is not there is no error.
///
/// # Errors
/// Fails if the disk or the store does.
pub fn remove_folder(path: &Path) -> Result<()> {
    if is_remote(path) {
        return remove_file(path);
    }
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(path, e)),
        _ => Ok(()),
    }
}

/// Creates a folder and those above it; an object store has none, so nothing is done there.
///
/// # Errors
/// Fails if the disk does.
pub fn create_folder(path: &Path) -> Result<()> {
    match is_remote(path) {
        true => Ok(()),
        false => std::fs::create_dir_all(path).map_err(|e| Error::io(path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_a_scheme_and_no_others_are_remote() {
        for path in ["s3://b/set", "gs://b", "az://c/x", "https://h/x", "http://h/x"] {
            assert!(
                is_remote(Path::new(path)) && is_remote(&Path::new(path).join("points/a.parquet")),
                "{path}"
            );
        }
        for path in ["s3:/b/set", "set", "/s3://b", "./s3://b", "rerun+http://h", ""] {
            assert!(!is_remote(Path::new(path)), "{path}");
        }
        assert_eq!(
            Path::new("s3://b/set").join("points/a.parquet").to_str(),
            Some("s3://b/set/points/a.parquet")
        );
        assert_eq!(Path::new("s3://b/set/").join("manifest.json").to_str(), Some("s3://b/set/manifest.json"));
    }

    #[test]
    fn a_process_that_reads_no_urls_says_so() {
        let error = crate::regular_file::read_regular(Path::new("s3://b/set/manifest.json")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("feature `object-store`"), "{error}");
        let error = crate::manifest::Manifest::find(Path::new("s3://b/set")).unwrap_err().to_string();
        assert!(error.starts_with("s3://b/set/manifest.json: expected a folder of this machine"), "{error}");
        assert!(crate::atomic_file::TemporaryFile::create(Path::new("s3://b/set/x")).is_err());
    }

    #[test]
    fn folders_of_a_disk_are_listed_measured_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("b");
        create_folder(&inner.join("c")).unwrap();
        std::fs::write(folder.path().join("a"), "xyz").unwrap();
        let entry = |name: &str, is_folder| FolderEntry { name: name.into(), is_folder };
        assert_eq!(list_folder(folder.path()).unwrap(), [entry("a", false), entry("b", true)]);
        assert_eq!(list_folder(&folder.path().join("none")).unwrap(), []);
        assert_eq!(file_length(&folder.path().join("a")).unwrap(), 3);
        for _ in 0..2 {
            remove_file(&folder.path().join("a")).unwrap();
            remove_folder(&inner).unwrap();
        }
        assert_eq!(list_folder(folder.path()).unwrap(), []);
    }
}
