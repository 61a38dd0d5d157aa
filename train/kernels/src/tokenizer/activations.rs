//! Loops over rows of activations that several passes share: the first layer, scaled sums, sums per patch.

use pulp::Simd;
use rayon::prelude::*;

use super::aligned::AlignedBuffer;

/// Numbers that one thread sums at a time.
const PIECE: usize = 1 << 12;

/// relu(first x) with BatchNorm folded in: `points` `[n,3]`, `first` `[4, c1]` -> `out` `[n, c1]`.
#[inline(always)]
pub(crate) fn first_layer<S: Simd>(simd: S, points: &[f32], first: &[f32], out: &mut [f32]) {
    let c1 = first.len() / 4;
    let part = |i: usize| S::as_simd_f32s(&first[i * c1..][..c1]).0;
    let (x, y, z, constant) = (part(0), part(1), part(2), part(3));
    let zero = simd.splat_f32s(0.0);
    for (point, row) in points.as_chunks::<3>().0.iter().zip(out.chunks_exact_mut(c1)) {
        let p = point.map(|v| simd.splat_f32s(v));
        for (c, slot) in S::as_mut_simd_f32s(row).0.iter_mut().enumerate() {
            let sum = simd.mul_add_e_f32s(p[2], z[c], constant[c]);
            let sum = simd.mul_add_e_f32s(p[1], y[c], sum);
            // In this order the maximum of a NaN is NaN.
            *slot = simd.max_f32s(zero, simd.mul_add_e_f32s(p[0], x[c], sum));
        }
    }
}

/// into += scale * from
#[inline(always)]
pub(crate) fn add_scaled<S: Simd>(simd: S, scale: f32, from: &[f32], into: &mut [f32]) {
    let scale = simd.splat_f32s(scale);
    for (to, &v) in S::as_mut_simd_f32s(into).0.iter_mut().zip(S::as_simd_f32s(from).0) {
        *to = simd.mul_add_e_f32s(scale, v, *to);
    }
}

/// into += from
#[inline(always)]
pub(crate) fn add<S: Simd>(simd: S, from: &[f32], into: &mut [f32]) {
    for (to, &v) in S::as_mut_simd_f32s(into).0.iter_mut().zip(S::as_simd_f32s(from).0) {
        *to = simd.add_f32s(*to, v);
    }
}

/// Sets `gradient` to 0 where the ReLU's output `value` is not positive.
#[inline(always)]
pub(crate) fn mask<S: Simd>(simd: S, value: &[f32], gradient: &mut [f32]) {
    let zero = simd.splat_f32s(0.0);
    for (g, &v) in S::as_mut_simd_f32s(gradient).0.iter_mut().zip(S::as_simd_f32s(value).0) {
        *g = simd.select_f32s(simd.greater_than_f32s(v, zero), *g, zero);
    }
}

/// into += from, in f64.
#[inline(always)]
pub(crate) fn add_wide(from: &[f32], into: &mut [f64]) {
    for (to, &v) in into.iter_mut().zip(from) {
        *to += f64::from(v);
    }
}

/// Partial results of fixed chunks, summed in their order: the same at any number of threads. Empty ones, which a pass that
/// is not asked for sums leaves, count for nothing.
pub(crate) fn sum_chunks<'a>(parts: impl IntoIterator<Item = &'a Vec<f64>>, len: usize) -> Vec<f64> {
    let parts: Vec<&Vec<f64>> = parts.into_iter().collect();
    let mut total = vec![0.0; len];
    total.par_chunks_mut(PIECE).enumerate().for_each(|(piece, total)| {
        for part in &parts {
            let part = part.get(piece * PIECE..).unwrap_or_default();
            total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
        }
    });
    total
}

/// As [`sum_chunks`], of parts in f32.
pub(crate) fn total<'a>(parts: impl Iterator<Item = &'a AlignedBuffer>, len: usize) -> Vec<f64> {
    let parts: Vec<&AlignedBuffer> = parts.collect();
    let mut sum = vec![0.0; len];
    sum.par_chunks_mut(PIECE).enumerate().for_each(|(piece, sum)| {
        for part in &parts {
            add_wide(&part[piece * PIECE..], sum);
        }
    });
    sum
}

#[cfg(test)]
mod tests {
    use super::{PIECE, sum_chunks};

    #[test]
    fn sums_longer_than_a_piece_take_chunks_that_are_empty() {
        let len = 3 * PIECE + 5;
        assert_eq!(sum_chunks(&[Vec::new(), Vec::new()], len), vec![0.0; len]);
        assert_eq!(sum_chunks(&[vec![1.0; len], Vec::new(), vec![2.0; len]], len), vec![3.0; len]);
    }
}
