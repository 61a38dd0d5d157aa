//! How frozen encoders stand corrupted clouds: features of every kind and severity, judged by classifiers of clean ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use jepa3d_loader::{Corruption, CorruptionKind, EvalConfig, PreparedDataset, SampleSelection};
use jepa3d_probe::{CleanClassifiers, Evaluation, FeatureSet, ProbeConfig, RobustnessLine, RobustnessTable};

use crate::error::Result;
use crate::features::{FeatureExtractor, extract_all};
use crate::frozen::FrozenEncoder;

/// What is measured.
#[derive(Clone, Debug)]
pub struct RobustnessPlan {
    /// What is done to clouds.
    pub kinds: Vec<CorruptionKind>,
    /// How much, from 1.
    pub severities: Vec<usize>,
    /// Seed of the corruptions.
    pub seed: u64,
    /// The parts, and how the classifiers are fitted.
    pub probe: ProbeConfig,
}

/// Passes over the clouds that are done.
#[derive(Clone, Copy, Debug)]
pub struct PassesDone {
    /// Of `total`.
    pub done: usize,
    /// Clean and corrupted ones.
    pub total: usize,
}

/// A table for each of `encoders`, which must regroup ([`InputOptions`](crate::InputOptions)); those that are given the same
/// clouds share what is read, corrupted and grouped.
///
/// # Errors
/// Fails if a shard does, an encoder cannot be given the clouds, or the classifiers cannot be fitted.
pub fn measure_robustness(
    encoders: &[FrozenEncoder],
    dataset: &Arc<PreparedDataset>,
    plan: &RobustnessPlan,
    report: &mut dyn FnMut(PassesDone),
) -> Result<Vec<RobustnessTable>> {
    let evals = encoders.iter().map(|encoder| Ok(encoder.fit(dataset)?.eval)).collect::<Result<Vec<_>>>()?;
    let mut distinct: Vec<&EvalConfig> = Vec::new();
    for eval in &evals {
        if !distinct.contains(&eval) {
            distinct.push(eval);
        }
    }
    let mut passes =
        PassesDone { done: 0, total: distinct.len() * (1 + plan.kinds.len() * plan.severities.len()) };
    let mut tables: Vec<Option<RobustnessTable>> = vec![None; encoders.len()];
    for eval in distinct {
        let members: Vec<usize> = (0..encoders.len()).filter(|&i| evals[i] == *eval).collect();
        let extractors = members.iter().map(|&i| encoders[i].extractor()).collect();
        let eval = EvalConfig { threads: rayon::current_num_threads(), ..eval.clone() };
        let shared = SharedClouds { extractors, dataset, eval, plan };
        let found = shared.measure(&mut || {
            passes.done += 1;
            report(passes);
        })?;
        for (i, table) in members.into_iter().zip(found) {
            tables[i] = Some(RobustnessTable { encoder: encoders[i].source().to_owned(), ..table });
        }
    }
    Ok(tables.into_iter().flatten().collect())
}

/// Encoders that are given the same clouds.
struct SharedClouds<'a> {
    extractors: Vec<FeatureExtractor<'a>>,
    dataset: &'a Arc<PreparedDataset>,
    eval: EvalConfig,
    plan: &'a RobustnessPlan,
}

impl SharedClouds<'_> {
    /// A table for each, without its name; `report` hears of every pass.
    fn measure(&self, report: &mut dyn FnMut()) -> Result<Vec<RobustnessTable>> {
        let ProbeConfig { training_split, evaluation, .. } = &self.plan.probe;
        let mut splits = vec![training_split.clone()];
        let mut evaluated = training_split.clone();
        if let Evaluation::Split(split) = evaluation {
            splits.push(split.clone());
            evaluated.clone_from(split);
        }
        let clean = self.extract(&splits, &self.eval)?;
        report();
        let (mut classifiers, mut tables) = (Vec::new(), Vec::new());
        for features in &clean {
            let fitted = CleanClassifiers::fit(features, &self.plan.probe)?;
            tables.push(begin_table(&fitted, features)?);
            classifiers.push(fitted);
        }
        drop(clean);
        let ids: BTreeSet<String> =
            classifiers.iter().flat_map(|fitted| fitted.evaluation_ids.iter().cloned()).collect();
        let judged = SampleSelection::with_ids(&self.dataset.list_samples(&evaluated)?, &ids);
        let eval = EvalConfig { samples: Some(judged), ..self.eval.clone() };
        for &kind in &self.plan.kinds {
            for &severity in &self.plan.severities {
                let corruption = Some(Corruption { kind, severity, seed: self.plan.seed });
                let eval = EvalConfig { corruption, ..eval.clone() };
                let features = self.extract(std::slice::from_ref(&evaluated), &eval)?;
                for ((table, fitted), features) in tables.iter_mut().zip(&classifiers).zip(&features) {
                    let accuracy = fitted.judge(features)?;
                    table.lines.push(RobustnessLine {
                        corruption: kind.name().to_owned(),
                        severity,
                        accuracy,
                    });
                }
                report();
            }
        }
        Ok(tables)
    }

    fn extract(&self, splits: &[String], eval: &EvalConfig) -> Result<Vec<FeatureSet>> {
        extract_all(&self.extractors, self.dataset, splits, eval)
    }
}

/// The table of classifiers before anything was corrupted.
fn begin_table(fitted: &CleanClassifiers, clean: &FeatureSet) -> Result<RobustnessTable> {
    Ok(RobustnessTable {
        encoder: String::new(),
        clean: fitted.judge(clean)?,
        lines: Vec::new(),
        chosen_c: fitted.chosen_c,
        n_train: fitted.train_len(),
        n_evaluation: fitted.evaluation_ids.len(),
    })
}
