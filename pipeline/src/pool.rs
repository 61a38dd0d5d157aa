//! Threads for work on many objects or shards at once.

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// A pool of `threads` threads, at least one.
///
/// # Errors
/// Fails if the system refuses them.
pub(crate) fn build_pool(threads: usize) -> Result<ThreadPool> {
    let threads = threads.max(1);
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|reason| Error::Threads { threads, reason: reason.to_string() })
}
