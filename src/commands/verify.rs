//! `jepa3d verify`: is a prepared dataset what it should be?

use std::path::PathBuf;

use anyhow::Context;
use jepa3d_schemas::printable;

use super::{Conclusion, print, print_json, threads};

/// Arguments of `verify`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the prepared dataset.
    folder: PathBuf,
    /// Worker threads; default: all cores.
    #[arg(long)]
    threads: Option<usize>,
    /// Print the report as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    let folder = args.folder.display();
    let report = jepa3d_pipeline::verify(&args.folder, threads(args.threads))
        .with_context(|| format!("{folder}: not a complete prepared dataset"))?;
    if args.json {
        print_json(&report)?;
    } else {
        let problems: String =
            report.problems.iter().map(|problem| printable(&problem.to_string()) + "\n").collect();
        let (rows, shards) = (report.rows, report.manifest.shards.len());
        let verdict = match report.problems.len() {
            0 => "all good".to_owned(),
            n => format!("{n} problems"),
        };
        let quarantined = report.manifest.failures();
        let views = match report.manifest.views {
            None => String::new(),
            Some(_) => format!(", {} views with {} correspondences", report.views, report.correspondences),
        };
        let embeddings = match report.embeddings {
            0 => String::new(),
            n => format!(", {n} embeddings"),
        };
        let notes: String = report.notes.iter().map(|note| format!("note: {note}\n")).collect();
        print(format!(
            "{problems}{notes}{folder}: {rows} rows in {shards} shards{views}{embeddings}, {quarantined} quarantined: {verdict}\n"
        ))?;
    }
    Ok(if report.problems.is_empty() { Conclusion::Done } else { Conclusion::Failed })
}
