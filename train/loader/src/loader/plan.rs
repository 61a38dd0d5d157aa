//! What an epoch reads when: its order, the first need of every row group, and the decoded ones.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::row_group::Decoded;
use crate::epoch_order::{RowAt, Schedule};
use crate::error::Error;

/// A row group that is, or is about to be, decoded; whoever comes first decodes it, others wait.
pub(super) type Cell = OnceLock<Result<Decoded, Arc<Error>>>;

/// Rows in memory, now and at most.
#[derive(Debug, Default)]
pub(super) struct Resident {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Resident {
    pub fn add(&self, rows: usize) {
        let now = self.now.fetch_add(rows, Ordering::Relaxed) + rows;
        self.most.fetch_max(now, Ordering::Relaxed);
    }

    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

/// The row groups of a split, each kept from its first use to its last.
pub(super) struct Slots {
    slots: Vec<Mutex<Slot>>,
    /// A shuffle buffer that holds the split keeps what was decoded.
    keep: bool,
    resident: Arc<Resident>,
}

#[derive(Default)]
struct Slot {
    cell: Option<Arc<Cell>>,
    /// Batches that still need it.
    left: usize,
}

impl Slots {
    pub fn new(groups: usize, keep: bool, resident: Arc<Resident>) -> Self {
        Self { slots: (0..groups).map(|_| Mutex::default()).collect(), keep, resident }
    }

    fn slot(&self, group: u32) -> MutexGuard<'_, Slot> {
        // A slot is whole whatever panicked while it was locked.
        self.slots[group as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of a row group, decoded or not.
    pub fn cell(&self, group: u32) -> Arc<Cell> {
        Arc::clone(self.slot(group).cell.get_or_insert_default())
    }

    /// A batch has taken its rows from `group`.
    fn release(&self, group: u32) {
        let mut slot = self.slot(group);
        slot.left = slot.left.saturating_sub(1);
        if slot.left > 0 || self.keep {
            return;
        }
        if let Some(Ok(decoded)) = slot.cell.take().as_ref().and_then(|cell| cell.get()) {
            self.resident.now.fetch_sub(decoded.rows, Ordering::Relaxed);
        }
    }
}

/// An epoch, from the step where the run enters it.
pub(super) struct Plan {
    /// The rows of the whole epoch.
    pub order: Vec<RowAt>,
    pub slots: Arc<Slots>,
    /// (step, row group): when each row group is needed first, ascending.
    needs: Vec<(u64, u32)>,
    next_need: AtomicUsize,
    /// Batches not yet made.
    batches_left: AtomicU64,
}

impl Plan {
    /// Plans the steps from `first` on.
    pub fn new(order: Vec<RowAt>, slots: Arc<Slots>, schedule: &Schedule, first: u64) -> Self {
        let steps = schedule.steps_per_epoch();
        let (mut needs, mut seen) = (Vec::new(), vec![false; slots.slots.len()]);
        for step in first..steps {
            for group in groups_of(&order[schedule.locate(step).1]) {
                slots.slot(group).left += 1;
                if !std::mem::replace(&mut seen[group as usize], true) {
                    needs.push((step, group));
                }
            }
        }
        let batches_left = AtomicU64::new(steps - first);
        Self { order, slots, needs, next_need: AtomicUsize::new(0), batches_left }
    }

    /// Claims the next row group that a step up to `horizon` needs and nobody has claimed.
    pub fn claim(&self, horizon: u64) -> Option<u32> {
        let within = |next: usize| self.needs.get(next).is_some_and(|&(step, _)| step <= horizon);
        let claimed = self
            .next_need
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| within(next).then_some(next + 1));
        claimed.ok().map(|next| self.needs[next].1)
    }
}

/// The distinct row groups of rows, ascending.
pub(super) fn groups_of(rows: &[RowAt]) -> Vec<u32> {
    let mut groups: Vec<u32> = rows.iter().map(|at| at.group).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// The plans of the epochs that threads are in.
#[derive(Default)]
pub(super) struct Plans(Mutex<BTreeMap<u64, Arc<Plan>>>);

impl Plans {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Plan>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plan of `epoch`, made if this is the first to ask.
    pub fn of(&self, epoch: u64, make: impl FnOnce() -> Plan) -> Arc<Plan> {
        Arc::clone(self.lock().entry(epoch).or_insert_with(|| Arc::new(make())))
    }

    /// A batch of `epoch` that used `groups` is made; the plan goes with its last one.
    pub fn finish(&self, epoch: u64, plan: &Plan, groups: &[u32]) {
        groups.iter().for_each(|&group| plan.slots.release(group));
        if plan.batches_left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.lock().remove(&epoch);
        }
    }
}
