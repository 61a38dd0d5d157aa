//! What an epoch reads when: its order, and the first need of every row group.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jepa3d_schemas::FetchAhead;

use super::held_groups::HeldGroups;
use super::lock::lock;
use crate::batch_positions::BatchPositions;
use crate::mixed_order::ShownRow;

/// An epoch, from the step where the run enters it.
pub(super) struct EpochPlan {
    /// The rows of the whole epoch.
    pub order: Vec<ShownRow>,
    pub groups: Arc<HeldGroups>,
    /// When each row group is needed first, ascending.
    needs: Vec<FirstNeed>,
    next_need: AtomicUsize,
    /// Batches not yet made.
    batches_left: AtomicU64,
    /// The shards of these row groups, on their way from an object store.
    pub _ahead: FetchAhead,
}

struct FirstNeed {
    step: u64,
    group: u32,
}

impl EpochPlan {
    /// Plans the steps from `first` on.
    pub fn new(
        order: Vec<ShownRow>,
        groups: Arc<HeldGroups>,
        positions: &BatchPositions,
        first: u64,
    ) -> Self {
        let steps = positions.steps_per_epoch();
        let (mut needs, mut seen) = (Vec::new(), vec![false; groups.len()]);
        for step in first..steps {
            for group in list_groups(&order[positions.locate(step).1]) {
                groups.add_user(group);
                if !std::mem::replace(&mut seen[group as usize], true) {
                    needs.push(FirstNeed { step, group });
                }
            }
        }
        let batches_left = AtomicU64::new(steps - first);
        Self {
            order,
            groups,
            needs,
            next_need: AtomicUsize::new(0),
            batches_left,
            _ahead: FetchAhead::default(),
        }
    }

    /// The row groups in the order in which they are needed first.
    pub fn list_needs(&self) -> impl Iterator<Item = u32> {
        self.needs.iter().map(|need| need.group)
    }

    /// Claims the next row group that a step up to `horizon` needs and nobody has claimed.
    pub fn claim(&self, horizon: u64) -> Option<u32> {
        let within = |next: usize| self.needs.get(next).is_some_and(|need| need.step <= horizon);
        let claimed = self
            .next_need
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| within(next).then_some(next + 1));
        claimed.ok().map(|next| self.needs[next].group)
    }
}

/// The distinct row groups of rows, ascending.
pub(super) fn list_groups(rows: &[ShownRow]) -> Vec<u32> {
    let mut groups: Vec<u32> = rows.iter().map(|row| row.at.group).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// The plans of the epochs that threads are in.
#[derive(Default)]
pub(super) struct EpochPlans(Mutex<BTreeMap<u64, Arc<EpochPlan>>>);

impl EpochPlans {
    /// The plan of `epoch`, made if this is the first to ask.
    pub fn get_or_make(&self, epoch: u64, make: impl FnOnce() -> EpochPlan) -> Arc<EpochPlan> {
        Arc::clone(lock(&self.0).entry(epoch).or_insert_with(|| Arc::new(make())))
    }

    /// A batch of `epoch` that used `groups` is made; the plan goes with its last one.
    pub fn finish_batch(&self, epoch: u64, plan: &EpochPlan, groups: &[u32]) {
        groups.iter().for_each(|&group| plan.groups.release(group));
        if plan.batches_left.fetch_sub(1, Ordering::Relaxed) == 1 {
            lock(&self.0).remove(&epoch);
        }
    }
}
