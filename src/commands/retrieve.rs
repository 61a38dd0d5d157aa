//! `jepa3d retrieve`: nearest neighbours by frozen features, beside random weights.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jepa3d_loader::PreparedDataset;
use jepa3d_probe::{Evaluation, RetrievalScores, retrieve};
use jepa3d_train::FrozenEncoder;
use serde::Serialize;

use super::encoder::EncoderArgs;
use super::judged_labels::JudgedSplits;
use super::report_folder::{check_report_folder, describe_process, print_table};
use super::retrieve_report::{
    CUTOFFS, RetrieveColumn, RetrieveReport, name_class, tabulate_classes, tabulate_scores,
};
use super::{Conclusion, MachineArgs, print, print_json, tell, threads};

/// Arguments of `retrieve`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folders or checkpoints.
    #[arg(required_unless_present = "model")]
    runs: Vec<PathBuf>,
    /// Folder of the prepared dataset.
    #[arg(long)]
    data: PathBuf,
    /// Leave a report with pictures in this folder: report.json and report.html.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Queries a class that the report shows.
    #[arg(long, default_value_t = 2, requires = "out")]
    queries: usize,
    /// The split that is searched.
    #[arg(long, default_value = "train")]
    train_split: String,
    /// Take the queries from this split instead of the fixed fifth of the training split.
    #[arg(long, value_name = "NAME")]
    test_split: Option<String>,
    /// Leave out the random weights of the same architectures and seeds.
    #[arg(long)]
    no_random: bool,
    #[command(flatten)]
    encoder: EncoderArgs,
    #[command(flatten)]
    machine: MachineArgs,
}

#[derive(Serialize)]
struct RetrieveSummary<'a> {
    fingerprint: &'a str,
    training_split: &'a str,
    query_split: &'a str,
    columns: Vec<ColumnSummary<'a>>,
}

#[derive(Serialize)]
struct ColumnSummary<'a> {
    title: &'a str,
    gallery: usize,
    /// Queries of classes that the gallery does not have.
    left_out: usize,
    overall: ScoreSummary,
    classes: BTreeMap<String, ScoreSummary>,
}

#[derive(Serialize)]
struct ScoreSummary {
    queries: usize,
    mean_average_precision: f64,
    /// At 1, 2, ... 10.
    recall: Vec<f64>,
    precision: Vec<f64>,
}

impl From<RetrievalScores> for ScoreSummary {
    fn from(scores: RetrievalScores) -> Self {
        let RetrievalScores { queries, mean_average_precision, recall, precision } = scores;
        Self { queries, mean_average_precision, recall, precision }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    args.out.as_deref().map_or(Ok(()), |folder| check_report_folder("--out", folder))?;
    let threads = threads(args.machine.threads);
    jepa3d_train::use_threads(threads);
    let dataset = Arc::new(PreparedDataset::open(&args.data)?);
    JudgedSplits { dataset: &dataset, train: &args.train_split, test: args.test_split.as_deref() }.check()?;
    let (mut columns, mut encoders, mut seeds) = (Vec::new(), Vec::new(), Vec::new());
    for path in &args.encoder.list_runs(&args.runs)? {
        let encoder = args.encoder.open(path, &dataset, &args.machine.device)?;
        columns.push(measure(args, &encoder, &dataset, path.display().to_string())?);
        seeds.push(encoder.config().run.seed);
        encoders.push(encoder.source().to_owned());
        if !args.no_random {
            let random = args.encoder.randomize(&encoder, &dataset, &args.train_split)?;
            columns.push(measure(args, &random, &dataset, "its random weights".to_owned())?);
            encoders.push(random.source().to_owned());
        }
    }
    encoders.iter().for_each(|encoder| tell(format_args!("encoder: {encoder}")));
    if let Some(folder) = &args.out {
        let provenance = describe_process(&dataset, &encoders, &seeds, threads);
        RetrieveReport { dataset: &dataset, columns: &columns, part: name_part(args), queries: args.queries }
            .write(folder, provenance)?;
    }
    show(args, &dataset, &columns)?;
    Ok(Conclusion::Done)
}

fn measure(
    args: &Args,
    encoder: &FrozenEncoder,
    dataset: &Arc<PreparedDataset>,
    title: String,
) -> anyhow::Result<RetrieveColumn> {
    let splits: Vec<String> =
        std::iter::once(args.train_split.clone()).chain(args.test_split.clone()).collect();
    let features = encoder.features(dataset, &splits)?;
    let evaluation = args.test_split.clone().map_or(Evaluation::Validation, Evaluation::Split);
    let deepest = CUTOFFS.into_iter().fold(1, usize::max);
    let retrieval = retrieve(&features, &evaluation, &args.train_split, deepest)?;
    Ok(RetrieveColumn { title, features, retrieval })
}

/// What the queries are.
fn name_part(args: &Args) -> String {
    match &args.test_split {
        None => format!("the fixed fifth of {} by hash of the id", args.train_split),
        Some(split) => format!("the split {split}"),
    }
}

fn show(args: &Args, dataset: &PreparedDataset, columns: &[RetrieveColumn]) -> anyhow::Result<()> {
    for (label, count) in columns.first().map(|column| &column.retrieval.left_out).into_iter().flatten() {
        let class = name_class(dataset, *label);
        tell(format_args!(
            "note: {class}: {count} queries are left out: the gallery has nothing of this class"
        ));
    }
    if args.machine.json {
        return print_json(&RetrieveSummary {
            fingerprint: dataset.fingerprint(),
            training_split: &args.train_split,
            query_split: args.test_split.as_deref().unwrap_or("validation"),
            columns: columns.iter().map(|column| summarise(column, dataset)).collect(),
        });
    }
    let scores = tabulate_scores(columns, &name_part(args));
    let mut text = print_table(&scores);
    text += &format!("\n{}\n\n", scores.note.replace("; ", "\n"));
    text += &print_table(&tabulate_classes(columns, dataset));
    print(text)
}

fn summarise<'a>(column: &'a RetrieveColumn, dataset: &PreparedDataset) -> ColumnSummary<'a> {
    let classes = column.retrieval.scores_by_class().into_iter();
    ColumnSummary {
        title: &column.title,
        gallery: column.retrieval.gallery.values().sum(),
        left_out: column.retrieval.left_out.values().sum(),
        overall: column.retrieval.scores().into(),
        classes: classes.map(|(label, scores)| (name_class(dataset, label), scores.into())).collect(),
    }
}
