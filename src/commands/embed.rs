//! `jepa3d embed`: features of a frozen encoder for any other tool.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jepa3d_loader::PreparedDataset;
use jepa3d_schemas::printable;
use serde::Serialize;

use super::encoder::EncoderArgs;
use super::{Conclusion, MachineArgs, check_target, print, print_json};

/// Arguments of `embed`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A run folder, or a checkpoint inside one.
    #[arg(required_unless_present = "model", conflicts_with = "model")]
    run: Option<PathBuf>,
    /// Folder of the prepared dataset.
    #[arg(long)]
    data: PathBuf,
    /// The Parquet file.
    #[arg(long, value_name = "F.parquet")]
    out: PathBuf,
    /// Only this split (repeatable).
    #[arg(long = "split", value_name = "NAME")]
    splits: Vec<String>,
    /// Features of random weights of the run's config and seed, instead of its own.
    #[arg(long)]
    random: bool,
    #[command(flatten)]
    encoder: EncoderArgs,
    #[command(flatten)]
    machine: MachineArgs,
}

#[derive(Serialize)]
struct EmbedReport<'a> {
    out: &'a Path,
    samples: usize,
    width: usize,
    pooling: String,
    encoder: &'a str,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    check_target("--out", &args.out)?;
    jepa3d_train::use_threads(super::threads(args.machine.threads));
    let dataset = Arc::new(PreparedDataset::open(&args.data)?);
    let run = args.encoder.list_runs(args.run.as_slice())?.remove(0);
    let mut encoder = args.encoder.open(&run, &dataset, &args.machine.device)?;
    if args.random {
        encoder = args.encoder.randomize(&encoder, &dataset, &encoder.config().data.split)?;
    }
    let set = encoder.features(&dataset, &args.splits)?;
    let (samples, width) = (set.len(), set.width);
    encoder.write(&args.out, set, &dataset)?;
    let (encoder, pooling) = (encoder.source(), encoder.feature_config().describe());
    if args.machine.json {
        print_json(&EmbedReport { out: &args.out, samples, width, pooling, encoder })?;
    } else {
        let out = args.out.display();
        let line = format!("{out}: {samples} samples, {width} numbers each, {pooling}, {encoder}");
        print(printable(&line) + "\n")?;
    }
    Ok(Conclusion::Done)
}
