//! `jepa3d embed`: features of a frozen encoder for any other tool.

use std::path::PathBuf;
use std::sync::Arc;

use jepa3d_loader::PreparedDataset;
use jepa3d_train::{FrozenEncoder, Pooling};
use serde::Serialize;

use super::{Conclusion, MachineArgs, print, print_json};

/// Arguments of `embed`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A run folder, or a checkpoint inside one.
    run: PathBuf,
    /// Folder of the prepared dataset.
    #[arg(long)]
    data: PathBuf,
    /// The Parquet file.
    #[arg(long, value_name = "F.parquet")]
    out: PathBuf,
    /// How tokens become one vector.
    #[arg(long, value_enum, default_value_t = Pool::MaxMean)]
    pool: Pool,
    /// Only this split (repeatable).
    #[arg(long = "split", value_name = "NAME")]
    splits: Vec<String>,
    #[command(flatten)]
    machine: MachineArgs,
}

/// How tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Pool {
    /// Maximum, then mean over tokens: 2 D numbers.
    MaxMean,
    /// Mean over tokens: D numbers.
    Mean,
}

impl From<Pool> for Pooling {
    fn from(pool: Pool) -> Self {
        match pool {
            Pool::MaxMean => Self::MaxMean,
            Pool::Mean => Self::Mean,
        }
    }
}

#[derive(Serialize)]
struct EmbedReport<'a> {
    out: &'a std::path::Path,
    samples: usize,
    width: usize,
    pooling: &'static str,
    encoder: &'a str,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    jepa3d_train::use_threads(super::threads(args.machine.threads));
    let dataset = Arc::new(PreparedDataset::open(&args.data)?);
    let encoder = FrozenEncoder::open(&args.run, &args.machine.device)?;
    let pooling = Pooling::from(args.pool);
    let set = encoder.features(&dataset, &args.splits, pooling)?;
    let (samples, width) = (set.len(), set.width);
    encoder.write(&args.out, set, &dataset, pooling)?;
    let (encoder, pooling) = (encoder.source(), pooling.name());
    if args.machine.json {
        print_json(&EmbedReport { out: &args.out, samples, width, pooling, encoder })?;
    } else {
        print(format!(
            "{}: {samples} samples, {width} numbers each, {pooling}, {encoder}\n",
            args.out.display()
        ))?;
    }
    Ok(Conclusion::Done)
}
