//! The probe: one table of everything that frozen features are measured by, and how it is printed.

use serde::Serialize;

use crate::config::{Extent, ProbeConfig};
use crate::error::Result;
use crate::examples::Examples;
use crate::features::FeatureSet;
use crate::few_labels::{FewLabels, TooSmall};
use crate::knn::nearest_neighbours;
use crate::parts::{Choice, ChosenC, ProbeParts};
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

/// The probe of one set of features.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeTable {
    /// The measured numbers, in the order in which they are printed.
    pub lines: Vec<ProbeLine>,
    /// Lines that are missing, and which class is too small for each.
    pub left_out: Vec<String>,
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
/// part has no labelled sample, or the training part has fewer than two classes. A class with fewer samples than a line needs
/// labels leaves that line out ([`ProbeTable::left_out`]).
pub fn probe(features: &FeatureSet, config: &ProbeConfig) -> Result<ProbeTable> {
    let parts = ProbeParts::new(features, config)?;
    let mut table = ProbeTable {
        lines: Vec::new(),
        left_out: Vec::new(),
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

impl ProbeParts<'_> {
    fn probe_raw(&self, table: &mut ProbeTable) -> Result<()> {
        let c = self.config.raw_c;
        let svm = LinearSvm::fit(self.examples(), self.config.solver, c)?;
        table.unconverged += svm.unconverged();
        push(table, format!("SVM, raw, C = {c}"), self.score(&svm), None);
        table.raw_choices = self.cross_validate(&self.config.raw_grid)?;
        Ok(())
    }

    fn probe_chosen(&self, table: &mut ProbeTable) -> Result<()> {
        let ChosenC { choices, best } = self.choose_c()?;
        table.standardised_choices = choices;
        let Some(best) = best else { return Ok(()) };
        let svm = LinearSvm::fit(self.examples(), self.config.solver, best)?;
        table.unconverged += svm.unconverged();
        table.chosen_c = Some(best);
        push(table, "SVM, standardised, C chosen", self.score(&svm), None);
        Ok(())
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
        let name = format!("{count} {} a class", if count == 1 { "label" } else { "labels" });
        if let Some(TooSmall { class, samples }) = few.find_too_small(count) {
            let class = self.config.name_class(class);
            table.left_out.push(format!("{name}: {class} has {samples} in the training part"));
            return Ok(());
        }
        let found: Vec<f64> =
            few.accuracies(count, self.config.draws)?.into_iter().map(|share| 100.0 * share).collect();
        let MeanDeviation { mean, deviation } = MeanDeviation::measure(&found);
        push(table, name, mean, Some(deviation));
        Ok(())
    }
}
