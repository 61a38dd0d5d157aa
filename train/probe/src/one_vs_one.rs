//! Every class against every other with hinge loss: the problems of [`Solver::OneVsOne`](crate::Solver::OneVsOne).

use jepa3d_products::{Matrix, Product, product};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::examples::{BinarySolution, Examples};
use crate::smo::{self, LANES, PairGram};
use crate::statistics::column_means;

/// Most samples of a pair of classes: its Gram matrix is held in memory (1 GiB each thread at this size).
const MOST_SAMPLES_OF_A_PAIR: usize = 16_384;

/// Solves every pair of classes, in the order (0, 1), (0, 2), ..., for every `C` of the grid.
pub(crate) fn solve_pairs(
    examples: Examples<'_>,
    classes: &[i32],
    grid: &[f64],
) -> Result<Vec<Vec<BinarySolution>>> {
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
        let mean = column_means(examples.values, width);
        let mut values = vec![Vec::new(); classes.len()];
        for (row, label) in examples.values.chunks_exact(width).zip(examples.labels) {
            let class = classes.binary_search(label).expect("classes are those of the labels");
            values[class].extend(row.iter().zip(&mean).map(|(&x, m)| (f64::from(x) - m) as f32));
        }
        let own = |x: &Vec<f32>| product(Matrix::new(x, width), Matrix::new(x, width).transpose());
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
        let other = Matrix::new(&self.values[b], self.width).transpose();
        Product::new(Matrix::new(&self.values[a], self.width), other).write_to(&mut values[first..], step);
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

    fn solve(&self, a: usize, b: usize, grid: &[f64]) -> Vec<BinarySolution> {
        let gram = self.pair(a, b);
        let mut last: Option<(f64, Vec<f64>)> = None;
        let mut problems = Vec::with_capacity(grid.len());
        for &c in grid {
            // Multipliers scaled with C stay within its bounds and sum to 0.
            let start = last.take().map(|(before, beta)| scale_multipliers(&beta, before, c));
            let solution = smo::solve(&gram, c, start);
            problems.push(self.weigh(a, b, &solution));
            last = Some((c, solution.beta));
        }
        problems
    }

    /// The weights that the multipliers stand for.
    fn weigh(&self, a: usize, b: usize, solution: &smo::PairSolution) -> BinarySolution {
        let mut weights = vec![0.0f64; self.width];
        let rows = [a, b].into_iter().flat_map(|class| self.values[class].chunks_exact(self.width));
        for (row, &beta) in rows.zip(&solution.beta).filter(|(_, beta)| **beta != 0.0) {
            weights.iter_mut().zip(row).for_each(|(w, &x)| *w += beta * f64::from(x));
        }
        let shift: f64 = weights.iter().zip(&self.mean).map(|(w, m)| w * m).sum();
        BinarySolution {
            weights: weights.into_iter().map(|w| w as f32).collect(),
            bias: solution.bias - shift,
            objective: solution.objective,
            has_converged: solution.has_converged,
        }
    }
}

/// Multipliers of the bound `before` as a start for the bound `c`; what stood at a bound stands at the new one.
fn scale_multipliers(beta: &[f64], before: f64, c: f64) -> Vec<f64> {
    let scale = |&b: &f64| if b.abs() == before { c.copysign(b) } else { b * (c / before) };
    beta.iter().map(scale).collect()
}
