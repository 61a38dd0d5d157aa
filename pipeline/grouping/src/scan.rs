//! Exact k nearest neighbours by measuring every point, each patch sorted by (squared distance, index).
//!
//! One pass measures the points and keeps the least distance of each of 128 disjoint parts of the cloud. A distance that `k` of
//! those 128 do not exceed, `k` points do not exceed either: for `k = 32` it lets about 45 points through whatever the size of
//! the cloud. A second pass packs them side by side, and what is left is ordered by counting. For clouds of a few thousand
//! points, or for few places, this is less work than building an index.

use crate::candidates::{Candidates, MeasuredPoints, NearestRow};
use crate::kernels::{FAR, Leaf, LeafRows};
use crate::lanes::{LaneOps, WIDTH};
use crate::limit::lower_limit;

/// Leaves whose lanes are parts of their own: 128 parts.
const PARTS: usize = 4;
/// Up to this many neighbours the least distances of the parts limit the rest well.
const FEW: usize = 40;
/// Leaves of a cloud that is ordered as a whole.
const TINY: usize = 2;

/// The distances of all points to one place, and its candidates; the memory serves the next one.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScanScratch {
    distances: Vec<LeafRows>,
    near: Candidates,
}

/// A search for the `k >= 1` nearest points among those of all `leaves`.
pub(crate) struct ScanRun<'a, L> {
    pub(crate) lanes: L,
    pub(crate) leaves: &'a [Leaf],
    pub(crate) state: &'a mut ScanScratch,
    pub(crate) k: usize,
}

impl<L: LaneOps> ScanRun<'_, L> {
    /// Writes the `k` points that are nearest to `place`.
    #[inline(always)]
    pub(crate) fn write_nearest<I: From<u32>>(&mut self, place: [f32; 3], row: NearestRow<'_, I>) {
        self.state.distances.resize(self.leaves.len(), LeafRows([[FAR; WIDTH]; 2]));
        let limit = self.measure(place);
        let ScanScratch { distances, near } = &mut *self.state;
        near.clear();
        near.push_few(self.lanes, MeasuredPoints { leaves: self.leaves, distances }, limit);
        near.thin(self.k);
        near.write_nearest(self.lanes, row);
    }

    /// Measures all points; returns a distance that at least `k` of them do not exceed.
    #[inline(always)]
    fn measure(&mut self, place: [f32; 3]) -> f32 {
        let lanes = self.lanes;
        let mut least = [LeafRows([[FAR; WIDTH]; 2]); PARTS];
        let (whole, rest) = self.leaves.as_chunks::<PARTS>();
        let (measured, last) = self.state.distances.as_chunks_mut::<PARTS>();
        for (measured, leaves) in measured.iter_mut().zip(whole) {
            for part in 0..PARTS {
                let LeafRows([a, b]) = leaves[part].distances(lanes, place);
                let [least_a, least_b] = &mut least[part].0;
                (*least_a, *least_b) = (lanes.min_rows(least_a, &a), lanes.min_rows(least_b, &b));
                measured[part] = LeafRows([a, b]);
            }
        }
        for ((measured, leaf), least) in last.iter_mut().zip(rest).zip(&mut least) {
            *measured = leaf.distances(lanes, place);
            for (least, row) in least.0.iter_mut().zip(&measured.0) {
                *least = lanes.min_rows(least, row);
            }
        }
        match self.leaves.len() {
            0..=TINY => FAR,
            _ if self.k <= FEW => lower_limit(lanes, &least, self.k, FAR),
            _ => lower_limit(lanes, &self.state.distances, self.k, FAR),
        }
    }
}
