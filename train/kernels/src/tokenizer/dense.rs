//! The dense pass of backward: BatchNorm's share in every row, the first maximum, and the first layer.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::activations::{add_scaled, add_wide, first_layer, mask};
use super::aligned::AlignedBuffer;
use super::flat::FlatWeights;
use super::forward::SavedPasses;
use super::prepared::{global_rows, lift_rows, multiply_transposed, pack, pack_rows, pack_transposed};
use super::sparse::{SparseFindings, SparseGradients};
use super::tile::{ActivationRows, Packed, Start, add_transposed, product};

/// The second BatchNorm's backward: d mixed = scale * g - constant - slope * mixed, per channel.
pub(crate) struct NormBackward {
    pub(crate) constant: AlignedBuffer,
    pub(crate) slope: AlignedBuffer,
}

/// What the dense pass finds in a chunk.
pub(crate) struct DenseGradients {
    /// [c3, c2]
    pub(crate) mix_global: AlignedBuffer,
    /// [c2, c1], through the first maximum.
    pub(crate) lift: AlignedBuffer,
    /// `[c3]`: gradient of the offsets, and `[c2]`: of the first maximum, over all patches.
    pub(crate) offset: Vec<f64>,
    pub(crate) summary: Vec<f64>,
    /// [4, c1]: gradient behind the first BatchNorm times x, y, z and 1, over all rows.
    pub(crate) first: Vec<f64>,
}

/// Runs the pass; what it finds by chunk.
pub(crate) fn run_dense(
    points: &[f32],
    flat: FlatWeights<'_>,
    saved: &SavedPasses,
    sparse: &SparseFindings,
    norm: &NormBackward,
) -> Vec<DenseGradients> {
    let (cut, width) = (saved.cut, saved.local.width);
    let weights = DenseWeights::new(flat, saved, norm);
    points
        .par_chunks(cut.chunk * cut.k * 3)
        .zip(sparse.patch_sums.par_chunks(cut.chunk * width.c3))
        .zip(&sparse.chunks)
        .enumerate()
        .map(|(chunk, ((points, patch_sums), sparse))| {
            let task = DensePass {
                saved,
                weights: &weights,
                norm,
                points,
                patch_sums,
                sparse,
                first_patch: chunk * cut.chunk,
            };
            Arch::new().dispatch(task)
        })
        .collect()
}

struct DenseWeights {
    /// c1 -> c3 and back, unscaled.
    merged: Packed,
    merged_back: Packed,
    /// c3 -> c2
    mix_global: Packed,
    /// [c2, c1]
    lift: AlignedBuffer,
    /// -M^T diag(slope) M, c1 -> c1.
    curvature: Packed,
}

impl DenseWeights {
    fn new(flat: FlatWeights<'_>, saved: &SavedPasses, norm: &NormBackward) -> Self {
        let (c1, c3) = (saved.local.width.c1, saved.local.width.c3);
        let merged = &saved.local.merged;
        let mut sloped = AlignedBuffer::zeros(c3 * c1);
        for (c, row) in sloped.chunks_exact_mut(c1).enumerate() {
            row.iter_mut().zip(&merged[c * c1..]).for_each(|(to, &m)| *to = -norm.slope[c] * m);
        }
        let curvature = multiply_transposed(&sloped, merged, c3);
        Self {
            merged: pack_transposed(merged, c1),
            merged_back: pack_rows(merged, c3),
            mix_global: pack_rows(&global_rows(flat), c3),
            lift: lift_rows(flat),
            curvature: pack(c1, c1, |i, j| curvature[i * c1 + j]),
        }
    }
}

struct DensePass<'a> {
    saved: &'a SavedPasses,
    weights: &'a DenseWeights,
    norm: &'a NormBackward,
    points: &'a [f32],
    patch_sums: &'a [f32],
    sparse: &'a SparseGradients,
    first_patch: usize,
}

/// What is known of every patch of a chunk.
struct PatchGradients {
    /// [n, c2]
    summary: AlignedBuffer,
    /// [n, c1]: -M^T (constant + slope * offset).
    start: AlignedBuffer,
}

/// The rows of a block: the first layer's output and its gradient.
struct BlockRows<'a> {
    /// Number of the block's first patch in the chunk.
    first_patch: usize,
    first: &'a [f32],
    gradient: &'a mut [f32],
}

impl WithSimd for DensePass<'_> {
    type Output = DenseGradients;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> DenseGradients {
        let width = self.saved.local.width;
        let mut found = DenseGradients {
            mix_global: AlignedBuffer::zeros(width.c3 * width.c2),
            lift: AlignedBuffer::zeros(width.c2 * width.c1),
            offset: vec![0.0; width.c3],
            summary: vec![0.0; width.c2],
            first: vec![0.0; 4 * width.c1],
        };
        let patches = self.patches(simd, &mut found);
        self.rows(simd, &patches, &mut found);
        found
    }
}

impl DensePass<'_> {
    /// `len` numbers per patch of this chunk.
    fn of_chunk<'b, T>(&self, all: &'b [T], len: usize) -> &'b [T] {
        let n = self.patch_sums.len() / self.saved.local.width.c3;
        &all[self.first_patch * len..][..n * len]
    }

    /// Gradient of the offsets and of what they are made from.
    #[inline(always)]
    fn patches<S: Simd>(&self, simd: S, found: &mut DenseGradients) -> PatchGradients {
        let width = self.saved.local.width;
        let n = self.patch_sums.len() / width.c3;
        let of = vec![0; n];
        let zeros = AlignedBuffer::zeros(width.c1.max(width.c2).max(width.c3));
        let start = |columns: usize| Start { rows: &zeros[..columns], of: &of, relu: false };
        let offset = self.of_chunk(&self.saved.offset, width.c3);
        let sums = ActivationRows { data: self.of_chunk(&self.saved.sums, width.c1), stride: width.c1 };
        let mut gradient = AlignedBuffer::zeros(n * width.c3);
        product(simd, sums, &self.weights.merged, start(width.c3), &mut gradient);
        let mut pull = AlignedBuffer::zeros(n * width.c3);
        self.offset_gradient(offset, &mut gradient, &mut pull);
        gradient.chunks_exact(width.c3).for_each(|row| add_wide(row, &mut found.offset));
        let rows = ActivationRows { data: &gradient, stride: width.c3 };
        let summary = ActivationRows { data: self.of_chunk(&self.saved.summary, width.c2), stride: width.c2 };
        add_transposed(simd, rows, summary, &mut found.mix_global, false);
        let mut patches = PatchGradients {
            summary: AlignedBuffer::zeros(n * width.c2),
            start: AlignedBuffer::zeros(n * width.c1),
        };
        product(simd, rows, &self.weights.mix_global, start(width.c2), &mut patches.summary);
        patches.summary.chunks_exact(width.c2).for_each(|row| add_wide(row, &mut found.summary));
        let pull = ActivationRows { data: &pull, stride: width.c3 };
        product(simd, pull, &self.weights.merged_back, start(width.c1), &mut patches.start);
        patches
    }

    /// From `gradient` = M (sum of first) to the offsets' gradient, and `pull` = -(constant + slope * offset).
    #[inline(always)]
    fn offset_gradient(&self, offset: &[f32], gradient: &mut [f32], pull: &mut [f32]) {
        let (c3, k) = (self.saved.local.width.c3, self.saved.cut.k as f32);
        let (constant, slope, scale) = (&*self.norm.constant, &*self.norm.slope, &*self.saved.mixed.scale);
        let rows = gradient.chunks_exact_mut(c3).zip(pull.chunks_exact_mut(c3));
        let known = offset.chunks_exact(c3).zip(self.patch_sums.chunks_exact(c3));
        for ((gradient, pull), (offset, sums)) in rows.zip(known) {
            for c in 0..c3 {
                pull[c] = -(constant[c] + slope[c] * offset[c]);
                gradient[c] = scale[c] * sums[c] + k * pull[c] - slope[c] * gradient[c];
            }
        }
    }

    /// Gradient of the first layer's output, row by row, and what the first layer gets of it.
    #[inline(always)]
    fn rows<S: Simd>(&self, simd: S, patches: &PatchGradients, found: &mut DenseGradients) {
        let (cut, width) = (self.saved.cut, self.saved.local.width);
        let rows = cut.block * cut.k;
        let (mut first, mut gradient) =
            (AlignedBuffer::zeros(rows * width.c1), AlignedBuffer::zeros(rows * width.c1));
        let mut moments = AlignedBuffer::zeros(4 * width.c1);
        let mut next = 0;
        for (block, points) in self.points.chunks(rows * 3).enumerate() {
            let n = points.len() / 3;
            let of: Vec<u32> = (0..n).map(|row| (block * cut.block + row / cut.k) as u32).collect();
            first_layer(simd, points, &self.saved.local.first, &mut first);
            let start = Start { rows: &patches.start, of: &of, relu: false };
            let input = ActivationRows { data: &first, stride: width.c1 };
            product(simd, input, &self.weights.curvature, start, &mut gradient);
            let gradient = &mut gradient[..n * width.c1];
            self.sparse.add_rows(simd, &mut next, block * rows, gradient, width.c1);
            let rows = BlockRows { first_patch: block * cut.block, first: &first, gradient: &mut *gradient };
            self.first_maximum(simd, patches, rows, &mut found.lift);
            mask(simd, &first[..gradient.len()], gradient);
            moments.fill(0.0);
            add_moments(simd, points, gradient, &mut moments);
            add_wide(&moments, &mut found.first);
        }
    }

    /// Each channel of the first maximum hands its gradient to one row of its patch, through the lift.
    #[inline(always)]
    fn first_maximum<S: Simd>(
        &self,
        simd: S,
        patches: &PatchGradients,
        rows: BlockRows<'_>,
        lift: &mut [f32],
    ) {
        let BlockRows { first_patch, first, gradient } = rows;
        let (c1, c2, k) = (self.saved.local.width.c1, self.saved.local.width.c2, self.saved.cut.k);
        let points = self.of_chunk(&self.saved.summary_point, c2);
        for i in 0..gradient.len() / (k * c1) {
            let of_patch = (first_patch + i) * c2;
            for (c, &g) in patches.summary[of_patch..][..c2].iter().enumerate() {
                let row = (i * k + usize::from(points[of_patch + c])) * c1;
                add_scaled(simd, g, &first[row..][..c1], &mut lift[c * c1..][..c1]);
                add_scaled(simd, g, &self.weights.lift[c * c1..][..c1], &mut gradient[row..][..c1]);
            }
        }
    }
}

/// into [4, c1] += gradient times x, y, z, 1.
#[inline(always)]
fn add_moments<S: Simd>(simd: S, points: &[f32], gradient: &[f32], into: &mut [f32]) {
    let c1 = into.len() / 4;
    for (point, row) in points.as_chunks::<3>().0.iter().zip(gradient.chunks_exact(c1)) {
        for (&factor, into) in point.iter().chain(&[1.0]).zip(into.chunks_exact_mut(c1)) {
            add_scaled(simd, factor, row, into);
        }
    }
}
