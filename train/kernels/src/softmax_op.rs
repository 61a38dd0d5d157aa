//! Softmax as one operator of candle: composed, its backward is eight operators, each adding to a tensor of zeros.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::softmax::{softmax, softmax_backward};
use super::view::{CpuView, borrow_numbers};

/// Numbers of a chunk, about.
const PIECE: usize = 1 << 14;

/// Softmax over the last dimension, with the formulas of `softmax.rs`.
///
/// # Errors
/// Fails if the tensor is not f32 on the CPU, or has no dimension.
pub fn softmax_of(x: &Tensor) -> Result<Tensor> {
    x.dim(candle_core::D::Minus1)?;
    x.contiguous()?.apply_op1(SoftmaxOp)
}

struct SoftmaxOp;

impl CustomOp1 for SoftmaxOp {
    fn name(&self) -> &'static str {
        "softmax-of-rows"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = borrow_numbers(x, layout)?.to_vec();
        if let Some(width) = width_of(layout.shape()) {
            out.par_chunks_mut(chunk(width)).for_each(|rows| softmax(rows, width, width));
        }
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, p: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let mut dx = CpuView::new(&gradient.contiguous()?)?.slice().to_vec();
        let p = CpuView::new(p)?;
        if let Some(width) = width_of(x.shape()) {
            let chunks = dx.par_chunks_mut(chunk(width)).zip(p.slice().par_chunks(chunk(width)));
            chunks.for_each(|(dx, p)| softmax_backward(dx, p, width));
        }
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

/// The last dimension, if there are numbers.
fn width_of(shape: &Shape) -> Option<usize> {
    shape.dims().last().copied().filter(|_| shape.elem_count() > 0)
}

/// Whole rows.
fn chunk(width: usize) -> usize {
    PIECE.div_ceil(width) * width
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Device, Var};
    use jepa3d_schemas::Draws;

    use super::*;

    fn composed(x: &Tensor) -> Result<Tensor> {
        let e = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
        e.broadcast_div(&e.sum_keepdim(D::Minus1)?)
    }

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn probabilities_and_gradients_equal_those_of_candles_operators() {
        for (seed, dims) in [(1, vec![1]), (2, vec![3, 1]), (3, vec![5, 7, 33]), (4, vec![2, 4, 60, 64])] {
            let mut draws = Draws::new(seed, "softmax", "test");
            let count: usize = dims.iter().product();
            let mut numbers =
                |size: f64| -> Vec<f32> { (0..count).map(|_| (size * draws.normal()) as f32).collect() };
            let x = Var::from_vec(numbers(3.0), &dims[..], &Device::Cpu).unwrap();
            let weighting = Tensor::from_vec(numbers(1.0), &dims[..], &Device::Cpu).unwrap();
            let run = |p: Tensor| {
                let store = (&p * &weighting).unwrap().sum_all().unwrap().backward().unwrap();
                [flat(&p), flat(store.get(&x).unwrap())]
            };
            let (found, want) = (run(softmax_of(&x).unwrap()), run(composed(&x).unwrap()));
            for (found, want) in found.iter().zip(&want) {
                assert_eq!(found.len(), count);
                let worst = found.iter().zip(want).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
                assert!(worst < 1e-6, "{dims:?}: {worst}");
            }
        }
    }

    #[test]
    fn rows_without_numbers_and_rows_of_ten_thousand() {
        let empty = Tensor::zeros((0, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert_eq!(softmax_of(&empty).unwrap().dims(), [0, 4]);
        let large = Tensor::new(&[[1e4f32, 1e4, -1e4]], &Device::Cpu).unwrap();
        assert_eq!(flat(&softmax_of(&large).unwrap())[..2], [0.5, 0.5]);
        assert!(softmax_of(&Tensor::new(1.0f32, &Device::Cpu).unwrap()).is_err());
    }
}
