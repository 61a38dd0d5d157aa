//! The probe: one table of everything that frozen features are measured by, and how it is printed.

use jepa3d_schemas::derive_seed;
use serde::Serialize;

use crate::config::{Evaluation, Extent, ProbeConfig};
use crate::error::{Error, Result};
use crate::examples::Examples;
use crate::features::{FeatureSet, Standardisation, is_validation};
use crate::few_labels::FewLabels;
use crate::knn::nearest_neighbours;
use crate::rank::{effective_rank, fixed_subset};
use crate::statistics::{MeanDeviation, accuracy};
use crate::svm::LinearSvm;

/// Samples of the fixed subset on which the effective rank is measured.
const RANK_SAMPLES: usize = 512;

/// One measured number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeLine {
    /// What was measured.
    pub name: String,
    /// The number: a percentage for accuracies.
    pub value: f64,
    /// Standard deviation over draws, where there are several.
    pub deviation: Option<f64>,
}

/// A value of `C` and its accuracy in percent, cross-validated inside the training part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// `C`.
    pub c: f64,
    /// Percentage of held-out samples of the training part that were classified correctly.
    pub accuracy: f64,
}

/// The probe of one set of features.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeTable {
    /// The measured numbers, in the order in which they are printed.
    pub lines: Vec<ProbeLine>,
    /// Labelled samples of the training part.
    pub n_train: usize,
    /// Labelled samples that were classified.
    pub n_evaluation: usize,
    /// Classes of the training part.
    pub classes: usize,
    /// Numbers a vector.
    pub width: usize,
    /// `C` of the SVM on standardised features.
    pub chosen_c: Option<f64>,
    /// The grid it was chosen from.
    pub standardised_choices: Vec<Choice>,
    /// Other values of `C` for features as they are.
    pub raw_choices: Vec<Choice>,
    /// Binary problems of the printed SVMs that stopped before their tolerance.
    pub unconverged: usize,
    /// What was asked for.
    pub config: ProbeConfig,
}

impl ProbeTable {
    /// A measured number by its name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.lines.iter().find(|line| line.name == name).map(|line| line.value)
    }
}

/// Measures features as `config` says.
///
/// # Errors
/// Fails if arrays disagree, a feature is not finite (the row is named), the split to classify is the training split, a
/// part has no labelled sample, the training part has fewer than two classes, or a class has fewer samples than labels are asked for.
pub fn probe(features: &FeatureSet, config: &ProbeConfig) -> Result<ProbeTable> {
    features.check()?;
    if config.evaluation == Evaluation::Split(config.training_split.clone()) {
        return Err(Error::Features {
            what: "split to classify".to_owned(),
            expected: "another than the one that is learnt from".to_owned(),
            found: config.training_split.clone(),
        });
    }
    let parts = ProbeParts::new(features, config)?;
    let mut table = ProbeTable {
        lines: Vec::new(),
        n_train: parts.train_labels.len(),
        n_evaluation: parts.evaluation_labels.len(),
        classes: parts.classes(),
        width: features.width,
        chosen_c: None,
        standardised_choices: Vec::new(),
        raw_choices: Vec::new(),
        unconverged: 0,
        config: config.clone(),
    };
    let is_full = config.extent == Extent::Full;
    if is_full {
        parts.probe_raw(&mut table)?;
    }
    let standardised = parts.standardise(features);
    if is_full {
        standardised.probe_chosen(&mut table)?;
    }
    standardised.probe_neighbours(&mut table)?;
    let most = config.label_counts.iter().copied().max();
    for &count in config.label_counts.iter().filter(|&&count| is_full || Some(count) == most) {
        standardised.probe_few_labels(&mut table, count)?;
    }
    if is_full {
        push(&mut table, "effective rank", rank_of_subset(features, &config.training_split)?, None);
    }
    Ok(table)
}

/// Rows of the training part and of what is classified, unlabelled ones too.
fn rows_of_parts(features: &FeatureSet, config: &ProbeConfig) -> (Vec<usize>, Vec<usize>) {
    let is_train = |i: &usize| features.splits[*i] == config.training_split;
    let is_held_out = |i: &usize| is_validation(&features.ids[*i]);
    let rows = 0..features.len();
    match &config.evaluation {
        Evaluation::Validation => rows.filter(is_train).partition(|i| !is_held_out(i)),
        Evaluation::Split(split) => (
            rows.clone().filter(is_train).collect(),
            rows.filter(|&i| features.splits[i] == *split).collect(),
        ),
    }
}

/// Effective rank on the fixed subset of a split.
fn rank_of_subset(features: &FeatureSet, split: &str) -> Result<f64> {
    let rows: Vec<usize> = (0..features.len()).filter(|&i| features.splits[i] == split).collect();
    let ids: Vec<&str> = rows.iter().map(|&i| features.ids[i].as_str()).collect();
    let chosen: Vec<usize> = fixed_subset(&ids, RANK_SAMPLES).into_iter().map(|i| rows[i]).collect();
    effective_rank(&features.gather(&chosen), features.width)
}

fn push(table: &mut ProbeTable, name: impl Into<String>, value: f64, deviation: Option<f64>) {
    table.lines.push(ProbeLine { name: name.into(), value, deviation });
}

/// The labelled samples of both parts.
struct ProbeParts<'a> {
    config: &'a ProbeConfig,
    width: usize,
    train_ids: Vec<&'a str>,
    train: Vec<f32>,
    train_labels: Vec<i32>,
    evaluation: Vec<f32>,
    evaluation_labels: Vec<i32>,
    /// Rows of the training part, unlabelled ones too.
    all_train: Vec<usize>,
}

impl<'a> ProbeParts<'a> {
    fn new(features: &'a FeatureSet, config: &'a ProbeConfig) -> Result<Self> {
        let (all_train, evaluated) = rows_of_parts(features, config);
        let is_labelled = |&i: &usize| features.labels[i].is_some();
        let train: Vec<usize> = all_train.iter().copied().filter(is_labelled).collect();
        let evaluation: Vec<usize> = evaluated.into_iter().filter(is_labelled).collect();
        for (part, rows) in [("training", &train), ("evaluation", &evaluation)] {
            if rows.is_empty() {
                return Err(Error::Features {
                    what: format!("{part} part"),
                    expected: "labelled samples".to_owned(),
                    found: format!("none of {} samples", features.len()),
                });
            }
        }
        let labels = |rows: &[usize]| rows.iter().filter_map(|&i| features.labels[i]).collect::<Vec<_>>();
        let parts = Self {
            config,
            width: features.width,
            train_ids: train.iter().map(|&i| features.ids[i].as_str()).collect(),
            train: features.gather(&train),
            train_labels: labels(&train),
            evaluation: features.gather(&evaluation),
            evaluation_labels: labels(&evaluation),
            all_train,
        };
        match parts.classes() {
            0 | 1 => Err(Error::Features {
                what: "classes of the training part".to_owned(),
                expected: "at least 2".to_owned(),
                found: parts.classes().to_string(),
            }),
            _ => Ok(parts),
        }
    }

    fn examples(&self) -> Examples<'_> {
        Examples { values: &self.train, width: self.width, labels: &self.train_labels }
    }

    fn classes(&self) -> usize {
        self.examples().classes().len()
    }

    /// Standardises both parts with mean and deviation of the whole training part: that needs no labels.
    fn standardise(mut self, features: &FeatureSet) -> Self {
        let standardisation = Standardisation::fit(&features.gather(&self.all_train), self.width);
        standardisation.apply(&mut self.train);
        standardisation.apply(&mut self.evaluation);
        self
    }

    fn score(&self, svm: &LinearSvm) -> f64 {
        100.0 * accuracy(&svm.predict(&self.evaluation), &self.evaluation_labels)
    }

    fn probe_raw(&self, table: &mut ProbeTable) -> Result<()> {
        let c = self.config.raw_c;
        let svm = LinearSvm::fit(self.examples(), self.config.solver, c)?;
        table.unconverged += svm.unconverged();
        push(table, format!("SVM, raw, C = {c}"), self.score(&svm), None);
        table.raw_choices = self.cross_validate(&self.config.raw_grid)?;
        Ok(())
    }

    fn probe_chosen(&self, table: &mut ProbeTable) -> Result<()> {
        table.standardised_choices = self.cross_validate(&self.config.standardised_grid)?;
        let mut choices = table.standardised_choices.iter();
        let Some(first) = choices.next() else { return Ok(()) };
        // Ties go to the smaller C: the simpler of two equals.
        let best =
            choices.fold(first, |best, next| if next.accuracy > best.accuracy { next } else { best }).c;
        let svm = LinearSvm::fit(self.examples(), self.config.solver, best)?;
        table.unconverged += svm.unconverged();
        table.chosen_c = Some(best);
        push(table, "SVM, standardised, C chosen", self.score(&svm), None);
        Ok(())
    }

    /// Cross-validated accuracy of every `C`, ascending; folds are fixed by the hash of the id.
    fn cross_validate(&self, grid: &[f64]) -> Result<Vec<Choice>> {
        let mut grid = grid.to_vec();
        grid.sort_by(f64::total_cmp);
        let fold_of = |id: &&str| usize::from(derive_seed(0, id, "fold")[0]) % self.config.folds.max(2);
        let folds: Vec<usize> = self.train_ids.iter().map(fold_of).collect();
        let mut right = vec![0usize; grid.len()];
        let mut tested = 0;
        for fold in 0..self.config.folds.max(2) {
            let (inner, held_out) = (self.rows(|i| folds[i] != fold), self.rows(|i| folds[i] == fold));
            let examples = Examples { values: &inner.0, width: self.width, labels: &inner.1 };
            if held_out.1.is_empty() || examples.classes().len() < 2 {
                continue;
            }
            tested += held_out.1.len();
            let svms = LinearSvm::fit_grid(examples, self.config.solver, &grid)?;
            for (right, svm) in right.iter_mut().zip(&svms) {
                let predictions = svm.predict(&held_out.0);
                *right += predictions.iter().zip(&held_out.1).filter(|(a, b)| a == b).count();
            }
        }
        let share = |right: usize| 100.0 * right as f64 / tested.max(1) as f64;
        Ok(grid.into_iter().zip(right).map(|(c, right)| Choice { c, accuracy: share(right) }).collect())
    }

    fn rows(&self, is_wanted: impl Fn(usize) -> bool) -> (Vec<f32>, Vec<i32>) {
        let rows: Vec<usize> = (0..self.train_labels.len()).filter(|&i| is_wanted(i)).collect();
        let values = rows.iter().flat_map(|&i| &self.train[i * self.width..(i + 1) * self.width]);
        (values.copied().collect(), rows.iter().map(|&i| self.train_labels[i]).collect())
    }

    fn probe_neighbours(&self, table: &mut ProbeTable) -> Result<()> {
        let k = self.config.neighbours;
        let found = nearest_neighbours(self.examples(), &self.evaluation, k)?;
        push(table, format!("kNN-{k}"), 100.0 * accuracy(&found, &self.evaluation_labels), None);
        Ok(())
    }

    fn probe_few_labels(&self, table: &mut ProbeTable, count: usize) -> Result<()> {
        let validation =
            Examples { values: &self.evaluation, width: self.width, labels: &self.evaluation_labels };
        let few = FewLabels { pool: self.examples(), ids: &self.train_ids, validation };
        let found: Vec<f64> =
            few.accuracies(count, self.config.draws)?.into_iter().map(|share| 100.0 * share).collect();
        let MeanDeviation { mean, deviation } = MeanDeviation::measure(&found);
        let name = format!("{count} {} a class", if count == 1 { "label" } else { "labels" });
        push(table, name, mean, Some(deviation));
        Ok(())
    }
}
