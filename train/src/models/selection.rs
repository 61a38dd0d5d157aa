//! Rows of patches that an index list of every sample names.

use candle_core::Tensor;

use super::step::PatchTensors;
use crate::error::Result;

/// Which of the `G` patches of every sample, `n` of each.
pub(super) struct PatchSelection {
    rows: Tensor,
    samples: usize,
}

impl PatchSelection {
    /// `indices [B, n]` into the `G` rows of every sample of `centers [B, G, 3]`.
    pub(super) fn new(indices: &[u32], centers: &Tensor) -> Result<Self> {
        let (samples, groups, _) = centers.dims3()?;
        let per_sample = indices.len() / samples;
        let flat: Vec<u32> =
            indices.iter().enumerate().map(|(i, &at)| (i / per_sample * groups) as u32 + at).collect();
        Ok(Self { rows: Tensor::from_vec(flat, indices.len(), centers.device())?, samples })
    }

    /// `[B, G, C]` to `[B, n, C]`.
    pub(super) fn select(&self, x: &Tensor) -> Result<Tensor> {
        let (b, g, c) = x.dims3()?;
        let selected = x.reshape((b * g, c))?.index_select(&self.rows, 0)?;
        Ok(selected.reshape((self.samples, self.rows.dim(0)? / self.samples, c))?)
    }

    /// Patches `[B, G, K, 3]` to `[B, n, K, 3]`, with their centers and counts.
    pub(super) fn select_patches(&self, points: &PatchTensors) -> Result<PatchTensors> {
        let (b, g, k, axes) = points.patches.dims4()?;
        let patches = self.select(&points.patches.reshape((b, g, k * axes))?)?;
        let n = patches.dim(1)?;
        let rows: Vec<u32> = self.rows.to_vec1()?;
        let select = |counts: &Vec<u16>| rows.iter().map(|&row| counts[row as usize]).collect();
        Ok(PatchTensors {
            patches: patches.reshape((b, n, k, axes))?,
            centers: self.select(&points.centers)?,
            counts: points.counts.as_ref().map(select),
        })
    }
}
