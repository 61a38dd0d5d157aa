//! `jepa3d inspect`: a prepared dataset or a run as a picture or in the rerun viewer.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jepa3d_inspect::{
    Query, RunQuery, RunView, Selection, Sheet, Shown, contact_sheet, mask_sheet, plot_curves,
    save_recording, serve_recording, spawn_viewer,
};
use jepa3d_schemas::{is_remote, printable};
use jepa3d_train::{LAST_FILE, METRICS_FILE, use_threads};
use serde::Serialize;

use super::{Conclusion, check_target, print, print_json, tell, threads};

/// Arguments of `inspect`.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("where").required(true).multiple(true))]
pub(crate) struct Args {
    /// Folder of a prepared dataset, or of a pretraining run.
    folder: PathBuf,
    /// A run: the prepared dataset it was trained on, for what it hides from its encoder.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
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
    /// A run: draw its scalars into one picture.
    #[arg(long, value_name = "F.png", group = "where")]
    curves: Option<PathBuf>,
    /// Only this sample.
    #[arg(long, value_name = "ID")]
    sample: Option<String>,
    /// At most this many samples, evenly spread over the dataset.
    #[arg(long, default_value_t = Query::default().limit)]
    limit: usize,
    /// Only this split; default: all of a dataset, the one a run was trained on.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// The grouping whose patches are shown; 0 is the canonical one.
    #[arg(long, value_name = "R", default_value_t = 0)]
    grouping: usize,
    /// A run: draws of its masks, spread over the epochs done.
    #[arg(long, value_name = "N", default_value_t = RunQuery::default().draws)]
    draws: usize,
    /// Print what was written as JSON on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct WrittenFile<'a> {
    file: &'a Path,
    bytes: u64,
    bytes_per_sample: u64,
}

#[derive(Serialize, Default)]
struct InspectSummary<'a> {
    samples: usize,
    recording: Option<WrittenFile<'a>>,
    contact_sheet: Option<WrittenFile<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    curves: Option<WrittenFile<'a>>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    let targets =
        [("--contact-sheet", &args.contact_sheet), ("--curves", &args.curves), ("--save", &args.save)];
    for (option, file) in targets {
        file.as_deref().map_or(Ok(()), |file| check_target(option, file))?;
    }
    use_threads(threads(None));
    let folder = args.folder.display();
    let has = |file: &str| args.folder.join(file).exists();
    if is_remote(&args.folder) || has(jepa3d_schemas::MANIFEST_FILE) {
        return dataset(args);
    }
    if has(METRICS_FILE) || has(LAST_FILE) {
        return pretraining(args);
    }
    bail!("{folder}: not a complete prepared dataset: no {}", jepa3d_schemas::MANIFEST_FILE);
}

fn query(args: &Args) -> Query {
    Query {
        sample: args.sample.clone(),
        split: args.split.clone(),
        limit: args.limit,
        grouping: args.grouping,
    }
}

fn dataset(args: &Args) -> anyhow::Result<Conclusion> {
    let folder = args.folder.display();
    for (name, is_given) in [("--curves", args.curves.is_some()), ("--data", args.data.is_some())] {
        if is_given {
            bail!("{folder}: {name}: expected the folder of a run, found a prepared dataset");
        }
    }
    let selection = Selection::new(&args.folder, &query(args))?;
    if !selection.has_views() {
        tell(format_args!(
            "note: no views here, only clouds are shown; `jepa3d prepare CONFIG --out {folder} --only views` adds them"
        ));
    }
    let sheet = || contact_sheet(&selection);
    show(args, (&selection).into(), selection.len(), &sheet)
}

fn pretraining(args: &Args) -> anyhow::Result<Conclusion> {
    let folder = args.folder.display();
    if args.data.is_none() && args.contact_sheet.is_some() {
        bail!("{folder}: --contact-sheet of a run needs its dataset (--data DIR)");
    }
    let is_for_masks = args.contact_sheet.is_some() || args.save.is_some() || args.serve || args.spawn;
    let data = args.data.as_deref().filter(|_| is_for_masks);
    if data.is_none() && is_for_masks {
        tell(format_args!("note: only scalars are shown; --data DIR adds clouds and what is hidden of them"));
    }
    let run = RunView::open(&args.folder, data, &RunQuery { clouds: query(args), draws: args.draws })?;
    let sheet = || mask_sheet(&run);
    show(args, (&run).into(), run.clouds(), &sheet)
}

/// Writes and shows what is asked for.
fn show(
    args: &Args,
    shown: Shown<'_>,
    samples: usize,
    sheet: &dyn Fn() -> jepa3d_inspect::Result<Sheet>,
) -> anyhow::Result<Conclusion> {
    let written = |file, bytes| WrittenFile { file, bytes, bytes_per_sample: bytes / samples.max(1) as u64 };
    let mut summary = InspectSummary { samples, ..InspectSummary::default() };
    if let Some(file) = &args.contact_sheet {
        summary.contact_sheet = Some(written(file, sheet()?.write(file)?));
    }
    if let Some(file) = &args.curves {
        plot_curves(&args.folder, file)?;
        let bytes = std::fs::metadata(file).with_context(|| file.display().to_string())?.len();
        summary.curves = Some(written(file, bytes));
    }
    if let Some(file) = &args.save {
        summary.recording = Some(written(file, save_recording(shown, file)?));
    }
    report(args, &summary)?;
    view(args, shown)
}

fn report(args: &Args, summary: &InspectSummary<'_>) -> anyhow::Result<()> {
    if args.json {
        return print_json(summary);
    }
    for WrittenFile { file, bytes, bytes_per_sample } in
        [&summary.contact_sheet, &summary.recording].into_iter().flatten()
    {
        let (file, samples) = (printable(&file.display().to_string()), summary.samples);
        print(match samples {
            0 => format!("{file}: {bytes} bytes\n"),
            _ => format!("{file}: {samples} samples, {bytes} bytes, {bytes_per_sample} a sample\n"),
        })?;
    }
    if let Some(WrittenFile { file, bytes, .. }) = &summary.curves {
        print(format!("{}: {bytes} bytes\n", printable(&file.display().to_string())))?;
    }
    Ok(())
}

fn view(args: &Args, shown: Shown<'_>) -> anyhow::Result<Conclusion> {
    if args.spawn {
        spawn_viewer(shown)
            .context("--spawn needs the viewer (cargo install rerun-cli, or pip install rerun-sdk)")?;
    }
    if args.serve {
        let served = serve_recording(shown)?;
        tell(format_args!("open {} (interrupt to end)", served.url()));
        served.wait();
    }
    Ok(Conclusion::Done)
}
