//! One module a verb, and what they share: outcomes, thread counts, progress.

pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod embed;
pub(crate) mod inspect;
pub(crate) mod prepare;
pub(crate) mod presets;
pub(crate) mod pretrain;
pub(crate) mod probe;
mod progress;
pub(crate) mod stats;
pub(crate) mod teacher;
pub(crate) mod verify;

use std::io::Write;

use anyhow::Context;

/// How a command that could run ended.
pub(crate) enum Conclusion {
    /// Exit code 0.
    Done,
    /// Exit code 1.
    Failed,
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

/// The number of threads asked for, or that of the machine.
pub(crate) fn threads(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1)
}

/// Prints a report as one JSON object on standard output.
pub(crate) fn print_json(report: &impl serde::Serialize) -> anyhow::Result<()> {
    print(serde_json::to_string(report)? + "\n")
}

/// Writes a line to standard error; a log that cannot be written, say on a full disk, ends no run.
pub(crate) fn tell(line: impl std::fmt::Display) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Writes text to standard output; a reader that has seen enough and left is no error.
pub(crate) fn print(text: impl AsRef<str>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_ref().as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e).context("standard output"),
        _ => Ok(()),
    }
}
