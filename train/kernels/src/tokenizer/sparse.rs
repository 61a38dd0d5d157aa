//! The sparse pass of backward: what comes back through the last maximum.
//!
//! A maximum hands its gradient to one row per patch and channel, so what comes back through the last layer is a sum over
//! these rows (the sparse pass, which recomputes only them; patches whose tokens got no gradient cost nothing). BatchNorm adds
//! an affine function of the mixed rows, which are affine in the first layer's output: that part (the dense pass) needs
//! products of size c1 x c1 alone, and Gram matrices where it meets the weights.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::activations::{add, add_scaled, first_layer, mask};
use super::aligned::AlignedBuffer;
use super::flat::FlatWeights;
use super::forward::SavedPasses;
use super::prepared::{out_rows, shift_offsets};
use super::sparse_products::{RowFactors, RowProducts};
use super::tile::{ActivationRows, Start};

/// Columns of the last layer's weights worked on at a time, so that they and their gradient stay in the cache.
const COLUMNS: usize = 128;

/// What the sparse pass finds in a chunk.
pub(crate) struct SparseGradients {
    /// [d, c3]
    pub(crate) out: AlignedBuffer,
    /// [c3, c1]: sum of (gradient behind the second BatchNorm) x first.
    pub(crate) merged: AlignedBuffer,
    /// Rows with a gradient, as indices into the chunk, and the gradient of the first layer's output there, [n, c1].
    rows: Vec<u32>,
    first: Vec<f32>,
}

/// What the sparse pass finds.
pub(crate) struct SparseFindings {
    /// Gradients behind the second BatchNorm summed over each patch, [P, c3].
    pub(crate) patch_sums: AlignedBuffer,
    pub(crate) chunks: Vec<SparseGradients>,
}

/// Runs the pass, given the gradient of the tokens [P, d].
pub(crate) fn run_sparse(
    points: &[f32],
    tokens: &[f32],
    flat: FlatWeights<'_>,
    saved: &SavedPasses,
) -> SparseFindings {
    let (cut, width, d) = (saved.cut, saved.local.width, flat.widths.d);
    let weights = SparseWeights { out: out_rows(flat), merged: RowProducts::new(saved) };
    let mut patch_sums = AlignedBuffer::zeros(cut.patches * width.c3);
    let chunks = points
        .par_chunks(cut.chunk * cut.k * 3)
        .zip(tokens.par_chunks(cut.chunk * d))
        .zip(saved.token_point.par_chunks(cut.chunk * width.d))
        .zip(saved.offset.par_chunks(cut.chunk * width.c3))
        .zip(patch_sums.par_chunks_mut(cut.chunk * width.c3))
        .map(|((((points, tokens), token_point), offsets), patch_sums)| {
            let weights = &weights;
            #[rustfmt::skip]
            let pass = SparsePass { saved, weights, d, points, tokens, token_point, offsets, patch_sums };
            Arch::new().dispatch(pass)
        })
        .collect();
    SparseFindings { patch_sums, chunks }
}

struct SparseWeights<'a> {
    /// [d, c3]
    out: AlignedBuffer,
    merged: RowProducts<'a>,
}

struct SparsePass<'a> {
    saved: &'a SavedPasses,
    weights: &'a SparseWeights<'a>,
    d: usize,
    points: &'a [f32],
    tokens: &'a [f32],
    token_point: &'a [u16],
    offsets: &'a [f32],
    patch_sums: &'a mut [f32],
}

/// The rows of a block that get a gradient.
#[derive(Default)]
struct Hits {
    /// Row in the block, its patch in the block, its point [n, 3].
    rows: Vec<u32>,
    patch: Vec<u32>,
    points: Vec<f32>,
    /// Per row of the block its place among the hits.
    place: Vec<u32>,
}

const MISSED: u32 = u32::MAX;

impl Hits {
    /// Finds them: `tokens` [p, d] and `token_point` [p, stride] of a block, `points` [p, k, 3].
    fn find(&mut self, points: &[f32], k: usize, tokens: &[f32], token_point: &[u16]) {
        let patches = points.len() / (3 * k);
        let (d, stride) = (tokens.len() / patches, token_point.len() / patches);
        self.place.clear();
        self.place.resize(patches * k, MISSED);
        for (patch, gradient) in tokens.chunks_exact(d).enumerate() {
            for (&g, &point) in gradient.iter().zip(&token_point[patch * stride..]) {
                if g != 0.0 {
                    self.place[patch * k + usize::from(point)] = 0;
                }
            }
        }
        self.rows.clear();
        self.patch.clear();
        self.points.clear();
        for (row, place) in self.place.iter_mut().enumerate().filter(|(_, place)| **place != MISSED) {
            *place = self.rows.len() as u32;
            self.rows.push(row as u32);
            self.patch.push((row / k) as u32);
            self.points.extend_from_slice(&points[3 * row..][..3]);
        }
    }
}

impl WithSimd for SparsePass<'_> {
    type Output = SparseGradients;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> SparseGradients {
        let (cut, width) = (self.saved.cut, self.saved.local.width);
        let (block, rows) = (cut.block, cut.block * cut.k);
        let mut found = SparseGradients {
            out: AlignedBuffer::zeros(width.d * width.c3),
            merged: AlignedBuffer::zeros(width.c3 * width.c1),
            rows: Vec::new(),
            first: Vec::with_capacity(self.points.len() / 3 * width.c1),
        };
        let mut scratch = SparseScratch {
            hits: Hits::default(),
            first: AlignedBuffer::zeros(rows * width.c1),
            second: AlignedBuffer::zeros(rows * width.c3),
            gradient: AlignedBuffer::zeros(rows * width.c3),
            back: AlignedBuffer::zeros(rows * width.c1),
            shifts: AlignedBuffer::zeros(block * width.c3),
        };
        let blocks = self.points.chunks(rows * 3).zip(self.tokens.chunks(block * self.d));
        let saved = self.token_point.chunks(block * width.d).zip(self.offsets.chunks(block * width.c3));
        let sums = self.patch_sums.chunks_mut(block * width.c3);
        for (i, (((points, tokens), (token_point, offsets)), sums)) in blocks.zip(saved).zip(sums).enumerate()
        {
            scratch.hits.find(points, cut.k, tokens, token_point);
            if scratch.hits.rows.is_empty() {
                continue;
            }
            let block =
                SparseBlock { saved: self.saved, weights: self.weights, tokens, token_point, offsets };
            block.recompute(simd, &mut scratch);
            block.last_layer(simd, &mut scratch, &mut found.out);
            block.mixing_layer(simd, &mut scratch, sums, &mut found.merged);
            let n = scratch.hits.rows.len();
            found.rows.extend(scratch.hits.rows.iter().map(|row| (i * rows) as u32 + row));
            found.first.extend_from_slice(&scratch.back[..n * width.c1]);
        }
        found
    }
}

struct SparseScratch {
    hits: Hits,
    first: AlignedBuffer,
    second: AlignedBuffer,
    gradient: AlignedBuffer,
    back: AlignedBuffer,
    shifts: AlignedBuffer,
}

struct SparseBlock<'a> {
    saved: &'a SavedPasses,
    weights: &'a SparseWeights<'a>,
    tokens: &'a [f32],
    token_point: &'a [u16],
    offsets: &'a [f32],
}

impl SparseBlock<'_> {
    /// Activations of the hit rows, as in forward.
    #[inline(always)]
    fn recompute<S: Simd>(&self, simd: S, scratch: &mut SparseScratch) {
        let (local, mixed) = (&self.saved.local, &self.saved.mixed);
        first_layer(simd, &scratch.hits.points, &local.first, &mut scratch.first);
        shift_offsets(simd, self.offsets, mixed, &mut scratch.shifts);
        let start = Start { rows: &scratch.shifts, of: &scratch.hits.patch, relu: true };
        let rows = ActivationRows { data: &scratch.first, stride: local.width.c1 };
        let second = &mut scratch.second[..scratch.hits.rows.len() * local.width.c3];
        self.weights.merged.activate(simd, rows, start, second);
    }

    /// Gradient of the last layer's weights and of its input, masked by the ReLU.
    #[inline(always)]
    fn last_layer<S: Simd>(&self, simd: S, scratch: &mut SparseScratch, out: &mut [f32]) {
        let (width, k) = (self.saved.local.width, self.saved.cut.k);
        let patches = self.offsets.len() / width.c3;
        let d = self.tokens.len() / patches;
        let n = scratch.hits.rows.len() * width.c3;
        scratch.gradient[..n].fill(0.0);
        for column in (0..width.c3).step_by(COLUMNS) {
            let columns = COLUMNS.min(width.c3 - column);
            for (at, &g) in self.tokens.iter().enumerate().filter(|(_, g)| **g != 0.0) {
                let (patch, channel) = (at / d, at % d);
                let point = usize::from(self.token_point[patch * width.d + channel]);
                let row = scratch.hits.place[patch * k + point] as usize * width.c3 + column;
                let weight = channel * width.c3 + column;
                add_scaled(simd, g, &scratch.second[row..][..columns], &mut out[weight..][..columns]);
                add_scaled(
                    simd,
                    g,
                    &self.weights.out[weight..][..columns],
                    &mut scratch.gradient[row..][..columns],
                );
            }
        }
        mask(simd, &scratch.second[..n], &mut scratch.gradient[..n]);
    }

    /// Sums over patches, the merged weights' gradient, and the gradient of the first layer's output.
    #[inline(always)]
    fn mixing_layer<S: Simd>(
        &self,
        simd: S,
        scratch: &mut SparseScratch,
        sums: &mut [f32],
        merged: &mut [f32],
    ) {
        let (c1, c3) = (self.saved.local.width.c1, self.saved.local.width.c3);
        let n = scratch.hits.rows.len();
        for (row, &patch) in scratch.gradient.chunks_exact(c3).zip(&scratch.hits.patch) {
            add(simd, row, &mut sums[patch as usize * c3..][..c3]);
        }
        let rows = RowFactors { first: &scratch.first[..n * c1], gradient: &scratch.gradient[..n * c3], c3 };
        self.weights.merged.add_weight_gradient(simd, rows, merged);
        self.weights.merged.multiply_back(simd, rows, &mut scratch.back[..n * c1]);
    }
}

impl SparseGradients {
    /// Adds the gradients of rows `from..` of the chunk to `into` [n, c1]; `next` is the first row not yet added.
    #[inline(always)]
    pub(crate) fn add_rows<S: Simd>(
        &self,
        simd: S,
        next: &mut usize,
        from: usize,
        into: &mut [f32],
        c1: usize,
    ) {
        let end = from + into.len() / c1;
        while let Some(&row) = self.rows.get(*next).filter(|&&row| (row as usize) < end) {
            let to = (row as usize - from) * c1;
            add(simd, &self.first[*next * c1..][..c1], &mut into[to..][..c1]);
            *next += 1;
        }
    }
}
