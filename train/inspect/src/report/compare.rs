//! Reports side by side: facts and tables of one caption in one table, curves of one caption in one chart.

use super::document::{Provenance, Report};
use super::sections::{ReportCell, ReportCurves, ReportSection, ReportSeries, ReportTable};

/// What stands where a run has no such number.
const ABSENT: &str = "-";

/// Puts reports side by side, each under its name.
///
/// Rows and columns of a table are matched by their names, the second of one name with the second. Confusion matrices,
/// scatter plots, pictures and text stand one after the other, in the order of the names.
pub fn compare_reports(names: &[String], reports: &[Report]) -> Report {
    let runs: Vec<Compared<'_>> =
        names.iter().zip(reports).map(|(name, report)| Compared { name, report }).collect();
    let provenance = runs.iter().flat_map(Compared::name_provenance).collect();
    let mut merged = Report::compared(format!("{} compared", names.join(", ")), provenance);
    let facts: Vec<(&str, ReportTable)> =
        runs.iter().map(|run| (run.name, tabulate_facts(run.report))).collect();
    if facts.iter().any(|(_, table)| !table.rows.is_empty()) {
        let tables: Vec<_> = facts.iter().map(|(name, table)| (*name, table)).collect();
        merged.add(ReportSection::Table(merge_tables("Summary", &tables)));
    }
    for caption in list_captions(&runs) {
        merge_sections(&runs, &caption, &mut merged);
    }
    merged
}

/// A report under a name.
struct Compared<'a> {
    name: &'a str,
    report: &'a Report,
}

impl Compared<'_> {
    fn name_provenance(&self) -> Vec<Provenance> {
        let rename = |made: &Provenance| {
            let name = match made.name.is_empty() {
                true => self.name.to_owned(),
                false => format!("{}: {}", self.name, made.name),
            };
            Provenance { name, ..made.clone() }
        };
        self.report.provenance.iter().map(rename).collect()
    }

    fn sections(&self, caption: &str) -> impl Iterator<Item = &ReportSection> {
        self.report.sections.iter().filter(move |section| section.caption() == caption)
    }
}

fn tabulate_facts(report: &Report) -> ReportTable {
    let row = |name: &str, value: &str| vec![ReportCell::text(name), ReportCell::text(value)];
    let mut rows: Vec<Vec<ReportCell>> =
        report.facts.iter().map(|fact| row(&fact.name, &fact.value)).collect();
    rows.insert(0, row("report", &report.title));
    let header = vec![String::new(), "value".to_owned()];
    ReportTable { header, rows, ..ReportTable::default() }
}

/// Captions in the order in which they first occur.
fn list_captions(runs: &[Compared<'_>]) -> Vec<String> {
    let all = runs.iter().flat_map(|run| run.report.sections.iter().map(|section| section.caption()));
    distinct(all.map(str::to_owned))
}

fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for one in all {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

fn merge_sections(runs: &[Compared<'_>], caption: &str, merged: &mut Report) {
    let (mut tables, mut curves, mut others) = (Vec::new(), Vec::<(&str, &ReportCurves)>::new(), Vec::new());
    for run in runs {
        for section in run.sections(caption) {
            match section {
                ReportSection::Table(table) => tables.push((run.name, table)),
                ReportSection::Curves(found) if curves.first().is_none_or(|first| fits(first.1, found)) => {
                    curves.push((run.name, found));
                }
                other => others.push(other.clone().renamed(format!("{caption}: {}", run.name))),
            }
        }
    }
    if !tables.is_empty() {
        merged.add(ReportSection::Table(merge_tables(caption, &tables)));
    }
    if !curves.is_empty() {
        merged.add(ReportSection::Curves(overlay_curves(caption, &curves)));
    }
    others.into_iter().for_each(|section| merged.add(section));
}

/// Whether curves have the same axes.
fn fits(a: &ReportCurves, b: &ReportCurves) -> bool {
    (&a.x, &a.y) == (&b.x, &b.y)
}

fn overlay_curves(caption: &str, curves: &[(&str, &ReportCurves)]) -> ReportCurves {
    let rename = |run: &str, series: &ReportSeries| ReportSeries {
        name: format!("{run}: {}", series.name),
        points: series.points.clone(),
    };
    let series = curves.iter().flat_map(|(run, found)| found.series.iter().map(|s| rename(run, s)));
    let first = curves.first().map(|(_, first)| (*first).clone()).unwrap_or_default();
    let notes: Vec<(&str, &str)> = curves.iter().map(|(run, found)| (*run, found.note.as_str())).collect();
    ReportCurves {
        caption: caption.to_owned(),
        series: series.collect(),
        has_log_x: curves.iter().all(|(_, found)| found.has_log_x),
        note: merge_notes(&notes),
        ..first
    }
}

/// The note that all share, or each under its name.
fn merge_notes(notes: &[(&str, &str)]) -> String {
    let texts = distinct(notes.iter().map(|(_, note)| *note).filter(|note| !note.is_empty()));
    match texts.as_slice() {
        [one] => (*one).to_owned(),
        _ => {
            let own = notes.iter().filter(|(_, note)| !note.is_empty());
            own.map(|(run, note)| format!("{run}: {note}")).collect::<Vec<_>>().join("; ")
        }
    }
}

/// A name, and how many of the same stand before it.
type Numbered = (String, usize);

fn number(names: impl Iterator<Item = String>) -> Vec<Numbered> {
    let mut found: Vec<Numbered> = Vec::new();
    for name in names {
        let before = found.iter().filter(|(other, _)| *other == name).count();
        found.push((name, before));
    }
    found
}

fn names_of_rows(table: &ReportTable) -> Vec<Numbered> {
    number(table.rows.iter().map(|row| row.first().map_or(String::new(), |cell| cell.text.clone())))
}

/// Without the one that names the rows.
fn names_of_columns(table: &ReportTable) -> Vec<Numbered> {
    number(table.header.iter().skip(1).cloned())
}

fn merge_tables(caption: &str, tables: &[(&str, &ReportTable)]) -> ReportTable {
    let rows = distinct(tables.iter().flat_map(|(_, table)| names_of_rows(table)));
    let columns = distinct(tables.iter().flat_map(|(_, table)| names_of_columns(table)));
    let corner = tables.first().and_then(|(_, table)| table.header.first().cloned()).unwrap_or_default();
    let mut merged = ReportTable { caption: caption.to_owned(), header: vec![corner], ..Default::default() };
    merged.rows = rows.iter().map(|(name, _)| vec![ReportCell::text(name)]).collect();
    for column in &columns {
        for (run, table) in tables {
            let Some(at) = names_of_columns(table).iter().position(|name| name == column) else { continue };
            merged.header.push(if columns.len() == 1 {
                (*run).to_owned()
            } else {
                format!("{}: {run}", column.0)
            });
            let names = names_of_rows(table);
            for (row, cells) in rows.iter().zip(&mut merged.rows) {
                let found =
                    names.iter().position(|name| name == row).and_then(|row| table.rows[row].get(at + 1));
                cells.push(found.cloned().unwrap_or_else(|| ReportCell::text(ABSENT)));
            }
        }
    }
    let notes: Vec<(&str, &str)> = tables.iter().map(|(run, table)| (*run, table.note.as_str())).collect();
    merged.note = merge_notes(&notes);
    merged
}
