//! `jepa3d segment`: an encoder and a head that labels points, trained on labels of points, judged once.

use std::fmt::Write as _;
use std::path::Path;

use jepa3d_inspect::Provenance;
use jepa3d_train::{DownstreamFacts, JudgedPoints, SegmentLook, SegmentResult, SegmentRun};

use super::downstream_report::write_segment_report;
use super::tuning::{TuningArgs, TuningRun, describe_judgement, describe_spread, run_seeds};
use super::{Conclusion, print};
use crate::presets::Verb;

pub(crate) fn run(args: &TuningArgs) -> anyhow::Result<Conclusion> {
    if let Some(results) = run_seeds::<SegmentRun>(args)? {
        let iou = results.iter().map(|result| 100.0 * result.last.scores.selection()).collect();
        print(describe_spread(&[("mIoU (by instance, where objects have parts), last step", iou)]))?;
    }
    Ok(Conclusion::Done)
}

impl TuningRun for SegmentRun {
    const VERB: Verb = Verb::Segment;

    fn facts(found: &SegmentResult) -> &DownstreamFacts {
        &found.facts
    }

    fn describe(found: &SegmentResult) -> String {
        describe(found)
    }

    fn write_report(out: &Path, found: &SegmentResult, provenance: Provenance) -> anyhow::Result<()> {
        write_segment_report(out, found, &describe(found), provenance)
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
    let judged = match result.judged {
        JudgedPoints::Grouping => ", the points of the stored grouping",
        JudgedPoints::Cloud => ", all stored points",
    };
    text + &describe_single_class(result) + &describe_judgement(&result.facts, judged)
}

/// A word where the points that were judged are of one class alone, or of one part a class of objects: what is measured then is
/// only that these are known.
fn describe_single_class(result: &SegmentResult) -> String {
    let counts = result.last.scores.confusion.rows();
    let occurs = |row: &Vec<u64>| row.iter().any(|&count| count > 0);
    let found: Vec<&str> = counts
        .iter()
        .zip(&result.point_classes)
        .filter(|(row, _)| occurs(row))
        .map(|(_, name)| name.as_str())
        .collect();
    let names = found.join(", ");
    match &result.last.scores.parts {
        None if found.len() == 1 => format!("note: all judged points are of one class: {names}\n"),
        Some(parts) if found.len() <= parts.categories.iter().flatten().count() => {
            format!("note: all judged points of a class of objects are of one part: {names}\n")
        }
        _ => String::new(),
    }
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
