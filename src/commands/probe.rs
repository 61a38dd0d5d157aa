//! `jepa3d probe`: the table of everything that frozen features are measured by, beside random weights.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use jepa3d_loader::PreparedDataset;
use jepa3d_probe::{Evaluation, Extent, ProbeColumn, ProbeConfig, ProbeTable, Solver, print_columns, probe};
use jepa3d_schemas::printable;
use jepa3d_train::{FrozenEncoder, Pooling, read_metrics};
use serde::Serialize;

use super::embed::{Pool, read_preset};
use super::{Conclusion, MachineArgs, print, print_json, tell};

/// Arguments of `probe`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folders or checkpoints; those of one preset are seeds of one experiment, shown as mean and deviation.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Folder of the prepared dataset.
    #[arg(long)]
    data: PathBuf,
    /// What the encoders are whose checkpoints do not say it (those that `convert` made): a preset or a .toml file.
    #[arg(long, value_name = "NAME")]
    preset: Option<PathBuf>,
    /// C of the SVM on features as they are.
    #[arg(long, default_value_t = ProbeConfig::default().raw_c)]
    c: f64,
    /// How the SVMs tell several classes apart.
    #[arg(long, value_enum, default_value_t = SolverName::Ovo)]
    solver: SolverName,
    /// How tokens become one vector.
    #[arg(long, value_enum, default_value_t = Pool::MaxMean)]
    pool: Pool,
    /// The split whose samples the classifiers are fitted on.
    #[arg(long, default_value = "train")]
    train_split: String,
    /// Measure on this split instead of the fixed fifth of the training split; nothing is chosen on it.
    #[arg(long, value_name = "NAME")]
    test_split: Option<String>,
    /// Numbers of labels a class.
    #[arg(long, value_delimiter = ',', default_values_t = ProbeConfig::default().label_counts)]
    labels: Vec<usize>,
    /// Leave out the random weights of the same architectures and seeds.
    #[arg(long)]
    no_random: bool,
    /// Only nearest neighbours and the largest number of labels.
    #[arg(long)]
    light: bool,
    #[command(flatten)]
    machine: MachineArgs,
}

/// Solvers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum SolverName {
    /// One against one, hinge (SVC).
    Ovo,
    /// One against the rest, squared hinge (LinearSVC).
    OvrL2,
}

#[derive(Default, Serialize)]
struct ProbeReport {
    runs: Vec<String>,
    presets: Vec<String>,
    seeds: Vec<u64>,
    /// Seconds that the steps of a run took; none if its record is not beside it.
    seconds: Vec<Option<f64>>,
    pretrained: Vec<ProbeTable>,
    random: Vec<ProbeTable>,
}

impl ProbeReport {
    /// The presets in the order in which they were named, and the runs of each.
    fn by_preset(&self) -> Vec<(&str, Vec<usize>)> {
        let mut found: Vec<(&str, Vec<usize>)> = Vec::new();
        for (i, preset) in self.presets.iter().enumerate() {
            match found.iter_mut().find(|(name, _)| name == preset) {
                Some((_, runs)) => runs.push(i),
                None => found.push((preset, vec![i])),
            }
        }
        found
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    jepa3d_train::use_threads(super::threads(args.machine.threads));
    let dataset = Arc::new(PreparedDataset::open(&args.data)?);
    let config = config(args);
    let mut report = ProbeReport::default();
    let pooling = Pooling::from(args.pool);
    let mut splits = vec![args.train_split.clone()];
    splits.extend(args.test_split.clone());
    let preset = read_preset(args.preset.as_deref())?;
    for path in &args.runs {
        let encoder = FrozenEncoder::open(path, preset.as_ref(), &args.machine.device)?;
        report.pretrained.push(probe(&encoder.features(&dataset, &splits, pooling)?, &config)?);
        report.seeds.push(encoder.config().run.seed);
        report.presets.push(printable(&encoder.config().preset));
        report.seconds.push(seconds(path));
        if !args.no_random {
            let random = FrozenEncoder::random(encoder.config(), &dataset, &args.machine.device)?;
            report.random.push(probe(&random.features(&dataset, &splits, pooling)?, &config)?);
        }
        report.runs.push(encoder.source().to_owned());
    }
    for (preset, runs) in report.by_preset() {
        if runs.iter().any(|&i| report.pretrained[i].width != report.pretrained[runs[0]].width) {
            bail!("runs of {preset}: expected seeds of one architecture, found features of several widths");
        }
    }
    show(args, &report)
}

/// What the steps of a run took, by its record.
fn seconds(run: &Path) -> Option<f64> {
    let folder = if run.is_dir() { run } else { run.parent()? };
    let log = read_metrics(folder).ok()?;
    Some(log.iter().filter_map(|entry| entry.values.get("step_ms")).sum::<f64>() / 1e3)
}

fn config(args: &Args) -> ProbeConfig {
    let evaluation = args.test_split.clone().map_or(Evaluation::Validation, Evaluation::Split);
    ProbeConfig {
        evaluation,
        training_split: args.train_split.clone(),
        extent: if args.light { Extent::Light } else { Extent::Full },
        solver: match args.solver {
            SolverName::Ovo => Solver::OneVsOne,
            SolverName::OvrL2 => Solver::OneVsRest,
        },
        raw_c: args.c,
        label_counts: args.labels.clone(),
        pooling: Pooling::from(args.pool).name().to_owned(),
        ..ProbeConfig::default()
    }
}

fn show(args: &Args, report: &ProbeReport) -> anyhow::Result<Conclusion> {
    if args.machine.json {
        print_json(report)?;
        return Ok(Conclusion::Done);
    }
    report.runs.iter().for_each(|run| tell(format_args!("encoder: {run}")));
    let presets = report.by_preset();
    let groups: Vec<PresetRuns<'_>> =
        presets.iter().map(|(preset, runs)| PresetRuns::new(preset, runs, report)).collect();
    let is_one = groups.len() == 1;
    let mut columns = Vec::new();
    for group in &groups {
        let seeds = &group.seeds;
        let title = if is_one { "pretrained" } else { group.preset };
        columns.push(ProbeColumn { title, seeds, tables: &group.pretrained });
        if !group.random.is_empty() {
            let title = if is_one { "random weights" } else { "its random weights" };
            columns.push(ProbeColumn { title, seeds, tables: &group.random });
        }
    }
    for (group, seconds) in groups.iter().filter_map(|group| Some((group, group.seconds?))) {
        tell(format_args!("{}: {seconds:.0} s of training", group.preset));
    }
    print(print_columns(&columns))?;
    Ok(Conclusion::Done)
}

/// The runs of one preset.
struct PresetRuns<'a> {
    preset: &'a str,
    seeds: Vec<u64>,
    pretrained: Vec<ProbeTable>,
    random: Vec<ProbeTable>,
    /// Of all its runs together.
    seconds: Option<f64>,
}

impl<'a> PresetRuns<'a> {
    fn new(preset: &'a str, runs: &[usize], report: &ProbeReport) -> Self {
        let of = |tables: &[ProbeTable]| runs.iter().filter_map(|&i| tables.get(i).cloned()).collect();
        Self {
            preset,
            seeds: runs.iter().map(|&i| report.seeds[i]).collect(),
            pretrained: of(&report.pretrained),
            random: of(&report.random),
            seconds: runs.iter().map(|&i| report.seconds[i]).sum(),
        }
    }
}
