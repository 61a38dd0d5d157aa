//! The report of `jepa3d probe`: its table, accuracy over labels, and features in a plane.

use std::path::Path;

use jepa3d_inspect::{
    CurvePoint, Provenance, Report, ReportCell, ReportCurves, ReportScatter, ReportSection, ReportSeries,
    ReportTable, ReportText, write_report,
};
use jepa3d_loader::PreparedDataset;
use jepa3d_probe::{ProbeColumn, ProbeLine, describe_columns};

/// What a line of few labels ends with.
const FEW_LABELS: &str = " a class";

/// Writes the files of the report into a folder.
pub(crate) fn write_probe_report(
    folder: &Path,
    dataset: &PreparedDataset,
    columns: &[ProbeColumn<'_>],
    planes: Vec<ReportScatter>,
    provenance: Provenance,
) -> anyhow::Result<()> {
    let mut report = Report::new(format!("Probe on {}", dataset.manifest().dataset), provenance);
    let Some((column, table)) = columns.iter().find_map(|column| Some((column, column.tables.first()?)))
    else {
        return Ok(());
    };
    for name in ["SVM, standardised, C chosen", "kNN-20"] {
        if let Some(line) = column.measure_line(name) {
            report.add_fact(format!("{name}: {}", column.title), format!("{} %", print_line(&line).text));
        }
    }
    report.add_fact("fitted on", format!("{} samples", table.n_train));
    report.add_fact("measured on", format!("{} samples", table.n_evaluation));
    let names: Vec<&str> = table.lines.iter().map(|line| line.name.as_str()).collect();
    report.add(ReportSection::Table(tabulate(columns, &names)));
    let curves = draw_few_labels(columns, &names);
    if curves.series.iter().any(|series| series.points.len() > 1) {
        report.add(ReportSection::Curves(curves));
    }
    let text = describe_columns(columns).trim().replace('\n', "\n\n");
    report.add(ReportSection::Text(ReportText { caption: "How it was measured".to_owned(), text }));
    planes.into_iter().for_each(|plane| report.add(ReportSection::Scatter(plane)));
    Ok(write_report(folder, &report)?)
}

fn tabulate(columns: &[ProbeColumn<'_>], names: &[&str]) -> ReportTable {
    let mut table = ReportTable { caption: "Probe".to_owned(), ..ReportTable::default() };
    table.header =
        std::iter::once("percent").chain(columns.iter().map(|c| c.title)).map(str::to_owned).collect();
    for name in names {
        let cells = columns.iter().map(|column| {
            column.measure_line(name).map_or_else(|| ReportCell::text("-"), |line| print_line(&line))
        });
        table.rows.push(std::iter::once(ReportCell::text(*name)).chain(cells).collect());
    }
    table
}

fn print_line(line: &ProbeLine) -> ReportCell {
    match line.deviation {
        Some(deviation) => ReportCell::spread(line.value, deviation, 1),
        None => ReportCell::number(line.value, 1),
    }
}

/// Accuracy over the number of labels a class.
fn draw_few_labels(columns: &[ProbeColumn<'_>], names: &[&str]) -> ReportCurves {
    let labels =
        |name: &str| -> Option<f64> { name.strip_suffix(FEW_LABELS)?.split(' ').next()?.parse().ok() };
    let point = |column: &ProbeColumn<'_>, name: &str| -> Option<CurvePoint> {
        let (x, line) = (labels(name)?, column.measure_line(name)?);
        Some(CurvePoint::spread(x, line.value, line.deviation.unwrap_or(0.0)))
    };
    let series = columns.iter().map(|column| ReportSeries {
        name: column.title.to_owned(),
        points: names.iter().filter_map(|name| point(column, name)).collect(),
    });
    ReportCurves {
        caption: "Accuracy by labels a class".to_owned(),
        x: "labels a class".to_owned(),
        y: "accuracy, percent".to_owned(),
        has_log_x: true,
        series: series.collect(),
        note: "bars: standard deviation".to_owned(),
    }
}
