//! Cross entropy of classes with label smoothing and weights of classes, as PyTorch's `cross_entropy` defines it.

use candle_core::{D, Tensor};

use super::cross_entropy_op::RowCrossEntropy;
use crate::error::Result;

/// What a mistake costs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ClassLoss {
    /// Label smoothing `s`.
    pub smoothing: f64,
    /// `[C]`, `w`; none: 1.
    pub weights: Option<Vec<f32>>,
}

impl ClassLoss {
    /// The sum over rows of `(1 - s) w[label] (-log p[label]) + s / C sum over c of w[c] (-log p[c])`, divided by that of
    /// `w[label]`.
    ///
    /// # Shapes
    /// `scores [n, C]`, `labels [n]` (below `C`) to a scalar.
    pub(crate) fn of_rows(&self, scores: &Tensor, labels: &[u32]) -> Result<Tensor> {
        if scores.device().is_cpu() {
            return RowCrossEntropy::new(labels, self.smoothing, self.weights.clone()).apply(scores);
        }
        self.compose(scores, labels)
    }

    /// The same from candle's operators.
    fn compose(&self, scores: &Tensor, labels: &[u32]) -> Result<Tensor> {
        let cost = log_softmax(scores)?.neg()?;
        let (count, width) = cost.dims2()?;
        let weights = self.weights.clone().unwrap_or_else(|| vec![1.0; width]);
        let cost = cost.broadcast_mul(&Tensor::from_slice(&weights, (1, width), scores.device())?)?;
        let index = Tensor::from_slice(labels, (count, 1), scores.device())?;
        let total: f64 = labels.iter().map(|&label| f64::from(weights[label as usize])).sum();
        let named = (cost.gather(&index, 1)?.sum_all()? / total)?;
        if self.smoothing == 0.0 {
            return Ok(named);
        }
        let all = (cost.sum_all()? / (total * width as f64))?;
        Ok(((named * (1.0 - self.smoothing))? + (all * self.smoothing)?)?)
    }
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
        for (smoothing, weights) in
            [(0.0, None), (0.2, None), (0.0, Some(vec![0.1, 3.0, 0.5, 1.0, 0.4])), (0.2, Some(vec![2.0; 5]))]
        {
            let rule = ClassLoss { smoothing, weights };
            let own = rule.of_rows(scores.as_tensor(), &labels).unwrap();
            let twin = rule.compose(scores.as_tensor(), &labels).unwrap();
            let value = |loss: &Tensor| loss.to_scalar::<f32>().unwrap();
            assert!((value(&own) - value(&twin)).abs() < 1e-5, "{rule:?}");
            let gradient = |loss: &Tensor| {
                let store = (loss * 3.0).unwrap().backward().unwrap();
                store.get(scores.as_tensor()).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            assert!(
                gradient(&own).iter().zip(gradient(&twin)).all(|(a, b)| (a - b).abs() < 1e-6),
                "{rule:?}"
            );
        }
    }

    /// `torch.nn.functional.cross_entropy(scores, labels, weight=weights, label_smoothing=0.1)` of torch 2 in f64, and the
    /// gradient of its first row: `train/goldens/weighted_cross_entropy.py` prints them.
    #[test]
    fn weighted_and_smoothed_as_pytorch_does() {
        let scores = [0.5f32, -1.0, 2.0, 0.0, 1.5, -0.5, 3.0, 0.25, -2.0];
        let scores = Var::from_slice(&scores, (3, 3), &Device::Cpu).unwrap();
        let rule = ClassLoss { smoothing: 0.1, weights: Some(vec![0.2, 1.0, 3.0]) };
        let loss = rule.of_rows(scores.as_tensor(), &[2, 1, 0]).unwrap();
        assert!((loss.to_scalar::<f32>().unwrap() - LOSS).abs() < 1e-6);
        let store = loss.backward().unwrap();
        let gradient: Vec<f32> = store.get(scores.as_tensor()).unwrap().get(0).unwrap().to_vec1().unwrap();
        assert!(gradient.iter().zip(FIRST_ROW).all(|(a, b)| (a - b).abs() < 1e-6), "{gradient:?}");
    }

    const LOSS: f32 = 0.461_297_74;
    const FIRST_ROW: [f32; 3] = [0.116_942_39, 0.018_511_04, -0.135_453_43];
}
