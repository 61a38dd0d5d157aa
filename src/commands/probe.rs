//! `jepa3d probe`: the table of everything that frozen features are measured by, beside random weights.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use jepa3d_train::{
    Column, Evaluation, Extent, FrozenEncoder, Pooling, PreparedDataset, ProbeConfig, ProbeTable, Solver,
    print_columns, probe,
};
use serde::Serialize;

use super::embed::Pool;
use super::{Machine, Outcome, print, print_json, tell};

/// Arguments of `probe`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folders or checkpoints; several are seeds of one experiment, shown as mean and deviation.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Folder of the prepared dataset.
    #[arg(long)]
    data: PathBuf,
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
    machine: Machine,
}

/// Solvers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum SolverName {
    /// One against one, hinge (SVC).
    Ovo,
    /// One against the rest, squared hinge (LinearSVC).
    OvrL2,
}

#[derive(Serialize)]
struct Report {
    runs: Vec<String>,
    seeds: Vec<u64>,
    pretrained: Vec<ProbeTable>,
    random: Vec<ProbeTable>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    jepa3d_train::use_threads(super::threads(args.machine.threads));
    let dataset = Arc::new(PreparedDataset::open(&args.data)?);
    let config = config(args);
    let mut report = Report { runs: vec![], seeds: vec![], pretrained: vec![], random: vec![] };
    let pooling = Pooling::from(args.pool);
    let mut splits = vec![args.train_split.clone()];
    splits.extend(args.test_split.clone());
    for path in &args.runs {
        let encoder = FrozenEncoder::open(path, &args.machine.device)?;
        report.pretrained.push(probe(&encoder.features(&dataset, &splits, pooling)?, &config)?);
        report.seeds.push(encoder.config().run.seed);
        if !args.no_random {
            let random = FrozenEncoder::random(encoder.config(), &dataset, &args.machine.device)?;
            report.random.push(probe(&random.features(&dataset, &splits, pooling)?, &config)?);
        }
        report.runs.push(encoder.source().to_owned());
    }
    if has_other_widths(&report.pretrained) {
        bail!("runs: expected seeds of one architecture, found features of several widths");
    }
    show(args, &report)
}

fn has_other_widths(tables: &[ProbeTable]) -> bool {
    tables.windows(2).any(|pair| pair[0].width != pair[1].width)
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

fn show(args: &Args, report: &Report) -> anyhow::Result<Outcome> {
    if args.machine.json {
        print_json(report)?;
        return Ok(Outcome::Done);
    }
    report.runs.iter().for_each(|run| tell(format_args!("encoder: {run}")));
    let column = |title, tables| Column { title, seeds: &report.seeds, tables };
    let mut columns = vec![column("pretrained", report.pretrained.as_slice())];
    if !report.random.is_empty() {
        columns.push(column("random weights", report.random.as_slice()));
    }
    print(print_columns(&columns))?;
    Ok(Outcome::Done)
}
