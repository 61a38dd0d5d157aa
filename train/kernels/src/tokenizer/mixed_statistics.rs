//! Statistics of the mixing layer's output, which follow from second moments of the first layer's: no pass over it is needed.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::activations::{add_wide, sum_chunks};
use super::aligned::AlignedBuffer;
use super::cut::Cut;
use super::first_pass::FirstPass;
use super::flat::ChannelMoments;
use super::prepared::Local;
use super::tile::{ActivationRows, Start, add_transposed, product};

/// What the mixing layer adds to every point of a patch, and its sums.
pub(crate) struct Offsets {
    /// [P, c3]
    pub(crate) values: AlignedBuffer,
    pub(crate) sums: OffsetSums,
}

/// Sums over patches.
pub(crate) struct OffsetSums {
    /// `[c3]` each.
    sum: Vec<f64>,
    squares: Vec<f64>,
    /// [c3, c1]: offset x (sum of the first layer's output).
    by_first: Vec<f64>,
}

pub(crate) fn find_offsets(cut: Cut, local: &Local, seen: &FirstPass, with_sums: bool) -> Offsets {
    let width = local.width;
    let mut values = AlignedBuffer::zeros(cut.patches * width.c3);
    let parts: Vec<[Vec<f64>; 3]> = values
        .par_chunks_mut(cut.chunk * width.c3)
        .zip(seen.summary.par_chunks(cut.chunk * width.c2))
        .zip(seen.sums.par_chunks(cut.chunk * width.c1))
        .map(|((out, summary), sums)| {
            Arch::new().dispatch(OffsetPass { local, out, summary, sums, with_sums })
        })
        .collect();
    let total = |i: usize, len: usize| sum_chunks(parts.iter().map(|part| &part[i]), len);
    let (sum, squares, by_first) = (total(0, width.c3), total(1, width.c3), total(2, width.c3 * width.c1));
    Offsets { values, sums: OffsetSums { sum, squares, by_first } }
}

/// The offsets of a chunk; their sums, their squares', and their products with the first layer's sums.
struct OffsetPass<'a> {
    local: &'a Local,
    out: &'a mut [f32],
    summary: &'a [f32],
    sums: &'a [f32],
    with_sums: bool,
}

impl WithSimd for OffsetPass<'_> {
    type Output = [Vec<f64>; 3];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let width = self.local.width;
        let n = self.out.len() / width.c3;
        let (rows, zeros) = (ActivationRows { data: self.summary, stride: width.c2 }, vec![0; n]);
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
        let mut by_first = AlignedBuffer::zeros(width.c3 * width.c1);
        let (out, sums) = (
            ActivationRows { data: self.out, stride: width.c3 },
            ActivationRows { data: self.sums, stride: width.c1 },
        );
        add_transposed(simd, out, sums, &mut by_first, false);
        [sum, squares, by_first.iter().map(|&v| f64::from(v)).collect()]
    }
}

/// What the statistics are made from, one behind the other, so that those of several parts are added number by number: patches,
/// rows, sums of the first layer's output `[c1]`, its Gram matrix `[c1, c1]`, sums of offsets and of their squares `[c3]` each,
/// and of offset x first `[c3, c1]`.
pub(crate) struct MixedSums(pub(crate) Vec<f64>);

/// [`MixedSums`] by name.
struct NamedSums<'a> {
    patches: f64,
    rows: f64,
    first: &'a [f64],
    gram: &'a [f64],
    offset: &'a [f64],
    squares: &'a [f64],
    by_first: &'a [f64],
}

impl MixedSums {
    pub(crate) fn new(cut: Cut, local: &Local, seen: &FirstPass, offsets: OffsetSums) -> Self {
        let mut first = vec![0.0; local.width.c1];
        seen.sums.chunks_exact(local.width.c1).for_each(|row| add_wide(row, &mut first));
        let counts = [cut.patches as f64, (cut.patches * cut.k) as f64];
        let OffsetSums { sum, squares, by_first } = offsets;
        Self([&counts[..], &first, &seen.gram, &sum, &squares, &by_first].concat())
    }

    fn name(&self, local: &Local) -> NamedSums<'_> {
        let (c1, c3) = (local.width.c1, local.width.c3);
        let (counts, rest) = self.0.split_at(2);
        let (first, rest) = rest.split_at(c1);
        let (gram, rest) = rest.split_at(c1 * c1);
        let (offset, rest) = rest.split_at(c3);
        let (squares, by_first) = rest.split_at(c3);
        NamedSums { patches: counts[0], rows: counts[1], first, gram, offset, squares, by_first }
    }
}

/// Second-order facts about the mixing layer's output, from those of the first layer's.
pub(crate) struct MixedStatistics {
    /// `[c1]`: mean of the first layer's output.
    pub(crate) first_mean: Vec<f64>,
    /// `[c3, c1]`: sum over all rows of mixed x first.
    pub(crate) mixed_by_first: Vec<f64>,
    /// Mean and variance of the mixing layer's output.
    pub(crate) norm: ChannelMoments,
}

impl MixedStatistics {
    /// mixed = M h + u, so its mean is M mean(h) + mean(u), and its variance, per channel,
    /// m Cov(h) m + 2 m Cov(h, u) + Var(u).
    pub(crate) fn new(local: &Local, sums: &MixedSums) -> Self {
        let (c1, c3) = (local.width.c1, local.width.c3);
        let NamedSums { patches, rows: n, first, gram, offset, squares, by_first: offset_by_first } =
            sums.name(local);
        let first_mean: Vec<f64> = first.iter().map(|sum| sum / n).collect();
        let covariance = covariance(gram, &first_mean, n);
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
                (along(by_first), along(&first_mean), offset[c] / patches);
            let cross = along(&offset_by_first[c * c1..][..c1]) / n - local_mean * offset_mean;
            *mean = local_mean + offset_mean;
            *var = (spread + 2.0 * cross + squares[c] / patches - offset_mean * offset_mean).max(0.0);
            for j in 0..c1 {
                by_first[j] = n * (by_first[j] + local_mean * first_mean[j]) + offset_by_first[c * c1 + j];
            }
        });
        Self { first_mean, mixed_by_first, norm: ChannelMoments { mean, var } }
    }

    /// With running statistics nothing else is needed.
    pub(crate) fn from_running(norm: &ChannelMoments) -> Self {
        Self { first_mean: Vec::new(), mixed_by_first: Vec::new(), norm: norm.clone() }
    }

    /// Forgets the moments of the channels that were added to fill panels.
    pub(crate) fn keep_channels(mut self, c3: usize) -> Self {
        self.norm.mean.truncate(c3);
        self.norm.var.truncate(c3);
        self
    }
}

/// Symmetric covariance from the upper triangle of the Gram matrix of `n` rows.
fn covariance(gram: &[f64], mean: &[f64], n: f64) -> Vec<f64> {
    let c = mean.len();
    let value = |i: usize, j: usize| gram[i.min(j) * c + i.max(j)] / n - mean[i] * mean[j];
    (0..c * c).map(|at| value(at / c, at % c)).collect()
}
