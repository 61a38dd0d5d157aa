//! A folder of shards that never holds more bytes than it may, shared by all processes of the machine.
//!
//! A shard is named by its BLAKE3. Room is made before a byte is fetched: under a lock, the least recently used shards go until the new
//! one fits, and a `.part` file of its full length stands for it until it is whole and gets its name. Who reads a shard holds a
//! shared lock on its file, which the system releases when the file is closed or the process ends, however it does; what is locked is
//! never removed. So nothing need be repaired after a kill: a `.part` file that nobody holds is left over.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use jepa3d_schemas::is_same_file;

use crate::download::ExpectedShard;
use crate::error::{Error, Result};

const ENDING: &str = ".parquet";
const PART_ENDING: &str = ".part";
const LOCK_FILE: &str = "lock";

/// Pauses while shards in use leave no room: locks are the kernel's, also those of other processes, and nobody tells when one goes.
const PAUSE: Duration = Duration::from_millis(50);
/// How long room is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// The folder of the cache.
#[derive(Debug)]
pub(crate) struct CacheFolder {
    pub folder: PathBuf,
    pub bound: u64,
    /// How long room is waited for.
    pub patience: Duration,
}

/// Room for a shard, and the file that it is written to.
#[derive(Debug)]
pub(crate) struct ShardRoom {
    pub file: File,
    path: PathBuf,
    is_named: bool,
}

/// A file of the folder.
struct CachedFile {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
    /// Whether it is to be kept as long as another can go.
    is_awaited: bool,
}

impl CacheFolder {
    pub(crate) fn new(folder: PathBuf, bound: u64) -> Self {
        Self { folder, bound, patience: PATIENCE }
    }

    /// Creates the folder.
    pub(crate) fn create(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(|e| Error::disk(&self.folder, e))
    }

    fn path_of(&self, hash: &str) -> PathBuf {
        self.folder.join(format!("{hash}{ENDING}"))
    }

    /// Whether a shard is here, as far as its length tells.
    pub(crate) fn contains(&self, shard: &ExpectedShard) -> bool {
        std::fs::metadata(self.path_of(&shard.hash)).is_ok_and(|file| file.len() == shard.bytes)
    }

    /// Opens a shard, which stays here as long as the file is open; `None` if it is not here.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub(crate) fn open(&self, shard: &ExpectedShard) -> Result<Option<File>> {
        let path = self.path_of(&shard.hash);
        let file = match File::open(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|e| Error::disk(&path, e))?,
        };
        // Who removes it holds it alone for that moment; on disks without locks it may go while it is read, and stays readable.
        let _ = file.lock_shared();
        let length = file.metadata().map_err(|e| Error::disk(&path, e))?.len();
        if !is_same_file(&file, &path) {
            return Ok(None);
        }
        if length != shard.bytes {
            drop(file);
            self.discard(shard);
            return Ok(None);
        }
        // When it was used last orders what goes first, nothing else.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(file))
    }

    /// Removes a shard that is not the one that it is named after.
    pub(crate) fn discard(&self, shard: &ExpectedShard) {
        let _ = std::fs::remove_file(self.path_of(&shard.hash));
    }

    /// Makes room for a shard; waits for shards in use where `waits`, else `None` tells that there is none.
    ///
    /// # Errors
    /// Fails if the folder may not hold as much, or the disk fails.
    pub(crate) fn make_room(
        &self,
        shard: &ExpectedShard,
        waits: bool,
        is_awaited: &dyn Fn(&str) -> bool,
    ) -> Result<Option<ShardRoom>> {
        self.create()?;
        let start = SystemTime::now();
        loop {
            let held = match self.try_to_make_room(shard, waits, is_awaited)? {
                Ok(room) => return Ok(Some(room)),
                Err(held) => held,
            };
            if !waits && shard.bytes <= self.bound {
                return Ok(None);
            }
            if shard.bytes > self.bound || start.elapsed().is_ok_and(|waited| waited > self.patience) {
                let folder = self.folder.display().to_string();
                return Err(Error::Full { folder, bound: self.bound, bytes: shard.bytes, held });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Takes the folder's lock, under which files get their names and go.
    fn lock(&self) -> Result<File> {
        let path = self.folder.join(LOCK_FILE);
        let lock =
            File::options().create(true).append(true).open(&path).map_err(|e| Error::disk(&path, e))?;
        // Without locks several processes together may hold more.
        let _ = lock.lock();
        Ok(lock)
    }

    /// Room, or the bytes that are in use.
    fn try_to_make_room(
        &self,
        shard: &ExpectedShard,
        takes_awaited: bool,
        is_awaited: &dyn Fn(&str) -> bool,
    ) -> Result<Result<ShardRoom, u64>> {
        let _lock = self.lock()?;
        let mut files = self.list(is_awaited)?;
        let mut held: u64 = files.iter().map(|file| file.bytes).sum();
        files.sort_by_key(|file| (file.is_awaited, file.used));
        for file in files.iter().filter(|file| takes_awaited || !file.is_awaited) {
            if held.saturating_add(shard.bytes) <= self.bound {
                break;
            }
            if remove_unused(&file.path) {
                held -= file.bytes;
            }
        }
        if held.saturating_add(shard.bytes) > self.bound {
            return Ok(Err(held));
        }
        ShardRoom::create(&self.folder, shard).map(Ok)
    }

    /// The shards and parts that are here; parts that nobody writes are removed.
    fn list(&self, is_awaited: &dyn Fn(&str) -> bool) -> Result<Vec<CachedFile>> {
        let wrong = |e| Error::disk(&self.folder, e);
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let Ok(facts) = entry.metadata() else { continue };
            if name.ends_with(PART_ENDING) && remove_unused(&path) {
                continue;
            }
            let used = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if let Some(hash) = name.strip_suffix(ENDING) {
                files.push(CachedFile { path, bytes: facts.len(), used, is_awaited: is_awaited(hash) });
            } else if name.ends_with(PART_ENDING) {
                files.push(CachedFile { path, bytes: facts.len(), used, is_awaited: true });
            }
        }
        Ok(files)
    }

    /// Gives a whole shard its name; the file stays open, and with it the shard.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub(crate) fn keep(&self, mut room: ShardRoom, shard: &ExpectedShard) -> Result<File> {
        let path = self.path_of(&shard.hash);
        let _lock = self.lock()?;
        std::fs::rename(&room.path, &path).map_err(|e| Error::disk(&path, e))?;
        room.is_named = true;
        // From alone to shared: another reader may open it from now on.
        let file = room.file.try_clone().map_err(|e| Error::disk(&path, e))?;
        let _ = file.lock_shared();
        Ok(file)
    }
}

impl ShardRoom {
    fn create(folder: &Path, shard: &ExpectedShard) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}.{}-{number}{PART_ENDING}", shard.hash, std::process::id()));
        let wrong = |e| Error::disk(&path, e);
        let file =
            File::options().read(true).write(true).create(true).truncate(true).open(&path).map_err(wrong)?;
        // The folder's lock is held, so nobody takes it for left over before this one is.
        let _ = file.try_lock();
        file.set_len(shard.bytes).map_err(wrong)?;
        Ok(Self { file, path, is_named: false })
    }
}

impl Drop for ShardRoom {
    fn drop(&mut self) {
        if !self.is_named {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes a file that nobody holds; whether it did. On a disk without locks nobody holds any.
fn remove_unused(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return !path.exists() };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => false,
        _ => is_same_file(&file, path) && std::fs::remove_file(path).is_ok(),
    }
}
