//! Cross entropy of many rows as one operation on the CPU, forward and backward.
//!
//! With `p = softmax(x)`, gradients of a row are `(1 - s) w[label] (p - e[label]) + s / C (p sum(w) - w)`, over the sum of
//! `w[label]` of all rows.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::error::Result;

/// Rows that one thread takes at a time.
const PIECE: usize = 256;

/// The sum over rows of `(1 - s) w[label] (-log p[label]) + s / C sum(-w log p)`, divided by that of `w[label]`.
pub(super) struct RowCrossEntropy {
    labels: Vec<u32>,
    smoothing: f32,
    weights: Option<Vec<f32>>,
}

impl RowCrossEntropy {
    /// `weights [C]`; none: 1.
    pub(super) fn new(labels: &[u32], smoothing: f64, weights: Option<Vec<f32>>) -> Self {
        Self { labels: labels.to_vec(), smoothing: smoothing as f32, weights }
    }

    /// # Shapes
    /// `scores [n, C]` on the CPU to a scalar.
    pub(super) fn apply(self, scores: &Tensor) -> Result<Tensor> {
        Ok(scores.contiguous()?.apply_op1(self)?)
    }

    fn row(&self, scores: &[f32], label: u32) -> f64 {
        let largest = scores.iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x));
        let total: f32 = scores.iter().map(|x| (x - largest).exp()).sum();
        let log = largest + total.ln();
        let named = log - scores[label as usize];
        let Some(weights) = &self.weights else {
            let mean = scores.iter().sum::<f32>() / scores.len() as f32;
            return f64::from((1.0 - self.smoothing) * named + self.smoothing * (log - mean));
        };
        let all: f32 = scores.iter().zip(weights).map(|(x, w)| w * (log - x)).sum();
        let named = (1.0 - self.smoothing) * weights[label as usize] * named;
        f64::from(named + self.smoothing / scores.len() as f32 * all)
    }

    /// What the sum over rows is divided by.
    fn total_weight(&self) -> f64 {
        match &self.weights {
            None => self.labels.len() as f64,
            Some(weights) => self.labels.iter().map(|&label| f64::from(weights[label as usize])).sum(),
        }
    }

    /// Turns a row of scores into its gradient, times `scale`.
    fn row_gradient(&self, row: &mut [f32], label: u32, scale: f32) {
        let largest = row.iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x));
        row.iter_mut().for_each(|x| *x = (*x - largest).exp());
        let total: f32 = row.iter().sum();
        let spread = self.smoothing / row.len() as f32;
        let Some(weights) = &self.weights else {
            row.iter_mut().for_each(|x| *x = scale * (*x / total - spread));
            row[label as usize] -= scale * (1.0 - self.smoothing);
            return;
        };
        let named = (1.0 - self.smoothing) * weights[label as usize];
        let along = named + spread * weights.iter().sum::<f32>();
        row.iter_mut().zip(weights).for_each(|(x, w)| *x = scale * (*x / total * along - spread * w));
        row[label as usize] -= scale * named;
    }
}

impl CustomOp1 for RowCrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            bail!("cross entropy: expected contiguous f32, found {:?}", layout.shape())
        };
        let width = layout.dims()[1];
        let pieces = values[start..end].par_chunks(PIECE * width).zip(self.labels.par_chunks(PIECE));
        let pieces = pieces.map(|(rows, labels)| {
            rows.chunks_exact(width).zip(labels).map(|(row, &label)| self.row(row, label)).sum::<f64>()
        });
        let total: f64 = pieces.collect::<Vec<_>>().iter().sum();
        Ok((CpuStorage::F32(vec![(total / self.total_weight()) as f32]), Shape::from(())))
    }

    fn bwd(&self, scores: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let width = scores.dim(1)?;
        let scale = gradient.to_scalar::<f32>()? / self.total_weight() as f32;
        let mut values = scores.flatten_all()?.to_vec1::<f32>()?;
        let rows = values.par_chunks_mut(width).zip(&self.labels).with_min_len(PIECE);
        rows.for_each(|(row, &label)| self.row_gradient(row, label, scale));
        Ok(Some(Tensor::from_vec(values, scores.shape(), scores.device())?))
    }
}
