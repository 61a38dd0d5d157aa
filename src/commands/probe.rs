//! `jepa3d probe`: the table of everything that frozen features are measured by, beside random weights.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use jepa3d_inspect::{Provenance, ReportScatter};
use jepa3d_loader::PreparedDataset;
use jepa3d_probe::{Evaluation, Extent, ProbeColumn, ProbeConfig, ProbeTable, Solver, print_columns, probe};
use jepa3d_train::{BEST_FILE, FrozenEncoder, LAST_FILE, is_shipped, read_metrics};
use serde::Serialize;

use super::encoder::EncoderArgs;
use super::experiments::name_experiments;
use super::feature_plane::project_features;
use super::judged_labels::JudgedSplits;
use super::probe_report::write_probe_report;
use super::report_folder::{check_report_folder, describe_process};
use super::{Conclusion, MachineArgs, print, print_json, tell, threads};

/// Arguments of `probe`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folders or checkpoints; those of one preset, trained alike, are seeds of one experiment, shown as mean and deviation.
    #[arg(required_unless_present = "model")]
    runs: Vec<PathBuf>,
    /// Folder of the prepared dataset.
    #[arg(long)]
    data: PathBuf,
    /// Leave a report in this folder: report.json and report.html.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// C of the SVM on features as they are.
    #[arg(long, default_value_t = ProbeConfig::default().raw_c)]
    c: f64,
    /// How the SVMs tell several classes apart.
    #[arg(long, value_enum, default_value_t = SolverName::Ovo)]
    solver: SolverName,
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
    /// Random weights alone.
    #[arg(long, conflicts_with = "no_random")]
    random: bool,
    /// Only nearest neighbours and the largest number of labels.
    #[arg(long)]
    light: bool,
    #[command(flatten)]
    encoder: EncoderArgs,
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
    /// What each run is a seed of.
    experiments: Vec<String>,
    seeds: Vec<u64>,
    /// Seconds that the steps of a run took; none if its record is not beside it.
    seconds: Vec<Option<f64>>,
    pretrained: Vec<ProbeTable>,
    random: Vec<ProbeTable>,
    /// What the random weights are, and where their batch-norm statistics are from.
    random_runs: Vec<String>,
}

impl ProbeReport {
    /// The experiments in the order in which they were named, and the runs of each.
    fn by_experiment(&self) -> Vec<(&str, Vec<usize>)> {
        let mut found: Vec<(&str, Vec<usize>)> = Vec::new();
        for (i, experiment) in self.experiments.iter().enumerate() {
            match found.iter_mut().find(|(name, _)| name == experiment) {
                Some((_, runs)) => runs.push(i),
                None => found.push((experiment, vec![i])),
            }
        }
        found
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    args.out.as_deref().map_or(Ok(()), |folder| check_report_folder("--out", folder))?;
    let threads = threads(args.machine.threads);
    jepa3d_train::use_threads(threads);
    let dataset = Arc::new(PreparedDataset::open(&args.data)?);
    JudgedSplits { dataset: &dataset, train: &args.train_split, test: args.test_split.as_deref() }
        .check_and_tell()?;
    let config = config(args, &dataset);
    let mut report = ProbeReport::default();
    let mut splits = vec![args.train_split.clone()];
    splits.extend(args.test_split.clone());
    let mut planes = Vec::new();
    let mut measure = |encoder: &FrozenEncoder| -> anyhow::Result<ProbeTable> {
        let features = encoder.features(&dataset, &splits)?;
        if args.out.is_some() {
            planes.extend(project_features(&features, &dataset, encoder.source())?);
        }
        let pooling = encoder.feature_config().describe();
        Ok(probe(&features, &ProbeConfig { pooling, ..config.clone() })?)
    };
    let mut trained = Vec::new();
    for path in args.encoder.list_runs(&args.runs)? {
        let encoder = args.encoder.open(&path, &dataset, &args.machine.device)?;
        if !args.random {
            report.pretrained.push(measure(&encoder)?);
        }
        report.seeds.push(encoder.config().run.seed);
        report.seconds.push(seconds(&path));
        if !args.no_random {
            let random = args.encoder.randomize(&encoder, &dataset, &args.train_split)?;
            report.random.push(measure(&random)?);
            report.random_runs.push(random.source().to_owned());
        }
        report.runs.push(encoder.source().to_owned());
        trained.push((path, encoder.config().clone()));
    }
    report.experiments = name_experiments(&trained);
    let encoders = [&report.runs[..], &report.random_runs].concat();
    let provenance = describe_process(&dataset, &encoders, &report.seeds, threads);
    conclude(args, &dataset, &report, planes, provenance)
}

/// Leaves the report that is asked for, and shows the table.
fn conclude(
    args: &Args,
    dataset: &PreparedDataset,
    report: &ProbeReport,
    planes: Vec<ReportScatter>,
    provenance: Provenance,
) -> anyhow::Result<Conclusion> {
    for (experiment, runs) in report.by_experiment() {
        let widths = |tables: &[ProbeTable]| {
            runs.iter().filter_map(|&i| tables.get(i)).map(|table| table.width).collect::<BTreeSet<usize>>()
        };
        if widths(&report.pretrained).len() > 1 || widths(&report.random).len() > 1 {
            bail!(
                "runs of {experiment}: expected seeds of one architecture, found features of several widths"
            );
        }
    }
    let experiments = report.by_experiment();
    let groups: Vec<ExperimentRuns<'_>> =
        experiments.iter().map(|(name, runs)| ExperimentRuns::new(name, runs, report)).collect();
    let columns = list_columns(&groups);
    if let Some(folder) = &args.out {
        write_probe_report(folder, dataset, &columns, planes, provenance)?;
    }
    show(args, report, &groups, &columns)
}

/// What the steps of a run took, by its record.
fn seconds(run: &Path) -> Option<f64> {
    let is_kept = |name: &OsStr| [LAST_FILE, BEST_FILE].iter().any(|kept| name == *kept);
    let folder = match run.is_dir() {
        true => run,
        // What lies beside another file need not be of its run.
        false if !is_shipped(run) && run.file_name().is_some_and(is_kept) => run.parent()?,
        false => return None,
    };
    let log = read_metrics(folder).ok()?;
    Some(log.iter().filter_map(|entry| entry.values.get("step_ms")).sum::<f64>() / 1e3)
}

fn config(args: &Args, dataset: &PreparedDataset) -> ProbeConfig {
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
        class_names: dataset.classes().to_vec(),
        ..ProbeConfig::default()
    }
}

fn show(
    args: &Args,
    report: &ProbeReport,
    groups: &[ExperimentRuns<'_>],
    columns: &[ProbeColumn<'_>],
) -> anyhow::Result<Conclusion> {
    if args.machine.json {
        print_json(report)?;
        return Ok(Conclusion::Done);
    }
    report.runs.iter().for_each(|run| tell(format_args!("encoder: {run}")));
    report.random_runs.iter().for_each(|run| tell(format_args!("beside it: {run}")));
    for (group, seconds) in groups.iter().filter_map(|group| Some((group, group.seconds?))) {
        tell(format_args!("{}: {seconds:.0} s of training", group.name));
    }
    print(print_columns(columns))?;
    Ok(Conclusion::Done)
}

/// Pretrained and random weights of every experiment.
fn list_columns<'a>(groups: &'a [ExperimentRuns<'a>]) -> Vec<ProbeColumn<'a>> {
    let is_one = groups.len() == 1;
    let mut columns = Vec::new();
    for group in groups {
        let seeds = &group.seeds;
        let title = if is_one { "pretrained" } else { group.name };
        if !group.pretrained.is_empty() {
            columns.push(ProbeColumn { title, seeds, tables: &group.pretrained });
        }
        if !group.random.is_empty() {
            let title = if is_one { "random weights" } else { "its random weights" };
            columns.push(ProbeColumn { title, seeds, tables: &group.random });
        }
    }
    columns
}

/// The runs of one experiment.
struct ExperimentRuns<'a> {
    name: &'a str,
    seeds: Vec<u64>,
    pretrained: Vec<ProbeTable>,
    random: Vec<ProbeTable>,
    /// Of all its runs together.
    seconds: Option<f64>,
}

impl<'a> ExperimentRuns<'a> {
    fn new(name: &'a str, runs: &[usize], report: &ProbeReport) -> Self {
        let of = |tables: &[ProbeTable]| runs.iter().filter_map(|&i| tables.get(i).cloned()).collect();
        Self {
            name,
            seeds: runs.iter().map(|&i| report.seeds[i]).collect(),
            pretrained: of(&report.pretrained),
            random: of(&report.random),
            seconds: runs.iter().map(|&i| report.seconds[i]).sum(),
        }
    }
}
