//! The command line of jepa3d, and nothing else: arguments in, a report and an exit code out.
//!
//! Exit codes: 0 done; 1 done, but more objects were quarantined than allowed, or a check
//! failed; 2 could not run; 3 could not run or go on for a fault of the machine: try again.

mod commands;
mod object_store;
mod presets;

use std::io::Write;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use commands::{
    ablate, completions, convert, embed, export, fewshot, finetune, inspect, prepare, pretrain, probe,
    report, retrieve, robustness, segment, stats, teacher, tuning, verify,
};

/// Row groups of tens of megabytes come and go: the system's allocator hands each back to the
/// kernel and takes a fifth of the time to prepare small clouds in page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Self-supervised pretraining on 3D data.
#[derive(Parser)]
#[command(name = "jepa3d", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print more: warnings about single objects, twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(flatten)]
    stores: object_store::StoreArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Turn raw data into verified Parquet shards; run it again to continue.
    Prepare(prepare::Args),
    /// Check hashes, counts and the invariants of every row.
    Verify(verify::Args),
    /// Classes, splits, sizes, extents, times and bytes.
    Stats(stats::Args),
    /// Cache a frozen image encoder's embeddings of the views; run it again to continue.
    Teacher(teacher::Args),
    /// Pretrain an encoder on prepared shards; --resume continues.
    Pretrain(pretrain::Args),
    /// Features of a frozen encoder, one vector a sample, as Parquet.
    Embed(embed::Args),
    /// What frozen features are worth, beside random weights of the same architecture.
    Probe(probe::Args),
    /// Train an encoder with a classification head on labels; --resume continues.
    Finetune(tuning::TuningArgs),
    /// Train an encoder with a head that labels points, of parts or scenes; --resume continues.
    Segment(tuning::TuningArgs),
    /// N-way k-shot episodes on frozen features, beside random weights.
    Fewshot(fewshot::Args),
    /// Nearest neighbours by frozen features: mAP, recall, and pictures of what is found.
    Retrieve(retrieve::Args),
    /// The reports that other commands left with --out, side by side.
    Report(report::Args),
    /// What corrupted clouds cost frozen features, beside random weights.
    Robustness(robustness::Args),
    /// Compare variants of a config: pretrained one after the other, probed, in one table.
    Ablate(ablate::Args),
    /// Look at samples: a picture, or the rerun viewer.
    Inspect(inspect::Args),
    /// Turn an official PyTorch checkpoint into ours, or ours into one.
    Convert(convert::Args),
    /// Write a pretrained encoder as a Hugging Face folder, for PyTorch.
    Export(export::Args),
    /// List the built-in configs, or print one to edit.
    Presets(commands::presets::Args),
    /// Print the completion script of a shell.
    Completions(completions::Args),
}

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let level = match cli.verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| PrintableLog)
        .with_ansi(false)
        .without_time()
        .log_internal_errors(false)
        .init();
    report_large_files();
    let result = check_urls(&matches).and_then(|()| cli.stores.serve()).and_then(|()| run(cli.command));
    match result {
        Ok(commands::Conclusion::Done) => ExitCode::SUCCESS,
        Ok(commands::Conclusion::Failed) => ExitCode::from(1),
        Err(error) => {
            commands::tell(format_args!("error: {}", message(&error)));
            ExitCode::from(commands::exit_code(&error))
        }
    }
}

fn run(command: Command) -> anyhow::Result<commands::Conclusion> {
    match command {
        Command::Prepare(args) => prepare::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Teacher(args) => teacher::run(&args),
        Command::Pretrain(args) => pretrain::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Finetune(args) => finetune::run(&args),
        Command::Segment(args) => segment::run(&args),
        Command::Fewshot(args) => fewshot::run(&args),
        Command::Retrieve(args) => retrieve::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Robustness(args) => robustness::run(&args),
        Command::Ablate(args) => ablate::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Presets(args) => commands::presets::run(&args),
        Command::Completions(args) => completions::run(&args, Cli::command()),
    }
}

/// Refuses URLs where a command reads or writes a folder of this machine: one of that name would be created.
fn check_urls(matches: &ArgMatches) -> anyhow::Result<()> {
    let Some((command, matches)) = matches.subcommand() else { return Ok(()) };
    for id in matches.ids().map(clap::Id::as_str) {
        let is_read = match (command, id) {
            ("prepare", "out") | ("verify" | "stats", "folder") | ("inspect", "folder") => true,
            ("prepare", _) => false,
            (_, id) => matches!(id, "data" | "calibrate_on"),
        };
        let values = matches.try_get_raw(id).ok().flatten().into_iter().flatten();
        for value in values.filter(|_| !is_read) {
            if jepa3d_schemas::is_remote(value.as_ref()) {
                let value = value.display();
                anyhow::bail!(
                    "{value}: expected a path of this machine, found a URL: object stores hold prepared datasets alone"
                );
            }
        }
    }
    Ok(())
}

/// Standard error as a log writes to it: a line each time, in which nothing steers a terminal. One that cannot be written ends
/// no run.
struct PrintableLog;

impl Write for PrintableLog {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        commands::tell(String::from_utf8_lossy(line).trim_end());
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Makes a write beyond a limit on the size of files an error that names the file, instead of the end of the process.
fn report_large_files() {
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::signal::SIGXFSZ, Default::default());
}

/// The chain of causes in one line; a cause that the message above it quotes is not repeated.
fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
