//! Accuracy with a few labels a class, over fixed draws of the labelled samples.

use jepa3d_schemas::Draws;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::examples::Examples;
use crate::statistics::accuracy;
use crate::svm::{LinearSvm, Solver};

/// `C` of the classifier: that of the published probes.
pub(crate) const FEW_LABELS_C: f64 = 0.012;

/// Labelled vectors that are told apart by few labels: the pool of labels, and what is classified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FewLabels<'a> {
    /// Standardised vectors of the training part; the statistics are those of all of it, which needs no labels.
    pub pool: Examples<'a>,
    /// Ids of the pool: which samples are drawn does not depend on their order.
    pub ids: &'a [&'a str],
    /// Standardised vectors of the validation part, and their classes.
    pub validation: Examples<'a>,
}

/// A class with too few samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooSmall {
    pub class: i32,
    pub samples: usize,
}

impl FewLabels<'_> {
    /// Share of the validation part that is classified correctly for each of `draws` draws of `count` labels a class.
    ///
    /// Draw `d` of class `c` takes the first `count` of a permutation of the class's ids seeded by (d, c): 1 label is
    /// one of the 5, which are of the 20. The classifier is the one-vs-one linear SVM with [`FEW_LABELS_C`].
    ///
    /// # Errors
    /// Fails if a class of the pool has fewer than `count` samples, or there are fewer than two classes.
    pub(crate) fn accuracies(&self, count: usize, draws: usize) -> Result<Vec<f64>> {
        let classes = self.pool.classes();
        let members: Vec<Vec<usize>> = classes.iter().map(|&class| self.members(class)).collect();
        if let Some(TooSmall { class, samples }) = self.find_too_small(count) {
            return Err(Error::Features {
                what: format!("class {class} of the training part"),
                expected: format!("at least {count} samples"),
                found: samples.to_string(),
            });
        }
        let one = |draw: usize| self.score(&draw_rows(&classes, &members, count, draw));
        (0..draws).into_par_iter().map(one).collect()
    }

    /// The smallest class of the pool, the first of equals, if it has fewer than `count` samples.
    pub(crate) fn find_too_small(&self, count: usize) -> Option<TooSmall> {
        let classes = self.pool.classes().into_iter();
        let sizes = classes.map(|class| TooSmall { class, samples: self.members(class).len() });
        sizes.min_by_key(|class| class.samples).filter(|class| class.samples < count)
    }

    /// Rows of a class, ascending by id.
    fn members(&self, class: i32) -> Vec<usize> {
        let mut rows: Vec<_> = (0..self.ids.len()).filter(|&i| self.pool.labels[i] == class).collect();
        rows.sort_unstable_by_key(|&i| self.ids[i]);
        rows
    }

    fn score(&self, rows: &[usize]) -> Result<f64> {
        let width = self.pool.width;
        let values: Vec<f32> =
            rows.iter().flat_map(|&i| &self.pool.values[i * width..(i + 1) * width]).copied().collect();
        let labels: Vec<i32> = rows.iter().map(|&i| self.pool.labels[i]).collect();
        let examples = Examples { values: &values, width, labels: &labels };
        let svm = LinearSvm::fit(examples, Solver::OneVsOne, FEW_LABELS_C)?;
        Ok(accuracy(&svm.predict(self.validation.values), self.validation.labels))
    }
}

/// The first `count` of a permutation of each class.
fn draw_rows(classes: &[i32], members: &[Vec<usize>], count: usize, draw: usize) -> Vec<usize> {
    let mut rows = Vec::with_capacity(classes.len() * count);
    for (class, members) in classes.iter().zip(members) {
        let mut draws = Draws::new(draw as u64, &class.to_string(), "few-labels");
        rows.extend(draws.distinct(members.len(), count).into_iter().map(|at| members[at]));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three directions, one a class, and a little noise.
    fn pool() -> (Vec<f32>, Vec<i32>, Vec<String>) {
        let labels: Vec<i32> = (0..60).map(|i| i % 3).collect();
        let direction: [[f32; 2]; 3] = [[4.0, 0.0], [-2.0, 3.5], [-2.0, -3.5]];
        let noisy = |i: usize| direction[i % 3].map(|x| x + 0.5 * (x + i as f32 * 1.7).sin());
        let values = (0..60).flat_map(noisy).collect();
        (values, labels, (0..60).map(|i| format!("id{i:02}")).collect())
    }

    #[test]
    fn draws_are_nested_balanced_and_free_of_order() {
        let (values, labels, ids) = pool();
        let draw = |order: Vec<usize>, count: usize| {
            let ids: Vec<&str> = order.iter().map(|&i| ids[i].as_str()).collect();
            let labels: Vec<i32> = order.iter().map(|&i| labels[i]).collect();
            let examples = Examples { values: &values, width: 2, labels: &labels };
            let few = FewLabels { pool: examples, ids: &ids, validation: examples };
            let members: Vec<_> = (0..3).map(|class| few.members(class)).collect();
            let rows = draw_rows(&[0, 1, 2], &members, count, 4);
            rows.into_iter().map(|i| ids[i].to_owned()).collect::<Vec<_>>()
        };
        let five = draw((0..60).collect(), 5);
        assert_eq!(five, draw((0..60).rev().collect(), 5));
        assert_eq!(five.len(), 15);
        assert!(draw((0..60).collect(), 1).iter().all(|id| five.contains(id)));
        let mut distinct = five.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 15);
    }

    #[test]
    fn separable_classes_are_told_apart_by_one_label() {
        let (values, labels, ids) = pool();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let examples = Examples { values: &values, width: 2, labels: &labels };
        let few = FewLabels { pool: examples, ids: &ids, validation: examples };
        assert!(few.accuracies(1, 10).unwrap().iter().all(|&a| a > 0.95));
        let error = few.accuracies(21, 1).unwrap_err().to_string();
        assert_eq!(error, "features: class 0 of the training part: expected at least 21 samples, found 20");
    }
}
