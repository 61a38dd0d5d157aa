//! What is asked of a run, and what it reports: the words that its steps share.

use std::collections::BTreeMap;

use jepa3d_schemas::Manifest;

use crate::warnings::WarningCount;

/// Which part of the plan to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanPart {
    /// All tasks that are not done, then the manifest.
    Whole,
    /// One task, no manifest.
    Task(usize),
    /// The manifest, from the records of all tasks.
    Finalize,
}

impl PlanPart {
    /// Whether other processes may do other parts at the same time: tasks share the output folder.
    pub(crate) fn shares_folder(self) -> bool {
        matches!(self, Self::Task(_))
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
    /// The manifest, absent after a single task.
    pub manifest: Option<Manifest>,
    /// Tasks done by this call.
    pub tasks_done: usize,
    /// Tasks that were done before.
    pub tasks_skipped: usize,
    /// Objects tried and quarantined by this call.
    pub progress: Progress,
    /// Objects with a warning, by its name: of the whole dataset, or of the single task.
    pub warnings: BTreeMap<String, WarningCount>,
    /// Objects that were quarantined for too few points, all of which `cloud.too_few = "repeat"` keeps.
    pub too_few: usize,
}
