//! The report of `jepa3d robustness`: a table a classifier, and a chart a corruption.

use std::path::Path;

use jepa3d_inspect::{
    CurvePoint, Provenance, Report, ReportCell, ReportCurves, ReportSection, ReportSeries, ReportTable,
    write_report,
};
use jepa3d_loader::{CorruptionKind, SEVERITIES};
use jepa3d_probe::{ERRORS_NOTE, Judge, ProbeConfig, RobustnessColumn, SeedSpread};

/// Writes `report.json` and `report.html`.
pub(crate) fn write_robustness(
    folder: &Path,
    columns: &[RobustnessColumn<'_>],
    config: &ProbeConfig,
    provenance: Provenance,
) -> anyhow::Result<()> {
    let mut report = Report::new("Robustness to corrupted clouds", provenance);
    for column in columns {
        let rows = column.rows(Judge::Svm);
        if let [clean, .., mean] = rows.as_slice() {
            let spread = |spread: SeedSpread| show(spread).text;
            let of = |ours, base| format!("{} %, random weights {} %", spread(ours), spread(base));
            report.add_fact(format!("{}: clean", column.title), of(clean.mean, clean.random_mean));
            report.add_fact(format!("{}: corrupted", column.title), of(mean.mean, mean.random_mean));
            let error = mean.error.map_or_else(|| "-".to_owned(), spread);
            report.add_fact(format!("{}: mCE", column.title), format!("{error} %"));
        }
        for judge in [Judge::Svm, Judge::Neighbours] {
            report.add(ReportSection::Table(tabulate(column, judge, config)));
        }
    }
    let names = columns.first().and_then(|column| column.pretrained.first());
    for name in names.map_or_else(Vec::new, |table| table.corruptions()) {
        let kind = CorruptionKind::ALL.into_iter().find(|kind| kind.name() == name);
        let note = kind.map_or_else(String::new, describe_kind);
        report.add(ReportSection::Curves(draw_severities(columns, name, note)));
    }
    Ok(write_report(folder, &report)?)
}

/// What the severities of a kind are.
fn describe_kind(kind: CorruptionKind) -> String {
    let amounts: Vec<String> = kind.amounts().iter().map(|amount| format!("{amount:.3}")).collect();
    let short = |amount: &String| amount.trim_end_matches('0').trim_end_matches('.').to_owned();
    format!(
        "severities 1 to {SEVERITIES}: {} ({})",
        amounts.iter().map(short).collect::<Vec<_>>().join(", "),
        kind.unit()
    )
}

fn show(spread: SeedSpread) -> ReportCell {
    match spread.deviation {
        Some(deviation) => ReportCell::spread(spread.mean, deviation, 1),
        None => ReportCell::number(spread.mean, 1),
    }
}

/// A line a corruption, its severities, and random weights beside it.
fn tabulate(column: &RobustnessColumn<'_>, judge: Judge, config: &ProbeConfig) -> ReportTable {
    let severities = column.severities();
    let mut header = vec![String::new()];
    header.extend(severities.iter().map(usize::to_string));
    header.extend(["mean", "random weights", "CE", "RCE"].map(str::to_owned));
    let rows = column.rows(judge).into_iter().map(|row| {
        let mut cells = vec![ReportCell::text(row.name)];
        match row.severities.is_empty() {
            true => cells.extend(severities.iter().map(|_| ReportCell::default())),
            false => cells.extend(row.severities.iter().map(|cell| ReportCell::number(cell.mean, 1))),
        }
        cells.extend([row.mean, row.random_mean].map(show));
        cells.extend([row.error, row.relative].map(|cell| cell.map_or_else(ReportCell::default, show)));
        cells
    });
    ReportTable {
        caption: format!("{}, {}", column.title, judge.name(config)),
        header,
        rows: rows.collect(),
        note: format!("{}. {ERRORS_NOTE}.", column.describe(config)),
    }
}

/// Accuracy of the SVM by severity, a line a preset and one for its random weights; severity 0 is clean.
fn draw_severities(columns: &[RobustnessColumn<'_>], name: &str, note: String) -> ReportCurves {
    let mut series = Vec::new();
    for column in columns {
        let rows = column.rows(Judge::Svm);
        let (Some(clean), Some(row)) = (rows.first(), rows.iter().find(|row| row.name == name)) else {
            continue;
        };
        let severities = column.severities();
        let mut push = |name: String, first: SeedSpread, rest: &[SeedSpread]| {
            let places = std::iter::once(0).chain(severities.iter().copied());
            let points =
                places.zip(std::iter::once(&first).chain(rest)).map(|(x, spread)| match spread.deviation {
                    Some(deviation) => CurvePoint::spread(x as f64, spread.mean, deviation),
                    None => CurvePoint::new(x as f64, spread.mean),
                });
            series.push(ReportSeries { name, points: points.collect() });
        };
        push(column.title.to_owned(), clean.mean, &row.severities);
        push(format!("{}, random weights", column.title), clean.random_mean, &row.random_severities);
    }
    ReportCurves {
        caption: format!("SVM under {name}"),
        x: "severity (0: clean)".to_owned(),
        y: "accuracy, %".to_owned(),
        has_log_x: false,
        series,
        note,
    }
}
