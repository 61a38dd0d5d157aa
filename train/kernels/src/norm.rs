//! Layer norm over rows (Ba et al., arXiv 1607.06450); candle's fused form has no backward.
//!
//! Forward `n = (x - mean) / std`, `y = n w + b`, where `std^2` is the variance plus [`NORM_EPSILON`]. Backward, with
//! `s = dy w`: `dw += dy n`, `db += dy`, and `dx += (s - mean(s) - n mean(s n)) / std`.

use jepa3d_products::{Recycled, vectorized};

use super::affine::{Affine, AffineGradient};
use super::rows::{dot, sum_with};

/// What is added to the variance, as everywhere in this family of models.
pub const NORM_EPSILON: f32 = 1e-5;

/// Mean and 1 / standard deviation of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RowStats {
    mean: f32,
    inverse: f32,
}

/// The input of a norm, as its backward needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormInput<'a> {
    /// `[n, width]`.
    pub rows: &'a [f32],
    /// `[n]`: those that [`layer_norm`] found.
    pub stats: &'a [RowStats],
}

impl NormInput<'_> {
    /// The output, once more: cheaper than to keep it.
    pub(crate) fn repeat(self, norm: Affine<'_>) -> Recycled<f32> {
        let mut out = Recycled::take(self.rows.len());
        normalize(&mut out, self, norm);
        out
    }
}

/// Adds to `dx [n, width]`, given `dy`, the gradient of a norm's output; the gradients of its weight and bias.
pub(crate) fn add_norm_gradient(
    dx: &mut [f32],
    input: NormInput<'_>,
    weight: &[f32],
    dy: &[f32],
) -> [Vec<f32>; 2] {
    let (mut of_weight, mut of_bias) = (vec![0.0f32; weight.len()], vec![0.0f32; weight.len()]);
    let mut gradient = AffineGradient { weight: &mut of_weight, bias: &mut of_bias };
    layer_norm_backward(dx, &mut gradient, input, weight, dy);
    [of_weight, of_bias]
}

vectorized! {
    /// Sets `out` from an input that was measured.
    fn normalize(out: &mut [f32], input: NormInput<'_>, norm: Affine<'_>) {
        let width = norm.weight.len();
        let rows = input.rows.chunks_exact(width).zip(out.chunks_exact_mut(width));
        for ((x, out), &stats) in rows.zip(input.stats) {
            normalize_row(out, x, stats, norm);
        }
    }

    /// Sets `stats`, one entry a row, of `x [n, width]`.
    pub(crate) fn measure_rows(stats: &mut [RowStats], x: &[f32], width: usize) {
        for (x, stats) in x.chunks_exact(width).zip(stats) {
            *stats = measure_row(x);
        }
    }

    /// Sets `out` and `stats`, one entry a row, from `x [n, width]`.
    pub(crate) fn layer_norm(out: &mut [f32], stats: &mut [RowStats], x: &[f32], norm: Affine<'_>) {
        let width = norm.weight.len();
        let rows = x.chunks_exact(width).zip(out.chunks_exact_mut(width));
        for ((x, out), stats) in rows.zip(stats.iter_mut()) {
            *stats = measure_row(x);
            normalize_row(out, x, *stats, norm);
        }
    }

    /// Adds to `dx [n, width]` and to `gradient`, given `dy`, the gradient of the output.
    pub(crate) fn layer_norm_backward(
        dx: &mut [f32],
        gradient: &mut AffineGradient<'_>,
        input: NormInput<'_>,
        weight: &[f32],
        dy: &[f32],
    ) {
        let width = weight.len();
        let (dweight, dbias) = (&mut gradient.weight[..width], &mut gradient.bias[..width]);
        let count = 1.0 / width as f32;
        let mut scaled = vec![0.0f32; width];
        let rows = input.rows.chunks_exact(width).zip(dy.chunks_exact(width));
        let rows = rows.zip(dx.chunks_exact_mut(width)).zip(input.stats);
        for (((x, dy), dx), &RowStats { mean, inverse }) in rows {
            for j in 0..width {
                let normed = (x[j] - mean) * inverse;
                dweight[j] += dy[j] * normed;
                dbias[j] += dy[j];
                scaled[j] = dy[j] * weight[j];
            }
            let mean_scaled = sum_with(&scaled, |v| v) * count;
            let along = dot(&scaled, x) - mean * width as f32 * mean_scaled;
            let slope = along * count * inverse * inverse;
            for j in 0..width {
                dx[j] += inverse * (scaled[j] - mean_scaled - (x[j] - mean) * slope);
            }
        }
    }
}

#[inline(always)]
fn measure_row(x: &[f32]) -> RowStats {
    let count = 1.0 / x.len() as f32;
    let mean = sum_with(x, |v| v) * count;
    let variance = sum_with(x, |v| (v - mean) * (v - mean)) * count;
    RowStats { mean, inverse: 1.0 / (variance + NORM_EPSILON).sqrt() }
}

#[inline(always)]
fn normalize_row(out: &mut [f32], x: &[f32], stats: RowStats, norm: Affine<'_>) {
    let RowStats { mean, inverse } = stats;
    for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(norm.weight).zip(norm.bias) {
        *out = (x - mean) * inverse * weight + bias;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Draws;

    fn loss(x: &[f64], weight: &[f64], bias: &[f64], g: &[f64]) -> f64 {
        let n = weight.len() as f64;
        x.chunks(weight.len())
            .zip(g.chunks(weight.len()))
            .map(|(x, g)| {
                let mean = x.iter().sum::<f64>() / n;
                let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
                let row = x.iter().zip(weight).zip(bias).zip(g);
                row.map(|(((x, w), b), g)| g * ((x - mean) / (variance + 1e-5).sqrt() * w + b)).sum::<f64>()
            })
            .sum()
    }

    #[test]
    fn gradients_equal_finite_differences() {
        let mut draws = Draws::new(1, "norm", "test");
        let (rows, width) = (3, 21);
        let mut fill = |n: usize| (0..n).map(|_| f64::from(draws.normal() as f32)).collect::<Vec<f64>>();
        let inputs = [fill(rows * width), fill(width), fill(width)];
        let g = fill(rows * width);
        let single = |v: &[f64]| v.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let [x, weight, bias] = inputs.clone().map(|v| single(&v));
        let (mut out, mut stats) = (vec![0.0; x.len()], vec![RowStats::default(); rows]);
        layer_norm(&mut out, &mut stats, &x, Affine { weight: &weight, bias: &bias });
        let found: f64 = out.iter().zip(&g).map(|(&y, g)| f64::from(y) * g).sum();
        assert!((found - loss(&inputs[0], &inputs[1], &inputs[2], &g)).abs() < 1e-4);
        let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; width], vec![0.0; width]);
        let mut gradient = AffineGradient { weight: &mut dw, bias: &mut db };
        let input = NormInput { rows: &x, stats: &stats };
        layer_norm_backward(&mut dx, &mut gradient, input, &weight, &single(&g));
        for (part, found) in [dx, dw, db].iter().enumerate() {
            for i in 0..found.len() {
                let at = |h: f64| {
                    let mut moved = inputs.clone();
                    moved[part][i] += h;
                    loss(&moved[0], &moved[1], &moved[2], &g)
                };
                let want = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((f64::from(found[i]) - want).abs() < 1e-4 * (1.0 + want.abs()), "part {part}, {i}");
            }
        }
    }
}
