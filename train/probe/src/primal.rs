//! One class against the rest with squared hinge loss, on the primal, for many samples.
//!
//! Newton's method with a line search (Mangasarian, Optimization Methods and Software 17, 2002; Keerthi, DeCoste, JMLR 6, 2005), the
//! way of LIBLINEAR's `-s 2`, which is what `LinearSVC` runs when there are more samples than features. The Hessian
//! `I + 2C sum x x'` over the samples inside the margin starts from the sum over all samples, shared by all classes and
//! every `C`; from step to step only the samples that cross the margin are added or taken away. Dual coordinate descent
//! was measured first: on 3193 raw features of an encoder its thousand rounds at `C = 1` took longer than sklearn and
//! ended before the optimum.

use jepa3d_products::{Matrix, Product};

use crate::cholesky::solve_in_place;
use crate::examples::Examples;

/// Steps after which the result stands; ten are usual.
const MOST_STEPS: usize = 100;
/// The gradient has to fall to this share of what it is at 0.
const TOLERANCE: f64 = 1e-6;
/// Columns of the Hessian computed at a time: blocks above the diagonal are left out.
const BLOCK: usize = 96;

/// The samples, a feature that is always 1 added, in double precision, and the sum of their outer products.
pub(crate) struct Design {
    values: Vec<f64>,
    width: usize,
    outer: Vec<f64>,
}

/// The optimum of one class.
pub(crate) struct PrimalOptimum {
    /// Weights `[width]`, that of the bias last.
    pub weights: Vec<f64>,
    /// Value of the dual at the optimum: minus that of the primal.
    pub objective: f64,
    pub has_converged: bool,
}

impl PrimalOptimum {
    fn new(weights: Vec<f64>, decisions: &[f64], signs: &[f64], c: f64) -> Self {
        let objective = -primal(&weights, decisions, signs, c);
        Self { weights, objective, has_converged: true }
    }
}

impl Design {
    pub(crate) fn new(examples: Examples<'_>) -> Self {
        let width = examples.width + 1;
        let rows = examples.values.chunks_exact(examples.width);
        let values: Vec<f64> = rows.flat_map(|row| row.iter().map(|&x| f64::from(x)).chain([1.0])).collect();
        let mut outer = vec![0.0; width * width];
        add_outer(&mut outer, &values, width, 1.0);
        Self { values, width, outer }
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// Solves for `signs` (1 or -1) `[n]`.
    pub(crate) fn solve(&self, signs: &[f64], c: f64) -> PrimalOptimum {
        let (mut weights, mut decisions) = (vec![0.0; self.width], vec![0.0; signs.len()]);
        // All samples are inside the margin of the weights 0.
        let (mut outer, mut inside) = (self.outer.clone(), vec![true; signs.len()]);
        let mut first = None;
        for _ in 0..MOST_STEPS {
            self.cross(&mut outer, &mut inside, &decisions, signs);
            let gradient = self.gradient(&weights, &decisions, signs, c);
            let size = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            if size <= TOLERANCE * *first.get_or_insert(size) {
                return PrimalOptimum::new(weights, &decisions, signs, c);
            }
            let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
            let mut hessian: Vec<f64> = outer.iter().map(|x| 2.0 * c * x).collect();
            (0..self.width).for_each(|i| hessian[i * self.width + i] += 1.0);
            solve_in_place(&mut hessian, &mut direction, 1);
            let change = self.multiply(&direction);
            let slope = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum::<f64>();
            let line = SearchLine {
                weights: &weights,
                direction: &direction,
                decisions: &decisions,
                change: &change,
                slope,
            };
            let t = line.search(signs, c);
            weights.iter_mut().zip(&direction).for_each(|(w, d)| *w += t * d);
            decisions.iter_mut().zip(&change).for_each(|(f, d)| *f += t * d);
        }
        PrimalOptimum { has_converged: false, ..PrimalOptimum::new(weights, &decisions, signs, c) }
    }

    /// Brings the sum of outer products up to date with which samples are inside the margin.
    fn cross(&self, outer: &mut [f64], inside: &mut [bool], decisions: &[f64], signs: &[f64]) {
        let (mut entering, mut leaving) = (Vec::new(), Vec::new());
        for (i, was_inside) in inside.iter_mut().enumerate() {
            let is_inside = signs[i] * decisions[i] < 1.0;
            if is_inside != *was_inside {
                let crossing = if is_inside { &mut entering } else { &mut leaving };
                crossing.extend_from_slice(self.row(i));
            }
            *was_inside = is_inside;
        }
        add_outer(outer, &entering, self.width, 1.0);
        add_outer(outer, &leaving, self.width, -1.0);
    }

    fn gradient(&self, weights: &[f64], decisions: &[f64], signs: &[f64], c: f64) -> Vec<f64> {
        let mut gradient = weights.to_vec();
        for (i, (f, y)) in decisions.iter().zip(signs).enumerate().filter(|(_, (f, y))| *y * *f < 1.0) {
            let factor = 2.0 * c * (f - y);
            gradient.iter_mut().zip(self.row(i)).for_each(|(g, x)| *g += factor * x);
        }
        gradient
    }

    /// The decisions that `weights` would add.
    fn multiply(&self, weights: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.values.len() / self.width];
        let product = Product::new(Matrix::new(&self.values, self.width), Matrix::new(weights, 1));
        product.write_to(&mut out, 1);
        out
    }
}

/// Adds `sign` times the outer products of `rows` to the lower blocks of `outer` `[width, width]`.
fn add_outer(outer: &mut [f64], rows: &[f64], width: usize, sign: f64) {
    if rows.is_empty() {
        return;
    }
    let all = Matrix::new(rows, width);
    for start in (0..width).step_by(BLOCK) {
        let (height, columns) = (BLOCK.min(width - start), (start + BLOCK).min(width));
        let mut block = vec![0.0; height * columns];
        let (left, right) = (all.columns(start, height).transpose(), all.columns(0, columns));
        Product::new(left, right).write_to(&mut block, columns);
        for (row, to) in block.chunks_exact(columns).zip(outer[start * width..].chunks_mut(width)) {
            to.iter_mut().zip(row).for_each(|(to, x)| *to += sign * x);
        }
    }
}

/// `|w|^2 / 2 + C sum max(0, 1 - y f)^2`.
fn primal(weights: &[f64], decisions: &[f64], signs: &[f64], c: f64) -> f64 {
    let losses = decisions.iter().zip(signs).map(|(f, y)| (1.0 - y * f).max(0.0).powi(2));
    0.5 * weights.iter().map(|w| w * w).sum::<f64>() + c * losses.sum::<f64>()
}

/// A line through the space of weights along which the primal is to be lowered.
struct SearchLine<'a> {
    /// Where it starts, and what a step of 1 adds.
    weights: &'a [f64],
    direction: &'a [f64],
    /// The decisions there, and what a step of 1 adds to them.
    decisions: &'a [f64],
    change: &'a [f64],
    /// Slope of the primal at the start.
    slope: f64,
}

impl SearchLine<'_> {
    /// The first of 1, 1/2, 1/4, ... that lowers the primal by a share of what the slope promises (Armijo).
    fn search(&self, signs: &[f64], c: f64) -> f64 {
        let mix = |a: &[f64], b: &[f64], t: f64| a.iter().zip(b).map(|(a, b)| a + t * b).collect::<Vec<_>>();
        let before = primal(self.weights, self.decisions, signs, c);
        let mut t = 1.0;
        while t > 1e-9 {
            let (weights, decisions) =
                (mix(self.weights, self.direction, t), mix(self.decisions, self.change, t));
            if primal(&weights, &decisions, signs, c) <= before + 1e-4 * t * self.slope {
                break;
            }
            t *= 0.5;
        }
        t
    }
}
