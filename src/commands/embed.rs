//! `jepa3d embed`: features of a frozen encoder for any other tool.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jepa3d_loader::PreparedDataset;
use jepa3d_schemas::printable;
use jepa3d_train::{FrozenEncoder, Pooling, PretrainConfig};
use serde::Serialize;

use super::{Conclusion, MachineArgs, check_target, print, print_json};
use crate::presets::{self, Verb};

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
    /// What the encoder is, where the checkpoint does not say (one that `convert` made): a preset or a .toml file.
    #[arg(long, value_name = "NAME")]
    preset: Option<PathBuf>,
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
    out: &'a Path,
    samples: usize,
    width: usize,
    pooling: &'static str,
    encoder: &'a str,
}

/// The config that `--preset` names.
pub(crate) fn read_preset(preset: Option<&Path>) -> anyhow::Result<Option<PretrainConfig>> {
    let Some(preset) = preset else { return Ok(None) };
    Ok(Some(PretrainConfig::parse(&presets::resolve(Verb::Pretrain, preset)?, &[])?))
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    check_target("--out", &args.out)?;
    jepa3d_train::use_threads(super::threads(args.machine.threads));
    let dataset = Arc::new(PreparedDataset::open(&args.data)?);
    let preset = read_preset(args.preset.as_deref())?;
    let encoder = FrozenEncoder::open(&args.run, preset.as_ref(), &args.machine.device)?;
    let pooling = Pooling::from(args.pool);
    let set = encoder.features(&dataset, &args.splits, pooling)?;
    let (samples, width) = (set.len(), set.width);
    encoder.write(&args.out, set, &dataset, pooling)?;
    let (encoder, pooling) = (encoder.source(), pooling.name());
    if args.machine.json {
        print_json(&EmbedReport { out: &args.out, samples, width, pooling, encoder })?;
    } else {
        let out = args.out.display();
        let line = format!("{out}: {samples} samples, {width} numbers each, {pooling}, {encoder}");
        print(printable(&line) + "\n")?;
    }
    Ok(Conclusion::Done)
}
