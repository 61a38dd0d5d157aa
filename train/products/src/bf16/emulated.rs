//! What the matrix unit computes, in ordinary instructions: the same bits, and the oracle of its tests.

use super::amx::TileRows;
use super::{INNER, ROWS, Tile};
use crate::vectorized;

/// The same as the matrix unit's, on any processor: `out` (+)= left x right, 32 x 32, rows `step` apart.
pub(crate) fn multiply_block(factors: TileRows<'_>, out: &mut [f32], step: usize, is_added: bool) {
    for (i, left) in factors.left.into_iter().enumerate() {
        for (j, right) in factors.right.into_iter().enumerate() {
            add_tiles(&mut out[i * ROWS * step + j * ROWS..], step, left, right, is_added);
        }
    }
}

vectorized! {
    fn add_tiles(out: &mut [f32], step: usize, left: &[Tile], right: &[Tile], is_added: bool) {
        for row in 0..ROWS {
            let out = &mut out[row * step..][..ROWS];
            let mut sums = [0.0f32; ROWS];
            if is_added {
                sums.copy_from_slice(out);
            }
            for (left, right) in left.iter().zip(right) {
                add_pairs(&mut sums, &left.0[row], right);
            }
            out.copy_from_slice(&sums);
        }
    }
}

/// Adds the products of one row of a left tile with a right tile.
#[inline(always)]
fn add_pairs(sums: &mut [f32; ROWS], left: &[u32; INNER / 2], right: &Tile) {
    let (mut even, mut odd) = ([0.0f32; ROWS], [0.0f32; ROWS]);
    for (&pair, right) in left.iter().zip(&right.0) {
        for j in 0..ROWS {
            even[j] = flush(low(pair).mul_add(low(right[j]), even[j]));
            odd[j] = flush(high(pair).mul_add(high(right[j]), odd[j]));
        }
    }
    for j in 0..ROWS {
        sums[j] = flush(flush(sums[j]) + flush(even[j] + odd[j]));
    }
}

#[inline(always)]
fn low(pair: u32) -> f32 {
    f32::from_bits(pair << 16)
}

#[inline(always)]
fn high(pair: u32) -> f32 {
    f32::from_bits(pair & 0xffff_0000)
}

/// Denormal numbers become zeros of their sign.
#[inline(always)]
fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0f32.copysign(x) } else { x }
}
