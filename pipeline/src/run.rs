//! Prepares a whole dataset, one task of it, or merges finished tasks; every call continues
//! where the last one, however it ended, left off.
//!
//! A task has up to two shards, of points and of views, each with a record of its own in
//! `OUT/.jepa3d/`. What has no record is made: both in one pass, or views from stored points, or
//! points alone. `finalize` merges the records: first those of the points, which makes the
//! dataset complete, then those of the views.

use std::path::Path;

use jepa3d_schemas::{Manifest, Metadata, SCHEMA_VERSION, SCHEMA_VERSION_KEY, ShapeLetters};

use crate::config::PrepareConfig;
use crate::error::{Error, Result};
use crate::execute::{Progress, execute};
use crate::finalize::finalize;
use crate::output_folder::OutputFolder;
use crate::plan::{Job, Plan, Task};
use crate::record::{Record, TaskRecord, ViewsRecord};

/// Which part of the plan to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All tasks that are not done, then the manifest.
    Whole,
    /// One task, no manifest.
    Task(usize),
    /// The manifest, from the records of all tasks.
    Finalize,
}

/// What to do, and how.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Which part of the plan.
    pub part: Part,
    /// Add views to points that are complete, and refuse to touch these.
    pub only_views: bool,
    /// Worker threads; the bytes do not depend on it.
    pub threads: usize,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The manifest, absent after a single task.
    pub manifest: Option<Manifest>,
    /// Tasks done by this call.
    pub tasks_done: usize,
    /// Tasks that were done before.
    pub tasks_skipped: usize,
    /// Objects tried and quarantined by this call.
    pub progress: Progress,
}

/// Does the requested part of the plan below the folder `out`.
///
/// Shards, records and the manifest appear under their final names only when they are whole. A
/// dataset that is complete already is left as it is; one that lacks the views of the plan, or
/// has others, gets them, and its points are left as they are.
///
/// # Errors
/// Fails if `out` belongs to another plan, another process is writing there, or the disk fails;
/// finished shards stay, and the same call continues with the rest.
pub fn run(plan: &Plan, out: &Path, request: Request, report: &mut dyn FnMut(Progress)) -> Result<Report> {
    let folder = OutputFolder::open(plan, out, request)?;
    let mut result = Report {
        manifest: None,
        tasks_done: 0,
        tasks_skipped: plan.tasks.len(),
        progress: Progress::default(),
    };
    if let Some(manifest) = folder.complete {
        result.manifest = Some(manifest);
        return Ok(result);
    }
    let part = request.part;
    let jobs = pending(plan, out, &folder, part)?;
    result.tasks_done = jobs.len();
    let concerned = if matches!(part, Part::Task(_)) { 1 } else { plan.tasks.len() };
    result.tasks_skipped = if part == Part::Finalize { 0 } else { concerned - jobs.len() };
    execute(plan, &jobs, (out, &folder.state), request.threads.max(1), &mut |progress| {
        result.progress = progress;
        report(progress);
    })?;
    if !matches!(part, Part::Task(_)) {
        result.manifest = Some(finalize(plan, out, &folder.state)?);
    }
    Ok(result)
}

/// What `part` still has to do.
fn pending<'a>(plan: &'a Plan, out: &Path, folder: &OutputFolder, part: Part) -> Result<Vec<Job<'a>>> {
    let job = |task: &'a Task| {
        let (state, number) = (&folder.state, task.number);
        let points = !folder.has_points && TaskRecord::read(state, out, number, &plan.hash).is_none();
        let is_open = |hash: &String| ViewsRecord::read(state, out, number, hash).is_none();
        let views = plan.views_hash.as_ref().is_some_and(is_open);
        (points || views).then_some(Job { task, points, views })
    };
    match part {
        Part::Finalize => Ok(Vec::new()),
        Part::Whole => Ok(plan.tasks.iter().filter_map(job).collect()),
        Part::Task(number) => match plan.tasks.get(number) {
            Some(task) => Ok(job(task).into_iter().collect()),
            None => Err(Error::NoSuchTask { task: number, total: plan.tasks.len() }),
        },
    }
}

impl Plan {
    /// The key-value pairs in the footer of every points shard of this plan.
    pub(crate) fn shard_metadata(&self) -> Metadata {
        let config = self.config.of_points();
        self.metadata(self.config.points_shape(), &config)
    }

    /// The key-value pairs in the footer of every views shard of this plan.
    pub(crate) fn views_metadata(&self) -> Metadata {
        let config = PrepareConfig { views: self.config.views.clone(), ..self.config.of_points() };
        let mut metadata = self.metadata(self.config.shape(), &config);
        let views = self.views_hash.clone().unwrap_or_default();
        metadata.push((VIEWS_PLAN_KEY.to_owned(), views));
        metadata
    }

    fn metadata(&self, shape: ShapeLetters, config: &PrepareConfig) -> Metadata {
        let shape = serde_json::to_string(&shape).expect("letters serialise");
        let pairs = [
            (SCHEMA_VERSION_KEY, SCHEMA_VERSION.to_string()),
            ("jepa3d.tool_version", env!("CARGO_PKG_VERSION").to_owned()),
            (PLAN_KEY, self.hash.clone()),
            ("jepa3d.split_hash", self.split_hash.clone()),
            ("jepa3d.shape", shape),
            ("jepa3d.config", config.to_toml()),
        ];
        pairs.map(|(key, value)| (key.to_owned(), value)).to_vec()
    }
}

/// Footer key of the plan of a shard.
pub(crate) const PLAN_KEY: &str = "jepa3d.plan";
/// Footer key of the plan of the views.
pub(crate) const VIEWS_PLAN_KEY: &str = "jepa3d.views_plan";
