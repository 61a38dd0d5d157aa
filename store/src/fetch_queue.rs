//! Shards that will be needed, in the order in which they will be: who asks for what, and how far ahead of the readers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex};

use crate::shard_cache::lock;

/// Shards that were fetched for a reader and not opened yet, at most.
const AHEAD: usize = 8;

/// The lists of all readers.
#[derive(Debug, Default)]
pub(crate) struct FetchQueue {
    lists: Mutex<FetchLists>,
    has_changed: Condvar,
}

#[derive(Debug, Default)]
struct FetchLists {
    next: u64,
    by_number: BTreeMap<u64, FetchList>,
}

/// What one reader will need.
#[derive(Debug, Default)]
struct FetchList {
    urls: VecDeque<String>,
    /// Fetched, or being fetched, and not opened yet.
    awaited: BTreeSet<String>,
}

/// A shard that is to be fetched next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FetchTask {
    pub list: u64,
    pub url: String,
}

impl FetchQueue {
    /// Takes a list; gives its number.
    pub(crate) fn add(&self, urls: Vec<String>) -> u64 {
        let mut lists = lock(&self.lists);
        let number = lists.next;
        lists.next += 1;
        lists.by_number.insert(number, FetchList { urls: urls.into(), awaited: BTreeSet::new() });
        self.has_changed.notify_all();
        number
    }

    /// Forgets a list.
    pub(crate) fn remove(&self, list: u64) {
        lock(&self.lists).by_number.remove(&list);
    }

    /// The next shard to fetch, of the youngest list that is not far enough ahead; waits until there is one.
    pub(crate) fn take(&self) -> FetchTask {
        let mut lists = lock(&self.lists);
        loop {
            let is_behind = |list: &FetchList| list.awaited.len() < AHEAD && !list.urls.is_empty();
            if let Some((&number, list)) = lists.by_number.iter_mut().rev().find(|(_, list)| is_behind(list))
                && let Some(url) = list.urls.pop_front()
            {
                if list.awaited.insert(url.clone()) {
                    return FetchTask { list: number, url };
                }
                continue;
            }
            lists = self.has_changed.wait(lists).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// A shard need not be awaited: it was there already, or was not fetched.
    pub(crate) fn skip(&self, task: &FetchTask) {
        if let Some(list) = lock(&self.lists).by_number.get_mut(&task.list) {
            list.awaited.remove(&task.url);
        }
        self.has_changed.notify_all();
    }

    /// A reader opens a shard.
    pub(crate) fn open(&self, url: &str) {
        let mut is_awaited = false;
        for list in lock(&self.lists).by_number.values_mut() {
            is_awaited |= list.awaited.remove(url);
        }
        if is_awaited {
            self.has_changed.notify_all();
        }
    }

    /// The shards that are awaited.
    pub(crate) fn list_awaited(&self) -> BTreeSet<String> {
        lock(&self.lists).by_number.values().flat_map(|list| list.awaited.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_fetched_in_order_and_no_further_ahead_than_it_may_be() {
        let queue = FetchQueue::default();
        let urls: Vec<String> = (0..20).map(|i| format!("s3://b/{i}")).collect();
        let list = queue.add(urls.iter().chain(&urls[..1]).cloned().collect());
        for url in &urls[..AHEAD] {
            assert_eq!(queue.take(), FetchTask { list, url: url.clone() });
        }
        assert_eq!(queue.list_awaited(), urls[..AHEAD].iter().cloned().collect());
        // A younger list goes first.
        let second = queue.add(vec!["s3://b/x".into()]);
        let task = queue.take();
        assert_eq!(task, FetchTask { list: second, url: "s3://b/x".into() });
        queue.skip(&task);
        queue.open("s3://b/3");
        assert_eq!(queue.take().url, urls[AHEAD]);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.take().url);
            queue.open("s3://b/nobody waits for it");
            queue.open("s3://b/0");
            assert_eq!(waiting.join().unwrap(), urls[AHEAD + 1]);
        });
        queue.remove(list);
        assert!(queue.list_awaited().is_empty());
    }
}
