//! `jepa3d prepare`: raw data to shards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use jepa3d_pipeline::{
    PlanPart, PrepareConfig, PreparePlan, PrepareReport, PrepareRequest, QuarantineRow, WarningCount,
    read_quarantine,
};
use jepa3d_schemas::printable;
use serde::Serialize;

use super::job_index::{JobIndex, TaskShare};
use super::progress::Meter;
use super::{Conclusion, print, print_json, tell, threads};
use crate::presets::{self, Verb};

/// Quarantined objects that are printed; the rest is in the file.
const SHOWN: usize = 10;

/// Arguments of `prepare`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of a preset (`jepa3d presets` lists them) or path of a .toml file; default: the built-in synthetic set.
    config: Option<PathBuf>,
    /// Folder of the raw data; not needed for the synthetic set.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Folder of the prepared dataset.
    #[arg(long)]
    out: PathBuf,
    /// Worker threads; default: all cores. The bytes do not depend on it.
    #[arg(long)]
    threads: Option<usize>,
    /// Prepare only this many objects, evenly spread over the dataset.
    #[arg(long)]
    limit: Option<usize>,
    /// Override a key of the config, e.g. groups.centers=128 (repeatable).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Exit with 1 if more objects than this are quarantined (run.max_failures).
    #[arg(long)]
    max_failures: Option<usize>,
    /// Print the plan and the resolved config, write nothing.
    #[arg(long, conflicts_with_all = ["task", "tasks", "finalize"])]
    dry_run: bool,
    /// Write only shard I of the plan; any order, any machine. auto: the index of a Slurm, Kubernetes or AWS Batch array job.
    #[arg(long, value_name = "I|auto", conflicts_with_all = ["tasks", "finalize"])]
    task: Option<JobIndex>,
    /// Write only every N-th shard of the plan, from shard K on: the share of one of N jobs.
    #[arg(long, value_name = "K/N|auto/N", conflicts_with = "finalize")]
    tasks: Option<TaskShare>,
    /// Merge the shards of all tasks into a complete dataset.
    #[arg(long)]
    finalize: bool,
    /// Add or replace the views (`[views]`) of a prepared dataset, and leave its points as they are.
    #[arg(long, value_name = "TABLE")]
    only: Option<Only>,
    /// Print the final report as JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// A table that can be made on its own.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    /// Views of points that are prepared already.
    Views,
}

#[derive(Serialize)]
struct PrepareSummary {
    out: PathBuf,
    fingerprint: Option<String>,
    tasks_done: usize,
    tasks_skipped: usize,
    objects: usize,
    written: usize,
    quarantined: usize,
    views: usize,
    views_failed: usize,
    views_fingerprint: Option<String>,
    warnings: BTreeMap<String, WarningCount>,
    notes: Vec<String>,
    too_few: usize,
    /// Objects of the dataset, or of the tasks that were asked for.
    #[serde(skip)]
    concerned: usize,
    seconds: f64,
    objects_per_second: f64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    let start = Instant::now();
    let config = config(args)?;
    let data = match &args.data {
        Some(data) if !data.is_dir() => bail!("--data {}: expected a folder", data.display()),
        Some(data) => data.as_path(),
        None if config.dataset.is_generated() => Path::new("."),
        None => bail!("--data is missing: this dataset is read from a folder"),
    };
    let plan = PreparePlan::new(config, data)?;
    describe(&plan);
    if args.dry_run {
        dry_run(&plan, args.json)?;
        return Ok(Conclusion::Done);
    }
    let part = part(args, plan.tasks.len())?;
    let (mut meter, mut has_begun) = (Meter::new("objects"), false);
    let only_views = args.only == Some(Only::Views);
    let request = PrepareRequest { part, only_views, threads: threads(args.threads) };
    let result = jepa3d_pipeline::run(&plan, &args.out, request, &mut |p| {
        has_begun = true;
        meter.show(p);
    });
    meter.finish();
    let report = result.with_context(|| match part {
        PlanPart::Finalize => "not finalized",
        _ if has_begun => "not finished; what is written stays, the same command continues",
        _ => "not begun",
    })?;
    summarize(args, &plan, &report, start.elapsed().as_secs_f64())
}

/// What of a plan with `tasks` is asked for.
fn part(args: &Args, tasks: usize) -> anyhow::Result<PlanPart> {
    let part = match (args.task, args.tasks) {
        (Some(task), _) => task.choose(tasks)?,
        (None, Some(share)) => share.choose()?,
        (None, None) if args.finalize => PlanPart::Finalize,
        (None, None) => PlanPart::Whole,
    };
    if let PlanPart::Share { first, step } = part
        && first >= tasks
    {
        tell(format_args!(
            "note: --tasks {first}/{step}: the plan has {tasks} tasks, none of them in this share"
        ));
    }
    Ok(part)
}

fn config(args: &Args) -> anyhow::Result<PrepareConfig> {
    if args.limit == Some(0) {
        bail!("--limit 0: expected 1 or more; without --limit all objects are prepared");
    }
    let mut sets = args.sets.clone();
    sets.extend(args.limit.map(|limit| format!("run.limit={limit}")));
    sets.extend(args.max_failures.map(|n| format!("run.max_failures={n}")));
    let text = args.config.as_deref().map(|config| presets::resolve(Verb::Prepare, config)).transpose()?;
    Ok(PrepareConfig::load(text.as_ref(), &sets)?)
}

/// What will be prepared, on standard error.
fn describe(plan: &PreparePlan) {
    let shape = plan.config.shape();
    let name = plan.dataset.name();
    tell(format_args!(
        "{name}: {} objects in {} shards, {} classes",
        plan.objects(),
        plan.tasks.len(),
        plan.dataset.classes().len()
    ));
    tell(format_args!(
        "S {} stored points, R {} groupings of N {}, G {} centers, K {} points a patch",
        shape.S, shape.R, shape.N, shape.G, shape.K
    ));
    if let Some(views) = &plan.config.views {
        let each = match shape.V {
            0 => "photos of each sample".to_owned(),
            count => format!("V {count} views of {} x {} pixels", shape.W, shape.H),
        };
        tell(format_args!("{each}, {}", views.rig));
    }
    for note in plan.dataset.notes() {
        tell(format_args!("note: {note}"));
    }
}

fn dry_run(plan: &PreparePlan, json: bool) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Row<'a> {
        task: usize,
        file: &'a str,
        views: Option<String>,
        objects: usize,
        first: &'a str,
        last: &'a str,
    }
    let rows = plan.tasks.iter().map(|t| Row {
        task: t.number,
        file: &t.file,
        views: plan.views_hash.as_ref().map(|_| t.views_file()),
        objects: t.objects.len(),
        first: t.objects.first().map_or("", |&i| plan.dataset.id(i)),
        last: t.objects.last().map_or("", |&i| plan.dataset.id(i)),
    });
    if json {
        return print_json(&serde_json::json!({
            "plan": plan.hash, "views_plan": plan.views_hash, "config": plan.config, "tasks": rows.collect::<Vec<_>>()
        }));
    }
    let mut text = format!("# plan {}\n{}\n", plan.hash, plan.config.to_toml());
    for Row { task, file, objects, first, last, .. } in rows {
        let line = format!("# task {task}: {file}, {objects} objects, {first} to {last}");
        text += &(printable(&line) + "\n");
    }
    print(text)
}

fn summarize(
    args: &Args,
    plan: &PreparePlan,
    report: &PrepareReport,
    seconds: f64,
) -> anyhow::Result<Conclusion> {
    let progress = report.progress;
    let manifest = report.manifest.as_ref();
    let failures = report.failures;
    let views = manifest.and_then(|m| m.views.as_ref());
    let summary = PrepareSummary {
        out: args.out.clone(),
        fingerprint: manifest.map(|m| m.fingerprint.clone()),
        tasks_done: report.tasks_done,
        tasks_skipped: report.tasks_skipped,
        objects: progress.done,
        written: manifest.map_or(progress.written, |m| m.written()),
        quarantined: manifest.map_or(progress.quarantined, |m| m.quarantined()),
        views: manifest.map_or(progress.views, |_| views.map_or(0, |v| v.rows())),
        views_failed: views.map_or(0, |v| v.failures),
        views_fingerprint: views.map(|v| v.fingerprint.clone()),
        warnings: report.warnings.clone(),
        notes: plan.dataset.notes(),
        too_few: report.too_few,
        concerned: report.objects,
        seconds,
        objects_per_second: progress.done as f64 / seconds,
    };
    if args.json {
        print_json(&summary)?;
    } else {
        print(summary_text(&summary, manifest.is_some()))?;
    }
    if let Some(manifest) = manifest.filter(|_| failures > 0) {
        show_quarantine(&args.out, &read_quarantine(&args.out, manifest)?);
    }
    show_findings(plan, &summary);
    let allowed = plan.config.run.max_failures;
    if failures > allowed {
        let what = if summary.views_failed > 0 { "objects and views" } else { "objects" };
        tell(format_args!(
            "{failures} {what} are quarantined, run.max_failures allows {allowed}: exit code 1"
        ));
        return Ok(Conclusion::Failed);
    }
    Ok(Conclusion::Done)
}

fn summary_text(summary: &PrepareSummary, is_complete: bool) -> String {
    let PrepareSummary { out, written, quarantined, seconds, objects_per_second, .. } = summary;
    let out = out.display();
    let views = match (summary.views, summary.views_failed) {
        (0, 0) => String::new(),
        (views, 0) => format!(", {views} views"),
        (views, failed) => format!(", {views} views ({failed} quarantined)"),
    };
    let mut text = if is_complete && summary.tasks_done == 0 && summary.tasks_skipped > 0 {
        format!("{out}: complete already, {written} samples, {quarantined} quarantined{views}\n")
    } else {
        let state = if is_complete { "complete" } else { "task done" };
        let there_already = match summary.tasks_skipped {
            0 => String::new(),
            n => format!("{n} shards were there already\n"),
        };
        format!(
            "{out}: {state}, {written} samples, {quarantined} quarantined{views}, {seconds:.1} s, {objects_per_second:.0} objects/s\n{there_already}"
        )
    };
    if let Some(fingerprint) = &summary.fingerprint {
        text += &format!("fingerprint {fingerprint}\n");
    }
    if let Some(fingerprint) = &summary.views_fingerprint {
        text += &format!("fingerprint of the views {fingerprint}\n");
    }
    text
}

/// What a user should know before training on it, a line each: notes, warnings by name, objects that a setting keeps.
fn show_findings(plan: &PreparePlan, summary: &PrepareSummary) {
    for note in &summary.notes {
        tell(format_args!("note: {note}"));
    }
    for (name, WarningCount { objects, example, text }) in &summary.warnings {
        let what = if *objects == 1 { "object" } else { "objects" };
        tell(format_args!("warning: {name}: {objects} {what}, for example {example}: {text}"));
    }
    if summary.too_few > 0 {
        tell(format_args!(
            "{} of {} objects have fewer than groups.points = {} points: \
             cloud.too_few = \"repeat\" keeps them (real lidar needs it)",
            summary.too_few, summary.concerned, plan.config.groups.points
        ));
    }
}

fn show_quarantine(out: &Path, rows: &[QuarantineRow]) {
    for row in rows.iter().take(SHOWN) {
        tell(format_args!("quarantined at {}: {}: {}", row.stage, row.id, row.error));
    }
    if rows.len() > SHOWN {
        tell(format_args!(
            "... and {} more in {}",
            rows.len() - SHOWN,
            out.join(jepa3d_pipeline::QUARANTINE_FILE).display()
        ));
    }
}
