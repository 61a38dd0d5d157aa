//! The arithmetic of the crate: squared distances from one point to 32 points or to 16 boxes.
//!
//! The operations and their order are the same on every processor and nothing is fused, so the bits are too. Distances are
//! never NaN, because coordinates are finite: a difference may overflow, but then all that follows is +infinity, which
//! ties with its like and is decided by the index. Nor are they negative, so their bit patterns order as integers.

use crate::lanes::{LaneOps, LaneRow, WIDTH};

/// Points per leaf.
pub(crate) const LEAF: usize = 2 * WIDTH;
/// BoxGroup tested together: leaves per branch, branches per limb.
pub(crate) const FAN: usize = WIDTH;
/// No distance is above it.
pub(crate) const FAR: f32 = f32::INFINITY;
/// Index that marks an unused lane.
pub(crate) const NO_POINT: u32 = u32::MAX;

const FAR_AWAY: [LaneRow; 2] = [[f32::INFINITY; WIDTH]; 2];

/// A number for each of the 32 points of a leaf, where vectors do not straddle two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct LeafRows(pub(crate) [LaneRow; 2]);

/// Up to 32 points, coordinate by coordinate. Unused lanes lie at infinity and have the index [`NO_POINT`].
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct Leaf {
    pub(crate) x: [LaneRow; 2],
    pub(crate) y: [LaneRow; 2],
    pub(crate) z: [LaneRow; 2],
    pub(crate) id: [u32; LEAF],
}

impl Leaf {
    pub(crate) const EMPTY: Self = Self { x: FAR_AWAY, y: FAR_AWAY, z: FAR_AWAY, id: [NO_POINT; LEAF] };

    /// Squared distances `(dx dx + dy dy) + dz dz` to `from`.
    #[inline(always)]
    pub(crate) fn distances<L: LaneOps>(&self, lanes: L, from: [f32; 3]) -> LeafRows {
        LeafRows([self.row_distances(lanes, 0, from), self.row_distances(lanes, 1, from)])
    }

    #[inline(always)]
    fn row_distances<L: LaneOps>(&self, lanes: L, row: usize, from: [f32; 3]) -> LaneRow {
        let (fx, fy, fz) = (lanes.splat_f32s(from[0]), lanes.splat_f32s(from[1]), lanes.splat_f32s(from[2]));
        lanes.map(
            [&self.x[row], &self.y[row], &self.z[row]],
            #[inline(always)]
            |[x, y, z]| {
                lanes.squared_length(lanes.sub_f32s(x, fx), lanes.sub_f32s(y, fy), lanes.sub_f32s(z, fz))
            },
        )
    }

    /// Replaces the content by at most 32 `points`, whose indices count from `first`.
    #[inline(always)]
    pub(crate) fn fill(&mut self, points: &[[f32; 3]], first: u32) {
        if points.len() < LEAF {
            *self = Self::EMPTY;
        }
        let axes = [&mut self.x, &mut self.y, &mut self.z];
        for (axis, row) in axes.into_iter().enumerate() {
            for (place, point) in row.as_flattened_mut().iter_mut().zip(points) {
                *place = point[axis];
            }
        }
        for (id, index) in self.id[..points.len()].iter_mut().zip(first..) {
            *id = index;
        }
    }

    /// Coordinates of one lane.
    #[inline(always)]
    pub(crate) fn point(&self, lane: usize) -> [f32; 3] {
        [&self.x, &self.y, &self.z].map(|row| row.as_flattened()[lane])
    }
}

/// 16 axis-aligned boxes. An unused one is empty, infinitely far from everything.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct BoxGroup {
    lo: [[f32; FAN]; 3],
    hi: [[f32; FAN]; 3],
}

impl BoxGroup {
    pub(crate) const EMPTY: Self = Self { lo: [[f32::INFINITY; FAN]; 3], hi: [[f32::NEG_INFINITY; FAN]; 3] };

    #[inline(always)]
    pub(crate) fn set(&mut self, which: usize, lo: [f32; 3], hi: [f32; 3]) {
        for axis in 0..3 {
            self.lo[axis][which] = lo[axis];
            self.hi[axis][which] = hi[axis];
        }
    }

    /// The box around all of them.
    #[inline(always)]
    pub(crate) fn hull(&self) -> ([f32; 3], [f32; 3]) {
        let least = |values: &[f32; FAN]| values.iter().copied().fold(f32::INFINITY, f32::min);
        let most = |values: &[f32; FAN]| values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        (self.lo.each_ref().map(least), self.hi.each_ref().map(most))
    }

    /// Lower bounds of the squared distance from `from` to any point in each box.
    ///
    /// Exact under rounding: for a point p of the box, `gap <= |p - from|` holds for the rounded differences because
    /// rounding is monotone, and so do the squares and sums, taken in the same order as in [`Leaf::distances`].
    #[inline(always)]
    pub(crate) fn distances<L: LaneOps>(&self, lanes: L, from: [f32; 3]) -> LaneRow {
        let (x, y, z) = (lanes.splat_f32s(from[0]), lanes.splat_f32s(from[1]), lanes.splat_f32s(from[2]));
        let [lo, hi] = [&self.lo, &self.hi];
        lanes.map(
            [&lo[0], &hi[0], &lo[1], &hi[1], &lo[2], &hi[2]],
            #[inline(always)]
            |[lx, hx, ly, hy, lz, hz]| {
                lanes.squared_length(lanes.gap(lx, hx, x), lanes.gap(ly, hy, y), lanes.gap(lz, hz, z))
            },
        )
    }
}

/// Bit `i` is set where element `i` is not above `limit`.
#[inline(always)]
pub(crate) fn mask_within<L: LaneOps>(lanes: L, values: &LeafRows, limit: f32) -> u32 {
    let limit = [limit; WIDTH];
    lanes.mask_at_most(&values.0[0], &limit) | lanes.mask_at_most(&values.0[1], &limit) << WIDTH
}

/// How many elements are not above `limit`.
#[inline(always)]
pub(crate) fn count_within<L: LaneOps>(lanes: L, leaves: &[LeafRows], limit: f32) -> usize {
    let mut count = 0;
    for leaf in leaves {
        count += mask_within(lanes, leaf, limit).count_ones();
    }
    count as usize
}
