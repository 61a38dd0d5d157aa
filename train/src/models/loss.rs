//! How far predictions and targets are apart, and what keeps pooled features from collapsing.

use candle_core::{D, Tensor};
use jepa3d_kernels::{DeviceDistance, DeviceLoss, gather_parts, smooth_l1_of};

use super::sketched_gaussian::measure_gaussian_distance;
use crate::config::{LossConfig, LossKind};
use crate::error::Result;
use crate::nn::ForwardPass;

/// Norms below this count as this, so that a vector of zeros has a cosine of 0.
const EPSILON: f64 = 1e-6;

/// A distance, and what was measured with it.
pub(super) struct MeasuredDistance {
    /// A scalar.
    pub value: Tensor,
    /// What a device's kernel measured besides.
    pub record: Option<Tensor>,
}

impl LossConfig {
    /// The distance of `predictions` and `targets`, both `[.., D]`.
    pub(super) fn distance(&self, predictions: &Tensor, targets: &Tensor) -> Result<MeasuredDistance> {
        Ok(match self.kind.for_device(self.beta).distance(predictions, targets)? {
            Some(DeviceDistance { value, record }) => MeasuredDistance { value, record: Some(record) },
            None => {
                let value = self.by_row(predictions, targets)?.mean_all()?;
                MeasuredDistance { value, record: None }
            }
        })
    }

    /// The distance of every row: `[.., D]` to `[.., 1]`.
    pub(super) fn by_row(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        if self.kind == LossKind::Cosine {
            return Ok((1.0 - cosine(predictions, targets)?)?);
        }
        let e = (predictions - targets)?;
        Ok(match self.kind {
            LossKind::SmoothL1 => smooth_l1(&e, self.beta)?.mean_keepdim(D::Minus1)?,
            LossKind::SumDim => e.sqr()?.sum_keepdim(D::Minus1)?,
            LossKind::MeanElem | LossKind::Cosine => e.sqr()?.mean_keepdim(D::Minus1)?,
        })
    }

    /// `loss` and what keeps the means of features `[B, n, D]` over their rows from collapsing: the terms that weigh something.
    /// Where the features are of a part of a batch, the terms are of all parts.
    pub(super) fn add_spread(&self, loss: Tensor, features: &Tensor, pass: &ForwardPass) -> Result<Tensor> {
        if [self.variance, self.covariance, self.sigreg] == [0.0; 3] {
            return Ok(loss);
        }
        let (mut loss, pooled) = (loss, features.mean(1)?);
        let pooled = match &pass.shared_parts() {
            Some(parts) => gather_parts(&pooled, parts)?,
            None => pooled,
        };
        if self.variance > 0.0 || self.covariance > 0.0 {
            loss = (loss + self.spread(&pooled)?)?;
        }
        if self.sigreg > 0.0 {
            loss = (loss + (measure_gaussian_distance(&pooled, pass.draw_key())? * self.sigreg)?)?;
        }
        Ok(loss)
    }

    /// Keeps pooled features `[B, D]` from shrinking and from repeating each other: hinge on the standard deviation of
    /// every channel, squared covariances between channels (VICReg, arXiv 2105.04906).
    fn spread(&self, pooled: &Tensor) -> Result<Tensor> {
        let (b, d) = pooled.dims2()?;
        let centered = pooled.broadcast_sub(&pooled.mean_keepdim(0)?)?;
        let count = (b.max(2) - 1) as f64;
        let variance = (centered.sqr()?.sum(0)? / count)?;
        let short = (self.variance_floor - (&variance + 1e-4)?.sqrt()?)?.relu()?.mean_all()?;
        let covariance = (centered.t()?.matmul(&centered)? / count)?;
        let crossed = ((covariance.sqr()?.sum_all()? - variance.sqr()?.sum_all()?)? / d as f64)?;
        Ok(((short * self.variance)? + (crossed * self.covariance)?)?)
    }
}

impl LossKind {
    /// As the kernels of a device take it.
    pub(crate) fn for_device(self, beta: f64) -> DeviceLoss {
        match self {
            Self::SmoothL1 => DeviceLoss::SmoothL1 { beta: beta as f32 },
            Self::SumDim => DeviceLoss::SumSquares,
            Self::MeanElem => DeviceLoss::MeanSquares,
            Self::Cosine => DeviceLoss::Cosine,
        }
    }
}

/// `e^2 / (2 beta)` where `|e| < beta`, `|e| - beta / 2` elsewhere.
fn smooth_l1(e: &Tensor, beta: f64) -> Result<Tensor> {
    if e.device().is_cpu() {
        return Ok(smooth_l1_of(e, beta)?);
    }
    // min(|e|, beta) carries both branches: q (|e| - q / 2) / beta.
    let size = e.abs()?;
    let q = size.minimum(beta)?;
    Ok(((&q * (&size - (&q * 0.5)?)?)? / beta)?)
}

/// Cosine of the angle between rows.
fn cosine(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let norm = |x: &Tensor| -> Result<Tensor> {
        // The maximum is taken of squares: a root has no slope at 0.
        Ok(x.sqr()?.sum_keepdim(D::Minus1)?.maximum(EPSILON * EPSILON)?.sqrt()?)
    };
    Ok(((a * b)?.sum_keepdim(D::Minus1)? / (norm(a)? * norm(b)?)?)?)
}
