//! A distance that `k` of some do not exceed, found by counting how many lie within a guess.
//!
//! A few passes over registers and no selection. It need not be the least such distance: what it lets through is put in order
//! afterwards.

use crate::kernels::{LeafRows, count_within};
use crate::lanes::{LaneOps, WIDTH};

/// Candidates beyond `k` that are not worth another guess.
const SPARE: usize = 8;
/// Guesses by interpolation; then halving the bit patterns ends the search within 32 steps.
const GUESSES: usize = 8;

/// A distance not above `limit` that at least `k` of `distances` do not exceed; `limit` if fewer are within it.
///
/// Non-negative floats order as their bit patterns do, so the search ends even where values are equal or infinite.
#[inline(always)]
pub(crate) fn lower_limit<L: LaneOps>(lanes: L, distances: &[LeafRows], k: usize, limit: f32) -> f32 {
    let mut most = [0.0; WIDTH];
    for leaf in distances {
        most = lanes.max_rows(&most, &lanes.max_rows(&leaf.0[0], &leaf.0[1]));
    }
    let most = lanes.reduce_max(&most);
    let (mut lo, mut hi) = (-1, if most < limit { most } else { limit }.to_bits() as i32);
    let mut inside = count_within(lanes, distances, f32::from_bits(hi as u32));
    if inside < k {
        return limit;
    }
    let mut step = 0;
    while inside > k + SPARE && hi - lo > 1 {
        // On a surface the number of points within a squared distance is proportional to it.
        let share = if step == 0 { (k + SPARE / 2) as f32 / inside as f32 } else { 0.5 };
        let middle = if step < GUESSES { interpolate_bits(lo, hi, share) } else { lo + (hi - lo) / 2 };
        let count = count_within(lanes, distances, f32::from_bits(middle as u32));
        if count >= k {
            (hi, inside) = (middle, count);
        } else {
            lo = middle;
        }
        step += 1;
    }
    f32::from_bits(hi as u32)
}

/// The bit pattern of the value at `share` of the way from `lo` to `hi`, strictly between them.
#[inline(always)]
fn interpolate_bits(lo: i32, hi: i32, share: f32) -> i32 {
    let (low, high) = (f32::from_bits(lo.max(0) as u32), f32::from_bits(hi as u32));
    ((low + (high - low) * share).to_bits() as i32).clamp(lo + 1, hi - 1)
}
