//! The decoded row groups of a split, each held from its first use to its last.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use super::lock::lock;
use super::row_group::DecodedRowGroup;
use crate::error::Error;

/// A row group that is, or is about to be, decoded; whoever comes first decodes it, others wait.
pub(super) type DecodingCell = OnceLock<Result<DecodedRowGroup, Arc<Error>>>;

/// Rows in memory, now and at most.
#[derive(Debug, Default)]
pub(super) struct HeldRows {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl HeldRows {
    pub fn add(&self, rows: usize) {
        let now = self.now.fetch_add(rows, Ordering::Relaxed) + rows;
        self.most.fetch_max(now, Ordering::Relaxed);
    }

    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

/// The row groups of a split.
pub(super) struct HeldGroups {
    groups: Vec<Mutex<HeldGroup>>,
    /// A shuffle buffer that holds the split keeps what was decoded.
    keep: bool,
    held: Arc<HeldRows>,
}

#[derive(Default)]
struct HeldGroup {
    cell: Option<Arc<DecodingCell>>,
    /// Batches that still need it.
    users: usize,
}

impl HeldGroups {
    pub fn new(groups: usize, keep: bool, held: Arc<HeldRows>) -> Self {
        Self { groups: (0..groups).map(|_| Mutex::default()).collect(), keep, held }
    }

    pub fn len(&self) -> usize {
        self.groups.len()
    }

    fn lock_group(&self, group: u32) -> MutexGuard<'_, HeldGroup> {
        lock(&self.groups[group as usize])
    }

    /// Where a row group is decoded to, or was.
    pub fn cell(&self, group: u32) -> Arc<DecodingCell> {
        Arc::clone(self.lock_group(group).cell.get_or_insert_default())
    }

    /// One more batch will take rows from `group`.
    pub fn add_user(&self, group: u32) {
        self.lock_group(group).users += 1;
    }

    /// A batch has taken its rows from `group`; the last one drops it.
    pub fn release(&self, group: u32) {
        let mut held = self.lock_group(group);
        held.users = held.users.saturating_sub(1);
        if held.users > 0 || self.keep {
            return;
        }
        if let Some(Ok(decoded)) = held.cell.take().as_ref().and_then(|cell| cell.get()) {
            self.held.now.fetch_sub(decoded.rows, Ordering::Relaxed);
        }
    }
}
