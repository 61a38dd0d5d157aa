//! The forward passes: statistics of both BatchNorms first, then tokens, no activation kept.
//!
//! Pass 1 forms the first layer's output block by block and takes from it the maxima of `local`, its sums per patch and its
//! Gram matrix. The mixing layer is affine in that output and in the patch's maximum, so the second BatchNorm's statistics
//! follow from these; pass 2 mixes, normalises and takes the last maximum. Chunks of patches are fixed by their number
//! alone, and their sums are added in order: results do not depend on the number of threads.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::parameters::{Flat, Moments, Norm};
use super::prepared::{Local, Mixed};
use super::rows::{add, add_wide, first_layer, sum_chunks};
use super::tile::{Largest, Rows, Start, add_transposed, max_over_patches, product};

/// Rows of activations that are worked on at a time: they stay in the second-level cache.
const BLOCK_ROWS: usize = 128;
/// Chunks that threads share out among themselves.
const CHUNKS: usize = 32;

/// How patches are cut: all but the last chunk have `chunk` patches, all but the last block of a chunk `block`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) patches: usize,
    pub(super) k: usize,
    pub(super) chunk: usize,
    pub(super) block: usize,
}

impl Cut {
    pub(super) fn new(patches: usize, k: usize) -> Self {
        let block = (BLOCK_ROWS / k).max(1);
        let chunk = patches.div_ceil(CHUNKS).next_multiple_of(block);
        Self { patches, k, chunk, block }
    }
}

/// What backward needs of a forward pass, besides its arguments.
pub(super) struct Saved {
    pub(super) cut: Cut,
    pub(super) local: Local,
    pub(super) mixed: Mixed,
    pub(super) moments: Moments,
    pub(super) norms: [Norm; 2],
    /// [P, c2]: maximum of `local` over the patch, and the point that has it.
    pub(super) summary: Buffer,
    pub(super) summary_point: Vec<u16>,
    /// [P, c1]: sum of the first layer's output over the patch.
    pub(super) sums: Buffer,
    /// [P, c3]: what the mixing layer adds to every point of the patch.
    pub(super) offset: Buffer,
    /// [P, d]: the point with the largest output.
    pub(super) token_point: Vec<u16>,
    /// `[c1]`: mean of the first layer's output, and `[c3, c1]`: sum over all rows of mixed x first. Empty with running statistics.
    pub(super) first_mean: Vec<f64>,
    pub(super) mixed_by_first: Vec<f64>,
}

/// Running statistics, or none for those of the batch.
pub(super) type Running = Option<[Norm; 2]>;

/// Tokens [P, d] of patches [P, K, 3].
pub(super) fn forward(patches: &[f32], k: usize, flat: Flat<'_>, running: &Running) -> (Vec<f32>, Saved) {
    let cut = Cut::new(patches.len() / (3 * k), k);
    let moments = Moments::of(patches);
    let first_norm = match running {
        Some([norm, _]) => norm.clone(),
        None => moments.after(&flat.values[flat.layout.first.clone()]),
    };
    let local = Local::new(flat, &first_norm);
    let train = running.is_none();
    let seen = summarise(patches, cut, &local, train);
    let offsets = offsets(cut, &local, &seen, train);
    let (second_norm, first_mean, mixed_by_first) = match running {
        Some([_, norm]) => (norm.clone(), Vec::new(), Vec::new()),
        None => Statistics::new(cut, &local, &seen, &offsets).parts(flat.widths.c3),
    };
    let mixed = Mixed::new(flat, &local, &second_norm);
    let (tokens, token_point) = tokens(patches, cut, (&local, &mixed), &offsets.values, flat.widths.d);
    let norms = [first_norm, second_norm];
    let Seen { summary, summary_point, sums, .. } = seen;
    let offset = offsets.values;
    #[rustfmt::skip]
    let saved = Saved {
        cut, local, mixed, moments, norms, summary, summary_point, sums, offset, token_point, first_mean, mixed_by_first,
    };
    (tokens, saved)
}

/// Results of pass 1.
struct Seen {
    summary: Buffer,
    summary_point: Vec<u16>,
    sums: Buffer,
    /// [c1, c1], its upper triangle; empty unless asked for.
    gram: Vec<f64>,
}

fn summarise(patches: &[f32], cut: Cut, local: &Local, with_gram: bool) -> Seen {
    let width = local.width;
    let mut summary = Buffer::zeros(cut.patches * width.c2);
    let mut summary_point = vec![0u16; cut.patches * width.c2];
    let mut sums = Buffer::zeros(cut.patches * width.c1);
    let grams: Vec<Vec<f64>> = patches
        .par_chunks(cut.chunk * cut.k * 3)
        .zip(summary.par_chunks_mut(cut.chunk * width.c2))
        .zip(summary_point.par_chunks_mut(cut.chunk * width.c2))
        .zip(sums.par_chunks_mut(cut.chunk * width.c1))
        .map(|(((points, value), point), sums)| {
            let largest = Largest { value, point, bias: &local.lift_bias };
            Arch::new().dispatch(Summarise { cut, local, points, largest, sums, with_gram })
        })
        .collect();
    Seen { summary, summary_point, sums, gram: sum_chunks(grams, width.c1 * width.c1) }
}

/// Pass 1 over a chunk; its Gram matrix.
struct Summarise<'a> {
    cut: Cut,
    local: &'a Local,
    points: &'a [f32],
    largest: Largest<'a>,
    sums: &'a mut [f32],
    with_gram: bool,
}

impl WithSimd for Summarise<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f64> {
        let (width, k, block) = (self.local.width, self.cut.k, self.cut.block);
        let mut first = Buffer::zeros(block * k * width.c1);
        let mut gram = Buffer::zeros(width.c1 * width.c1);
        let mut total = vec![0.0; width.c1 * width.c1];
        let blocks = self.points.chunks(block * k * 3).zip(self.sums.chunks_mut(block * width.c1));
        let outputs = self
            .largest
            .value
            .chunks_mut(block * width.c2)
            .zip(self.largest.point.chunks_mut(block * width.c2));
        for ((points, sums), (value, point)) in blocks.zip(outputs) {
            let n = points.len() / 3;
            first_layer(simd, points, &self.local.first, &mut first);
            for (sum, rows) in sums.chunks_exact_mut(width.c1).zip(first.chunks_exact(k * width.c1)) {
                rows.chunks_exact(width.c1).for_each(|row| add(simd, row, sum));
            }
            let rows = Rows { data: &first, stride: width.c1 };
            let into = Largest { value, point, bias: self.largest.bias };
            max_over_patches(simd, rows, k, &self.local.lift, into);
            if self.with_gram {
                gram.fill(0.0);
                let rows = Rows { data: &first[..n * width.c1], stride: width.c1 };
                add_transposed(simd, rows, rows, &mut gram, true);
                add_wide(&gram, &mut total);
            }
        }
        total
    }
}

/// What the mixing layer adds to every point of a patch, and its sums.
struct Offsets {
    /// [P, c3]
    values: Buffer,
    /// `[c3]` each, over the patches.
    sum: Vec<f64>,
    squares: Vec<f64>,
    /// [c3, c1]: sum over patches of offset x (sum of the first layer's output).
    by_first: Vec<f64>,
}

fn offsets(cut: Cut, local: &Local, seen: &Seen, with_sums: bool) -> Offsets {
    let width = local.width;
    let mut values = Buffer::zeros(cut.patches * width.c3);
    let parts: Vec<[Vec<f64>; 3]> = values
        .par_chunks_mut(cut.chunk * width.c3)
        .zip(seen.summary.par_chunks(cut.chunk * width.c2))
        .zip(seen.sums.par_chunks(cut.chunk * width.c1))
        .map(|((out, summary), sums)| Arch::new().dispatch(Offset { local, out, summary, sums, with_sums }))
        .collect();
    let total = |i: usize, len: usize| sum_chunks(parts.iter().map(|part| part[i].clone()), len);
    let (sum, squares, by_first) = (total(0, width.c3), total(1, width.c3), total(2, width.c3 * width.c1));
    Offsets { values, sum, squares, by_first }
}

struct Offset<'a> {
    local: &'a Local,
    out: &'a mut [f32],
    summary: &'a [f32],
    sums: &'a [f32],
    with_sums: bool,
}

impl WithSimd for Offset<'_> {
    type Output = [Vec<f64>; 3];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let width = self.local.width;
        let n = self.out.len() / width.c3;
        let (rows, zeros) = (Rows { data: self.summary, stride: width.c2 }, vec![0; n]);
        let start = Start { rows: &self.local.merged_bias, of: &zeros, relu: false };
        product(simd, rows, &self.local.mix_global, start, self.out);
        if !self.with_sums {
            return Default::default();
        }
        let (mut sum, mut squares) = (vec![0.0; width.c3], vec![0.0; width.c3]);
        for row in self.out.chunks_exact(width.c3) {
            for c in 0..width.c3 {
                let value = f64::from(row[c]);
                sum[c] += value;
                squares[c] += value * value;
            }
        }
        let mut by_first = Buffer::zeros(width.c3 * width.c1);
        let (out, sums) =
            (Rows { data: self.out, stride: width.c3 }, Rows { data: self.sums, stride: width.c1 });
        add_transposed(simd, out, sums, &mut by_first, false);
        [sum, squares, by_first.iter().map(|&v| f64::from(v)).collect()]
    }
}

/// Second-order facts about the mixing layer's output, from those of the first layer's.
struct Statistics {
    first_mean: Vec<f64>,
    mixed_by_first: Vec<f64>,
    norm: Norm,
}

impl Statistics {
    /// mixed = M h + u, so its mean is M mean(h) + mean(u), and its variance, per channel,
    /// m Cov(h) m + 2 m Cov(h, u) + Var(u).
    fn new(cut: Cut, local: &Local, seen: &Seen, offsets: &Offsets) -> Self {
        let (c1, c3) = (local.width.c1, local.width.c3);
        let (patches, n) = (cut.patches as f64, (cut.patches * cut.k) as f64);
        let mut first_mean = vec![0.0; c1];
        seen.sums.chunks_exact(c1).for_each(|row| add_wide(row, &mut first_mean));
        first_mean.iter_mut().for_each(|m| *m /= n);
        let covariance = covariance(&seen.gram, &first_mean, n);
        let mut mixed_by_first = vec![0.0; c3 * c1];
        let (mut mean, mut var) = (vec![0.0; c3], vec![0.0; c3]);
        let rows =
            mixed_by_first.par_chunks_mut(c1).zip(local.merged.par_chunks(c1)).zip(&mut mean).zip(&mut var);
        rows.enumerate().for_each(|(c, (((by_first, m), mean), var))| {
            for (&w, row) in m.iter().zip(covariance.chunks_exact(c1)) {
                by_first.iter_mut().zip(row).for_each(|(b, v)| *b += f64::from(w) * v);
            }
            let along = |v: &[f64]| m.iter().zip(v).map(|(&w, &v)| f64::from(w) * v).sum::<f64>();
            let (spread, local_mean, offset_mean) =
                (along(by_first), along(&first_mean), offsets.sum[c] / patches);
            let cross = along(&offsets.by_first[c * c1..][..c1]) / n - local_mean * offset_mean;
            *mean = local_mean + offset_mean;
            *var = (spread + 2.0 * cross + offsets.squares[c] / patches - offset_mean * offset_mean).max(0.0);
            for j in 0..c1 {
                by_first[j] = n * (by_first[j] + local_mean * first_mean[j]) + offsets.by_first[c * c1 + j];
            }
        });
        Self { first_mean, mixed_by_first, norm: Norm { mean, var } }
    }

    /// The norm of the `c3` true channels, the mean of the first layer's output, and the second-order sums.
    fn parts(self, c3: usize) -> (Norm, Vec<f64>, Vec<f64>) {
        let norm = Norm { mean: self.norm.mean[..c3].to_vec(), var: self.norm.var[..c3].to_vec() };
        (norm, self.first_mean, self.mixed_by_first)
    }
}

/// Symmetric covariance from the upper triangle of the Gram matrix of `n` rows.
fn covariance(gram: &[f64], mean: &[f64], n: f64) -> Vec<f64> {
    let c = mean.len();
    let value = |i: usize, j: usize| gram[i.min(j) * c + i.max(j)] / n - mean[i] * mean[j];
    (0..c * c).map(|at| value(at / c, at % c)).collect()
}

/// Pass 2: tokens [P, d] and the points they come from [P, padded d].
fn tokens(
    patches: &[f32],
    cut: Cut,
    layers: (&Local, &Mixed),
    offsets: &[f32],
    d: usize,
) -> (Vec<f32>, Vec<u16>) {
    let width = layers.0.width;
    let mut tokens = vec![0.0f32; cut.patches * d];
    let mut token_point = vec![0u16; cut.patches * width.d];
    patches
        .par_chunks(cut.chunk * cut.k * 3)
        .zip(offsets.par_chunks(cut.chunk * width.c3))
        .zip(tokens.par_chunks_mut(cut.chunk * d))
        .zip(token_point.par_chunks_mut(cut.chunk * width.d))
        .for_each(|(((points, offsets), tokens), token_point)| {
            Arch::new().dispatch(Tokens { cut, layers, points, offsets, tokens, token_point });
        });
    (tokens, token_point)
}

struct Tokens<'a> {
    cut: Cut,
    layers: (&'a Local, &'a Mixed),
    points: &'a [f32],
    offsets: &'a [f32],
    tokens: &'a mut [f32],
    token_point: &'a mut [u16],
}

impl WithSimd for Tokens<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ((local, mixed), k, block) = (self.layers, self.cut.k, self.cut.block);
        let (width, d) = (local.width, self.tokens.len() * self.layers.0.width.d / self.token_point.len());
        let mut first = Buffer::zeros(block * k * width.c1);
        let mut second = Buffer::zeros(block * k * width.c3);
        let mut shifts = Buffer::zeros(block * width.c3);
        let mut value = Buffer::zeros(block * width.d);
        let of: Vec<u32> = (0..block * k).map(|row| (row / k) as u32).collect();
        let blocks = self.points.chunks(block * k * 3).zip(self.offsets.chunks(block * width.c3));
        let outputs = self.tokens.chunks_mut(block * d).zip(self.token_point.chunks_mut(block * width.d));
        for ((points, offsets), (tokens, point)) in blocks.zip(outputs) {
            first_layer(simd, points, &local.first, &mut first);
            shift_offsets(simd, offsets, mixed, &mut shifts);
            let start = Start { rows: &shifts, of: &of[..points.len() / 3], relu: true };
            let rows = Rows { data: &first, stride: width.c1 };
            product(simd, rows, &mixed.merged, start, &mut second);
            let rows = Rows { data: &second, stride: width.c3 };
            let value = &mut value[..point.len()];
            max_over_patches(simd, rows, k, &mixed.out, Largest { value, point, bias: &mixed.out_bias });
            for (token, value) in tokens.chunks_exact_mut(d).zip(value.chunks_exact(width.d)) {
                token.copy_from_slice(&value[..d]);
            }
        }
    }
}

/// What the second BatchNorm makes of a patch's offset: scale * offset + shift, [n, c3].
#[inline(always)]
pub(super) fn shift_offsets<S: Simd>(simd: S, offsets: &[f32], mixed: &Mixed, out: &mut [f32]) {
    let (scale, shift) = (S::as_simd_f32s(&mixed.scale).0, S::as_simd_f32s(&mixed.shift).0);
    let c3 = mixed.scale.len();
    for (out, offset) in out.chunks_exact_mut(c3).zip(offsets.chunks_exact(c3)) {
        let out = S::as_mut_simd_f32s(out).0.iter_mut().zip(S::as_simd_f32s(offset).0);
        for (c, (out, &offset)) in out.enumerate() {
            *out = simd.mul_add_e_f32s(scale[c], offset, shift[c]);
        }
    }
}
