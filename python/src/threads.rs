//! The threads that geometry runs on: as many as there are cores, made anew in a process that was forked.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::errors::fail;

/// The pool, and the process that it was made in.
static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Runs `work` on all threads, without Python's lock.
///
/// # Errors
/// Fails if threads cannot be started.
pub(crate) fn run_parallel<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    let pool = py.detach(find_pool)?;
    Ok(py.detach(|| pool.install(work)))
}

fn find_pool() -> PyResult<Arc<ThreadPool>> {
    let mut held = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, pool)) = held.as_ref().filter(|(owner, _)| *owner == process) {
        debug_assert_eq!(*owner, process);
        return Ok(Arc::clone(pool));
    }
    let pool = Arc::new(ThreadPoolBuilder::new().build().map_err(fail)?);
    // The threads of a process's parent do not exist here: nothing may wait for them.
    std::mem::forget(held.replace((process, Arc::clone(&pool))));
    Ok(pool)
}
