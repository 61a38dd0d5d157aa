//! The reports of `jepa3d finetune` and `jepa3d segment`: measures, curves, which class was taken for which.

use std::path::Path;

use jepa3d_inspect::{
    CurvePoint, Provenance, Report, ReportCell, ReportConfusion, ReportCurves, ReportSection, ReportSeries,
    ReportTable, ReportText, write_report,
};
use jepa3d_train::{FinetuneResult, FinetuneScores, SegmentLook, SegmentResult, read_metrics};

use super::segment_pictures::picture_examples;

/// Writes the report of a classification run into its folder.
pub(crate) fn write_finetune_report(
    folder: &Path,
    result: &FinetuneResult,
    how: &str,
    provenance: Provenance,
) -> anyhow::Result<()> {
    let mut report = Report::new(format!("{}: labels of objects", result.facts.preset), provenance);
    report.add_fact("accuracy, last step", format!("{:.1} %", result.last.accuracy));
    report.add_fact("mean over classes", format!("{:.1} %", result.last.mean_class_accuracy));
    report.add_fact(
        "trained on",
        format!("{} samples (labels: {})", result.facts.n_train, result.facts.labels),
    );
    report.add(ReportSection::Table(tabulate_classification(result)));
    report.add(ReportSection::Confusion(ReportConfusion {
        caption: "Which class was taken for which".to_owned(),
        classes: result.last.confusion.classes.clone(),
        counts: result.last.confusion.counts.clone(),
        note: "after the last step".to_owned(),
    }));
    add_curves(&mut report, folder)?;
    add_words(&mut report, how);
    Ok(write_report(folder, &report)?)
}

/// Writes the report of a segmentation run into its folder.
pub(crate) fn write_segment_report(
    folder: &Path,
    result: &SegmentResult,
    how: &str,
    provenance: Provenance,
) -> anyhow::Result<()> {
    let mut report = Report::new(format!("{}: labels of points", result.facts.preset), provenance);
    for (name, value) in measures_of(&result.last) {
        report.add_fact(name, format!("{value:.1} %"));
    }
    report.add(ReportSection::Table(tabulate_segmentation(result)));
    report.add(ReportSection::Table(tabulate_iou(result)));
    report.add(ReportSection::Images(picture_examples(result)));
    let confusion = &result.last.scores.confusion;
    report.add(ReportSection::Confusion(ReportConfusion {
        caption: "Points by class".to_owned(),
        classes: result.point_classes.clone(),
        counts: confusion.rows(),
        note: "after the last step".to_owned(),
    }));
    add_curves(&mut report, folder)?;
    add_words(&mut report, how);
    Ok(write_report(folder, &report)?)
}

fn tabulate_classification(result: &FinetuneResult) -> ReportTable {
    let row = |name: String, scores: &FinetuneScores| {
        vec![
            ReportCell::text(name),
            ReportCell::number(scores.accuracy, 1),
            ReportCell::number(scores.mean_class_accuracy, 1),
        ]
    };
    let mut rows = vec![row(format!("last step ({})", result.last.step), &result.last)];
    rows.extend(
        result.selected.as_ref().map(|scores| row(format!("selected step ({})", scores.step), scores)),
    );
    if let Some(vote) = &result.vote {
        let name = format!("vote of {} looks", vote.looks.len());
        let cells = [ReportCell::text(name), ReportCell::number(vote.accuracy, 1), ReportCell::text("-")];
        rows.push(cells.to_vec());
    }
    let looks: Vec<String> =
        result.vote.iter().flat_map(|vote| &vote.looks).map(|look| format!("{look:.1}")).collect();
    let note = match looks.is_empty() {
        true => String::new(),
        false => format!("each look alone: {}", looks.join(", ")),
    };
    let header = ["percent", "of samples", "mean over classes"].map(str::to_owned).to_vec();
    ReportTable { caption: "Accuracy".to_owned(), header, rows, note }
}

/// The measures of a look by name, in percent.
fn measures_of(look: &SegmentLook) -> Vec<(&'static str, f64)> {
    let points = &look.scores.points;
    let mut measures = match &look.scores.parts {
        Some(parts) => {
            vec![("mIoU by instance", parts.instance_iou), ("mIoU by category", parts.category_iou)]
        }
        None => vec![("mIoU over classes", points.mean_iou)],
    };
    measures.extend([("accuracy of points", points.accuracy), ("mean over classes", points.class_accuracy)]);
    measures.into_iter().map(|(name, share)| (name, 100.0 * share)).collect()
}

fn tabulate_segmentation(result: &SegmentResult) -> ReportTable {
    let mut header = vec!["percent".to_owned()];
    header.extend(measures_of(&result.last).iter().map(|(name, _)| (*name).to_owned()));
    let row = |name: String, look: &SegmentLook| -> Vec<ReportCell> {
        let values = measures_of(look).into_iter().map(|(_, value)| ReportCell::number(value, 1));
        std::iter::once(ReportCell::text(name)).chain(values).collect()
    };
    let mut rows = vec![row(format!("last step ({})", result.last.step), &result.last)];
    rows.extend(result.selected.as_ref().map(|look| row(format!("selected step ({})", look.step), look)));
    ReportTable { caption: "Measures".to_owned(), header, rows, note: String::new() }
}

fn tabulate_iou(result: &SegmentResult) -> ReportTable {
    let scores = &result.last.scores;
    let (names, values) = match &scores.parts {
        Some(parts) => (&result.categories, &parts.categories),
        None => (&result.point_classes, &scores.points.iou),
    };
    let rows = names.iter().zip(values).map(|(name, value)| {
        let cell = value.map_or_else(|| ReportCell::text("-"), |share| ReportCell::number(100.0 * share, 1));
        vec![ReportCell::text(name), cell]
    });
    ReportTable {
        caption: "Intersection over union".to_owned(),
        header: ["class", "percent"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
        note: "after the last step; -: none was judged".to_owned(),
    }
}

/// Loss and the measure that selects, by step.
fn add_curves(report: &mut Report, folder: &Path) -> anyhow::Result<()> {
    let record = read_metrics(folder)?;
    for (key, caption, y) in
        [("loss", "Loss", "loss"), ("selection/score", "On the part that is selected on", "share")]
    {
        let point = |step: u64, value: f64| CurvePoint::new(step as f64, value);
        let points: Vec<CurvePoint> =
            record.iter().filter_map(|line| Some(point(line.step, *line.values.get(key)?))).collect();
        if points.is_empty() {
            continue;
        }
        let series = vec![ReportSeries { name: y.to_owned(), points }];
        let (caption, x, y) = (caption.to_owned(), "step".to_owned(), y.to_owned());
        report.add(ReportSection::Curves(ReportCurves { caption, x, y, series, ..ReportCurves::default() }));
    }
    Ok(())
}

fn add_words(report: &mut Report, how: &str) {
    let text = how.trim().replace('\n', "\n\n");
    report.add(ReportSection::Text(ReportText { caption: "How it was measured".to_owned(), text }));
}
