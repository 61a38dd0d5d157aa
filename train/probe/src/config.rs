//! What the probe is asked for.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::svm::Solver;

/// What is classified; the classifiers are fitted on other samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evaluation {
    /// The fixed fifth of the training split ([`is_validation`](crate::is_validation)); the rest of that split is the training part.
    Validation,
    /// Another split, say `test`; the whole training split is the training part. Nothing is ever chosen on it.
    Split(String),
}

impl Evaluation {
    /// Refuses to classify what was learnt from.
    pub(crate) fn check(&self, training_split: &str) -> Result<()> {
        match self {
            Self::Split(split) if split == training_split => Err(Error::Features {
                what: "split to classify".to_owned(),
                expected: "another than the one that is learnt from".to_owned(),
                found: training_split.to_owned(),
            }),
            _ => Ok(()),
        }
    }
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
    /// What classes are called where one is named; without a name its number stands.
    #[serde(skip)]
    pub class_names: Vec<String>,
}

impl ProbeConfig {
    /// What a class is called.
    pub(crate) fn name_class(&self, class: i32) -> String {
        let name = usize::try_from(class).ok().and_then(|class| self.class_names.get(class));
        name.cloned().unwrap_or_else(|| format!("class {class}"))
    }
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
            class_names: Vec::new(),
        }
    }
}
