//! Batch norm of rows and the rectifier after it as one operation on the CPU, forward and backward.
//!
//! From candle's operators it is some thirty passes over the rows, most of them strided; here it is five. Sums are taken over
//! pieces of fixed size in their order, so that they do not depend on threads.

use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor};
use jepa3d_kernels::{CpuView, borrow_numbers, shape_gradients};
use rayon::prelude::*;

use crate::error::Result;

/// Rows that one thread takes at a time.
const PIECE: usize = 512;

/// Mean and (biased) variance of the columns of a matrix.
pub(super) struct ColumnMoments {
    pub mean: Vec<f32>,
    pub variance: Vec<f32>,
}

impl ColumnMoments {
    /// Of `values [n, width]`.
    pub(super) fn measure(values: &[f32], width: usize) -> Self {
        let rows = (values.len() / width.max(1)).max(1) as f64;
        let divide = |sums: Vec<f64>| -> Vec<f32> { sums.iter().map(|sum| (sum / rows) as f32).collect() };
        let mean = divide(sum_columns(values, width, |sums, row| {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }));
        let variance = divide(sum_columns(values, width, |sums, row| {
            sums.iter_mut().zip(row).zip(&mean).for_each(|((sum, x), mean)| *sum += (x - mean) * (x - mean));
        }));
        Self { mean, variance }
    }
}

/// Sums over rows, of what `add` adds to a piece's sums for each of them.
fn sum_columns(values: &[f32], width: usize, add: impl Fn(&mut [f32], &[f32]) + Sync) -> Vec<f64> {
    let piece = |rows: &[f32]| {
        let mut sums = vec![0.0f32; width];
        rows.chunks_exact(width).for_each(|row| add(&mut sums, row));
        sums
    };
    let pieces: Vec<Vec<f32>> = values.par_chunks(PIECE * width).map(piece).collect();
    let mut total = vec![0.0; width];
    for sums in pieces {
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += f64::from(sum));
    }
    total
}

/// `act((x - mean) / deviation * weight + bias)`, where `act` keeps what is positive and scales the rest by `slope`.
pub(super) struct NormActivation {
    mean: Vec<f32>,
    /// One over the deviations.
    inverse: Vec<f32>,
    /// 0: ReLU, 1: nothing.
    slope: f32,
}

impl NormActivation {
    pub(super) fn new(moments: &ColumnMoments, epsilon: f64, slope: f64) -> Self {
        let inverse = |variance: &f32| (1.0 / (f64::from(*variance) + epsilon).sqrt()) as f32;
        let inverse = moments.variance.iter().map(inverse).collect();
        Self { mean: moments.mean.clone(), inverse, slope: slope as f32 }
    }

    /// Applies it to rows on the CPU.
    ///
    /// # Shapes
    /// `x [n, C]`, `weight` and `bias` `[C]` to `[n, C]`.
    pub(super) fn apply(self, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        Ok(x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, self)?)
    }

    /// Gradients of the rows, the weight and the bias.
    fn gradients(&self, x: &[f32], weight: &[f32], out: &[f32], gradient: &[f32]) -> [Vec<f32>; 3] {
        let width = weight.len();
        let rows = (x.len() / width.max(1)).max(1) as f32;
        let passed = |out: f32, g: f32| if out > 0.0 { g } else { self.slope * g };
        let pieces = x.par_chunks(PIECE * width).zip(out.par_chunks(PIECE * width));
        let pieces = pieces.zip(gradient.par_chunks(PIECE * width)).map(|((x, out), gradient)| {
            let (mut scaled, mut shifted) = (vec![0.0f32; width], vec![0.0f32; width]);
            for ((x, out), g) in
                x.chunks_exact(width).zip(out.chunks_exact(width)).zip(gradient.chunks_exact(width))
            {
                for c in 0..width {
                    let g = passed(out[c], g[c]);
                    shifted[c] += g;
                    scaled[c] += g * (x[c] - self.mean[c]) * self.inverse[c];
                }
            }
            (scaled, shifted)
        });
        let (mut of_weight, mut of_bias) = (vec![0.0f64; width], vec![0.0f64; width]);
        for (scaled, shifted) in pieces.collect::<Vec<_>>() {
            of_weight.iter_mut().zip(scaled).for_each(|(sum, x)| *sum += f64::from(x));
            of_bias.iter_mut().zip(shifted).for_each(|(sum, x)| *sum += f64::from(x));
        }
        let [of_weight, of_bias] =
            [of_weight, of_bias].map(|sums| sums.iter().map(|&x| x as f32).collect::<Vec<f32>>());
        let mut of_rows = vec![0.0; x.len()];
        let all = of_rows.par_chunks_mut(width).zip(x.par_chunks(width));
        let all = all.zip(out.par_chunks(width)).zip(gradient.par_chunks(width));
        all.with_min_len(PIECE).for_each(|(((dx, x), out), g)| {
            for c in 0..width {
                let standard = (x[c] - self.mean[c]) * self.inverse[c];
                let common = (of_bias[c] + standard * of_weight[c]) / rows;
                dx[c] = weight[c] * self.inverse[c] * (passed(out[c], g[c]) - common);
            }
        });
        [of_rows, of_weight, of_bias]
    }
}

impl CustomOp3 for NormActivation {
    fn name(&self) -> &'static str {
        "norm-activation"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (x, weight, bias) = (
            borrow_numbers(x, x_layout)?,
            borrow_numbers(weight, weight_layout)?,
            borrow_numbers(bias, bias_layout)?,
        );
        let mut out = vec![0.0; x.len()];
        let width = weight.len();
        out.par_chunks_mut(width).zip(x.par_chunks(width)).with_min_len(PIECE).for_each(|(out, x)| {
            for c in 0..width {
                let y = (x[c] - self.mean[c]) * self.inverse[c] * weight[c] + bias[c];
                out[c] = if y > 0.0 { y } else { self.slope * y };
            }
        });
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        out: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (rows, w, y, dy) =
            (CpuView::new(x)?, CpuView::new(weight)?, CpuView::new(out)?, CpuView::new(&gradient)?);
        let gradients = self.gradients(rows.slice(), w.slice(), y.slice(), dy.slice());
        shape_gradients(gradients, [x, weight, bias])
    }
}
