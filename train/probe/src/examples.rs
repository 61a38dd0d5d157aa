//! Labelled feature vectors, from which classifiers learn.

use crate::error::{Error, Result};

/// Labelled feature vectors.
#[derive(Clone, Copy, Debug)]
pub struct Examples<'a> {
    /// Vectors `[n, width]`.
    pub values: &'a [f32],
    /// Numbers a vector.
    pub width: usize,
    /// Class numbers `[n]`.
    pub labels: &'a [i32],
}

impl Examples<'_> {
    /// The distinct classes, ascending.
    pub(crate) fn classes(&self) -> Vec<i32> {
        let mut classes = self.labels.to_vec();
        classes.sort_unstable();
        classes.dedup();
        classes
    }

    /// The distinct classes, if the sizes fit and there are at least two.
    pub(crate) fn check(&self) -> Result<Vec<i32>> {
        let (expected, found) = (self.labels.len() * self.width, self.values.len());
        if found != expected || self.width == 0 {
            let what = format!("{} vectors of width {}", self.labels.len(), self.width);
            let (expected, found) = (format!("{} numbers", expected.max(1)), found.to_string());
            return Err(Error::Features { what, expected, found });
        }
        let classes = self.classes();
        if classes.len() < 2 {
            let (what, expected) = ("classes of the training part".to_owned(), "at least 2".to_owned());
            return Err(Error::Features { what, expected, found: classes.len().to_string() });
        }
        Ok(classes)
    }

    /// 1 for a class, -1 for the rest.
    pub(crate) fn signs(&self, class: i32) -> Vec<f64> {
        self.labels.iter().map(|&label| if label == class { 1.0 } else { -1.0 }).collect()
    }
}

/// One solved binary problem.
pub(crate) struct BinarySolution {
    pub weights: Vec<f32>,
    pub bias: f64,
    /// Value of the dual, as libsvm and LIBLINEAR print it.
    pub objective: f64,
    pub has_converged: bool,
}
