//! `jepa3d report`: the reports of several commands side by side.

use std::path::{Path, PathBuf};

use jepa3d_inspect::{Report, ReportSection, compare_reports, read_report, write_page};
use jepa3d_schemas::printable;

use super::report_folder::print_table;
use super::{Conclusion, check_target, print, print_json};

/// Arguments of `report`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folders that commands left with `--out`.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Write the page of the comparison to this file.
    #[arg(long, value_name = "F.html")]
    out: Option<PathBuf>,
    /// Print the comparison as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    args.out.as_deref().map_or(Ok(()), |file| check_target("--out", file))?;
    let reports = args.folders.iter().map(|folder| read_report(folder)).collect::<Result<Vec<_>, _>>()?;
    let merged = compare_reports(&name_folders(&args.folders), &reports);
    if let Some(file) = &args.out {
        write_page(file, &merged)?;
    }
    match (args.json, &args.out) {
        (true, _) => print_json(&merged)?,
        (false, Some(file)) => print(format!("{}\n", printable(&file.display().to_string())))?,
        (false, None) => print(print_tables(&merged))?,
    }
    Ok(Conclusion::Done)
}

/// Last parts of the paths, or the paths where two are the same.
fn name_folders(folders: &[PathBuf]) -> Vec<String> {
    let last = |folder: &Path| {
        let path = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        path.file_name()
            .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
    };
    let short: Vec<String> = folders.iter().map(|folder| last(folder)).collect();
    let is_once = |name: &String| short.iter().filter(|other| *other == name).count() == 1;
    let full = || folders.iter().map(|folder| folder.display().to_string()).collect();
    if short.iter().all(is_once) { short } else { full() }
}

/// The tables as plain text; pictures and charts need the page.
fn print_tables(report: &Report) -> String {
    let mut out = String::new();
    for section in &report.sections {
        if let ReportSection::Table(table) = section {
            out += &format!("{}\n{}\n", printable(&table.caption), print_table(table));
        }
    }
    for made in &report.provenance {
        out += &format!("{}: {}\n", printable(&made.name), printable(&made.command));
    }
    out
}
