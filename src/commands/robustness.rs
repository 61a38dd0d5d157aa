//! `jepa3d robustness`: what corrupted clouds cost frozen features, beside random weights of the same architecture.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use clap::ValueEnum;
use clap::builder::PossibleValue;
use jepa3d_loader::{CorruptionKind, PreparedDataset, SEVERITIES};
use jepa3d_probe::{
    CorruptionErrors, Evaluation, Judge, ProbeConfig, RobustnessColumn, RobustnessTable, print_robustness,
};
use jepa3d_schemas::write_atomically;
use jepa3d_train::{FrozenEncoder, RobustnessPlan, measure_robustness};
use serde::Serialize;

use super::encoder::EncoderArgs;
use super::experiments::name_experiments;
use super::judged_labels::JudgedSplits;
use super::progress::Meter;
use super::report_folder::{check_report_folder, command_line, describe_process};
use super::robustness_report::write_robustness;
use super::{Conclusion, MachineArgs, check_target, print, print_json, tell};

/// What `--out` gets.
const REPORT_FILE: &str = "robustness.json";

/// Arguments of `robustness`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folders or checkpoints; those of one preset, trained alike, are seeds of one experiment, shown as mean and deviation.
    #[arg(required_unless_present = "model")]
    runs: Vec<PathBuf>,
    /// Folder of the prepared dataset; its stored clouds are corrupted and then grouped as the encoder learned.
    #[arg(long)]
    data: PathBuf,
    /// A folder for report.html, report.json, and robustness.json: every number, and what made it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How severe, from 1 to 5.
    #[arg(long, value_delimiter = ',', default_values_t = 1..=SEVERITIES)]
    severities: Vec<usize>,
    /// What is done to the clouds. Default: everything.
    #[arg(long, value_delimiter = ',', value_enum, value_name = "NAME", hide_possible_values = true)]
    corruptions: Vec<KindName>,
    /// Seed of the corruptions.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The split whose samples the classifiers are fitted on, clean.
    #[arg(long, default_value = "train")]
    train_split: String,
    /// Measure on this split instead of the fixed fifth of the training split; nothing is chosen on it.
    #[arg(long, value_name = "NAME")]
    test_split: Option<String>,
    #[command(flatten)]
    encoder: EncoderArgs,
    #[command(flatten)]
    machine: MachineArgs,
}

/// A kind of corruption by its name.
#[derive(Clone, Copy, Debug)]
struct KindName(CorruptionKind);

impl ValueEnum for KindName {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [KindName; CorruptionKind::ALL.len()] = {
            let mut all = [KindName(CorruptionKind::Jitter); CorruptionKind::ALL.len()];
            let mut i = 0;
            while i < all.len() {
                all[i] = KindName(CorruptionKind::ALL[i]);
                i += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

/// A kind, and how much of it each severity is.
#[derive(Serialize)]
struct KindReport {
    name: &'static str,
    unit: &'static str,
    amounts: [f64; SEVERITIES],
}

/// Everything that was measured, and what made it.
#[derive(Serialize)]
struct RobustnessReport {
    command: String,
    tool_version: &'static str,
    fingerprint: String,
    corruption_seed: u64,
    severities: Vec<usize>,
    corruptions: Vec<KindReport>,
    /// What each run is a seed of.
    experiments: Vec<String>,
    seeds: Vec<u64>,
    pretrained: Vec<RobustnessTable>,
    random: Vec<RobustnessTable>,
    /// Of each run, by both classifiers.
    errors: Vec<[CorruptionErrors; 2]>,
    probe: ProbeConfig,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    if let Some(folder) = &args.out {
        check_report_folder("--out", folder)?;
        check_target("--out", &folder.join(REPORT_FILE))?;
    }
    let threads = super::threads(args.machine.threads);
    jepa3d_train::use_threads(threads);
    let dataset = Arc::new(PreparedDataset::open(&args.data)?);
    JudgedSplits { dataset: &dataset, train: &args.train_split, test: args.test_split.as_deref() }
        .check_and_tell()?;
    let mut plan = plan(args, &dataset)?;
    let (mut encoders, mut random) = (Vec::new(), Vec::new());
    let paths = args.encoder.list_runs(&args.runs)?;
    for path in &paths {
        let encoder = args.encoder.open_regrouping(path, &dataset, &args.machine.device)?;
        random.push(args.encoder.randomize(&encoder, &dataset, &args.train_split)?);
        encoders.push(encoder);
    }
    plan.probe.pooling = describe_features(&encoders);
    let trained: Vec<_> =
        paths.into_iter().zip(encoders.iter().map(|encoder| encoder.config().clone())).collect();
    let experiments = name_experiments(&trained);
    let seeds = encoders.iter().map(|encoder| encoder.config().run.seed).collect();
    encoders.append(&mut random);
    let pretrained = measure(&encoders, &dataset, &plan)?;
    let report = make_report(args, &dataset, plan, Measured { experiments, seeds, tables: pretrained });
    if let Some(folder) = &args.out {
        let sources: Vec<String> = report.pretrained.iter().map(|table| table.encoder.clone()).collect();
        let provenance = describe_process(&dataset, &sources, &report.seeds, threads);
        write_robustness(folder, &report.columns(), &report.probe, provenance)?;
        let text = serde_json::to_string_pretty(&report)? + "\n";
        write_atomically(&folder.join(REPORT_FILE), text.as_bytes())?;
    }
    if args.machine.json {
        print_json(&report)?;
    } else {
        report.pretrained.iter().for_each(|table| tell(format_args!("encoder: {}", table.encoder)));
        report.random.iter().for_each(|table| tell(format_args!("beside it: {}", table.encoder)));
        print(print_robustness(&report.columns(), &report.probe))?;
        args.out.iter().for_each(|folder| tell(format_args!("wrote {}", folder.display())));
    }
    Ok(Conclusion::Done)
}

/// How features of the encoders are made, each way once.
fn describe_features(encoders: &[FrozenEncoder]) -> String {
    let ways: BTreeSet<String> = encoders.iter().map(|encoder| encoder.feature_config().describe()).collect();
    ways.into_iter().collect::<Vec<String>>().join("; ")
}

fn plan(args: &Args, dataset: &PreparedDataset) -> anyhow::Result<RobustnessPlan> {
    let mut severities = args.severities.clone();
    severities.sort_unstable();
    severities.dedup();
    if let Some(wrong) = severities.iter().find(|severity| !(1..=SEVERITIES).contains(*severity)) {
        bail!("--severities: expected 1 to {SEVERITIES}, found {wrong}");
    }
    let asked = |kind: &CorruptionKind| args.corruptions.iter().any(|name| name.0 == *kind);
    let kinds = CorruptionKind::ALL.into_iter().filter(|kind| args.corruptions.is_empty() || asked(kind));
    let probe = ProbeConfig {
        evaluation: args.test_split.clone().map_or(Evaluation::Validation, Evaluation::Split),
        training_split: args.train_split.clone(),
        class_names: dataset.classes().to_vec(),
        ..ProbeConfig::default()
    };
    Ok(RobustnessPlan { kinds: kinds.collect(), severities, seed: args.seed, probe })
}

/// The tables, with progress on the way.
fn measure(
    encoders: &[FrozenEncoder],
    dataset: &Arc<PreparedDataset>,
    plan: &RobustnessPlan,
) -> anyhow::Result<Vec<RobustnessTable>> {
    let mut meter = Meter::new("passes over the clouds");
    let tables = measure_robustness(encoders, dataset, plan, &mut |passes| {
        meter.count(passes.done, passes.total);
    });
    meter.finish();
    Ok(tables?)
}

/// The tables of the runs, and after them those of random weights.
struct Measured {
    experiments: Vec<String>,
    seeds: Vec<u64>,
    tables: Vec<RobustnessTable>,
}

fn make_report(
    args: &Args,
    dataset: &PreparedDataset,
    plan: RobustnessPlan,
    measured: Measured,
) -> RobustnessReport {
    let Measured { experiments, seeds, tables: mut pretrained } = measured;
    let random = pretrained.split_off(seeds.len());
    let both = |(ours, base): (&RobustnessTable, &RobustnessTable)| {
        [Judge::Svm, Judge::Neighbours].map(|judge| CorruptionErrors::measure(ours, base, judge))
    };
    RobustnessReport {
        command: command_line(std::env::args().skip(1)),
        tool_version: env!("CARGO_PKG_VERSION"),
        fingerprint: dataset.fingerprint().to_owned(),
        corruption_seed: args.seed,
        severities: plan.severities,
        corruptions: plan
            .kinds
            .into_iter()
            .map(|kind| KindReport { name: kind.name(), unit: kind.unit(), amounts: kind.amounts() })
            .collect(),
        errors: pretrained.iter().zip(&random).map(both).collect(),
        experiments,
        seeds,
        pretrained,
        random,
        probe: plan.probe,
    }
}

impl RobustnessReport {
    /// The experiments in the order in which they were named, and the runs of each.
    fn columns(&self) -> Vec<RobustnessColumn<'_>> {
        let mut columns: Vec<RobustnessColumn<'_>> = Vec::new();
        for (i, experiment) in self.experiments.iter().enumerate() {
            let at = columns.iter().position(|column| column.title == experiment).unwrap_or_else(|| {
                let (seeds, pretrained, random) = (Vec::new(), Vec::new(), Vec::new());
                columns.push(RobustnessColumn { title: experiment, seeds, pretrained, random });
                columns.len() - 1
            });
            columns[at].seeds.push(self.seeds[i]);
            columns[at].pretrained.push(&self.pretrained[i]);
            columns[at].random.push(&self.random[i]);
        }
        columns
    }
}
