//! Prepares a whole dataset, some tasks of it, or merges finished tasks; every call continues
//! where the last one, however it ended, left off.
//!
//! A task has up to two shards, of points and of views, each with a record of its own in
//! `OUT/.jepa3d/`. What has no record is made: both in one pass, or views from stored points, or
//! points alone. `finalize` merges the records: first those of the points, which makes the
//! dataset complete, then those of the views.

use std::collections::BTreeSet;
use std::path::Path;

use jepa3d_schemas::Manifest;
use rayon::prelude::*;

use crate::card::write_card;
use crate::error::{Error, Result};
use crate::execute::execute;
use crate::finalize::finalize;
use crate::findings::Findings;
use crate::output_folder::OutputFolder;
use crate::plan::{PreparePlan, ShardJob, ShardTask};
use crate::pool::build_pool;
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
        folder.repair_config(plan)?;
        write_card(out, &manifest)?;
        return report_findings(plan, &folder, PlanPart::Whole, Some(manifest));
    }
    folder.create(plan)?;
    let _lock = folder.lock(request.part.shares_folder())?;
    if let Some(manifest) = find_finished(plan, &folder)? {
        // Another process finished the dataset before the lock was ours.
        return report_findings(plan, &folder, PlanPart::Whole, Some(manifest));
    }
    let has_points = reopen(plan, &folder, request.part)?;
    let jobs = build_pool(request.threads)?.install(|| -> Result<_> {
        let jobs = pending_jobs(plan, &folder, has_points, request.part)?;
        check_points(&folder, &jobs)?;
        Ok(jobs)
    })?;
    let mut last = Progress::default();
    execute(plan, &folder, &jobs, request.threads.max(1), &mut |progress| {
        last = progress;
        report(progress);
    })?;
    let manifest = if request.part.shares_folder() { None } else { Some(finalize(plan, &folder)?) };
    let found = report_findings(plan, &folder, request.part, manifest)?;
    let is_merged = request.part == PlanPart::Finalize;
    let tasks_skipped = if is_merged { 0 } else { found.tasks_skipped - jobs.len() };
    Ok(PrepareReport { tasks_done: jobs.len(), tasks_skipped, progress: last, ..found })
}

/// Refuses what cannot be done to this folder.
fn check_request(plan: &PreparePlan, folder: &OutputFolder, request: PrepareRequest) -> Result<()> {
    if let PlanPart::Task(task) = request.part
        && task >= plan.tasks.len()
    {
        return Err(Error::NoSuchTask { task, total: plan.tasks.len() });
    }
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
            let file = folder.find_lost(&manifest)?.unwrap_or_default();
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

/// The report of a part that needed nothing, with what there is to tell of it.
fn report_findings(
    plan: &PreparePlan,
    folder: &OutputFolder,
    part: PlanPart,
    manifest: Option<Manifest>,
) -> Result<PrepareReport> {
    let Findings { warnings, too_few, failures } = Findings::collect(plan, folder, part, manifest.as_ref())?;
    let tasks = part.numbers(plan.tasks.len());
    Ok(PrepareReport {
        manifest,
        tasks_done: 0,
        tasks_skipped: tasks.clone().count(),
        progress: Progress::default(),
        objects: tasks.map(|number| plan.tasks[number].objects.len()).sum(),
        failures,
        warnings,
        too_few,
    })
}

/// Takes apart what has to be made again; whether the points are complete and stay.
fn reopen(plan: &PreparePlan, folder: &OutputFolder, part: PlanPart) -> Result<bool> {
    folder.claim(plan)?;
    let has_points = folder.find_complete_points()?.is_some();
    if has_points {
        reopen_views(plan, folder, part)?;
    } else {
        reopen_points(plan, folder)?;
    }
    if !part.shares_folder() {
        folder.clear_temporaries()?;
    }
    Ok(has_points)
}

/// What `part` still has to do; shards that are there are compared with their hashes, all at once.
fn pending_jobs<'a>(
    plan: &'a PreparePlan,
    folder: &OutputFolder,
    has_points: bool,
    part: PlanPart,
) -> Result<Vec<ShardJob<'a>>> {
    let job = |task: &'a ShardTask| -> Result<Option<ShardJob<'a>>> {
        let points = !has_points && PointsRecord::read(folder, task, &plan.hash)?.is_none();
        let views = match &plan.views_hash {
            Some(hash) => ViewsRecord::read(folder, task, hash)?.is_none(),
            None => false,
        };
        Ok((points || views).then_some(ShardJob { task, points, views }))
    };
    let wanted: Vec<&ShardTask> = part.numbers(plan.tasks.len()).map(|number| &plan.tasks[number]).collect();
    let jobs: Vec<Option<ShardJob<'a>>> =
        wanted.into_par_iter().with_max_len(1).map(job).collect::<Result<_>>()?;
    let is_merged = part == PlanPart::Finalize;
    Ok(jobs.into_iter().flatten().filter(|_| !is_merged).collect())
}

/// Compares the points that views are to be added to with their hashes.
fn check_points(folder: &OutputFolder, jobs: &[ShardJob<'_>]) -> Result<()> {
    let added: BTreeSet<&str> =
        jobs.iter().filter(|job| !job.points).map(|job| job.task.file.as_str()).collect();
    let Some(manifest) = folder.find_complete_points()?.filter(|_| !added.is_empty()) else { return Ok(()) };
    let shards = manifest.shards.par_iter().filter(|shard| added.contains(shard.file.as_str()));
    shards.try_for_each(|shard| Ok(shard.check_file(&folder.out).map(drop)?))
}
