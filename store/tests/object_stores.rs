//! Object stores through their one interface, over a store in memory that fails as networks do.

#![allow(clippy::unwrap_used, reason = "helpers beside the tests unwrap as they do")]

mod failing_store;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use failing_store::{FailingStore, Fault};
use jepa3d_schemas::{FolderEntry, RemoteFiles};
use jepa3d_store::{ObjectStores, StoreSettings};

const ROOT: &str = "s3://bucket";

fn settings(cache: &Path, cache_bytes: u64) -> StoreSettings {
    StoreSettings { cache: cache.to_owned(), cache_bytes, patience: Duration::from_secs(5) }
}

fn open_stores(cache: &Path, cache_bytes: u64, store: &Arc<FailingStore>) -> ObjectStores {
    let stores = ObjectStores::new(settings(cache, cache_bytes));
    stores.mount(ROOT, Arc::clone(store) as _);
    stores
}

fn body(number: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| ((i * 31 + number * 7) % 251) as u8).collect()
}

/// Puts shard `number` into the store, and tells what a manifest would say of it.
fn put_shard(stores: &ObjectStores, number: usize, bytes: usize) -> String {
    let (url, body) = (format!("{ROOT}/set/points/{number:03}.parquet"), body(number, bytes));
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&body).unwrap();
    stores.write(&url, &mut file).unwrap();
    stores.expect(&url, bytes as u64, blake3::hash(&body).to_hex().as_str());
    url
}

fn read_shard(stores: &ObjectStores, url: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    stores.open_shard(url).map_err(|e| e.to_string())?.read_to_end(&mut bytes).unwrap();
    Ok(bytes)
}

/// Bytes of shards and parts of them in a cache, while none gets its name.
fn measure(cache: &Path) -> u64 {
    let lock = std::fs::File::options().create(true).append(true).open(cache.join("lock")).unwrap();
    lock.lock_shared().unwrap();
    let files = std::fs::read_dir(cache).into_iter().flatten().flatten();
    let lengths = files.filter_map(|file| file.metadata().ok()).filter(|facts| facts.is_file());
    lengths.map(|facts| facts.len()).sum()
}

#[test]
fn a_shard_is_fetched_once_and_survives_the_process() {
    let (cache, store) = (tempfile::tempdir().unwrap(), Arc::new(FailingStore::default()));
    let stores = open_stores(cache.path(), 1 << 20, &store);
    let url = put_shard(&stores, 0, 1000);
    for _ in 0..3 {
        assert_eq!(read_shard(&stores, &url).unwrap(), body(0, 1000));
        assert_eq!(
            stores.hash_shard(&url).unwrap(),
            (1000, blake3::hash(&body(0, 1000)).to_hex().to_string())
        );
    }
    assert_eq!(store.gets(), 1);
    let later = open_stores(cache.path(), 1 << 20, &store);
    assert!(read_shard(&later, &url).unwrap_err().contains("that the manifest names"));
    put_shard(&later, 0, 1000);
    assert_eq!(read_shard(&later, &url).unwrap(), body(0, 1000));
    assert_eq!(store.gets(), 1, "it is in the cache");
}

#[test]
fn what_is_cut_or_changed_is_fetched_again_and_then_named() {
    for (fault, what) in
        [(Fault::Cut, "bytes: expected 1000, found 500"), (Fault::Flip, "content hash: expected ")]
    {
        let (cache, store) = (tempfile::tempdir().unwrap(), Arc::new(FailingStore::default()));
        let stores = open_stores(cache.path(), 1 << 20, &store);
        let url = put_shard(&stores, 1, 1000);
        store.fail_next(&[fault, fault]);
        assert_eq!(read_shard(&stores, &url).unwrap(), body(1, 1000), "{what}");
        assert_eq!(store.gets(), 3);
        let url = put_shard(&stores, 2, 1000);
        store.fail_next(&[fault; 100]);
        let error = read_shard(&stores, &url).unwrap_err();
        assert!(error.starts_with(what) && error.ends_with("after 4 tries"), "{error}");
        assert_eq!(measure(cache.path()), 1000, "nothing of it is left");
        store.fail_next(&[]);
        assert_eq!(read_shard(&stores, &url).unwrap(), body(2, 1000), "the next one may have it");
    }
}

#[test]
fn a_shard_that_the_disk_damaged_is_fetched_again_by_the_next_process() {
    let (cache, store) = (tempfile::tempdir().unwrap(), Arc::new(FailingStore::default()));
    let stores = open_stores(cache.path(), 1 << 20, &store);
    let url = put_shard(&stores, 0, 1000);
    read_shard(&stores, &url).unwrap();
    let name = format!("{}.parquet", blake3::hash(&body(0, 1000)).to_hex());
    for damaged in [vec![0; 1000], vec![0; 10]] {
        std::fs::write(cache.path().join(&name), damaged).unwrap();
        let later = open_stores(cache.path(), 1 << 20, &store);
        put_shard(&later, 0, 1000);
        assert_eq!(read_shard(&later, &url).unwrap(), body(0, 1000));
    }
    assert_eq!(store.gets(), 3);
}

#[test]
fn the_cache_never_holds_more_than_it_may() {
    const BOUND: u64 = 10_000;
    let (cache, store) = (tempfile::tempdir().unwrap(), Arc::new(FailingStore::default()));
    let stores = open_stores(cache.path(), BOUND, &store);
    let urls: Vec<String> = (0..40).map(|i| put_shard(&stores, i, 700 + 40 * i)).collect();
    // What a killed process leaves, and what is not ours.
    std::fs::write(cache.path().join("00.1-1.part"), [0; 9000]).unwrap();
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !ends.load(Ordering::Relaxed) {
                most = most.max(measure(cache.path()));
            }
            most
        });
        let readers: Vec<_> = (0..3)
            .map(|reader| {
                let (stores, urls) = (stores.clone(), &urls);
                scope.spawn(move || {
                    let list: Vec<String> =
                        (0..200).map(|i| urls[(i * (7 + reader * 4)) % 40].clone()).collect();
                    let _ahead = stores.fetch_ahead(list.clone());
                    for url in list {
                        let number: usize = url[url.len() - 11..url.len() - 8].parse().unwrap();
                        assert_eq!(read_shard(&stores, &url).unwrap(), body(number, 700 + 40 * number));
                    }
                })
            })
            .collect();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        ends.store(true, Ordering::Relaxed);
        let most = watch.join().unwrap();
        // The leftover is there until the first shard comes.
        assert!(most <= BOUND, "{most} bytes");
        assert!(most > BOUND / 2, "{most} bytes: the cache is used");
    });
}

#[test]
fn a_shard_in_use_stays_and_one_that_cannot_fit_is_an_error() {
    let (cache, store) = (tempfile::tempdir().unwrap(), Arc::new(FailingStore::default()));
    let stores = open_stores(cache.path(), 2500, &store);
    let urls: Vec<String> = (0..4).map(|i| put_shard(&stores, i, 1000)).collect();
    let held = stores.open_shard(&urls[0]).unwrap();
    for url in &urls[1..] {
        read_shard(&stores, url).unwrap();
    }
    let before = store.gets();
    read_shard(&stores, &urls[0]).unwrap();
    assert_eq!(store.gets(), before, "it was in use and stayed");
    drop(held);
    let large = put_shard(&stores, 9, 2501);
    let error = read_shard(&stores, &large).unwrap_err();
    assert!(error.contains("may hold 2500 bytes: expected room for 2501 more"), "{error}");
    assert!(error.contains("--cache-bytes"), "{error}");
}

#[test]
fn shards_come_before_they_are_opened() {
    let (cache, store) = (tempfile::tempdir().unwrap(), Arc::new(FailingStore::default()));
    let stores = open_stores(cache.path(), 1 << 20, &store);
    let urls: Vec<String> = (0..30).map(|i| put_shard(&stores, i, 1000)).collect();
    let ahead = stores.fetch_ahead(urls.clone());
    store.wait_for_gets(8);
    assert_eq!(store.gets(), 8, "no further ahead");
    read_shard(&stores, &urls[0]).unwrap();
    store.wait_for_gets(9);
    assert_eq!(store.gets(), 9, "one was opened, one more is fetched");
    drop(ahead);
    urls.iter().for_each(|url| drop(read_shard(&stores, url).unwrap()));
    assert_eq!(store.gets(), 30, "none twice");
}

#[test]
fn files_are_written_listed_and_removed() {
    let (cache, store) = (tempfile::tempdir().unwrap(), Arc::new(FailingStore::default()));
    let stores = open_stores(cache.path(), 1 << 20, &store);
    let entry = |name: &str, is_folder| FolderEntry { name: name.into(), is_folder };
    assert_eq!(stores.list("s3://bucket/set").unwrap(), []);
    assert!(stores.write_new("s3://bucket/set/.jepa3d/plan.txt", b"one").unwrap());
    assert!(!stores.write_new("s3://bucket/set/.jepa3d/plan.txt", b"two").unwrap(), "the first stays");
    assert_eq!(stores.read("s3://bucket/set/.jepa3d/plan.txt").unwrap(), b"one");
    // Larger than a part.
    let url = put_shard(&stores, 0, 40_000_000);
    let facts = stores.look_up(&url).unwrap();
    assert_eq!((facts.bytes, facts.hash), (40_000_000, Some(stores_hash(0, 40_000_000))));
    assert_eq!(stores.list("s3://bucket/set/").unwrap(), [entry(".jepa3d", true), entry("points", true)]);
    assert_eq!(stores.list("s3://bucket/set/points").unwrap(), [entry("000.parquet", false)]);
    for _ in 0..2 {
        stores.remove("s3://bucket/set/.jepa3d").unwrap();
    }
    assert_eq!(stores.list("s3://bucket/set").unwrap(), [entry("points", true)]);
    let error = stores.read("s3://bucket/set/.jepa3d/plan.txt").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    let error = stores.look_up("s3://bucket/set/none").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

fn stores_hash(number: usize, bytes: usize) -> String {
    blake3::hash(&body(number, bytes)).to_hex().to_string()
}

#[test]
fn http_is_read_and_not_written() {
    let cache = tempfile::tempdir().unwrap();
    let stores = ObjectStores::new(settings(cache.path(), 1 << 20));
    let kind = |result: std::io::Result<()>| result.unwrap_err().kind();
    let unsupported = std::io::ErrorKind::Unsupported;
    assert_eq!(kind(stores.write("https://example.org/x", &mut tempfile::tempfile().unwrap())), unsupported);
    assert_eq!(kind(stores.list("https://example.org/set").map(drop)), unsupported);
    assert_eq!(kind(stores.remove("https://example.org/x")), unsupported);
}

#[test]
fn many_processes_share_a_folder() {
    // Two caches over one folder are what two processes are.
    let (cache, store) = (tempfile::tempdir().unwrap(), Arc::new(FailingStore::default()));
    let both = [(); 2].map(|()| open_stores(cache.path(), 3000, &store));
    let mut sizes = BTreeMap::new();
    for number in 0..6 {
        for stores in &both {
            sizes.insert(number, put_shard(stores, number, 900));
        }
    }
    std::thread::scope(|scope| {
        for stores in &both {
            let sizes = &sizes;
            scope.spawn(move || {
                for round in 0..30 {
                    let number = (round * 5) % 6;
                    assert_eq!(read_shard(stores, &sizes[&number]).unwrap(), body(number, 900));
                    assert!(measure(cache_of(stores)) <= 3000);
                }
            });
        }
    });
    fn cache_of(stores: &ObjectStores) -> &Path {
        // The scratch folder lies in the cache.
        let scratch = Box::leak(stores.scratch().unwrap().into_boxed_path());
        scratch.parent().unwrap()
    }
}
