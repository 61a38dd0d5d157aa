//! What is asked of a run, and what it reports: the words that its steps share.

use std::collections::BTreeMap;
use std::iter::StepBy;
use std::ops::Range;

use jepa3d_schemas::Manifest;

use crate::warnings::WarningCount;

/// Which part of the plan to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanPart {
    /// All tasks that are not done, then the manifest.
    Whole,
    /// One task, no manifest.
    Task(usize),
    /// Every `step`-th task from `first` on, no manifest: a share of the plan for one of `step` jobs.
    Share {
        /// Number of its first task; one beyond the plan leaves nothing to do.
        first: usize,
        /// Number of shares.
        step: usize,
    },
    /// The manifest, from the records of all tasks.
    Finalize,
}

impl PlanPart {
    /// Whether other processes may do other parts at the same time: tasks share the output folder.
    pub(crate) fn shares_folder(self) -> bool {
        matches!(self, Self::Task(_) | Self::Share { .. })
    }

    /// Numbers of the tasks that it is about, of a plan with `total`.
    pub(crate) fn numbers(self, total: usize) -> StepBy<Range<usize>> {
        match self {
            Self::Whole | Self::Finalize => (0..total).step_by(1),
            Self::Task(number) => (number..total.min(number + 1)).step_by(1),
            Self::Share { first, step } => (first.min(total)..total).step_by(step.max(1)),
        }
    }
}

/// What to do, and how.
#[derive(Clone, Copy, Debug)]
pub struct PrepareRequest {
    /// Which part of the plan.
    pub part: PlanPart,
    /// Add views to points that are complete, and refuse to touch these.
    pub only_views: bool,
    /// Worker threads; the bytes do not depend on it.
    pub threads: usize,
}

/// How far a run is, reported as objects are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Objects of this invocation.
    pub total: usize,
    /// Objects tried so far.
    pub done: usize,
    /// Objects that became samples, where points were made.
    pub written: usize,
    /// Objects without sample, or with fewer views than wanted.
    pub quarantined: usize,
    /// Views made so far.
    pub views: usize,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq)]
pub struct PrepareReport {
    /// The manifest, absent after a single task or a share.
    pub manifest: Option<Manifest>,
    /// Tasks done by this call.
    pub tasks_done: usize,
    /// Tasks that were done before.
    pub tasks_skipped: usize,
    /// Objects tried and quarantined by this call.
    pub progress: Progress,
    /// Objects of the dataset, or of the tasks that were asked for.
    pub objects: usize,
    /// Objects and views of these that are quarantined, by this call or one before.
    pub failures: usize,
    /// Objects with a warning, by its name: of the whole dataset, or of the tasks that were asked for.
    pub warnings: BTreeMap<String, WarningCount>,
    /// Objects that were quarantined for too few points, all of which `cloud.too_few = "repeat"` keeps.
    pub too_few: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_every_task_once() {
        for (total, step) in [(21, 8), (8, 8), (3, 8), (21, 1)] {
            let share = |first| PlanPart::Share { first, step }.numbers(total);
            let mut all: Vec<usize> = (0..step).flat_map(share).collect();
            all.sort_unstable();
            assert_eq!(all, (0..total).collect::<Vec<_>>(), "{step} shares of {total}");
        }
        assert_eq!(PlanPart::Share { first: 2, step: 8 }.numbers(21).collect::<Vec<_>>(), [2, 10, 18]);
        assert_eq!(PlanPart::Task(20).numbers(21).collect::<Vec<_>>(), [20]);
        assert_eq!(PlanPart::Whole.numbers(3).count(), 3);
    }
}
