//! Rows of patches that an index list of every sample names.

use candle_core::Tensor;
use jepa3d_kernels::PickedRows;

use super::step::PatchTensors;
use crate::error::Result;

/// Which of the `G` patches of every sample, `n` of each.
pub(super) struct PatchSelection {
    /// Of the rows of all samples, one behind the other.
    rows: Vec<u32>,
    place: RowsPlace,
    samples: usize,
}

/// The rows where they are picked.
enum RowsPlace {
    /// By candle's operator.
    Tensor(Tensor),
    /// By a kernel of a device, which has the way back too.
    Device(PickedRows),
}

impl PatchSelection {
    /// `indices [B, n]` into the `G` rows of every sample of `centers [B, G, 3]`.
    pub(super) fn new(indices: &[u32], centers: &Tensor) -> Result<Self> {
        let (samples, groups, _) = centers.dims3()?;
        let per_sample = indices.len() / samples;
        let rows: Vec<u32> =
            indices.iter().enumerate().map(|(i, &at)| (i / per_sample * groups) as u32 + at).collect();
        let place = match PickedRows::new(&rows, samples * groups, centers)? {
            Some(picked) => RowsPlace::Device(picked),
            None => RowsPlace::Tensor(Tensor::from_slice(&rows, rows.len(), centers.device())?),
        };
        Ok(Self { rows, place, samples })
    }

    /// `[B, G, C]` to `[B, n, C]`.
    pub(super) fn select(&self, x: &Tensor) -> Result<Tensor> {
        let (b, g, c) = x.dims3()?;
        let all = x.reshape((b * g, c))?;
        let selected = match &self.place {
            RowsPlace::Tensor(rows) => all.index_select(rows, 0)?,
            RowsPlace::Device(picked) => picked.pick(&all)?,
        };
        Ok(selected.reshape((self.samples, self.rows.len() / self.samples, c))?)
    }

    /// Patches `[B, G, K, 3]` to `[B, n, K, 3]`, with their centers and counts.
    pub(super) fn select_patches(&self, points: &PatchTensors) -> Result<PatchTensors> {
        let (b, g, k, axes) = points.patches.dims4()?;
        let patches = self.select(&points.patches.reshape((b, g, k * axes))?)?;
        let n = patches.dim(1)?;
        let select = |counts: &Vec<u16>| self.rows.iter().map(|&row| counts[row as usize]).collect();
        Ok(PatchTensors {
            patches: patches.reshape((b, n, k, axes))?,
            centers: self.select(&points.centers)?,
            counts: points.counts.as_ref().map(select),
        })
    }
}
