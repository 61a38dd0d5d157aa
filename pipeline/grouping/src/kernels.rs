//! The arithmetic of the crate: squared distances from one point to 32 points or 16 boxes, on fixed-size arrays.
//!
//! Every loop has a constant length and no branch, so the compiler turns it into whatever vectors the caller was dispatched
//! for; the operations and their order are the same on every machine and nothing is fused, so the bits are too.
//! Distances are never NaN (coordinates are finite) and never negative, so their bit patterns order as integers.

use crate::lanes::{Lanes, Row, WIDTH};

/// Points per leaf.
pub(crate) const LEAF: usize = 2 * WIDTH;
/// Boxes tested together: leaves per branch, branches per limb.
pub(crate) const FAN: usize = WIDTH;
/// Bit pattern of +infinity: no distance is above it.
pub(crate) const FAR: i32 = 0x7F80_0000;
/// Index that marks an unused lane.
pub(crate) const NO_POINT: u32 = u32::MAX;

/// Up to 32 points, coordinate by coordinate. Unused lanes lie at infinity and have the index [`NO_POINT`].
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct Leaf {
    pub(crate) x: [f32; LEAF],
    pub(crate) y: [f32; LEAF],
    pub(crate) z: [f32; LEAF],
    pub(crate) id: [u32; LEAF],
}

impl Leaf {
    pub(crate) const EMPTY: Self = Self {
        x: [f32::INFINITY; LEAF],
        y: [f32::INFINITY; LEAF],
        z: [f32::INFINITY; LEAF],
        id: [NO_POINT; LEAF],
    };

    /// Bit patterns of the squared distances `(dx dx + dy dy) + dz dz` to `from`.
    #[inline(always)]
    pub(crate) fn distances(&self, from: [f32; 3]) -> [Row; 2] {
        let mut bits = [[0; WIDTH]; 2];
        for lane in 0..LEAF {
            let dx = self.x[lane] - from[0];
            let dy = self.y[lane] - from[1];
            let dz = self.z[lane] - from[2];
            bits[lane / WIDTH][lane % WIDTH] = ((dx * dx + dy * dy) + dz * dz).to_bits() as i32;
        }
        bits
    }

    /// Coordinates of one lane.
    #[inline(always)]
    pub(crate) fn point(&self, lane: usize) -> [f32; 3] {
        [self.x[lane], self.y[lane], self.z[lane]]
    }
}

/// 16 axis-aligned boxes. An unused one is empty, infinitely far from everything.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct Boxes {
    lo: [[f32; FAN]; 3],
    hi: [[f32; FAN]; 3],
}

impl Boxes {
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

    /// Bit patterns of lower bounds of the squared distance from `from` to any point in each box.
    ///
    /// Exact under rounding: for a point p of the box, `gap <= |p - from|` holds for the rounded differences because
    /// rounding is monotone, and so do the squares and sums, taken in the same order as in [`Leaf::distances`].
    #[inline(always)]
    pub(crate) fn distances(&self, from: [f32; 3]) -> [i32; FAN] {
        let mut bits = [0; FAN];
        for which in 0..FAN {
            let mut square = [0.0; 3];
            for axis in 0..3 {
                let below = self.lo[axis][which] - from[axis];
                let above = from[axis] - self.hi[axis][which];
                let outside = if below > above { below } else { above };
                let gap = if outside > 0.0 { outside } else { 0.0 };
                square[axis] = gap * gap;
            }
            bits[which] = ((square[0] + square[1]) + square[2]).to_bits() as i32;
        }
        bits
    }
}

/// The largest element.
#[inline(always)]
pub(crate) fn largest(values: &Row) -> i32 {
    let mut most = *values;
    let mut width = WIDTH / 2;
    while width > 0 {
        for i in 0..width {
            most[i] = most[i].max(most[i + width]);
        }
        width /= 2;
    }
    most[0]
}

/// Bit `i` is set where element `i` is not above `limit`.
#[inline(always)]
pub(crate) fn within<L: Lanes>(lanes: L, values: &[Row; 2], limit: i32) -> u32 {
    let limit = [limit; WIDTH];
    lanes.at_most(&values[0], &limit) | lanes.at_most(&values[1], &limit) << WIDTH
}

/// How many elements are not above `limit`.
#[inline(always)]
pub(crate) fn count_within<L: Lanes>(lanes: L, leaves: &[[Row; 2]], limit: i32) -> usize {
    leaves.iter().map(|leaf| within(lanes, leaf, limit).count_ones() as usize).sum()
}

/// Takes the lowest set bit out of `mask` and returns its position; `None` when no bit is set.
#[inline(always)]
pub(crate) fn take_bit(mask: &mut u32) -> Option<usize> {
    if *mask == 0 {
        return None;
    }
    let bit = mask.trailing_zeros() as usize;
    *mask &= *mask - 1;
    Some(bit)
}
