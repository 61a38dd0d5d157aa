//! `jepa3d fewshot`: n-way k-shot episodes on frozen features, beside random weights.

use std::path::PathBuf;
use std::sync::Arc;

use jepa3d_loader::PreparedDataset;
use jepa3d_probe::{
    EpisodeConfig, EpisodeList, Evaluation, FeatureSet, FewShotColumn, few_shot, print_few_shot,
};
use jepa3d_train::{FrozenEncoder, Pooling};
use serde::Serialize;

use super::embed::{Pool, read_preset};
use super::{Conclusion, MachineArgs, check_target, print, print_json, tell};

/// Arguments of `fewshot`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folders or checkpoints.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// What the encoders are whose checkpoints do not say it (those that `convert` made): a preset or a .toml file.
    #[arg(long, value_name = "NAME")]
    preset: Option<PathBuf>,
    /// Folder of the prepared dataset.
    #[arg(long)]
    data: PathBuf,
    /// Numbers of classes an episode.
    #[arg(long, value_delimiter = ',', default_values_t = EpisodeConfig::default().ways)]
    ways: Vec<usize>,
    /// Numbers of labelled samples a class.
    #[arg(long, value_delimiter = ',', default_values_t = EpisodeConfig::default().shots)]
    shots: Vec<usize>,
    /// Episodes for every pair of ways and shots.
    #[arg(long, default_value_t = EpisodeConfig::default().folds)]
    folds: usize,
    /// Queries a class.
    #[arg(long, default_value_t = EpisodeConfig::default().queries)]
    queries: usize,
    /// Seed of the draws.
    #[arg(long, default_value_t = EpisodeConfig::default().seed)]
    seed: u64,
    /// The split of the labelled samples.
    #[arg(long, default_value = "train")]
    train_split: String,
    /// Take the queries from this split instead of the fixed fifth of the training split.
    #[arg(long, value_name = "NAME")]
    test_split: Option<String>,
    /// Measure on the episodes of this file instead of drawing them.
    #[arg(long, value_name = "F.json", conflicts_with_all = ["ways", "shots", "folds", "queries", "seed"])]
    episodes: Option<PathBuf>,
    /// Write the episodes that are drawn to this file.
    #[arg(long, value_name = "F.json", conflicts_with = "episodes")]
    write_episodes: Option<PathBuf>,
    /// How tokens become one vector.
    #[arg(long, value_enum, default_value_t = Pool::MaxMean)]
    pool: Pool,
    /// Leave out the random weights of the same architectures and seeds.
    #[arg(long)]
    no_random: bool,
    #[command(flatten)]
    machine: MachineArgs,
}

#[derive(Serialize)]
struct FewShotReport<'a> {
    fingerprint: &'a str,
    seed: u64,
    support_split: &'a str,
    query_split: &'a str,
    left_out: &'a [String],
    columns: &'a [FewShotColumn],
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    args.write_episodes.as_deref().map_or(Ok(()), |file| check_target("--write-episodes", file))?;
    jepa3d_train::use_threads(super::threads(args.machine.threads));
    let dataset = Arc::new(PreparedDataset::open(&args.data)?);
    let given = args.episodes.as_deref().map(EpisodeList::read).transpose()?;
    let (pooling, splits) = (Pooling::from(args.pool), splits(args, given.as_ref()));
    let preset = read_preset(args.preset.as_deref())?;
    let mut episodes = given;
    let mut columns = Vec::new();
    for path in &args.runs {
        let encoder = FrozenEncoder::open(path, preset.as_ref(), &args.machine.device)?;
        let features = encoder.features(&dataset, &splits, pooling)?;
        let list = match &mut episodes {
            Some(list) => list,
            none => none.insert(draw(args, &features, &dataset)?),
        };
        tell(format_args!("encoder: {}", encoder.source()));
        columns.push(FewShotColumn { title: path.display().to_string(), lines: few_shot(&features, list)? });
        if !args.no_random {
            let random = FrozenEncoder::random(encoder.config(), &dataset, &args.machine.device)?;
            let lines = few_shot(&random.features(&dataset, &splits, pooling)?, list)?;
            columns.push(FewShotColumn { title: "its random weights".to_owned(), lines });
        }
    }
    if let Some(list) = &episodes {
        show(args, list, &columns)?;
    }
    Ok(Conclusion::Done)
}

/// The splits that episodes are made of.
fn splits(args: &Args, given: Option<&EpisodeList>) -> Vec<String> {
    match given {
        Some(list) => list.splits(),
        None => std::iter::once(args.train_split.clone()).chain(args.test_split.clone()).collect(),
    }
}

fn draw(args: &Args, features: &FeatureSet, dataset: &PreparedDataset) -> anyhow::Result<EpisodeList> {
    let config = EpisodeConfig {
        ways: args.ways.clone(),
        shots: args.shots.clone(),
        folds: args.folds,
        queries: args.queries,
        seed: args.seed,
        support_split: args.train_split.clone(),
        evaluation: args.test_split.clone().map_or(Evaluation::Validation, Evaluation::Split),
    };
    let manifest = dataset.manifest();
    let list = EpisodeList::draw(features, &manifest.classes, &manifest.fingerprint, &config)?;
    if let Some(path) = &args.write_episodes {
        list.write(path)?;
    }
    Ok(list)
}

fn show(args: &Args, list: &EpisodeList, columns: &[FewShotColumn]) -> anyhow::Result<()> {
    if args.machine.json {
        return print_json(&FewShotReport {
            fingerprint: &list.fingerprint,
            seed: list.seed,
            support_split: &list.support_split,
            query_split: &list.query_split,
            left_out: &list.left_out,
            columns,
        });
    }
    print(print_few_shot(columns, list))
}
