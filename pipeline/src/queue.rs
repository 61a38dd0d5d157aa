//! Hands out pieces of work in order, no further ahead of the writer than a window allows.

use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Pieces of row groups: the number of the group, and the objects of its task.
pub(crate) struct Queue {
    pieces: Vec<(usize, Range<usize>)>,
    window: usize,
    state: Mutex<QueueState>,
    moved: Condvar,
}

#[derive(Default)]
struct QueueState {
    next: usize,
    written: usize,
    stopped: bool,
}

/// A lock that does not care whether a worker panicked: none does while it holds one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    /// A queue that hands out pieces of at most `window` row groups from the one being written.
    pub(crate) fn new(pieces: Vec<(usize, Range<usize>)>, window: usize) -> Self {
        Self { pieces, window, state: Mutex::default(), moved: Condvar::new() }
    }

    /// The next piece, as soon as the window reaches it; `None` at the end.
    pub(crate) fn take(&self) -> Option<(usize, Range<usize>)> {
        let mut state = lock(&self.state);
        loop {
            let (group, objects) = self.pieces.get(state.next).filter(|_| !state.stopped)?;
            if *group < state.written + self.window {
                state.next += 1;
                return Some((*group, objects.clone()));
            }
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that all row groups below `groups` are written.
    pub(crate) fn written(&self, groups: usize) {
        lock(&self.state).written = groups;
        self.moved.notify_all();
    }

    fn stop(&self) {
        lock(&self.state).stopped = true;
        self.moved.notify_all();
    }
}

/// Stops the queue when the writer leaves, by success, error or panic.
pub(crate) struct StopOnDrop<'a>(pub(crate) &'a Queue);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
