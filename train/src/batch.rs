//! A ready batch, and how a sample's patches get into it.

use crate::masking::Places;

/// Samples as the model takes them: flat, contiguous f32.
///
/// `B` samples, `G` centers, `K` points of a patch; the sizes are those of the config.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Number of the batch since the start of the run, from 0.
    pub number: u64,
    /// Its epoch, from 0.
    pub epoch: u64,
    /// Samples `B`.
    pub rows: usize,
    /// `[B]`.
    pub sample_ids: Vec<String>,
    /// `[B]`, indices into the dataset's classes.
    pub labels: Vec<Option<i32>>,
    /// `[B,G,K,3]`, minus the center.
    pub patches: Vec<f32>,
    /// `[B,G,3]`, in farthest-point order.
    pub centers: Vec<f32>,
    /// `[B,G]`, voxel blocks only: the first points of a patch that are distinct (0 = no block).
    pub counts: Option<Vec<u16>>,
}

impl Batch {
    /// Where its patches are.
    pub(crate) fn places(&self) -> Places<'_> {
        Places { ids: &self.sample_ids, centers: &self.centers, cells: None }
    }

    /// Makes room for `rows` samples of `groups` patches of `size` points, forgetting what was there.
    pub(crate) fn reset(&mut self, rows: usize, [groups, size]: [usize; 2]) {
        self.rows = rows;
        self.sample_ids.clear();
        self.labels.clear();
        // Every value is overwritten, so those of a recycled batch may stay.
        self.patches.resize(rows * groups * size * 3, 0.0);
        self.centers.resize(rows * groups * 3, 0.0);
        self.counts = None;
    }
}

/// An index into a cloud, stored in as few bits as fit.
pub(crate) trait Index: Copy {
    /// The index.
    fn at(self) -> usize;
}

impl Index for u16 {
    #[inline(always)]
    fn at(self) -> usize {
        usize::from(self)
    }
}

impl Index for u32 {
    #[inline(always)]
    fn at(self) -> usize {
        self as usize
    }
}

/// Gathers the patches of one sample: for each of `centers [G,3]` the first points of its row in
/// `stored [G,stored_size]`, minus the center, into `patches [G,K,3]`.
pub(crate) fn gather<I: Index>(
    points: &[[f32; 3]],
    stored: &[I],
    stored_size: usize,
    centers: &[[f32; 3]],
    patches: &mut [f32],
) {
    let size = patches.len() / 3 / centers.len();
    let rows = patches.as_chunks_mut::<3>().0.chunks_exact_mut(size);
    for ((patch, indices), center) in rows.zip(stored.chunks_exact(stored_size)).zip(centers) {
        for (out, index) in patch.iter_mut().zip(indices) {
            let p = points[index.at()];
            *out = [p[0] - center[0], p[1] - center[1], p[2] - center[2]];
        }
    }
}
