//! `jepa3d finetune`: an encoder and a classification head, trained on labels, judged once.

use std::fmt::Write as _;
use std::path::Path;

use jepa3d_inspect::Provenance;
use jepa3d_train::{DownstreamFacts, FinetuneResult, FinetuneScores, Finetuner};

use super::downstream_report::write_finetune_report;
use super::tuning::{TuningArgs, TuningRun, describe_judgement, describe_spread, run_seeds};
use super::{Conclusion, print};
use crate::presets::Verb;

pub(crate) fn run(args: &TuningArgs) -> anyhow::Result<Conclusion> {
    if let Some(results) = run_seeds::<Finetuner>(args)? {
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
    const VERB: Verb = Verb::Finetune;

    fn facts(found: &FinetuneResult) -> &DownstreamFacts {
        &found.facts
    }

    fn describe(found: &FinetuneResult) -> String {
        describe(found)
    }

    fn write_report(out: &Path, found: &FinetuneResult, provenance: Provenance) -> anyhow::Result<()> {
        write_finetune_report(out, found, &describe(found), provenance)
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
    text + &describe_judgement(&result.facts, "")
}
