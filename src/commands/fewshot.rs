//! `jepa3d fewshot`: n-way k-shot episodes on frozen features, beside random weights.

use std::path::PathBuf;
use std::sync::Arc;

use jepa3d_loader::PreparedDataset;
use jepa3d_probe::{
    EpisodeConfig, EpisodeList, Evaluation, FeatureSet, FewShotColumn, few_shot, print_few_shot,
};
use jepa3d_train::{DownstreamConfig, EncoderSource};
use serde::Serialize;

use super::encoder::EncoderArgs;
use super::episode_tuning::EpisodeTuning;
use super::fewshot_report::write_fewshot_report;
use super::judged_labels::JudgedSplits;
use super::report_folder::{check_report_folder, describe_process};
use super::{Conclusion, MachineArgs, check_target, print, print_json, tell, threads};
use crate::presets::{self, Verb};

/// Arguments of `fewshot`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folders or checkpoints.
    #[arg(required_unless_present = "model")]
    runs: Vec<PathBuf>,
    /// Folder of the prepared dataset.
    #[arg(long)]
    data: PathBuf,
    /// Leave a report in this folder: report.json and report.html.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
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
    /// Leave out the random weights of the same architectures and seeds.
    #[arg(long)]
    no_random: bool,
    #[command(flatten)]
    encoder: EncoderArgs,
    /// Also train every encoder on every episode, by this preset of `finetune` (few-shot, few-shot-small) or .toml file; needs
    /// --out, where each episode leaves a run, so that the same command goes on after a crash.
    #[arg(long, value_name = "NAME", requires = "out")]
    finetune: Option<PathBuf>,
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
    args.out.as_deref().map_or(Ok(()), |folder| check_report_folder("--out", folder))?;
    let threads = threads(args.machine.threads);
    jepa3d_train::use_threads(threads);
    let dataset = Arc::new(PreparedDataset::open(&args.data)?);
    if args.episodes.is_none() {
        JudgedSplits { dataset: &dataset, train: &args.train_split, test: args.test_split.as_deref() }
            .check()?;
    }
    let given = args.episodes.as_deref().map(EpisodeList::read).transpose()?;
    let splits = splits(args, given.as_ref());
    let mut episodes = given;
    let (mut columns, mut encoders, mut seeds) = (Vec::new(), Vec::new(), Vec::new());
    for path in &args.encoder.list_runs(&args.runs)? {
        let encoder = args.encoder.open(path, &dataset, &args.machine.device)?;
        let features = encoder.features(&dataset, &splits)?;
        let list = match &mut episodes {
            Some(list) => list,
            none => none.insert(draw(args, &features, &dataset)?),
        };
        tell(format_args!("encoder: {}", encoder.source()));
        encoders.push(encoder.source().to_owned());
        seeds.push(encoder.config().run.seed);
        let title = path.display().to_string();
        columns.push(FewShotColumn { title: title.clone(), lines: few_shot(&features, list)? });
        let tuning = args.tuning(columns.len(), list, &dataset)?;
        if let Some(tuning) = &tuning {
            let source = EncoderSource::Pretrained { path: path.clone(), preset: args.encoder.preset()? };
            columns.push(tuning.run(&format!("{title}, fine-tuned"), &source)?);
        }
        if !args.no_random {
            let random = args.encoder.randomize(&encoder, &dataset, &args.train_split)?;
            tell(format_args!("beside it: {}", random.source()));
            encoders.push(random.source().to_owned());
            let lines = few_shot(&random.features(&dataset, &splits)?, list)?;
            columns.push(FewShotColumn { title: "its random weights".to_owned(), lines });
            if let Some(tuning) = &tuning {
                let source = EncoderSource::Scratch(Box::new(encoder.config().clone()));
                columns.push(tuning.run("trained from its random weights", &source)?);
            }
        }
    }
    if let Some(list) = &episodes {
        if let Some(folder) = &args.out {
            let provenance = describe_process(&dataset, &encoders, &seeds, threads);
            write_fewshot_report(folder, &dataset, &columns, list, provenance)?;
        }
        show(args, list, &columns)?;
    }
    Ok(Conclusion::Done)
}

impl Args {
    /// How episodes are trained on, for the run that stands in column `number`; none if that is not asked for.
    fn tuning<'a>(
        &'a self,
        number: usize,
        list: &'a EpisodeList,
        dataset: &'a Arc<PreparedDataset>,
    ) -> anyhow::Result<Option<EpisodeTuning<'a>>> {
        let (Some(preset), Some(out)) = (&self.finetune, &self.out) else { return Ok(None) };
        let config = DownstreamConfig::parse(&presets::resolve(Verb::Finetune, preset)?, &[])?;
        let (out, device) = (out.join(format!("episodes-{number}")), &self.machine.device);
        Ok(Some(EpisodeTuning { config, list, dataset, out, device }))
    }
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
