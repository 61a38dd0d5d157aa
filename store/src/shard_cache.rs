//! Shards by their BLAKE3: from the folder if they are there and the ones that were prepared, else from their store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::bucket::ObjectPlace;
use crate::cache_folder::CacheFolder;
use crate::download::{ExpectedShard, fetch_shard};
use crate::error::{Error, Result};
use crate::retry::try_again;

/// The cache of a process.
#[derive(Debug)]
pub(crate) struct ShardCache {
    pub folder: CacheFolder,
    /// How long a store that fails is asked again.
    patience: Duration,
    /// Hashes of shards that this process has fetched, or compared with their hash.
    whole: Mutex<BTreeSet<String>>,
    /// One a shard: whoever comes first fetches it, others wait.
    fetching: Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
}

/// A shard that is wanted.
pub(crate) struct WantedShard<'a> {
    pub place: &'a ObjectPlace,
    pub expected: &'a ExpectedShard,
    /// Whether shards that are in use are waited for where the cache is full; else nothing is fetched then.
    pub waits: bool,
}

impl ShardCache {
    pub(crate) fn new(folder: CacheFolder, patience: Duration) -> Self {
        Self { folder, patience, whole: Mutex::default(), fetching: Mutex::default() }
    }

    /// Opens a shard, fetched if need be; `None` if it was not fetched for want of room.
    ///
    /// # Errors
    /// Fails if it cannot be fetched, is not the one that was prepared, or does not fit the cache.
    pub(crate) fn open(
        &self,
        runtime: &Handle,
        wanted: &WantedShard<'_>,
        is_awaited: &dyn Fn(&str) -> bool,
    ) -> Result<Option<File>> {
        let turn = Arc::clone(lock(&self.fetching).entry(wanted.expected.hash.clone()).or_default());
        let _turn = lock(&turn);
        if let Some(file) = self.find(wanted.expected)? {
            return Ok(Some(file));
        }
        self.fetch(runtime, wanted, is_awaited)
    }

    /// The shard in the folder; one that another process or a power cut has damaged is removed.
    fn find(&self, expected: &ExpectedShard) -> Result<Option<File>> {
        let Some(mut file) = self.folder.open(expected)? else { return Ok(None) };
        if lock(&self.whole).contains(&expected.hash) {
            return Ok(Some(file));
        }
        let wrong = |e| Error::disk(&self.folder.folder, e);
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file).map_err(wrong)?;
        if hasher.finalize().to_hex().as_str() != expected.hash {
            self.folder.discard(expected);
            return Ok(None);
        }
        file.seek(SeekFrom::Start(0)).map_err(wrong)?;
        lock(&self.whole).insert(expected.hash.clone());
        Ok(Some(file))
    }

    fn fetch(
        &self,
        runtime: &Handle,
        wanted: &WantedShard<'_>,
        is_awaited: &dyn Fn(&str) -> bool,
    ) -> Result<Option<File>> {
        let WantedShard { place, expected, waits } = *wanted;
        let Some(mut room) = self.folder.make_room(expected, waits, is_awaited)? else { return Ok(None) };
        try_again(place.path.as_ref(), self.patience, |tries| {
            runtime.block_on(fetch_shard(place, expected, &mut room.file, tries))
        })?;
        let mut file = self.folder.keep(room, expected)?;
        file.seek(SeekFrom::Start(0)).map_err(|e| Error::disk(&self.folder.folder, e))?;
        lock(&self.whole).insert(expected.hash.clone());
        Ok(Some(file))
    }
}

/// Locks what stays sound whoever panicked beside it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
