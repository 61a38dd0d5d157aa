//! Which classes are taken for which: counts, accuracy, mean class accuracy.

use serde::{Deserialize, Serialize};

/// Counts by true and predicted class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// `[C][C]`: samples of the true class (row) that are called the predicted one (column).
    pub counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// Counts samples.
    ///
    /// # Panics
    /// If a class is not below the number of classes, or there is not a prediction for every sample.
    pub fn count(classes: &[String], labels: &[u32], predictions: &[u32]) -> Self {
        assert_eq!(labels.len(), predictions.len(), "a prediction for every sample");
        let mut counts = vec![vec![0; classes.len()]; classes.len()];
        for (&label, &prediction) in labels.iter().zip(predictions) {
            counts[label as usize][prediction as usize] += 1;
        }
        Self { classes: classes.to_vec(), counts }
    }

    /// Number of samples.
    pub fn samples(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Share of samples that are classified correctly; 0 without samples.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = self.counts.iter().enumerate().map(|(class, row)| row[class]).sum();
        right as f64 / self.samples().max(1) as f64
    }

    /// For every class the share of its samples that are classified correctly; none for a class without samples.
    pub fn class_accuracies(&self) -> Vec<Option<f64>> {
        let share = |(class, row): (usize, &Vec<u64>)| {
            let samples: u64 = row.iter().sum();
            (samples > 0).then(|| row[class] as f64 / samples as f64)
        };
        self.counts.iter().enumerate().map(share).collect()
    }

    /// Mean of the class accuracies over the classes that have samples; 0 if none has.
    pub fn mean_class_accuracy(&self) -> f64 {
        let known: Vec<f64> = self.class_accuracies().into_iter().flatten().collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        classes: usize,
        labels: Vec<u32>,
        predictions: Vec<u32>,
        accuracy: f64,
        mean_class_accuracy: f64,
        counts: Vec<Vec<u64>>,
    }

    /// `goldens/classification.py` asks scikit-learn.
    #[test]
    fn counts_and_accuracies_equal_those_of_sklearn() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../goldens/classification.json")).unwrap();
        assert!(cases.len() > 5);
        for case in cases {
            let names: Vec<String> = (0..case.classes).map(|i| i.to_string()).collect();
            let found = Confusion::count(&names, &case.labels, &case.predictions);
            assert_eq!(found.counts, case.counts);
            assert!((found.accuracy() - case.accuracy).abs() < 1e-12);
            assert!((found.mean_class_accuracy() - case.mean_class_accuracy).abs() < 1e-12);
        }
    }
}
