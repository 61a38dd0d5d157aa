//! Linear support vector machines on frozen features: one-vs-one with hinge loss, one-vs-rest with squared hinge loss.
//!
//! [`Solver::OneVsOne`] is `sklearn.svm.SVC(kernel="linear", C)`: one problem a pair of classes, a free bias,
//! prediction by votes, ties to the lower class. [`Solver::OneVsRest`] is `sklearn.svm.LinearSVC(C)`: one problem a
//! class, the bias penalised like a weight (`intercept_scaling = 1`), prediction by the largest decision. Every problem
//! is solved on one thread and nothing is drawn, so the result does not depend on the number of threads.

use jepa3d_products::{Matrix, product};

use crate::error::{Error, Result};
use crate::examples::Examples;
use crate::one_vs_one::solve_pairs;
use crate::one_vs_rest::solve_classes;

/// How several classes are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Solver {
    /// Hinge loss between every two classes, votes: `SVC(kernel="linear")`.
    OneVsOne,
    /// Squared hinge loss of every class against the others: `LinearSVC`.
    OneVsRest,
}

/// A fitted linear classifier.
#[derive(Clone, Debug)]
pub struct LinearSvm {
    solver: Solver,
    classes: Vec<i32>,
    width: usize,
    /// A row a problem `[problems, width]`: pairs in the order (0, 1), (0, 2), ..., (1, 2), ..., or classes.
    weights: Vec<f32>,
    /// `[problems]`, added to the products.
    biases: Vec<f64>,
    objectives: Vec<f64>,
    unconverged: usize,
}

impl LinearSvm {
    /// Fits for one `c`.
    ///
    /// # Errors
    /// Fails if sizes do not fit, there are fewer than two classes, `c` is not positive, or a pair of classes has more than
    /// 16,384 samples (one-vs-one).
    pub fn fit(examples: Examples<'_>, solver: Solver, c: f64) -> Result<Self> {
        Ok(Self::fit_grid(examples, solver, &[c])?.remove(0))
    }

    /// Fits for every `c` of a grid. One-vs-one shares the Gram matrices and starts each `c` from the one before it.
    ///
    /// # Errors
    /// Fails where [`LinearSvm::fit`] does for one of the values.
    pub(crate) fn fit_grid(examples: Examples<'_>, solver: Solver, grid: &[f64]) -> Result<Vec<Self>> {
        let classes = examples.check()?;
        if let Some(c) = grid.iter().find(|c| !(c.is_finite() && **c > 0.0)) {
            return Err(Error::Range {
                what: "C of a linear SVM",
                expected: "a positive number".to_owned(),
                found: c.to_string(),
            });
        }
        let problems = match solver {
            Solver::OneVsOne => solve_pairs(examples, &classes, grid)?,
            Solver::OneVsRest => solve_classes(examples, &classes, grid),
        };
        let collect = |which: usize| {
            let mut svm = Self {
                solver,
                classes: classes.clone(),
                width: examples.width,
                weights: Vec::with_capacity(problems.len() * examples.width),
                biases: Vec::new(),
                objectives: Vec::new(),
                unconverged: 0,
            };
            for problem in problems.iter().map(|grid| &grid[which]) {
                svm.weights.extend(&problem.weights);
                svm.biases.push(problem.bias);
                svm.objectives.push(problem.objective);
                svm.unconverged += usize::from(!problem.has_converged);
            }
            svm
        };
        Ok((0..grid.len()).map(collect).collect())
    }

    /// The dual objective of each binary problem, as libsvm and LIBLINEAR print it.
    pub fn objectives(&self) -> &[f64] {
        &self.objectives
    }

    /// Binary problems that stopped at the largest number of steps.
    pub fn unconverged(&self) -> usize {
        self.unconverged
    }

    /// Decision values `[n, problems]` of `values` `[n, width]`.
    pub(crate) fn decisions(&self, values: &[f32]) -> Vec<f64> {
        let weights = Matrix::new(&self.weights, self.width).transpose();
        let products = product(Matrix::new(values, self.width), weights);
        let with_bias = |(i, x): (usize, f32)| f64::from(x) + self.biases[i % self.biases.len()];
        products.into_iter().enumerate().map(with_bias).collect()
    }

    /// The class of each of `values` `[n, width]`.
    pub fn predict(&self, values: &[f32]) -> Vec<i32> {
        let decisions = self.decisions(values);
        decisions.chunks_exact(self.biases.len()).map(|row| self.classes[self.winner(row)]).collect()
    }

    /// The class with most votes, or with the largest decision; ties to the lower one.
    fn winner(&self, decisions: &[f64]) -> usize {
        let k = self.classes.len();
        match self.solver {
            Solver::OneVsOne => {
                let mut votes = vec![0u32; k];
                let pairs = (0..k).flat_map(|a| (a + 1..k).map(move |b| (a, b)));
                for ((a, b), &decision) in pairs.zip(decisions) {
                    votes[if decision > 0.0 { a } else { b }] += 1;
                }
                first_largest(&votes)
            }
            Solver::OneVsRest => first_largest(decisions),
        }
    }
}

/// Index of the largest value, the first of equals.
fn first_largest<T: PartialOrd>(values: &[T]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}
