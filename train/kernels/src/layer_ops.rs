//! Layers outside the blocks as operators of candle: linear, layer norm, GELU and smooth L1 on rows.
//!
//! candle composes each from up to a dozen operators, adds the gradient of every one to a tensor of zeros, and sums biases
//! over rows one number at a time: beside kernels that use all cores, that took a tenth of a step. Here each is one node with
//! the formulas of `linear.rs`, `norm.rs` and `gelu.rs`. Rows are cut into chunks of [`ROWS`], whose sums are added in their
//! order: the result does not depend on the number of threads.

use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor};
use jepa3d_products::{Matrix, product, vectorized};
use rayon::prelude::*;

use super::affine::Affine;
use super::gelu::{gelu, gelu_backward};
use super::linear::{Precision, RightFactor};
use super::norm::{NormInput, RowStats, add_norm_gradient, layer_norm, measure_rows};
use super::rows::{add, add_column_sums};
use super::view::{CpuView, borrow_numbers, shape_gradients};

/// Rows of a chunk.
const ROWS: usize = 128;
/// Numbers of a chunk of what has no rows.
const PIECE: usize = 1 << 14;

/// `x [.., inputs]` to `[.., outputs]`: `x weight^T + bias`.
///
/// # Errors
/// Fails if a tensor is not f32 on the CPU, or the shapes do not fit.
pub fn linear_layer(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, LinearOp)
}

/// Layer norm of the rows of `x [.., width]`.
///
/// # Errors
/// As [`linear_layer`].
pub fn normalize_rows(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, NormOp)
}

/// GELU in its exact form.
///
/// # Errors
/// Fails if the tensor is not f32 on the CPU.
pub fn gelu_of(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(GeluOp)
}

/// `e^2 / (2 beta)` where `|e| < beta`, `|e| - beta / 2` elsewhere.
///
/// # Errors
/// Fails if the tensor is not f32 on the CPU.
pub fn smooth_l1_of(e: &Tensor, beta: f64) -> Result<Tensor> {
    e.contiguous()?.apply_op1(SmoothL1Op { beta: beta as f32 })
}

struct LinearOp;

impl CustomOp3 for LinearOp {
    fn name(&self) -> &'static str {
        "linear-layer"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (outputs, inputs) = weight_layout.shape().dims2()?;
        let shape = with_last(x_layout.shape(), inputs, outputs)?;
        let (x, weight) = (borrow_numbers(x, x_layout)?, borrow_numbers(weight, weight_layout)?);
        let bias = borrow_numbers(bias, bias_layout)?;
        let mut out = vec![0.0f32; shape.elem_count()];
        let chunks = out.par_chunks_mut(ROWS * outputs).zip(x.par_chunks(ROWS * inputs));
        let weight = RightFactor::new(Matrix::new(weight, inputs).transpose(), Precision::F32);
        chunks.for_each(|(out, x)| weight.apply(out, Matrix::new(x, inputs), bias));
        Ok((CpuStorage::F32(out), shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (outputs, inputs) = weight.dims2()?;
        let gradient = gradient.contiguous()?;
        let (dy, x_view, w) = (CpuView::new(&gradient)?, CpuView::new(x)?, CpuView::new(weight)?);
        let dy_rows = Matrix::new(dy.slice(), outputs);
        let dx = product(dy_rows, Matrix::new(w.slice(), inputs));
        let dw = product(dy_rows.transpose(), Matrix::new(x_view.slice(), inputs));
        let db = sum_rows(dy.slice(), outputs);
        shape_gradients([dx, dw, db], [x, weight, bias])
    }
}

struct NormOp;

impl CustomOp3 for NormOp {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (weight, bias) = (borrow_numbers(weight, weight_layout)?, borrow_numbers(bias, bias_layout)?);
        let width = weight.len();
        let shape = with_last(x_layout.shape(), width, width)?;
        let x = borrow_numbers(x, x_layout)?;
        let mut out = vec![0.0f32; x.len()];
        out.par_chunks_mut(ROWS * width).zip(x.par_chunks(ROWS * width)).for_each(|(out, x)| {
            let mut stats = vec![RowStats::default(); x.len() / width];
            layer_norm(out, &mut stats, x, Affine { weight, bias });
        });
        Ok((CpuStorage::F32(out), shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (dy, x_view, w) = (CpuView::new(&gradient)?, CpuView::new(x)?, CpuView::new(weight)?);
        let width = w.slice().len();
        let mut dx = vec![0.0f32; x.elem_count()];
        let chunks = dx.par_chunks_mut(ROWS * width).zip(x_view.slice().par_chunks(ROWS * width));
        let parts: Vec<[Vec<f32>; 2]> = chunks
            .zip(dy.slice().par_chunks(ROWS * width))
            .map(|((dx, rows), dy)| {
                let mut stats = vec![RowStats::default(); rows.len() / width];
                measure_rows(&mut stats, rows, width);
                add_norm_gradient(dx, NormInput { rows, stats: &stats }, w.slice(), dy)
            })
            .collect();
        let (mut dw, mut db) = (vec![0.0f32; width], vec![0.0f32; width]);
        for [part_of_weight, part_of_bias] in &parts {
            add(&mut dw, part_of_weight);
            add(&mut db, part_of_bias);
        }
        shape_gradients([dx, dw, db], [x, weight, bias])
    }
}

struct GeluOp;

impl CustomOp1 for GeluOp {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = borrow_numbers(x, layout)?;
        let mut out = vec![0.0f32; x.len()];
        out.par_chunks_mut(PIECE).zip(x.par_chunks(PIECE)).for_each(|(out, x)| gelu(out, x));
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let mut dx = CpuView::new(&gradient.contiguous()?)?.slice().to_vec();
        let view = CpuView::new(x)?;
        dx.par_chunks_mut(PIECE).zip(view.slice().par_chunks(PIECE)).for_each(|(dx, x)| gelu_backward(dx, x));
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

struct SmoothL1Op {
    beta: f32,
}

impl CustomOp1 for SmoothL1Op {
    fn name(&self) -> &'static str {
        "smooth-l1"
    }

    fn cpu_fwd(&self, e: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let e = borrow_numbers(e, layout)?;
        let mut out = vec![0.0f32; e.len()];
        out.par_chunks_mut(PIECE).zip(e.par_chunks(PIECE)).for_each(|(out, e)| smooth_l1(out, e, self.beta));
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, e: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let mut de = CpuView::new(&gradient.contiguous()?)?.slice().to_vec();
        let view = CpuView::new(e)?;
        let pieces = de.par_chunks_mut(PIECE).zip(view.slice().par_chunks(PIECE));
        pieces.for_each(|(de, e)| smooth_l1_backward(de, e, self.beta));
        Ok(Some(Tensor::from_vec(de, e.shape(), e.device())?))
    }
}

vectorized! {
    fn smooth_l1(out: &mut [f32], e: &[f32], beta: f32) {
        for (out, &e) in out.iter_mut().zip(e) {
            let size = e.abs();
            // min(|e|, beta) carries both branches.
            let q = if size < beta { size } else { beta };
            *out = q * (size - 0.5 * q) / beta;
        }
    }

    fn smooth_l1_backward(gradient: &mut [f32], e: &[f32], beta: f32) {
        for (gradient, &e) in gradient.iter_mut().zip(e) {
            *gradient *= if e.abs() < beta { e / beta } else { 1.0f32.copysign(e) };
        }
    }
}

/// The sum over rows of `x [n, width]`.
fn sum_rows(x: &[f32], width: usize) -> Vec<f32> {
    let sum = |chunk: &[f32]| {
        let mut sums = vec![0.0f32; width];
        add_column_sums(&mut sums, chunk);
        sums
    };
    let parts: Vec<Vec<f32>> = x.par_chunks(ROWS * width).map(sum).collect();
    let mut total = vec![0.0f32; width];
    parts.iter().for_each(|part| add(&mut total, part));
    total
}

/// The shape of `x [.., inputs]` with another last dimension.
fn with_last(x: &Shape, inputs: usize, outputs: usize) -> Result<Shape> {
    let mut dims = x.dims().to_vec();
    match dims.last_mut() {
        Some(last) if *last == inputs => *last = outputs,
        _ => candle_core::bail!("a layer of {inputs} inputs was given rows of shape {x:?}"),
    }
    Ok(Shape::from(dims))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use jepa3d_schemas::Draws;

    use super::*;

    fn random(draws: &mut Draws, shape: &[usize]) -> Var {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| draws.normal() as f32).collect();
        Var::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// From its inputs to its output.
    type ComparedLayer<'a> = &'a dyn Fn(&[Var]) -> Result<Tensor>;

    /// Output and gradients of a layer against the same from candle's operators.
    fn compare(what: &str, inputs: &[Var], layers: [ComparedLayer<'_>; 2]) {
        let run = |layer: ComparedLayer<'_>| {
            let out = layer(inputs).unwrap();
            let weighting = random(&mut Draws::new(3, what, "gradient"), out.dims());
            let store = (&out * &*weighting).unwrap().sum_all().unwrap().backward().unwrap();
            let gradients = inputs.iter().map(|input| flat(store.get(input).unwrap()));
            [flat(&out)].into_iter().chain(gradients).collect::<Vec<_>>()
        };
        let [found, want] = layers.map(run);
        for (i, (found, want)) in found.iter().zip(&want).enumerate() {
            let size = want.iter().fold(1e-3f32, |most, x| most.max(x.abs()));
            let worst = found.iter().zip(want).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(
                found.len() == want.len() && worst < 2e-5 * size,
                "{what}, number {i}: {worst} of {size}"
            );
        }
    }

    #[test]
    fn layers_equal_candles_operators_and_their_gradients() {
        for (seed, dims) in [(1, vec![1, 3]), (2, vec![300, 21]), (3, vec![5, 70, 33]), (4, vec![2, 3, 4, 5])]
        {
            let mut draws = Draws::new(seed, "layers", "test");
            let last = dims[dims.len() - 1];
            let x = random(&mut draws, &dims);
            let affine = [x.clone(), random(&mut draws, &[7, last]), random(&mut draws, &[7])];
            compare(
                "linear",
                &affine,
                [&|v| linear_layer(&v[0], &v[1], &v[2]), &|v| {
                    let rows = v[0].flatten_to(dims.len().saturating_sub(2))?.matmul(&v[1].t()?)?;
                    let shape: Vec<usize> = dims[..dims.len() - 1].iter().copied().chain([7]).collect();
                    rows.broadcast_add(&v[2])?.reshape(shape)
                }],
            );
            let norm = [x.clone(), random(&mut draws, &[last]), random(&mut draws, &[last])];
            compare(
                "norm",
                &norm,
                [&|v| normalize_rows(&v[0], &v[1], &v[2]), &|v| {
                    let centered = v[0].broadcast_sub(&v[0].mean_keepdim(candle_core::D::Minus1)?)?;
                    let deviation = (centered.sqr()?.mean_keepdim(candle_core::D::Minus1)? + 1e-5)?.sqrt()?;
                    centered.broadcast_div(&deviation)?.broadcast_mul(&v[1])?.broadcast_add(&v[2])
                }],
            );
            compare("gelu", &norm[..1], [&|v| gelu_of(&v[0]), &|v| v[0].gelu_erf()]);
            compare(
                "smooth l1",
                &norm[..1],
                [&|v| smooth_l1_of(&v[0], 0.7), &|v| {
                    let size = v[0].abs()?;
                    let q = size.minimum(0.7)?;
                    (&q * (&size - (&q * 0.5)?)?)? / 0.7
                }],
            );
        }
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        let mut draws = Draws::new(9, "layers", "test");
        let (x, weight, bias) =
            (random(&mut draws, &[4, 6]), random(&mut draws, &[3, 5]), random(&mut draws, &[3]));
        assert!(linear_layer(&x, &weight, &bias).is_err() && normalize_rows(&x, &bias, &bias).is_err());
    }
}
