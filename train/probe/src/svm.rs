//! Linear support vector machines on frozen features: one-vs-one with hinge loss, one-vs-rest with squared hinge loss.
//!
//! [`Solver::OneVsOne`] is `sklearn.svm.SVC(kernel="linear", C)`: one problem a pair of classes, a free bias,
//! prediction by votes, ties to the lower class. [`Solver::OneVsRest`] is `sklearn.svm.LinearSVC(C)`: one problem a
//! class, the bias penalised like a weight (`intercept_scaling = 1`), prediction by the largest decision. Every problem
//! is solved on one thread and nothing is drawn, so the result does not depend on the number of threads.

use jepa3d_products::{Matrix, product, product_into};
use rayon::prelude::*;

use super::newton;
use super::primal;
use super::smo::{self, LANES, PairGram};
use crate::error::{Error, Result};

/// Most samples of a pair of classes: its Gram matrix is held in memory (1 GiB each thread at this size).
pub const MOST_SAMPLES_OF_A_PAIR: usize = 16_384;

/// How several classes are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Solver {
    /// Hinge loss between every two classes, votes: `SVC(kernel="linear")`.
    OneVsOne,
    /// Squared hinge loss of every class against the others: `LinearSVC`.
    OneVsRest,
}

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
    pub fn classes(&self) -> Vec<i32> {
        let mut classes = self.labels.to_vec();
        classes.sort_unstable();
        classes.dedup();
        classes
    }

    fn check(&self) -> Result<Vec<i32>> {
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

/// One solved binary problem.
pub(super) struct Problem {
    pub weights: Vec<f32>,
    pub bias: f64,
    pub objective: f64,
    pub has_converged: bool,
}

impl LinearSvm {
    /// Fits for one `c`.
    ///
    /// # Errors
    /// Fails if sizes do not fit, there are fewer than two classes, or a pair of classes has more than
    /// [`MOST_SAMPLES_OF_A_PAIR`] samples (one-vs-one).
    pub fn fit(examples: Examples<'_>, solver: Solver, c: f64) -> Result<Self> {
        Ok(Self::fit_grid(examples, solver, &[c])?.remove(0))
    }

    /// Fits for every `c` of a grid. One-vs-one shares the Gram matrices and starts each `c` from the one before it.
    ///
    /// # Errors
    /// As [`LinearSvm::fit`].
    pub fn fit_grid(examples: Examples<'_>, solver: Solver, grid: &[f64]) -> Result<Vec<Self>> {
        let classes = examples.check()?;
        if let Some(c) = grid.iter().find(|c| !(c.is_finite() && **c > 0.0)) {
            return Err(Error::Range {
                what: "C of a linear SVM",
                expected: "a positive number".to_owned(),
                found: c.to_string(),
            });
        }
        let problems = match solver {
            Solver::OneVsOne => one_vs_one(examples, &classes, grid)?,
            Solver::OneVsRest => one_vs_rest(examples, &classes, grid),
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
    pub fn decisions(&self, values: &[f32]) -> Vec<f64> {
        let weights = Matrix::new(&self.weights, self.width).transposed();
        let products = product(Matrix::new(values, self.width), weights);
        let biased = |(i, x): (usize, f32)| f64::from(x) + self.biases[i % self.biases.len()];
        products.into_iter().enumerate().map(biased).collect()
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

/// The vectors of each class, minus the mean of all, and where they came from.
struct ByClass {
    values: Vec<Vec<f32>>,
    grams: Vec<Vec<f32>>,
    mean: Vec<f64>,
    width: usize,
}

impl ByClass {
    /// A free bias absorbs any shift of the features: without their mean the single-precision Gram matrix keeps the
    /// digits that tell classes apart.
    fn new(examples: Examples<'_>, classes: &[i32]) -> Self {
        let width = examples.width;
        let mut mean = vec![0.0f64; width];
        for row in examples.values.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        mean.iter_mut().for_each(|sum| *sum /= examples.labels.len() as f64);
        let mut values = vec![Vec::new(); classes.len()];
        for (row, label) in examples.values.chunks_exact(width).zip(examples.labels) {
            let class = classes.binary_search(label).expect("classes are those of the labels");
            values[class].extend(row.iter().zip(&mean).map(|(&x, m)| (f64::from(x) - m) as f32));
        }
        let own = |x: &Vec<f32>| product(Matrix::new(x, width), Matrix::new(x, width).transposed());
        let grams = values.iter().map(own).collect();
        Self { values, grams, mean, width }
    }

    fn len(&self, class: usize) -> usize {
        self.values[class].len() / self.width
    }

    /// The Gram matrix of two classes: the blocks on the diagonal are known, the one beside them is computed.
    fn pair(&self, a: usize, b: usize) -> PairGram {
        let (first, second) = (self.len(a), self.len(b));
        let n = first + second;
        let step = n.next_multiple_of(LANES);
        let mut values = vec![0.0; n * step];
        let other = Matrix::new(&self.values[b], self.width).transposed();
        product_into(&mut values[first..], step, Matrix::new(&self.values[a], self.width), other);
        for (i, row) in self.grams[a].chunks_exact(first).enumerate() {
            values[i * step..i * step + first].copy_from_slice(row);
        }
        for (i, row) in self.grams[b].chunks_exact(second).enumerate() {
            let at = (first + i) * step + first;
            values[at..at + second].copy_from_slice(row);
        }
        let (top, bottom) = values.split_at_mut(first * step);
        for i in 0..second {
            for j in 0..first {
                bottom[i * step + j] = top[j * step + first + i];
            }
        }
        PairGram { values, n, first, step }
    }

    fn solve(&self, a: usize, b: usize, grid: &[f64]) -> Vec<Problem> {
        let gram = self.pair(a, b);
        let mut last: Option<(f64, Vec<f64>)> = None;
        let mut problems = Vec::with_capacity(grid.len());
        for &c in grid {
            // Multipliers scaled with C stay within its bounds and sum to 0.
            let start = last.take().map(|(before, beta)| scaled(&beta, before, c));
            let solution = smo::solve(&gram, c, start);
            problems.push(self.problem(a, b, &solution));
            last = Some((c, solution.beta));
        }
        problems
    }

    fn problem(&self, a: usize, b: usize, solution: &smo::PairSolution) -> Problem {
        let mut weights = vec![0.0f64; self.width];
        let rows = [a, b].into_iter().flat_map(|class| self.values[class].chunks_exact(self.width));
        for (row, &beta) in rows.zip(&solution.beta).filter(|(_, beta)| **beta != 0.0) {
            weights.iter_mut().zip(row).for_each(|(w, &x)| *w += beta * f64::from(x));
        }
        let shift: f64 = weights.iter().zip(&self.mean).map(|(w, m)| w * m).sum();
        Problem {
            weights: weights.into_iter().map(|w| w as f32).collect(),
            bias: solution.bias - shift,
            objective: solution.objective,
            has_converged: solution.has_converged,
        }
    }
}

/// Multipliers of the bound `before` as a start for the bound `c`; what stood at a bound stands at the new one.
fn scaled(beta: &[f64], before: f64, c: f64) -> Vec<f64> {
    let scale = |&b: &f64| if b.abs() == before { c.copysign(b) } else { b * (c / before) };
    beta.iter().map(scale).collect()
}

fn one_vs_one(examples: Examples<'_>, classes: &[i32], grid: &[f64]) -> Result<Vec<Vec<Problem>>> {
    let by_class = ByClass::new(examples, classes);
    let k = classes.len();
    let pairs: Vec<_> = (0..k).flat_map(|a| (a + 1..k).map(move |b| (a, b))).collect();
    let largest = pairs.iter().map(|&(a, b)| by_class.len(a) + by_class.len(b)).max().unwrap_or(0);
    if largest > MOST_SAMPLES_OF_A_PAIR {
        return Err(Error::Features {
            what: "samples of two classes, one-vs-one".to_owned(),
            expected: format!("at most {MOST_SAMPLES_OF_A_PAIR} (one-vs-rest has no such bound)"),
            found: largest.to_string(),
        });
    }
    Ok(pairs.par_iter().map(|&(a, b)| by_class.solve(a, b, grid)).collect())
}

fn one_vs_rest(examples: Examples<'_>, classes: &[i32], grid: &[f64]) -> Vec<Vec<Problem>> {
    let tasks: Vec<_> = classes.iter().flat_map(|&class| grid.iter().map(move |&c| (class, c))).collect();
    let solved: Vec<Problem> = if examples.labels.len() <= newton::MOST_SAMPLES {
        let gram = gram_with_bias(examples);
        tasks.par_iter().map(|&(class, c)| on_samples(examples, &gram, class, c)).collect()
    } else {
        let design = primal::Design::new(examples);
        tasks.par_iter().map(|&(class, c)| on_primal(examples, &design, class, c)).collect()
    };
    let mut solved = solved.into_iter();
    classes.iter().map(|_| solved.by_ref().take(grid.len()).collect()).collect()
}

/// Products of all samples `[n, n]`, the feature that is always 1 included.
fn gram_with_bias(examples: Examples<'_>) -> Vec<f64> {
    let values: Vec<f64> = examples.values.iter().map(|&x| f64::from(x)).collect();
    let rows = Matrix::new(&values, examples.width);
    let mut gram = product(rows, rows.transposed());
    gram.iter_mut().for_each(|x| *x += 1.0);
    gram
}

/// 1 for a class, -1 for the rest.
fn signs(examples: Examples<'_>, class: i32) -> Vec<f64> {
    examples.labels.iter().map(|&label| if label == class { 1.0 } else { -1.0 }).collect()
}

fn on_primal(examples: Examples<'_>, design: &primal::Design, class: i32, c: f64) -> Problem {
    let primal::Optimum { mut weights, objective, has_converged } = design.solve(&signs(examples, class), c);
    let bias = weights.pop().expect("the last weight is that of the bias");
    Problem { weights: weights.into_iter().map(|w| w as f32).collect(), bias, objective, has_converged }
}

/// Weights summed in double precision, and the dual as LIBLINEAR states it.
fn on_samples(examples: Examples<'_>, gram: &[f64], class: i32, c: f64) -> Problem {
    let newton::Optimum { beta, has_converged } = newton::solve(gram, &signs(examples, class), c);
    let mut weights = vec![0.0f64; examples.width];
    let (mut bias, mut objective) = (0.0, 0.0);
    let rows = examples.values.chunks_exact(examples.width);
    for (row, &beta) in rows.zip(&beta).filter(|(_, beta)| **beta != 0.0) {
        weights.iter_mut().zip(row).for_each(|(w, &x)| *w += beta * f64::from(x));
        bias += beta;
        objective += 0.25 * beta * beta / c - beta.abs();
    }
    objective += 0.5 * (weights.iter().map(|w| w * w).sum::<f64>() + bias * bias);
    Problem { weights: weights.into_iter().map(|w| w as f32).collect(), bias, objective, has_converged }
}
