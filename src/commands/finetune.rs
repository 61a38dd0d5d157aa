//! `jepa3d finetune`: an encoder and a classification head, trained on labels, judged once.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use jepa3d_train::{
    DownstreamRequest, Event, FinetuneResult, FinetuneScores, Finetuner, Result as TrainResult, RunOutcome,
};

use super::downstream_report::write_finetune_report;
use super::tuning::{ProcessFacts, TuningArgs, TuningRun, describe_spread, run_seeds};
use super::{Conclusion, MachineArgs, print};
use crate::presets::Verb;

/// Arguments of `finetune`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of a preset (`jepa3d presets` lists them) or path of a .toml file.
    config: PathBuf,
    #[command(flatten)]
    tuning: TuningArgs,
    #[command(flatten)]
    machine: MachineArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    if let Some(results) = run_seeds::<Finetuner>(&args.config, &args.tuning, &args.machine)? {
        let measure =
            |of: fn(&FinetuneScores) -> f64| results.iter().map(|r| of(&r.last)).collect::<Vec<_>>();
        print(describe_spread(&[
            ("accuracy, last step", measure(|scores| scores.accuracy)),
            ("mean over classes, last step", measure(|scores| scores.mean_class_accuracy)),
        ]))?;
    }
    Ok(Conclusion::Done)
}

impl TuningRun for Finetuner {
    type Found = FinetuneResult;
    const VERB: Verb = Verb::Finetune;

    fn start(request: DownstreamRequest) -> TrainResult<Self> {
        Self::new(request)
    }

    fn notes(&self) -> &[String] {
        self.notes()
    }

    fn train(&mut self, stop: &AtomicBool, report: &mut dyn FnMut(Event)) -> TrainResult<RunOutcome> {
        self.run(stop, report)
    }

    fn judge(&mut self) -> TrainResult<FinetuneResult> {
        Finetuner::judge(self)
    }

    fn describe(found: &FinetuneResult) -> String {
        describe(found)
    }

    fn write_report(out: &Path, found: &FinetuneResult, process: ProcessFacts<'_>) -> anyhow::Result<()> {
        write_finetune_report(out, found, &describe(found), process(&found.encoder, found.seed)?)
    }
}

/// What a run found, for people.
fn describe(result: &FinetuneResult) -> String {
    let mut text = String::new();
    let line = |scores: &FinetuneScores| {
        format!("{:.1} % of samples, {:.1} % mean over classes", scores.accuracy, scores.mean_class_accuracy)
    };
    let _ = writeln!(text, "last step ({})     {}", result.last.step, line(&result.last));
    if let Some(selected) = &result.selected {
        let _ = writeln!(text, "selected step ({}) {}", selected.step, line(selected));
    }
    if let Some(vote) = &result.vote {
        let (low, high) = vote.looks.iter().fold((f64::MAX, f64::MIN), |(l, h), &x| (l.min(x), h.max(x)));
        let _ = writeln!(
            text,
            "vote of {} looks    {:.1} % of samples; one look alone {low:.1} to {high:.1}",
            vote.looks.len(),
            vote.accuracy
        );
    }
    let selection = match result.n_selection {
        0 => "nothing selected".to_owned(),
        count => format!("the selected step is the best on {count} others of the training split"),
    };
    let _ = writeln!(
        text,
        "judged once, at the end, on {} samples ({}); trained on {} (labels: {}); {selection}\n{}; seed {}",
        result.n_evaluation, result.evaluated, result.n_train, result.labels, result.encoder, result.seed
    );
    text
}
