//! One module a verb, and what they share: outcomes, thread counts, progress.

pub(crate) mod ablate;
pub(crate) mod completions;
pub(crate) mod convert;
mod downstream_report;
pub(crate) mod embed;
mod encoder;
mod episode_tuning;
mod experiments;
pub(crate) mod export;
mod feature_plane;
pub(crate) mod fewshot;
mod fewshot_report;
pub(crate) mod finetune;
pub(crate) mod inspect;
mod job_index;
mod judged_labels;
pub(crate) mod live;
pub(crate) mod prepare;
pub(crate) mod presets;
pub(crate) mod pretrain;
pub(crate) mod probe;
mod probe_report;
mod progress;
pub(crate) mod report;
mod report_folder;
pub(crate) mod retrieve;
mod retrieve_report;
pub(crate) mod robustness;
mod robustness_report;
pub(crate) mod segment;
mod segment_pictures;
pub(crate) mod stats;
pub(crate) mod teacher;
pub(crate) mod tuning;
pub(crate) mod verify;

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use jepa3d_schemas::{TemporaryFile, printable, printable_json, printable_lines, remove_temporaries_of};

/// How a command that could run ended.
pub(crate) enum Conclusion {
    /// Exit code 0.
    Done,
    /// Exit code 1.
    Failed,
}

/// The exit code of a command that did not come to its end: 3 if the machine is at fault or another process in the way, so that
/// the same command may succeed later or elsewhere, 2 if it would not. Commands on raw data and prepared sets tell the two apart.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    let cause = error.downcast_ref::<jepa3d_pipeline::Error>();
    if cause.is_some_and(jepa3d_pipeline::Error::is_of_machine) { 3 } else { 2 }
}

/// Where a command runs and how it reports.
#[derive(clap::Args)]
pub(crate) struct MachineArgs {
    /// Where tensors live.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Threads; default: all cores.
    #[arg(long)]
    threads: Option<usize>,
    /// Print the report as JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// The number of threads asked for, or that of the cores that this process may use: more would only wait for each other.
pub(crate) fn threads(asked: Option<usize>) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    bound_threads("--threads", asked.unwrap_or(cores), cores)
}

/// At most as many threads as `cores`, with a word if a setting asks for more.
pub(crate) fn bound_threads(setting: &str, asked: usize, cores: usize) -> usize {
    if asked > cores {
        tell(format_args!(
            "note: {setting} {asked}: this process may use {cores} cores, and so many threads"
        ));
    }
    asked.clamp(1, cores.max(1))
}

/// Refuses a file that could not be written in the end, before any work is done for it; clears away what a process that was
/// killed left half-written of it.
pub(crate) fn check_target(option: &str, path: &Path) -> anyhow::Result<()> {
    let file = path.display();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let found = if folder.exists() { "a file" } else { "none" };
        bail!("{option} {file}: expected a folder {}, found {found}", folder.display());
    }
    if path.file_name().is_none() || (path.exists() && !path.is_file()) {
        let found = if path.is_dir() { "a folder" } else { "something else" };
        bail!("{option} {file}: expected the name of a file, found {found}");
    }
    remove_temporaries_of(path)?;
    TemporaryFile::create(path).with_context(|| format!("{option} {file}"))?;
    Ok(())
}

/// Prints a report as one JSON object on standard output.
pub(crate) fn print_json(report: &impl serde::Serialize) -> anyhow::Result<()> {
    print_raw(printable_json(&serde_json::to_string(report)?) + "\n")
}

/// Writes a line to standard error; a log that cannot be written, say on a full disk, ends no run.
pub(crate) fn tell(line: impl std::fmt::Display) {
    let _ = std::io::stderr().write_all(format!("{}\n", printable(&line.to_string())).as_bytes());
}

/// Writes lines to standard output; a reader that has seen enough and left is no error.
pub(crate) fn print(lines: impl AsRef<str>) -> anyhow::Result<()> {
    print_raw(printable_lines(lines.as_ref()))
}

/// Writes text of our own to standard output as it stands.
pub(crate) fn print_raw(text: impl AsRef<str>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_ref().as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e).context("standard output"),
        _ => Ok(()),
    }
}
