//! Classifiers that learned from clean features, on corrupted ones; and the errors of PointCloud-C.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::ProbeConfig;
use crate::error::{Error, Result};
use crate::examples::Examples;
use crate::features::{FeatureSet, Standardisation};
use crate::knn::nearest_neighbours;
use crate::parts::{ChosenC, ProbeParts};
use crate::statistics::accuracy;
use crate::svm::LinearSvm;

/// Which classifier judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judge {
    /// The linear SVM on standardised features.
    Svm,
    /// The nearest neighbours by cosine on standardised features.
    Neighbours,
}

impl Judge {
    /// As it is printed.
    pub fn name(self, config: &ProbeConfig) -> String {
        match self {
            Self::Svm => "SVM".to_owned(),
            Self::Neighbours => format!("kNN-{}", config.neighbours),
        }
    }
}

/// Accuracies in percent of both classifiers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct JudgedAccuracy {
    /// Of the linear SVM.
    pub svm: f64,
    /// Of the nearest neighbours.
    pub neighbours: f64,
}

impl JudgedAccuracy {
    /// That of one of them.
    pub fn by(&self, judge: Judge) -> f64 {
        match judge {
            Judge::Svm => self.svm,
            Judge::Neighbours => self.neighbours,
        }
    }
}

/// Accuracies under one corruption.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RobustnessLine {
    /// Its name.
    pub corruption: String,
    /// From 1.
    pub severity: usize,
    /// What the classifiers reach.
    #[serde(flatten)]
    pub accuracy: JudgedAccuracy,
}

/// How one encoder stands corruptions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RobustnessTable {
    /// Where its weights come from.
    pub encoder: String,
    /// On clean clouds.
    pub clean: JudgedAccuracy,
    /// Corruption by corruption, severities ascending.
    pub lines: Vec<RobustnessLine>,
    /// `C` of the SVM, chosen inside the training part.
    pub chosen_c: f64,
    /// Labelled samples of the training part.
    pub n_train: usize,
    /// Labelled samples that are classified.
    pub n_evaluation: usize,
}

impl RobustnessTable {
    /// The corruptions, in order.
    pub fn corruptions(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.lines.iter().map(|line| line.corruption.as_str()).collect();
        names.dedup();
        names
    }

    /// Accuracies under a corruption, severities ascending.
    pub fn accuracies(&self, corruption: &str, judge: Judge) -> Vec<f64> {
        let lines = self.lines.iter().filter(|line| line.corruption == corruption);
        lines.map(|line| line.accuracy.by(judge)).collect()
    }
}

/// A linear SVM and nearest neighbours, fitted on the clean features of the training part.
#[derive(Clone, Debug)]
pub struct CleanClassifiers {
    standardisation: Standardisation,
    svm: LinearSvm,
    /// `C` of the SVM.
    pub chosen_c: f64,
    /// The standardised training part, which votes.
    train: Vec<f32>,
    train_labels: Vec<i32>,
    neighbours: usize,
    /// Ids of the labelled samples of the evaluation part.
    pub evaluation_ids: Vec<String>,
}

impl CleanClassifiers {
    /// Fits to the training part of clean `features`; `C` is chosen inside it, as in the probe.
    ///
    /// # Errors
    /// Fails as [`probe`](crate::probe) does, and if the grid of `C` is empty.
    pub fn fit(features: &FeatureSet, config: &ProbeConfig) -> Result<Self> {
        let parts = ProbeParts::new(features, config)?;
        let standardisation = parts.fit_standardisation(features);
        let parts = parts.standardise(features);
        let ChosenC { best, .. } = parts.choose_c()?;
        let chosen_c = best.ok_or_else(|| Error::Range {
            what: "values of C",
            expected: "at least one".to_owned(),
            found: "none".to_owned(),
        })?;
        let svm = LinearSvm::fit(parts.examples(), config.solver, chosen_c)?;
        let ProbeParts { train, train_labels, evaluation_ids, .. } = parts;
        Ok(Self {
            standardisation,
            svm,
            chosen_c,
            train,
            train_labels,
            neighbours: config.neighbours,
            evaluation_ids: evaluation_ids.into_iter().map(str::to_owned).collect(),
        })
    }

    /// Labelled samples that they learned from.
    pub fn train_len(&self) -> usize {
        self.train_labels.len()
    }

    /// Accuracies on the labelled samples of the evaluation part among `features`.
    ///
    /// # Errors
    /// Fails if a feature is not finite, or a sample of the evaluation part is missing.
    pub fn judge(&self, features: &FeatureSet) -> Result<JudgedAccuracy> {
        features.check()?;
        let places: BTreeMap<&str, usize> = features.ids.iter().map(String::as_str).zip(0..).collect();
        let find = |id: &String| match places.get(id.as_str()) {
            Some(&row) => Ok(row),
            None => Err(Error::Features {
                what: "evaluation part".to_owned(),
                expected: format!("sample {id}"),
                found: "none".to_owned(),
            }),
        };
        let rows: Vec<usize> = self.evaluation_ids.iter().map(find).collect::<Result<_>>()?;
        let labels: Vec<i32> = rows.iter().filter_map(|&row| features.labels[row]).collect();
        let mut values = features.gather(&rows);
        self.standardisation.apply(&mut values);
        let examples = Examples { values: &self.train, width: features.width, labels: &self.train_labels };
        let neighbours = nearest_neighbours(examples, &values, self.neighbours)?;
        Ok(JudgedAccuracy {
            svm: 100.0 * accuracy(&self.svm.predict(&values), &labels),
            neighbours: 100.0 * accuracy(&neighbours, &labels),
        })
    }
}

/// Errors under corruptions as shares of a baseline's, in percent (PointCloud-C, arXiv 2202.03377, section 3.3).
///
/// `CE` of a corruption is the sum over severities of what is classified wrongly, divided by that of the baseline; `RCE` is the
/// same of what corruption costs, the accuracy on clean clouds minus that on corrupted ones. Absent where the baseline has no
/// error, or loses nothing: nothing can be said in shares of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CorruptionErrors {
    /// By which classifier.
    pub judge: Judge,
    /// One a corruption, in the order of the table.
    pub each: Vec<CorruptionError>,
    /// Mean of the `CE` that there are.
    pub mean: Option<f64>,
    /// Mean of the `RCE` that there are.
    pub relative_mean: Option<f64>,
}

/// Errors under one corruption as shares of a baseline's, in percent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CorruptionError {
    /// Its name.
    pub corruption: String,
    /// `CE`.
    pub error: Option<f64>,
    /// `RCE`.
    pub relative: Option<f64>,
}

impl CorruptionErrors {
    /// Those of a table beside a baseline with the same lines.
    pub fn measure(table: &RobustnessTable, baseline: &RobustnessTable, judge: Judge) -> Self {
        let lost = |table: &RobustnessTable, name: &str, from: f64| {
            table.accuracies(name, judge).into_iter().map(|accuracy| from - accuracy).sum::<f64>()
        };
        let share = |ours: f64, theirs: f64| (theirs > 0.0).then(|| 100.0 * ours / theirs);
        let [clean, base_clean] = [table, baseline].map(|table| table.clean.by(judge));
        let one = |name: &str| CorruptionError {
            corruption: name.to_owned(),
            error: share(lost(table, name, 100.0), lost(baseline, name, 100.0)),
            relative: share(lost(table, name, clean), lost(baseline, name, base_clean)),
        };
        let each: Vec<CorruptionError> = table.corruptions().into_iter().map(one).collect();
        let mean =
            |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        Self {
            judge,
            mean: mean(each.iter().filter_map(|error| error.error).collect()),
            relative_mean: mean(each.iter().filter_map(|error| error.relative).collect()),
            each,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Evaluation, Extent};
    use crate::table::probe;
    use jepa3d_schemas::Draws;

    fn features(noise: f64) -> FeatureSet {
        let mut draws = Draws::new(4, "robustness", "test");
        let mut set = FeatureSet { width: 12, ..FeatureSet::default() };
        let centers: Vec<f64> = (0..36).map(|_| draws.normal()).collect();
        for i in 0..400 {
            set.ids.push(format!("s{i:03}"));
            set.labels.push((i % 17 > 0).then_some(i % 3));
            set.splits.push("train".into());
            let class = (i % 3) as usize;
            set.values.extend((0..12).map(|d| (centers[12 * class + d] + noise * draws.normal()) as f32));
        }
        set
    }

    #[test]
    fn clean_features_are_judged_as_the_probe_does_and_noisy_ones_worse() {
        let clean = features(1.2);
        let config = ProbeConfig { label_counts: vec![], ..ProbeConfig::default() };
        let table = probe(&clean, &config).unwrap();
        let fitted = CleanClassifiers::fit(&clean, &config).unwrap();
        let found = fitted.judge(&clean).unwrap();
        assert_eq!(Some(found.svm), table.value("SVM, standardised, C chosen"));
        assert_eq!(Some(found.neighbours), table.value("kNN-20"));
        assert_eq!((fitted.train_len(), fitted.evaluation_ids.len()), (table.n_train, table.n_evaluation));
        assert_eq!(Some(fitted.chosen_c), table.chosen_c);
        // The evaluation part alone, in its order and in another one, is judged alike.
        let rows: Vec<usize> =
            fitted.evaluation_ids.iter().map(|id| clean.ids.iter().position(|x| x == id).unwrap()).collect();
        for rows in [rows.clone(), rows.into_iter().rev().collect()] {
            let part = FeatureSet {
                ids: rows.iter().map(|&i| clean.ids[i].clone()).collect(),
                labels: rows.iter().map(|&i| clean.labels[i]).collect(),
                splits: vec!["train".into(); rows.len()],
                width: 12,
                values: clean.gather(&rows),
            };
            assert_eq!(fitted.judge(&part).unwrap(), found);
        }
        let noisy = fitted.judge(&features(6.0)).unwrap();
        assert!(noisy.svm < found.svm - 10.0 && noisy.neighbours < found.neighbours - 10.0, "{noisy:?}");
        let mut short = clean.clone();
        short.ids[fitted.evaluation_ids[0][1..].parse::<usize>().unwrap()] = "other".into();
        let error = fitted.judge(&short).unwrap_err().to_string();
        assert!(error.starts_with("features: evaluation part: expected sample s"), "{error}");
        let config =
            ProbeConfig { evaluation: Evaluation::Split("train".into()), extent: Extent::Light, ..config };
        assert!(CleanClassifiers::fit(&clean, &config).is_err());
    }

    fn table(clean: f64, rows: &[(&str, &[f64])]) -> RobustnessTable {
        let both = |x: f64| JudgedAccuracy { svm: x, neighbours: x / 2.0 };
        let lines = rows.iter().flat_map(|(name, values)| {
            values.iter().zip(1..).map(|(&value, severity)| RobustnessLine {
                corruption: (*name).to_owned(),
                severity,
                accuracy: both(value),
            })
        });
        RobustnessTable {
            encoder: "e".into(),
            clean: both(clean),
            lines: lines.collect(),
            chosen_c: 0.1,
            n_train: 10,
            n_evaluation: 10,
        }
    }

    /// By hand, as PointCloud-C defines them.
    #[test]
    fn errors_are_shares_of_the_baselines() {
        let ours =
            table(90.0, &[("jitter", &[80.0, 70.0]), ("scale", &[90.0, 95.0]), ("turn", &[0.0, 50.0])]);
        let base =
            table(80.0, &[("jitter", &[60.0, 40.0]), ("scale", &[85.0, 80.0]), ("turn", &[100.0, 100.0])]);
        let found = CorruptionErrors::measure(&ours, &base, Judge::Svm);
        let close = |a: Option<f64>, b: f64| (a.unwrap() - b).abs() < 1e-9;
        assert!(close(found.each[0].error, 100.0 * (20.0 + 30.0) / (40.0 + 60.0)));
        assert!(close(found.each[0].relative, 100.0 * (10.0 + 20.0) / (20.0 + 40.0)));
        assert!(close(found.each[1].error, 100.0 * 15.0 / 35.0));
        // The baseline loses nothing there: there is no share of it.
        assert_eq!((found.each[1].relative, found.each[2].error, found.each[2].relative), (None, None, None));
        assert!(close(found.mean, (50.0 + 1500.0 / 35.0) / 2.0) && close(found.relative_mean, 50.0));
        let itself = CorruptionErrors::measure(&base, &base, Judge::Neighbours);
        assert_eq!(itself.mean, Some(100.0));
        assert_eq!(table(1.0, &[]).corruptions(), Vec::<&str>::new());
    }
}
