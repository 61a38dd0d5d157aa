//! Files behind URLs as the crates that read and write prepared sets see them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use futures_util::TryStreamExt;
use jepa3d_schemas::{FolderEntry, RemoteFacts, RemoteFiles, remove_temporaries, serve_remote};
use object_store::{Attribute, GetOptions, ObjectStore, ObjectStoreExt};
use tokio::runtime::Runtime;

use crate::bucket::{Buckets, ObjectPlace};
use crate::cache_folder::CacheFolder;
use crate::download::{ExpectedShard, read_object};
use crate::error::{Error, Result};
use crate::fetch_queue::FetchQueue;
use crate::of_process::OfProcess;
use crate::retry::try_again;
use crate::settings::StoreSettings;
use crate::shard_cache::{ShardCache, WantedShard};
use crate::upload::{HASH_KEY, upload_file, upload_new};

/// Threads that fetch ahead.
const FETCHERS: usize = 4;

/// Folder of files that are being written, in the cache.
const SCRATCH: &str = "writing";

/// Object stores, read through a cache.
#[derive(Clone, Debug)]
pub struct ObjectStores(Arc<OfProcess<Arc<StoreState>>>);

#[derive(Debug)]
struct StoreState {
    settings: StoreSettings,
    buckets: Buckets,
    cache: ShardCache,
    /// What manifests say of the shards at URLs. Mostly read, so that a fork finds it open.
    expected: RwLock<BTreeMap<String, ExpectedShard>>,
    queue: FetchQueue,
    /// Started with the first request.
    runtime: OnceLock<Runtime>,
    fetchers: OnceLock<()>,
    scratch: OnceLock<PathBuf>,
}

/// Has all paths with a scheme read and written by object stores from now on, for the rest of the process.
///
/// Nothing is sent, and no folder created, before such a path is used.
pub fn serve_stores(settings: StoreSettings) -> bool {
    serve_remote(Box::new(ObjectStores::new(settings)))
}

impl ObjectStores {
    /// Object stores with these settings; nothing is sent yet.
    pub fn new(settings: StoreSettings) -> Self {
        Self(Arc::new(OfProcess::new(Arc::new(StoreState::new(settings, BTreeMap::new())))))
    }

    /// What this process has; a fork begins with what the manifests said.
    fn state(&self) -> &Arc<StoreState> {
        self.0.get(|state| {
            let expected = state.expected.try_read().map(|expected| expected.clone()).unwrap_or_default();
            Arc::new(StoreState::new(state.settings.clone(), expected))
        })
    }

    /// Reads and writes all URLs that begin with `root`, as `s3://bucket`, in `store`: for tests.
    #[doc(hidden)]
    pub fn mount(&self, root: &str, store: Arc<dyn ObjectStore>) {
        self.state().buckets.mount(root, store);
    }
}

impl StoreState {
    fn new(settings: StoreSettings, expected: BTreeMap<String, ExpectedShard>) -> Self {
        let folder = CacheFolder::new(settings.cache.clone(), settings.cache_bytes);
        Self {
            buckets: Buckets::new(settings.patience),
            cache: ShardCache::new(folder, settings.patience),
            settings,
            expected: RwLock::new(expected),
            queue: FetchQueue::default(),
            runtime: OnceLock::new(),
            fetchers: OnceLock::new(),
            scratch: OnceLock::new(),
        }
    }

    fn runtime(&self) -> Result<&Runtime> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let built =
            built.map_err(|source| Error::Disk { path: "threads for requests".to_owned(), source })?;
        Ok(self.runtime.get_or_init(|| built))
    }

    /// Asks a store something, again where that may help.
    fn ask<T, F: Future<Output = Result<T>>>(
        &self,
        url: &str,
        request: impl Fn(ObjectPlace, usize) -> F,
    ) -> Result<T> {
        let place = self.buckets.find(url)?;
        let runtime = self.runtime()?;
        try_again(url, self.settings.patience, |tries| runtime.block_on(request(place.clone(), tries)))
    }

    fn read_expected(&self) -> RwLockReadGuard<'_, BTreeMap<String, ExpectedShard>> {
        self.expected.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_expected(&self, url: &str) -> Result<ExpectedShard> {
        self.read_expected().get(url).cloned().ok_or(Error::Unlisted)
    }

    fn open(&self, url: &str, waits: bool) -> Result<Option<File>> {
        let expected = self.find_expected(url)?;
        let place = self.buckets.find(url)?;
        let wanted = WantedShard { place: &place, expected: &expected, waits };
        // Of those that others will open soon, by hash.
        let awaited: BTreeSet<String> = {
            let (urls, expected) = (self.queue.list_awaited(), self.read_expected());
            urls.iter().filter_map(|url| Some(expected.get(url)?.hash.clone())).collect()
        };
        self.cache.open(self.runtime()?.handle(), &wanted, &|hash| awaited.contains(hash))
    }

    /// Opens a shard for a reader.
    fn open_now(&self, url: &str) -> Result<File> {
        self.queue.open(url);
        let full = || Error::Store { tries: 1, reason: "the cache has no room".to_owned() };
        self.open(url, true)?.ok_or_else(full)
    }

    /// Fetches what the queue says, for the rest of the process.
    fn fetch_queued(&self) {
        loop {
            let task = self.queue.take();
            let is_here = self.find_expected(&task.url).is_ok_and(|shard| self.cache.folder.contains(&shard));
            // A failure is met again by who opens it.
            if is_here || !matches!(self.open(&task.url, false), Ok(Some(_))) {
                self.queue.skip(&task);
            }
        }
    }

    async fn list(place: ObjectPlace, tries: usize) -> Result<Vec<FolderEntry>> {
        if !place.is_bucket {
            return Err(Error::Unsupported { reason: "plain HTTP lists no folder".to_owned() });
        }
        let listed = place.store.list_with_delimiter(Some(&place.path)).await;
        let listed = listed.map_err(|e| Error::from_store(&e, tries))?;
        let last = |path: &object_store::path::Path| path.filename().unwrap_or_default().to_owned();
        let files = listed.objects.iter().map(|object| (last(&object.location), false));
        let folders = listed.common_prefixes.iter().map(|prefix| (last(prefix), true));
        let mut entries: Vec<FolderEntry> =
            files.chain(folders).map(|(name, is_folder)| FolderEntry { name, is_folder }).collect();
        entries.sort_unstable();
        Ok(entries)
    }

    async fn look_up(place: ObjectPlace, tries: usize) -> Result<RemoteFacts> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let answer = place.store.get_opts(&place.path, options).await;
        let answer = answer.map_err(|e| Error::from_store(&e, tries))?;
        let hash =
            answer.attributes.get(&Attribute::Metadata(HASH_KEY.into())).map(|hash| hash.as_ref().to_owned());
        Ok(RemoteFacts { bytes: answer.meta.size, hash })
    }

    async fn remove(place: ObjectPlace, tries: usize) -> Result<()> {
        let wrong = |e| Error::from_store(&e, tries);
        let below: Vec<_> = place.store.list(Some(&place.path)).try_collect().await.map_err(wrong)?;
        let paths = below.into_iter().map(|object| object.location).chain([place.path.clone()]);
        for path in paths {
            match place.store.delete(&path).await {
                Err(object_store::Error::NotFound { .. }) => {}
                outcome => outcome.map_err(wrong)?,
            }
        }
        Ok(())
    }

    /// Refuses to write where only reading is possible.
    fn check_writable(&self, url: &str) -> Result<()> {
        match self.buckets.find(url)?.is_bucket {
            true => Ok(()),
            false => Err(Error::Unsupported { reason: "plain HTTP is read alone".to_owned() }),
        }
    }
}

impl RemoteFiles for ObjectStores {
    fn open_shard(&self, url: &str) -> io::Result<File> {
        Ok(self.state().open_now(url)?)
    }

    fn hash_shard(&self, url: &str) -> io::Result<(u64, String)> {
        // What is opened was compared.
        self.state().open_now(url)?;
        let ExpectedShard { bytes, hash } = self.state().find_expected(url)?;
        Ok((bytes, hash))
    }

    fn read(&self, url: &str) -> io::Result<Vec<u8>> {
        Ok(self.state().ask(url, |place, tries| async move { read_object(&place, tries).await })?)
    }

    fn list(&self, url: &str) -> io::Result<Vec<FolderEntry>> {
        Ok(self.state().ask(url, StoreState::list)?)
    }

    fn look_up(&self, url: &str) -> io::Result<RemoteFacts> {
        Ok(self.state().ask(url, StoreState::look_up)?)
    }

    fn write(&self, url: &str, file: &mut File) -> io::Result<()> {
        let state = self.state();
        state.check_writable(url)?;
        let (place, runtime) = (state.buckets.find(url)?, state.runtime()?);
        let patience = state.settings.patience;
        Ok(try_again(url, patience, |tries| runtime.block_on(upload_file(&place, file, tries)))?)
    }

    fn write_new(&self, url: &str, bytes: &[u8]) -> io::Result<bool> {
        self.state().check_writable(url)?;
        Ok(self.state().ask(url, |place, tries| async move { upload_new(&place, bytes, tries).await })?)
    }

    fn remove(&self, url: &str) -> io::Result<()> {
        self.state().check_writable(url)?;
        Ok(self.state().ask(url, StoreState::remove)?)
    }

    fn expect(&self, url: &str, bytes: u64, hash: &str) {
        let expected = ExpectedShard { bytes, hash: hash.to_owned() };
        let mut known = self.state().expected.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(url.to_owned(), expected);
    }

    fn fetch_ahead(&self, urls: Vec<String>) -> Box<dyn Send + Sync> {
        let state = self.state();
        state.fetchers.get_or_init(|| {
            for number in 0..FETCHERS {
                let state = Arc::clone(state);
                let thread = std::thread::Builder::new().name(format!("fetch {number}"));
                // Without the thread shards are fetched when they are opened.
                let _ = thread.spawn(move || state.fetch_queued());
            }
        });
        Box::new(FetchGuard { list: state.queue.add(urls), state: Arc::clone(state) })
    }

    fn scratch(&self) -> io::Result<PathBuf> {
        let state = self.state();
        if let Some(folder) = state.scratch.get() {
            return Ok(folder.clone());
        }
        let folder = state.cache.folder.folder.join(SCRATCH);
        std::fs::create_dir_all(&folder).map_err(|e| Error::disk(&folder, e))?;
        // Of processes that were killed.
        remove_temporaries(&folder).map_err(io::Error::other)?;
        Ok(state.scratch.get_or_init(|| folder).clone())
    }
}

/// A list of shards that are fetched as long as this lives.
struct FetchGuard {
    list: u64,
    state: Arc<StoreState>,
}

impl Drop for FetchGuard {
    fn drop(&mut self) {
        self.state.queue.remove(self.list);
    }
}
