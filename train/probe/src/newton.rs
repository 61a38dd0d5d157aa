//! One class against the rest with squared hinge loss, exactly, for few samples.
//!
//! Newton's method on the primal in terms of the samples (Chapelle, Neural Computation 19, 2007): with the samples that
//! violate the margin known, the optimum is the solution of a linear system; a few systems find which they are. The
//! same optimum as coordinate descent, which needs a thousand rounds where few samples are nearly separable.

use crate::cholesky::solve_in_place;

/// Largest number of samples for which this is the faster way: a system costs the cube.
pub(crate) const MOST_SAMPLES: usize = 512;
/// Systems after which the result stands; ten are usual.
const MOST_STEPS: usize = 60;

/// Multipliers with their signs `[n]`: the weights are `sum beta_i x_i`.
pub(crate) struct DualOptimum {
    pub beta: Vec<f64>,
    pub has_converged: bool,
}

/// Solves for `signs` (1 or -1) on `gram` `[n, n]`, products of the samples with the bias feature included.
pub(crate) fn solve(gram: &[f64], signs: &[f64], c: f64) -> DualOptimum {
    let n = signs.len();
    let (mut beta, mut decisions) = (vec![0.0; n], vec![0.0; n]);
    let mut active: Vec<usize> = (0..n).collect();
    for _ in 0..MOST_STEPS {
        let next = solve_active(gram, signs, &active, c);
        let next_decisions = multiply(gram, &next);
        let violating = find_violating(&next_decisions, signs);
        if violating == active {
            return DualOptimum { beta: next, has_converged: true };
        }
        let loss = |t: f64| {
            let mix =
                |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + t * (b - a)).collect::<Vec<_>>();
            primal(&mix(&beta, &next), &mix(&decisions, &next_decisions), signs, c)
        };
        let (before, mut t) = (loss(0.0), 1.0);
        while t > 1e-9 && loss(t) > before {
            t *= 0.5;
        }
        for i in 0..n {
            beta[i] += t * (next[i] - beta[i]);
            decisions[i] += t * (next_decisions[i] - decisions[i]);
        }
        active = if t == 1.0 { violating } else { find_violating(&decisions, signs) };
    }
    DualOptimum { beta, has_converged: false }
}

/// The optimum if exactly the `active` samples violated the margin: `(K + I / 2C) beta = y` on them, 0 elsewhere.
fn solve_active(gram: &[f64], signs: &[f64], active: &[usize], c: f64) -> Vec<f64> {
    let (n, m) = (signs.len(), active.len());
    let mut beta = vec![0.0; n];
    if m == 0 {
        return beta;
    }
    let mut system: Vec<f64> =
        active.iter().flat_map(|&i| active.iter().map(move |&j| gram[i * n + j])).collect();
    (0..m).for_each(|i| system[i * m + i] += 0.5 / c);
    let mut right: Vec<f64> = active.iter().map(|&i| signs[i]).collect();
    solve_in_place(&mut system, &mut right, 1);
    active.iter().zip(right).for_each(|(&i, value)| beta[i] = value);
    beta
}

fn multiply(gram: &[f64], beta: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; beta.len()];
    for (row, &factor) in gram.chunks_exact(beta.len()).zip(beta).filter(|(_, beta)| **beta != 0.0) {
        sums.iter_mut().zip(row).for_each(|(sum, k)| *sum += factor * k);
    }
    sums
}

fn find_violating(decisions: &[f64], signs: &[f64]) -> Vec<usize> {
    (0..signs.len()).filter(|&i| signs[i] * decisions[i] < 1.0).collect()
}

/// `|w|^2 / 2 + C sum max(0, 1 - y f)^2`.
fn primal(beta: &[f64], decisions: &[f64], signs: &[f64], c: f64) -> f64 {
    let norm: f64 = beta.iter().zip(decisions).map(|(b, f)| b * f).sum();
    let losses = decisions.iter().zip(signs).map(|(f, y)| (1.0 - y * f).max(0.0).powi(2));
    0.5 * norm + c * losses.sum::<f64>()
}
