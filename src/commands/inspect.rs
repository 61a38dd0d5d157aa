//! `jepa3d inspect`: a prepared dataset as a picture or in the rerun viewer.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jepa3d_train::{Query, Selection, contact_sheet, save_recording, serve_recording, spawn_viewer};
use serde::Serialize;

use super::{Outcome, print, print_json, tell};

/// Arguments of `inspect`.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("where").required(true).multiple(true))]
pub(crate) struct Args {
    /// Folder of the prepared dataset.
    folder: PathBuf,
    /// Write a recording for the rerun viewer.
    #[arg(long, value_name = "F.rrd", group = "where")]
    save: Option<PathBuf>,
    /// Serve the recording and a web viewer on this machine until interrupted.
    #[arg(long, group = "where")]
    serve: bool,
    /// Show the recording in the viewer, which must be installed as `rerun`.
    #[arg(long, group = "where", conflicts_with = "serve")]
    spawn: bool,
    /// Write one picture of the samples, for people without a viewer.
    #[arg(long, value_name = "F.png", group = "where")]
    contact_sheet: Option<PathBuf>,
    /// Only this sample.
    #[arg(long, value_name = "ID")]
    sample: Option<String>,
    /// At most this many samples, evenly spread over the dataset.
    #[arg(long, default_value_t = Query::default().limit)]
    limit: usize,
    /// Only this split.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// The grouping whose patches are shown; 0 is the canonical one.
    #[arg(long, value_name = "R", default_value_t = 0)]
    grouping: usize,
    /// Print what was written as JSON on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Written<'a> {
    file: &'a Path,
    bytes: u64,
    bytes_per_sample: u64,
}

#[derive(Serialize, Default)]
struct Summary<'a> {
    samples: usize,
    recording: Option<Written<'a>>,
    contact_sheet: Option<Written<'a>>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let query = Query {
        sample: args.sample.clone(),
        split: args.split.clone(),
        limit: args.limit,
        grouping: args.grouping,
    };
    let folder = args.folder.display();
    if !args.folder.join(jepa3d_schemas::MANIFEST_FILE).exists() {
        bail!("{folder}: not a complete prepared dataset: no {}", jepa3d_schemas::MANIFEST_FILE);
    }
    let selection = Selection::new(&args.folder, &query)?;
    if !selection.has_views() {
        tell(format_args!(
            "note: no views here, only clouds are shown; `jepa3d prepare CONFIG --out {folder} --only views` adds them"
        ));
    }
    let samples = selection.len();
    let written = |file, bytes| Written { file, bytes, bytes_per_sample: bytes / samples.max(1) as u64 };
    let mut summary = Summary { samples, ..Summary::default() };
    if let Some(file) = &args.contact_sheet {
        summary.contact_sheet = Some(written(file, contact_sheet(&selection)?.write(file)?));
    }
    if let Some(file) = &args.save {
        summary.recording = Some(written(file, save_recording(&selection, file)?));
    }
    report(args, &summary)?;
    show(args, &selection)
}

fn report(args: &Args, summary: &Summary<'_>) -> anyhow::Result<()> {
    if args.json {
        return print_json(summary);
    }
    for Written { file, bytes, bytes_per_sample } in
        [&summary.contact_sheet, &summary.recording].into_iter().flatten()
    {
        print(format!(
            "{}: {} samples, {bytes} bytes, {bytes_per_sample} a sample\n",
            file.display(),
            summary.samples
        ))?;
    }
    Ok(())
}

fn show(args: &Args, selection: &Selection) -> anyhow::Result<Outcome> {
    if args.spawn {
        spawn_viewer(selection)
            .context("--spawn needs the viewer (cargo install rerun-cli, or pip install rerun-sdk)")?;
    }
    if args.serve {
        let served = serve_recording(selection)?;
        tell(format_args!("open {} (interrupt to end)", served.url()));
        served.wait();
    }
    Ok(Outcome::Done)
}
