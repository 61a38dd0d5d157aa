//! Dual coordinate descent for one class against the rest with squared hinge loss.
//!
//! LIBLINEAR's `-s 1` (Hsieh, Chang, Lin, Keerthi, Sundararajan, ICML 2008, algorithm 3): random order, shrinking, the
//! bias as a weight of a feature that is always 1. Defaults are those of `sklearn.svm.LinearSVC`. The order is drawn
//! from a seed that names the class, so a fit is a function of its input.

use jepa3d_schemas::Draws;
use pulp::Arch;

use super::svm::{Examples, Problem};

/// Largest difference of projected gradients at the end (`LinearSVC(tol)`).
const TOLERANCE: f64 = 1e-4;
/// Rounds over the active samples (`LinearSVC(max_iter)`).
const MOST_ROUNDS: usize = 1000;
/// Numbers that are multiplied at once.
const LANES: usize = 16;

/// Solves `class` against the rest.
pub(super) fn solve(examples: Examples<'_>, class: i32, c: f64) -> Problem {
    Arch::new().dispatch(
        #[inline(always)]
        || Descent::new(examples, class, c).run(class),
    )
}

struct Descent<'a> {
    examples: Examples<'a>,
    /// 1 for the class, -1 for the rest.
    signs: Vec<f64>,
    /// Multipliers, at least 0.
    alpha: Vec<f64>,
    /// Squared length of each sample, the bias feature and the loss's `1 / 2C` included.
    curvature: Vec<f64>,
    weights: Vec<f32>,
    bias: f64,
    /// `1 / 2C`.
    slack: f64,
}

impl<'a> Descent<'a> {
    #[inline(always)]
    fn new(examples: Examples<'a>, class: i32, c: f64) -> Self {
        let slack = 0.5 / c;
        let rows = examples.values.chunks_exact(examples.width);
        Self {
            examples,
            signs: examples.labels.iter().map(|&l| if l == class { 1.0 } else { -1.0 }).collect(),
            alpha: vec![0.0; examples.labels.len()],
            curvature: rows.map(|row| f64::from(dot(row, row)) + 1.0 + slack).collect(),
            weights: vec![0.0; examples.width],
            bias: 0.0,
            slack,
        }
    }

    #[inline(always)]
    fn run(mut self, class: i32) -> Problem {
        let mut draws = Draws::new(0, &class.to_string(), "one-vs-rest");
        let n = self.alpha.len();
        let mut active: Vec<u32> = (0..n as u32).collect();
        let (mut upper, mut has_converged) = (f64::INFINITY, false);
        for _ in 0..MOST_ROUNDS {
            for i in 0..active.len() {
                let j = i + draws.index(active.len() - i);
                active.swap(i, j);
            }
            let (most, least) = self.round(&mut active, upper);
            if most - least <= TOLERANCE {
                if active.len() == n {
                    has_converged = true;
                    break;
                }
                // All samples again: those left out may have come to matter.
                active = (0..n as u32).collect();
                upper = f64::INFINITY;
                continue;
            }
            upper = if most <= 0.0 { f64::INFINITY } else { most };
        }
        let beta: Vec<f64> = self.alpha.iter().zip(&self.signs).map(|(a, sign)| a * sign).collect();
        Problem::one_vs_rest(self.examples, &beta, 0.5 / self.slack, has_converged)
    }

    /// One pass over the active samples; those that will stay at 0 leave. Largest and smallest projected gradient.
    #[inline(always)]
    fn round(&mut self, active: &mut Vec<u32>, upper: f64) -> (f64, f64) {
        let (mut most, mut least) = (f64::NEG_INFINITY, f64::INFINITY);
        let mut s = 0;
        while s < active.len() {
            let i = active[s] as usize;
            let row = &self.examples.values[i * self.examples.width..(i + 1) * self.examples.width];
            let decision = f64::from(dot(row, &self.weights)) + self.bias;
            let gradient = self.signs[i] * decision - 1.0 + self.slack * self.alpha[i];
            if self.alpha[i] == 0.0 && gradient > upper {
                active.swap_remove(s);
                continue;
            }
            s += 1;
            let projected = if self.alpha[i] == 0.0 { gradient.min(0.0) } else { gradient };
            (most, least) = (most.max(projected), least.min(projected));
            if projected.abs() > 1e-12 {
                let next = (self.alpha[i] - gradient / self.curvature[i]).max(0.0);
                let change = (next - self.alpha[i]) * self.signs[i];
                self.alpha[i] = next;
                self.bias += change;
                add(&mut self.weights, change as f32, row);
            }
        }
        (most, least)
    }
}

/// `x y`, summed in 4 rows of [`LANES`] partial sums.
#[inline(always)]
fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut sums = [[0.0f32; LANES]; 4];
    let (mut xs, mut ys) = (x.chunks_exact(4 * LANES), y.chunks_exact(4 * LANES));
    for (x, y) in xs.by_ref().zip(ys.by_ref()) {
        for (part, sums) in sums.iter_mut().enumerate() {
            for l in 0..LANES {
                sums[l] += x[part * LANES + l] * y[part * LANES + l];
            }
        }
    }
    let mut total = 0.0;
    for l in 0..LANES {
        total += (sums[0][l] + sums[1][l]) + (sums[2][l] + sums[3][l]);
    }
    for (x, y) in xs.remainder().iter().zip(ys.remainder()) {
        total += x * y;
    }
    total
}

#[inline(always)]
fn add(to: &mut [f32], factor: f32, x: &[f32]) {
    for (to, &x) in to.iter_mut().zip(x) {
        *to += factor * x;
    }
}
