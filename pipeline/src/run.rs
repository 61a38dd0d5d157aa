//! Prepares a whole dataset, one task of it, or merges finished tasks; every call continues
//! where the last one, however it ended, left off.
//!
//! A task has up to two shards, of points and of views, each with a record of its own in
//! `OUT/.jepa3d/`. What has no record is made: both in one pass, or views from stored points, or
//! points alone. `finalize` merges the records: first those of the points, which makes the
//! dataset complete, then those of the views.

use std::path::Path;

use jepa3d_schemas::Manifest;

use crate::error::{Error, Result};
use crate::execute::execute;
use crate::finalize::finalize;
use crate::output_folder::OutputFolder;
use crate::plan::{PreparePlan, ShardJob, ShardTask};
use crate::record::{PointsRecord, ShardRecord, ViewsRecord};
use crate::reopen::{reopen_points, reopen_views};
use crate::request::{PlanPart, PrepareReport, PrepareRequest, Progress};

/// Does the requested part of the plan below the folder `out`; `report` hears of every object.
///
/// Shards, records and the manifest appear under their final names only when they are whole. A
/// dataset that is complete already is left as it is; one that lacks the views of the plan, or
/// has others, gets them, and its points are left as they are.
///
/// # Errors
/// Fails if `out` belongs to another plan, another process is writing there, or the disk fails;
/// finished shards stay, and the same call continues with the rest.
pub fn run(
    plan: &PreparePlan,
    out: &Path,
    request: PrepareRequest,
    report: &mut dyn FnMut(Progress),
) -> Result<PrepareReport> {
    let folder = OutputFolder::new(out);
    check_request(plan, &folder, request)?;
    if let Some(manifest) = find_finished(plan, &folder)? {
        folder.clear_temporaries()?;
        return Ok(nothing_done(plan, manifest));
    }
    folder.create(plan)?;
    let _lock = folder.lock(request.part.shares_folder())?;
    if let Some(manifest) = find_finished(plan, &folder)? {
        // Another process finished the dataset before the lock was ours.
        return Ok(nothing_done(plan, manifest));
    }
    let has_points = reopen(plan, &folder, request.part)?;
    let jobs = pending_jobs(plan, &folder, has_points, request.part)?;
    let mut last = Progress::default();
    execute(plan, &folder, &jobs, request.threads.max(1), &mut |progress| {
        last = progress;
        report(progress);
    })?;
    let manifest = match request.part {
        PlanPart::Task(_) => None,
        PlanPart::Whole | PlanPart::Finalize => Some(finalize(plan, &folder)?),
    };
    let concerned = match request.part {
        PlanPart::Whole => plan.tasks.len(),
        PlanPart::Task(_) => 1,
        PlanPart::Finalize => 0,
    };
    let (tasks_done, tasks_skipped) = (jobs.len(), concerned - jobs.len());
    Ok(PrepareReport { manifest, tasks_done, tasks_skipped, progress: last })
}

/// Refuses what cannot be done to this folder.
fn check_request(plan: &PreparePlan, folder: &OutputFolder, request: PrepareRequest) -> Result<()> {
    folder.check_owner(plan)?;
    if request.only_views && plan.views_hash.is_none() {
        return Err(Error::NoViews);
    }
    if folder.find_complete_points()?.is_some() {
        return Ok(());
    }
    if request.only_views {
        return Err(Error::NoPoints { path: folder.out.clone() });
    }
    match Manifest::find(&folder.out)? {
        Some(manifest) if manifest.views.is_some() && plan.views_hash.is_none() => {
            let file = folder.find_lost(&manifest).unwrap_or_default();
            Err(Error::LostBesideViews { path: folder.out.clone(), file })
        }
        _ => Ok(()),
    }
}

/// The manifest if nothing is left to do; what a process left that died after writing it is removed.
fn find_finished(plan: &PreparePlan, folder: &OutputFolder) -> Result<Option<Manifest>> {
    let Some(manifest) = folder.find_complete(plan)? else { return Ok(None) };
    // The state of views that another config has begun is kept for it.
    if plan.views_hash.is_some() || !folder.has_unfinished_views() {
        folder.remove_state()?;
    }
    Ok(Some(manifest))
}

fn nothing_done(plan: &PreparePlan, manifest: Manifest) -> PrepareReport {
    PrepareReport {
        manifest: Some(manifest),
        tasks_done: 0,
        tasks_skipped: plan.tasks.len(),
        progress: Progress::default(),
    }
}

/// Takes apart what has to be made again; whether the points are complete and stay.
fn reopen(plan: &PreparePlan, folder: &OutputFolder, part: PlanPart) -> Result<bool> {
    folder.claim(plan)?;
    let has_points = folder.find_complete_points()?.is_some();
    let is_alone = !part.shares_folder();
    if has_points {
        reopen_views(plan, folder, is_alone)?;
    } else {
        reopen_points(plan, folder)?;
    }
    if is_alone {
        folder.clear_temporaries()?;
    }
    Ok(has_points)
}

/// What `part` still has to do.
fn pending_jobs<'a>(
    plan: &'a PreparePlan,
    folder: &OutputFolder,
    has_points: bool,
    part: PlanPart,
) -> Result<Vec<ShardJob<'a>>> {
    let job = |task: &'a ShardTask| {
        let points = !has_points && PointsRecord::read(folder, task.number, &plan.hash).is_none();
        let is_open = |hash: &String| ViewsRecord::read(folder, task.number, hash).is_none();
        let views = plan.views_hash.as_ref().is_some_and(is_open);
        (points || views).then_some(ShardJob { task, points, views })
    };
    match part {
        PlanPart::Finalize => Ok(Vec::new()),
        PlanPart::Whole => Ok(plan.tasks.iter().filter_map(job).collect()),
        PlanPart::Task(number) => match plan.tasks.get(number) {
            Some(task) => Ok(job(task).into_iter().collect()),
            None => Err(Error::NoSuchTask { task: number, total: plan.tasks.len() }),
        },
    }
}
