//! Maxima over patches at half the cost: bf16 products find the few points that can be the maximum, f32 decides among them.
//!
//! AVX-512 BF16 multiplies twice as many numbers per instruction. For weights w, a row h and their roundings w', h' the score
//! is wrong by at most |w'| |h - h'| + |w - w'| |h| (Cauchy-Schwarz) and a little for the sums, so a point whose score is
//! further than twice that below the best score cannot be the maximum. What remains, hardly more than one point a channel, is
//! computed in f32 with ties to the lowest point: the result is the maximum of the f32 products, always.
#![allow(
    unsafe_code,
    reason = "instructions that have to be asked for, and a vector type without safe conversions"
)]

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _CMP_GE_OQ, _mm512_add_ps, _mm512_cmp_ps_mask, _mm512_dpbf16_ps,
    _mm512_fmadd_ps, _mm512_max_ps, _mm512_reduce_add_ps, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_sub_ps,
};

use super::buffer::Buffer;
use super::tile::{Largest, Rows};

/// Columns of a panel: two vectors.
const PANEL: usize = 32;
/// Rows of a tile.
const TALL: usize = 8;
/// Longest patch that is screened: its scores stay in the cache.
const LONGEST: usize = 128;
/// What f32 sums and products may be wrong by, relative to |w| |h|; generous for 4096 channels and more.
const SUMS: f32 = 3e-4;

/// Weights [columns, depth] in f32, and rounded to bf16 in panels [panel][depth / 2][32 columns] of two neighbours each.
pub(super) struct Screened {
    rows: Buffer,
    depth: usize,
    panels: Vec<[u32; PANEL]>,
    /// Per column |w'| and |w - w'|.
    norms: Buffer,
    errors: Buffer,
}

/// Room for one block's rounded rows and norms.
#[derive(Default)]
pub(super) struct Scratch {
    halves: Vec<u32>,
    /// Per patch the largest |h| and |h - h'|.
    norms: Vec<[f32; 2]>,
    scores: Vec<[f32; PANEL]>,
}

impl Screened {
    /// Whether the processor has the instructions, and patches are neither too short nor too long for them.
    pub(super) fn pays(k: usize) -> bool {
        is_x86_feature_detected!("avx512bf16")
            && is_x86_feature_detected!("avx512f")
            && (TALL..=LONGEST).contains(&k)
    }

    /// Rounds weights [columns, depth].
    pub(super) fn new(rows: Buffer, depth: usize) -> Self {
        let columns = rows.len() / depth;
        let (mut norms, mut errors) = (Buffer::zeros(columns), Buffer::zeros(columns));
        let mut panels = vec![[0u32; PANEL]; columns / PANEL * (depth / 2)];
        for (column, row) in rows.chunks_exact(depth).enumerate() {
            let panel = &mut panels[column / PANEL * (depth / 2)..][..depth / 2];
            for (slot, pair) in panel.iter_mut().zip(row.as_chunks::<2>().0) {
                slot[column % PANEL] = halves(*pair);
            }
            let rounded = |v: f32| f32::from_bits(half(v) << 16);
            let length = |f: &dyn Fn(f32) -> f32| row.iter().map(|&v| f(v) * f(v)).sum::<f32>().sqrt();
            norms[column] = length(&rounded);
            errors[column] = length(&|v| v - rounded(v));
        }
        Self { rows, depth, panels, norms, errors }
    }

    /// The weights as given.
    #[cfg(test)]
    pub(super) fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// max over the `k` rows of each patch of (rows x weights).
    pub(super) fn max_over_patches(
        &self,
        rows: Rows<'_>,
        k: usize,
        scratch: &mut Scratch,
        into: Largest<'_>,
    ) {
        assert!(rows.stride >= self.depth && Self::pays(k));
        // SAFETY: the processor has these instructions.
        unsafe { self.maxima(rows, k, scratch, into) }
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    fn maxima(&self, rows: Rows<'_>, k: usize, scratch: &mut Scratch, into: Largest<'_>) {
        let columns = self.norms.len();
        let patches = into.value.len() / columns;
        round_rows(&rows.data[..patches * k * rows.stride], (rows.stride, self.depth, k), scratch);
        scratch.scores.resize(k.next_multiple_of(TALL), [0.0; PANEL]);
        let pairs = self.depth / 2;
        for (panel, weights) in self.panels.chunks_exact(pairs).enumerate() {
            for patch in 0..patches {
                let halves = &scratch.halves[patch * k * pairs..][..k * pairs];
                let best = score_patch(halves, weights, k, &mut scratch.scores);
                let limits = self.limits(best, panel, scratch.norms[patch]);
                let at = patch * columns + panel * PANEL;
                let into = Largest {
                    value: &mut into.value[at..][..PANEL],
                    point: &mut into.point[at..][..PANEL],
                    bias: &into.bias[panel * PANEL..][..PANEL],
                };
                let rows = Rows { data: &rows.data[patch * k * rows.stride..], stride: rows.stride };
                self.decide(rows, panel, (&scratch.scores[..k], limits), into);
            }
        }
    }

    /// The best scores less twice what scores may be wrong by.
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn limits(&self, best: [__m512; 2], panel: usize, [norm, error]: [f32; 2]) -> [__m512; 2] {
        let mut limits = best;
        for (j, limit) in limits.iter_mut().enumerate() {
            let at = panel * PANEL + 16 * j;
            let mut margin = [0.0f32; 16];
            for (c, margin) in margin.iter_mut().enumerate() {
                let (w, dw) = (self.norms[at + c], self.errors[at + c]);
                *margin = 2.02 * (w * error + dw * norm + SUMS * (w + dw) * norm);
            }
            *limit = _mm512_sub_ps(*limit, pulp::cast(margin));
        }
        limits
    }

    /// The largest f32 product of each column among the points whose scores reach the limits.
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn decide(
        &self,
        rows: Rows<'_>,
        panel: usize,
        (scores, limits): (&[[f32; PANEL]], [__m512; 2]),
        into: Largest<'_>,
    ) {
        let weights = &self.rows[panel * PANEL * self.depth..][..PANEL * self.depth];
        let mut found = 0u32;
        for (point, score) in scores.iter().enumerate() {
            let row = &rows.data[point * rows.stride..][..self.depth];
            let mut left = reached(score, limits);
            while left != 0 {
                let c = left.trailing_zeros() as usize;
                left &= left - 1;
                let value = dot(row, &weights[c * self.depth..][..self.depth]);
                if found & (1 << c) == 0 || value > into.value[c] {
                    (into.value[c], into.point[c]) = (value, point as u16);
                }
                found |= 1 << c;
            }
        }
        for c in 0..PANEL {
            if found & (1 << c) == 0 {
                // Only without numbers: whatever is not one shows.
                (into.value[c], into.point[c]) = (f32::NAN, 0);
            }
            into.value[c] += into.bias[c];
        }
    }
}

/// The upper half of the number, rounded to nearest, ties to even.
#[inline(always)]
fn half(value: f32) -> u32 {
    let bits = value.to_bits();
    bits.wrapping_add(0x7FFF + ((bits >> 16) & 1)) >> 16
}

#[inline(always)]
fn halves([low, high]: [f32; 2]) -> u32 {
    half(low) | half(high) << 16
}

/// Rounds rows [n, stride] of `depth` channels and takes the norms of their patches of `k`.
#[target_feature(enable = "avx512f,avx512bf16")]
fn round_rows(rows: &[f32], (stride, depth, k): (usize, usize, usize), scratch: &mut Scratch) {
    let Scratch { halves, norms, .. } = scratch;
    halves.resize(rows.len() / stride * (depth / 2), 0);
    norms.clear();
    norms.resize(rows.len() / (stride * k), [0.0; 2]);
    for (at, (row, slots)) in rows.chunks_exact(stride).zip(halves.chunks_exact_mut(depth / 2)).enumerate() {
        let (mut squares, mut errors) = ([0.0f32; 32], [0.0f32; 32]);
        for (values, slots) in row[..depth].as_chunks::<32>().0.iter().zip(slots.as_chunks_mut::<16>().0) {
            let mut bits = [0u32; 32];
            for i in 0..32 {
                bits[i] = half(values[i]);
                let error = values[i] - f32::from_bits(bits[i] << 16);
                squares[i] += values[i] * values[i];
                errors[i] += error * error;
            }
            for i in 0..16 {
                slots[i] = bits[2 * i] | bits[2 * i + 1] << 16;
            }
        }
        let norm = &mut norms[at / k];
        norm[0] = norm[0].max(squares.iter().sum::<f32>().sqrt());
        norm[1] = norm[1].max(errors.iter().sum::<f32>().sqrt());
    }
}

/// Scores [k, 32] of a patch's rounded rows [k, depth / 2], and the largest of each column.
#[target_feature(enable = "avx512f,avx512bf16")]
fn score_patch(
    halves: &[u32],
    weights: &[[u32; PANEL]],
    k: usize,
    scores: &mut [[f32; PANEL]],
) -> [__m512; 2] {
    let pairs = weights.len();
    let mut best = [_mm512_set1_ps(f32::NEG_INFINITY); 2];
    for row in (0..k).step_by(TALL) {
        let mut rows = [&halves[..0]; TALL];
        for i in 0..TALL {
            rows[i] = &halves[(row + i).min(k - 1) * pairs..][..pairs];
        }
        let mut sums = [[_mm512_setzero_ps(); 2]; TALL];
        for d in 0..pairs {
            let [left, right] = pairs_of(&weights[d]);
            for i in 0..TALL {
                let value = as_halves(_mm512_set1_epi32(rows[i][d].cast_signed()));
                sums[i] =
                    [_mm512_dpbf16_ps(sums[i][0], value, left), _mm512_dpbf16_ps(sums[i][1], value, right)];
            }
        }
        for i in 0..TALL {
            best = [_mm512_max_ps(best[0], sums[i][0]), _mm512_max_ps(best[1], sums[i][1])];
            let [left, right]: [[f32; 16]; 2] = [pulp::cast(sums[i][0]), pulp::cast(sums[i][1])];
            scores[row + i][..16].copy_from_slice(&left);
            scores[row + i][16..].copy_from_slice(&right);
        }
    }
    best
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn pairs_of(weights: &[u32; PANEL]) -> [__m512bh; 2] {
    let [left, right]: [__m512i; 2] = pulp::cast(*weights);
    [as_halves(left), as_halves(right)]
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn as_halves(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes of plain bits.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) }
}

/// Bit `c` is set where the score of column `c` is at least its limit.
#[target_feature(enable = "avx512f,avx512bf16")]
fn reached(score: &[f32; PANEL], limits: [__m512; 2]) -> u32 {
    let [left, right]: [__m512; 2] = pulp::cast(*score);
    let low = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(left, limits[0]);
    let high = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(right, limits[1]);
    u32::from(low) | u32::from(high) << 16
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [_mm512_setzero_ps(); 2];
    for (a, b) in a.as_chunks::<32>().0.iter().zip(b.as_chunks::<32>().0) {
        let (a, b): ([__m512; 2], [__m512; 2]) = (pulp::cast(*a), pulp::cast(*b));
        sums = [_mm512_fmadd_ps(a[0], b[0], sums[0]), _mm512_fmadd_ps(a[1], b[1], sums[1])];
    }
    _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]))
}
