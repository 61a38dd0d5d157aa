//! Softmax of rows, of which the last entries may be padding.
//!
//! Forward `p_i = exp(x_i - max x) / sum_j exp(x_j - max x)`, 0 for padding; backward `dx = p (dp - sum_j dp_j p_j)`, which
//! needs no bound, since the `p` of padding are 0.

use jepa3d_products::vectorized;

use super::math::exp;
use super::rows::{LANES, dot, sum_with};

vectorized! {
    /// Turns the first `keys` of every row of `x [n, width]` into probabilities, and what is behind them into 0.
    pub(crate) fn softmax(x: &mut [f32], width: usize, keys: usize) {
        for row in x.chunks_exact_mut(width) {
            let (row, padding) = row.split_at_mut(keys);
            padding.fill(0.0);
            let largest = largest(row);
            for value in row.iter_mut() {
                *value = exp(*value - largest);
            }
            let inverse = 1.0 / sum_with(row, |v| v);
            for value in row {
                *value *= inverse;
            }
        }
    }

    /// Turns the gradient `dp` of the probabilities `p [n, width]` into that of what they were made from.
    pub(crate) fn softmax_backward(dp: &mut [f32], p: &[f32], width: usize) {
        for (dp, p) in dp.chunks_exact_mut(width).zip(p.chunks_exact(width)) {
            let along = dot(dp, p);
            for (dp, p) in dp.iter_mut().zip(p) {
                *dp = p * (*dp - along);
            }
        }
    }
}

/// The largest number of a row, in lanes; a NaN is passed over, as by [`f32::max`].
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let (whole, rest) = row.as_chunks::<LANES>();
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in whole {
        for i in 0..LANES {
            lanes[i] = larger(lanes[i], chunk[i]);
        }
    }
    rest.iter().chain(&lanes).fold(f32::NEG_INFINITY, |a, &b| larger(a, b))
}
