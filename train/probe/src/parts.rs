//! The two parts of a probe: what classifiers learn from and what they classify, and how `C` is chosen inside the first.

use jepa3d_schemas::derive_seed;
use serde::Serialize;

use crate::config::{Evaluation, ProbeConfig};
use crate::error::{Error, Result};
use crate::examples::Examples;
use crate::features::{FeatureSet, Standardisation, is_validation};
use crate::statistics::accuracy;
use crate::svm::LinearSvm;

/// A value of `C` and its accuracy in percent, cross-validated inside the training part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// `C`.
    pub c: f64,
    /// Percentage of held-out samples of the training part that were classified correctly.
    pub accuracy: f64,
}

/// The grid that `C` was chosen from, and which it is.
pub(crate) struct ChosenC {
    pub choices: Vec<Choice>,
    /// None of an empty grid.
    pub best: Option<f64>,
}

/// Rows of the training part and of what is classified, unlabelled ones too.
pub(crate) fn rows_of_parts(
    features: &FeatureSet,
    evaluation: &Evaluation,
    training_split: &str,
) -> (Vec<usize>, Vec<usize>) {
    let is_train = |i: &usize| features.splits[*i] == training_split;
    let is_held_out = |i: &usize| is_validation(&features.ids[*i]);
    let rows = 0..features.len();
    match evaluation {
        Evaluation::Validation => rows.filter(is_train).partition(|i| !is_held_out(i)),
        Evaluation::Split(split) => (
            rows.clone().filter(is_train).collect(),
            rows.filter(|&i| features.splits[i] == *split).collect(),
        ),
    }
}

/// The labelled samples of both parts.
pub(crate) struct ProbeParts<'a> {
    pub config: &'a ProbeConfig,
    pub width: usize,
    pub train_ids: Vec<&'a str>,
    pub train: Vec<f32>,
    pub train_labels: Vec<i32>,
    pub evaluation_ids: Vec<&'a str>,
    pub evaluation: Vec<f32>,
    pub evaluation_labels: Vec<i32>,
    /// Rows of the training part, unlabelled ones too.
    all_train: Vec<usize>,
}

impl<'a> ProbeParts<'a> {
    /// Of the labelled samples.
    ///
    /// # Errors
    /// Fails if arrays disagree, a feature is not finite, the split to classify is the training split, a part has no labelled
    /// sample, or the training part has fewer than two classes.
    pub(crate) fn new(features: &'a FeatureSet, config: &'a ProbeConfig) -> Result<Self> {
        features.check()?;
        config.evaluation.check(&config.training_split)?;
        let (all_train, evaluated) = rows_of_parts(features, &config.evaluation, &config.training_split);
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
            evaluation_ids: evaluation.iter().map(|&i| features.ids[i].as_str()).collect(),
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

    pub(crate) fn examples(&self) -> Examples<'_> {
        Examples { values: &self.train, width: self.width, labels: &self.train_labels }
    }

    pub(crate) fn classes(&self) -> usize {
        self.examples().classes().len()
    }

    /// Mean and deviation of the whole training part: that needs no labels.
    pub(crate) fn fit_standardisation(&self, features: &FeatureSet) -> Standardisation {
        Standardisation::fit(&features.gather(&self.all_train), self.width)
    }

    /// Standardises both parts with mean and deviation of the whole training part.
    pub(crate) fn standardise(mut self, features: &FeatureSet) -> Self {
        let standardisation = self.fit_standardisation(features);
        standardisation.apply(&mut self.train);
        standardisation.apply(&mut self.evaluation);
        self
    }

    pub(crate) fn score(&self, svm: &LinearSvm) -> f64 {
        100.0 * accuracy(&svm.predict(&self.evaluation), &self.evaluation_labels)
    }

    /// Chooses `C` from the grid for standardised features; ties go to the smaller one: the simpler of two equals.
    pub(crate) fn choose_c(&self) -> Result<ChosenC> {
        let choices = self.cross_validate(&self.config.standardised_grid)?;
        let better = |best: Choice, next: Choice| if next.accuracy > best.accuracy { next } else { best };
        let best = choices.iter().copied().reduce(better).map(|choice| choice.c);
        Ok(ChosenC { choices, best })
    }

    /// Cross-validated accuracy of every `C`, ascending; folds are fixed by the hash of the id.
    pub(crate) fn cross_validate(&self, grid: &[f64]) -> Result<Vec<Choice>> {
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
}
