//! `jepa3d segment`: an encoder and a head that labels points, trained on labels of points, judged once.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use jepa3d_train::{
    DownstreamRequest, Event, JudgedPoints, Result as TrainResult, RunOutcome, SegmentLook, SegmentResult,
    SegmentRun,
};

use super::downstream_report::write_segment_report;
use super::tuning::{ProcessFacts, TuningArgs, TuningRun, describe_spread, run_seeds};
use super::{Conclusion, MachineArgs, print};
use crate::presets::Verb;

/// Arguments of `segment`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of a preset (`jepa3d presets` lists them) or path of a .toml file.
    config: PathBuf,
    #[command(flatten)]
    tuning: TuningArgs,
    #[command(flatten)]
    machine: MachineArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    if let Some(results) = run_seeds::<SegmentRun>(&args.config, &args.tuning, &args.machine)? {
        let iou = results.iter().map(|result| 100.0 * result.last.scores.selection()).collect();
        print(describe_spread(&[("mIoU (by instance, where objects have parts), last step", iou)]))?;
    }
    Ok(Conclusion::Done)
}

impl TuningRun for SegmentRun {
    type Found = SegmentResult;
    const VERB: Verb = Verb::Segment;

    fn start(request: DownstreamRequest) -> TrainResult<Self> {
        Self::new(request)
    }

    fn notes(&self) -> &[String] {
        self.notes()
    }

    fn train(&mut self, stop: &AtomicBool, report: &mut dyn FnMut(Event)) -> TrainResult<RunOutcome> {
        self.run(stop, report)
    }

    fn judge(&mut self) -> TrainResult<SegmentResult> {
        SegmentRun::judge(self)
    }

    fn describe(found: &SegmentResult) -> String {
        describe(found)
    }

    fn write_report(out: &Path, found: &SegmentResult, process: ProcessFacts<'_>) -> anyhow::Result<()> {
        write_segment_report(out, found, &describe(found), process(&found.encoder, found.seed)?)
    }
}

/// What a run found, for people.
fn describe(result: &SegmentResult) -> String {
    let mut text = format!("last step ({})     {}\n", result.last.step, headline(&result.last));
    if let Some(selected) = &result.selected {
        let _ = writeln!(text, "selected step ({}) {}", selected.step, headline(selected));
    }
    let shown = result.selected.as_ref().unwrap_or(&result.last);
    let (names, values) = match &shown.scores.parts {
        Some(parts) => (&result.categories, &parts.categories),
        None => (&result.point_classes, &shown.scores.points.iou),
    };
    for (name, value) in names.iter().zip(values) {
        if let Some(value) = value {
            let _ = writeln!(text, "  {name:<24} {:>5.1} %", 100.0 * value);
        }
    }
    let selection = match result.n_selection {
        0 => "nothing selected".to_owned(),
        count => format!("the selected step is the best on {count} others of the training split"),
    };
    let judged = match result.judged {
        JudgedPoints::Grouping => "the points of the stored grouping",
        JudgedPoints::Cloud => "all stored points",
    };
    let _ = writeln!(
        text,
        "judged once, at the end, on {} samples ({}), {judged}; trained on {} (labels: {}); {selection}\n{}; seed {}",
        result.n_evaluation, result.evaluated, result.n_train, result.labels, result.encoder, result.seed
    );
    text
}

/// The measures of one look.
fn headline(look: &SegmentLook) -> String {
    let points = &look.scores.points;
    let mean = |what: &str| {
        let (all, by_class) = (100.0 * points.accuracy, 100.0 * points.class_accuracy);
        format!("{all:.1} % of points, {by_class:.1} % mean over {what}")
    };
    match &look.scores.parts {
        Some(parts) => format!(
            "mIoU {:.1} % by instance, {:.1} % by category; {}",
            100.0 * parts.instance_iou,
            100.0 * parts.category_iou,
            mean("parts")
        ),
        None => {
            let classes = points.iou.iter().flatten().count();
            format!("mIoU {:.1} % of {classes} classes; {}", 100.0 * points.mean_iou, mean("classes"))
        }
    }
}
