//! The report of `jepa3d fewshot`: its table, and how each episode went.

use std::path::Path;

use jepa3d_inspect::{
    CurvePoint, Provenance, Report, ReportCell, ReportCurves, ReportSection, ReportSeries, ReportTable,
    ReportText, write_report,
};
use jepa3d_loader::PreparedDataset;
use jepa3d_probe::{EpisodeList, FewShotColumn, FewShotLine, describe_few_shot};

/// Writes the files of the report into a folder.
pub(crate) fn write_fewshot_report(
    folder: &Path,
    dataset: &PreparedDataset,
    columns: &[FewShotColumn],
    list: &EpisodeList,
    provenance: Provenance,
) -> anyhow::Result<()> {
    let mut report = Report::new(format!("Few-shot episodes on {}", dataset.manifest().dataset), provenance);
    let Some(first) = columns.first() else { return Ok(()) };
    for line in &first.lines {
        report.add_fact(name_line(line), format!("{:.1} \u{b1} {:.1} %", line.mean, line.deviation));
    }
    report.add(ReportSection::Table(tabulate(columns)));
    for (i, line) in first.lines.iter().enumerate() {
        report.add(ReportSection::Curves(draw_episodes(columns, i, &name_line(line))));
    }
    let text = describe_few_shot(columns, list).trim().replace('\n', "\n\n");
    report.add(ReportSection::Text(ReportText { caption: "How it was measured".to_owned(), text }));
    Ok(write_report(folder, &report)?)
}

fn name_line(line: &FewShotLine) -> String {
    format!("{}-way {}-shot", line.way, line.shot)
}

fn tabulate(columns: &[FewShotColumn]) -> ReportTable {
    let mut table = ReportTable { caption: "Few-shot".to_owned(), ..ReportTable::default() };
    table.header =
        std::iter::once("percent".to_owned()).chain(columns.iter().map(|c| c.title.clone())).collect();
    for (i, line) in columns.first().map_or(&[][..], |first| &first.lines).iter().enumerate() {
        let cells = columns.iter().map(|column| {
            column.lines.get(i).map_or_else(
                || ReportCell::text("-"),
                |line| ReportCell::spread(line.mean, line.deviation, 1),
            )
        });
        table.rows.push(std::iter::once(ReportCell::text(name_line(line))).chain(cells).collect());
    }
    table
}

/// Accuracy of each episode.
fn draw_episodes(columns: &[FewShotColumn], line: usize, name: &str) -> ReportCurves {
    let series = columns.iter().filter_map(|column| {
        let accuracies = column.lines.get(line)?.accuracies.iter().enumerate();
        let points =
            accuracies.map(|(fold, accuracy)| CurvePoint::new((fold + 1) as f64, *accuracy)).collect();
        Some(ReportSeries { name: column.title.clone(), points })
    });
    ReportCurves {
        caption: format!("Episodes: {name}"),
        x: "episode".to_owned(),
        y: "accuracy, percent".to_owned(),
        series: series.collect(),
        ..Default::default()
    }
}
