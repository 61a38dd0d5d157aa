//! Every class against the rest with squared hinge loss: the problems of
//! [`Solver::OneVsRest`](crate::Solver::OneVsRest).

use jepa3d_products::{Matrix, product};
use rayon::prelude::*;

use crate::examples::{BinarySolution, Examples};
use crate::{newton, primal};

/// Solves every class against the rest, for every `C` of the grid.
pub(crate) fn solve_classes(
    examples: Examples<'_>,
    classes: &[i32],
    grid: &[f64],
) -> Vec<Vec<BinarySolution>> {
    let tasks: Vec<_> = classes.iter().flat_map(|&class| grid.iter().map(move |&c| (class, c))).collect();
    let solved: Vec<BinarySolution> = if examples.labels.len() <= newton::MOST_SAMPLES {
        let gram = gram_with_bias(examples);
        tasks.par_iter().map(|&(class, c)| solve_on_samples(examples, &gram, class, c)).collect()
    } else {
        let design = primal::Design::new(examples);
        tasks.par_iter().map(|&(class, c)| solve_on_primal(examples, &design, class, c)).collect()
    };
    let mut solved = solved.into_iter();
    classes.iter().map(|_| solved.by_ref().take(grid.len()).collect()).collect()
}

/// Products of all samples `[n, n]`, the feature that is always 1 included.
fn gram_with_bias(examples: Examples<'_>) -> Vec<f64> {
    let values: Vec<f64> = examples.values.iter().map(|&x| f64::from(x)).collect();
    let rows = Matrix::new(&values, examples.width);
    let mut gram = product(rows, rows.transpose());
    gram.iter_mut().for_each(|x| *x += 1.0);
    gram
}

fn solve_on_primal(examples: Examples<'_>, design: &primal::Design, class: i32, c: f64) -> BinarySolution {
    let primal::PrimalOptimum { mut weights, objective, has_converged } =
        design.solve(&examples.signs(class), c);
    let bias = weights.pop().expect("the last weight is that of the bias");
    BinarySolution {
        weights: weights.into_iter().map(|w| w as f32).collect(),
        bias,
        objective,
        has_converged,
    }
}

/// Weights summed in double precision, and the dual as LIBLINEAR states it.
fn solve_on_samples(examples: Examples<'_>, gram: &[f64], class: i32, c: f64) -> BinarySolution {
    let newton::DualOptimum { beta, has_converged } = newton::solve(gram, &examples.signs(class), c);
    let mut weights = vec![0.0f64; examples.width];
    let (mut bias, mut objective) = (0.0, 0.0);
    let rows = examples.values.chunks_exact(examples.width);
    for (row, &beta) in rows.zip(&beta).filter(|(_, beta)| **beta != 0.0) {
        weights.iter_mut().zip(row).for_each(|(w, &x)| *w += beta * f64::from(x));
        bias += beta;
        objective += 0.25 * beta * beta / c - beta.abs();
    }
    objective += 0.5 * (weights.iter().map(|w| w * w).sum::<f64>() + bias * bias);
    BinarySolution {
        weights: weights.into_iter().map(|w| w as f32).collect(),
        bias,
        objective,
        has_converged,
    }
}
