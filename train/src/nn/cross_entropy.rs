//! Cross entropy of classes with label smoothing, as PyTorch's `cross_entropy` defines it.

use candle_core::{D, Tensor};

use super::cross_entropy_op::RowCrossEntropy;
use crate::error::Result;

/// Mean over rows of `(1 - s) (-log p[label]) + s / C sum(-log p)`.
///
/// # Shapes
/// `scores [n, C]`, `labels [n]` (below `C`) to a scalar.
pub(crate) fn cross_entropy(scores: &Tensor, labels: &[u32], smoothing: f64) -> Result<Tensor> {
    if scores.device().is_cpu() {
        return RowCrossEntropy::new(labels, smoothing).apply(scores);
    }
    compose_cross_entropy(scores, labels, smoothing)
}

/// The same from candle's operators.
fn compose_cross_entropy(scores: &Tensor, labels: &[u32], smoothing: f64) -> Result<Tensor> {
    let log = log_softmax(scores)?;
    let count = labels.len();
    let index = Tensor::from_slice(labels, (count, 1), scores.device())?;
    let named = log.gather(&index, 1)?.mean_all()?.neg()?;
    if smoothing == 0.0 {
        return Ok(named);
    }
    let all = log.mean_all()?.neg()?;
    Ok(((named * (1.0 - smoothing))? + (all * smoothing)?)?)
}

/// Logarithms of the shares of classes, row by row.
fn log_softmax(scores: &Tensor) -> Result<Tensor> {
    // The maximum keeps powers finite and has no part in the gradient.
    let shifted = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?;
    let total = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    Ok(shifted.broadcast_sub(&total)?)
}

/// Shares of classes, row by row, without gradient.
///
/// # Shapes
/// `scores [n, C]` to `n` rows of `C` numbers.
pub(crate) fn class_shares(scores: &Tensor) -> Result<Vec<f32>> {
    Ok(log_softmax(&scores.detach())?.exp()?.flatten_all()?.to_vec1()?)
}

#[cfg(test)]
mod operation_tests {
    use candle_core::{Device, Var};
    use jepa3d_schemas::Draws;

    use super::*;

    #[test]
    fn one_operation_is_what_candles_operators_make() {
        let (rows, width) = (700, 5);
        let mut draws = Draws::new(0, "scores", "cross entropy");
        let values: Vec<f32> = (0..rows * width).map(|_| (3.0 * draws.normal()) as f32).collect();
        let scores = Var::from_vec(values, (rows, width), &Device::Cpu).unwrap();
        let labels: Vec<u32> = (0..rows).map(|_| draws.index(width) as u32).collect();
        for smoothing in [0.0, 0.2] {
            let own = cross_entropy(scores.as_tensor(), &labels, smoothing).unwrap();
            let twin = compose_cross_entropy(scores.as_tensor(), &labels, smoothing).unwrap();
            let value = |loss: &Tensor| loss.to_scalar::<f32>().unwrap();
            assert!((value(&own) - value(&twin)).abs() < 1e-5);
            let gradient = |loss: &Tensor| {
                let store = (loss * 3.0).unwrap().backward().unwrap();
                store.get(scores.as_tensor()).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            assert!(gradient(&own).iter().zip(gradient(&twin)).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }
}
