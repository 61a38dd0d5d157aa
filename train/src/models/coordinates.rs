//! The reconstruction baseline: symmetric Chamfer distance between predicted and true points of hidden patches
//! (Point-MAE, arXiv 2203.06604).

use candle_core::{D, Tensor};

use crate::error::Result;

/// Mean squared distance to the nearest, in both directions, added.
///
/// # Shapes
/// `predicted`, `truth` `[n, K, 3]`.
pub(super) fn chamfer(predicted: &Tensor, truth: &Tensor) -> Result<Tensor> {
    let to_truth = nearest(predicted, truth)?;
    let to_predicted = nearest(truth, predicted)?;
    Ok((to_truth + to_predicted)?)
}

/// Mean over the points of `a` of the squared distance to the nearest of `b`; only the nearest pair has a
/// gradient, and of equals only the first.
fn nearest(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (n, k, _) = a.dims3()?;
    let (left, right) = (a.detach(), b.detach());
    let cross = left.matmul(&right.transpose(1, 2)?)?;
    let norms = right.sqr()?.sum(D::Minus1)?.unsqueeze(1)?;
    let at = norms.broadcast_sub(&(cross * 2.0)?)?.argmin(D::Minus1)?;
    let at = at.unsqueeze(2)?.broadcast_as((n, k, 3))?.contiguous()?;
    let pairs = (a - b.gather(&at, 1)?)?;
    Ok(pairs.sqr()?.sum(D::Minus1)?.mean_all()?)
}
