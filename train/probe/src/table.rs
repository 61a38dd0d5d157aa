//! The probe: one table of everything that frozen features are measured by, and how it is printed.

use jepa3d_schemas::derive_seed;
use serde::Serialize;

use super::features::{FeatureSet, Standardisation, is_validation};
use super::few_labels::{FewLabels, accuracy};
use super::knn::nearest_neighbours;
use super::rank::{RANK_SAMPLES, effective_rank, fixed_subset};
use super::report::mean_and_deviation;
use super::svm::{Examples, LinearSvm, Solver};
use crate::error::{Error, Result};

/// What is classified; the classifiers are fitted on other samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evaluation {
    /// The fixed fifth of the training split ([`is_validation`]); the rest of that split is the training part.
    Validation,
    /// Another split, say `test`; the whole training split is the training part. Nothing is ever chosen on it.
    Split(String),
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// Every line.
    Full,
    /// Nearest neighbours and the largest number of labels a class, for a look during training.
    Light,
}

/// What the probe does; the defaults are the project's table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeConfig {
    /// What is classified.
    pub evaluation: Evaluation,
    /// The split whose samples the classifiers may see.
    pub training_split: String,
    /// How much is measured.
    pub extent: Extent,
    /// How the SVMs tell several classes apart.
    pub solver: Solver,
    /// `C` of the SVM on features as they are.
    pub raw_c: f64,
    /// Values from which `C` is chosen, inside the training part, for standardised features.
    pub standardised_grid: Vec<f64>,
    /// Values of `C` that are also shown for features as they are: inside the training part, never elsewhere.
    pub raw_grid: Vec<f64>,
    /// Folds of the choice of `C`.
    pub folds: usize,
    /// Neighbours that vote.
    pub neighbours: usize,
    /// Numbers of labels a class.
    pub label_counts: Vec<usize>,
    /// Draws of the labelled samples.
    pub draws: usize,
    /// How tokens became one vector, as it is printed.
    pub pooling: String,
    /// Where FPS started, as it is printed.
    pub fps_start: String,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            evaluation: Evaluation::Validation,
            training_split: "train".to_owned(),
            extent: Extent::Full,
            solver: Solver::OneVsOne,
            raw_c: 0.012,
            standardised_grid: vec![0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
            raw_grid: vec![0.0093, 0.012, 0.018, 0.042, 0.1],
            folds: 5,
            neighbours: 20,
            label_counts: vec![1, 5, 20],
            draws: 10,
            pooling: "concat[max, mean]".to_owned(),
            fps_start: "stored".to_owned(),
        }
    }
}

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
    let parts = Parts::new(features, config)?;
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
        parts.raw_svm(&mut table)?;
    }
    let standardised = parts.standardised(features);
    if is_full {
        standardised.chosen_svm(&mut table)?;
    }
    standardised.neighbours(&mut table)?;
    let most = config.label_counts.iter().copied().max();
    for &count in config.label_counts.iter().filter(|&&count| is_full || Some(count) == most) {
        standardised.few_labels(&mut table, count)?;
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
struct Parts<'a> {
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

impl<'a> Parts<'a> {
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

    /// The same parts, standardised with mean and deviation of the whole training part: that needs no labels.
    fn standardised(mut self, features: &FeatureSet) -> Self {
        let standardisation = Standardisation::fit(&features.gather(&self.all_train), self.width);
        standardisation.apply(&mut self.train);
        standardisation.apply(&mut self.evaluation);
        self
    }

    fn score(&self, svm: &LinearSvm) -> f64 {
        100.0 * accuracy(&svm.predict(&self.evaluation), &self.evaluation_labels)
    }

    fn raw_svm(&self, table: &mut ProbeTable) -> Result<()> {
        let c = self.config.raw_c;
        let svm = LinearSvm::fit(self.examples(), self.config.solver, c)?;
        table.unconverged += svm.unconverged();
        push(table, format!("SVM, raw, C = {c}"), self.score(&svm), None);
        table.raw_choices = self.choices(&self.config.raw_grid)?;
        Ok(())
    }

    fn chosen_svm(&self, table: &mut ProbeTable) -> Result<()> {
        table.standardised_choices = self.choices(&self.config.standardised_grid)?;
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
    fn choices(&self, grid: &[f64]) -> Result<Vec<Choice>> {
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

    fn neighbours(&self, table: &mut ProbeTable) -> Result<()> {
        let k = self.config.neighbours;
        let found = nearest_neighbours(self.examples(), &self.evaluation, k)?;
        push(table, format!("kNN-{k}"), 100.0 * accuracy(&found, &self.evaluation_labels), None);
        Ok(())
    }

    fn few_labels(&self, table: &mut ProbeTable, count: usize) -> Result<()> {
        let validation =
            Examples { values: &self.evaluation, width: self.width, labels: &self.evaluation_labels };
        let few = FewLabels { pool: self.examples(), ids: &self.train_ids, validation };
        let found: Vec<f64> =
            few.accuracies(count, self.config.draws)?.into_iter().map(|share| 100.0 * share).collect();
        let (mean, deviation) = mean_and_deviation(&found);
        let name = format!("{count} {} a class", if count == 1 { "label" } else { "labels" });
        push(table, name, mean, Some(deviation));
        Ok(())
    }
}
