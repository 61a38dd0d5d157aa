//! The two maxima of the forward passes with products in `bf16`: activations and weights are rounded where they are
//! multiplied, sums, norms and everything else are `f32`.
//!
//! Products go through memory here, in blocks that stay in the cache: a matrix unit is so much faster than vectors that
//! what follows a product costs as much as the product, and is cheapest over whole rows.

use jepa3d_products::{Bf16Engine, Bf16Left, Bf16Product, Bf16Right, Matrix, Recycled, vectorized};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::activations::first_layer;
use super::aligned::AlignedBuffer;
use super::cut::Cut;
use super::flat::FlatWeights;
use super::prepared::{Local, Mixed, lift_rows, out_rows, shift_offsets};
use super::tile::Largest;

/// Columns of which a maximum is taken together.
const LANES: usize = 16;

/// Weights and what multiplies them.
#[derive(Clone, Copy)]
pub(crate) struct Bf16Pass<'a> {
    pub cut: Cut,
    pub local: &'a Local,
    pub flat: FlatWeights<'a>,
    pub engine: Bf16Engine,
}

/// What a maximum leaves of every patch.
pub(crate) struct PatchMaxima<'a> {
    /// [P, columns]
    pub value: &'a mut [f32],
    /// [P, columns]: the lowest index in the patch that has it.
    pub point: &'a mut [u16],
}

impl Bf16Pass<'_> {
    /// Pass 1: maxima of the lift.
    pub(crate) fn find_summaries(self, patches: &[f32], into: PatchMaxima<'_>) {
        let Self { cut, local, .. } = self;
        let width = local.width;
        let lift = Bf16Right::pack(Matrix::new(&lift_rows(self.flat), width.c1).transpose());
        let chunks = patches.par_chunks(cut.chunk * cut.k * 3);
        let into = into
            .value
            .par_chunks_mut(cut.chunk * width.c2)
            .zip(into.point.par_chunks_mut(cut.chunk * width.c2));
        chunks.zip(into).for_each(|(points, (value, point))| {
            let mut lifted = Recycled::take(cut.block * cut.k * width.c2);
            let blocks = points.chunks(cut.block * cut.k * 3);
            let into = value.chunks_mut(cut.block * width.c2).zip(point.chunks_mut(cut.block * width.c2));
            for (points, (value, point)) in blocks.zip(into) {
                let lifted = &mut lifted[..points.len() / 3 * width.c2];
                let left = self.first_rows(points);
                Bf16Product { left: &left, right: &lift, engine: self.engine }.write_to(lifted, width.c2);
                largest_of_patches(lifted, cut.k, Largest { value, point, bias: &local.lift_bias });
            }
        });
    }

    /// Pass 2: tokens [P, d] and the points they come from [P, padded d].
    pub(crate) fn find_tokens(self, patches: &[f32], mixed: &Mixed, offsets: &[f32]) -> (Vec<f32>, Vec<u16>) {
        let Self { cut, local, flat, .. } = self;
        let (width, d) = (local.width, flat.widths.d);
        let scaled = scale_rows(&local.merged, &mixed.scale);
        let merged = Bf16Right::pack(Matrix::new(&scaled, width.c1).transpose());
        let out = Bf16Right::pack(Matrix::new(&out_rows(flat), width.c3).transpose());
        let layers = TokenLayers { mixed, merged: &merged, out: &out };
        let mut tokens = vec![0.0f32; cut.patches * d];
        let mut token_point = vec![0u16; cut.patches * width.d];
        patches
            .par_chunks(cut.chunk * cut.k * 3)
            .zip(offsets.par_chunks(cut.chunk * width.c3))
            .zip(tokens.par_chunks_mut(cut.chunk * d).zip(token_point.par_chunks_mut(cut.chunk * width.d)))
            .for_each(|((points, offsets), (tokens, token_point))| {
                let blocks = points.chunks(cut.block * cut.k * 3).zip(offsets.chunks(cut.block * width.c3));
                let into = tokens.chunks_mut(cut.block * d).zip(token_point.chunks_mut(cut.block * width.d));
                for ((points, offsets), (tokens, token_point)) in blocks.zip(into) {
                    self.find_tokens_of_block(
                        points,
                        offsets,
                        layers,
                        PatchMaxima { value: tokens, point: token_point },
                    );
                }
            });
        (tokens, token_point)
    }

    fn find_tokens_of_block(
        self,
        points: &[f32],
        offsets: &[f32],
        layers: TokenLayers<'_>,
        into: PatchMaxima<'_>,
    ) {
        let (k, width) = (self.cut.k, self.local.width);
        let (rows, patches) = (points.len() / 3, offsets.len() / width.c3);
        let mut shifts = AlignedBuffer::zeros(offsets.len());
        Arch::new().dispatch(ShiftTask { offsets, mixed: layers.mixed, out: &mut shifts });
        let mut second = Recycled::take(rows * width.c3);
        let left = self.first_rows(points);
        Bf16Product { left: &left, right: layers.merged, engine: self.engine }
            .write_to(&mut second, width.c3);
        let of: Vec<u32> = (0..rows).map(|row| (row / k) as u32).collect();
        shift_and_clamp(&mut second, &shifts, &of);
        let left = Bf16Left::pack(Matrix::new(&second, width.c3));
        let mut found = Recycled::take(rows * width.d);
        Bf16Product { left: &left, right: layers.out, engine: self.engine }.write_to(&mut found, width.d);
        let mut value = Recycled::take(patches * width.d);
        let largest = Largest { value: &mut value, point: into.point, bias: &layers.mixed.out_bias };
        largest_of_patches(&found, k, largest);
        let d = into.value.len() / patches;
        for (token, value) in into.value.chunks_exact_mut(d).zip(value.chunks_exact(width.d)) {
            token.copy_from_slice(&value[..d]);
        }
    }

    /// The first layer's output of some points.
    fn first_rows(self, points: &[f32]) -> Bf16Left {
        let c1 = self.local.width.c1;
        let mut rows = Recycled::take(points.len() / 3 * c1);
        Arch::new().dispatch(FirstTask { points, first: &self.local.first, out: &mut rows });
        Bf16Left::pack(Matrix::new(&rows, c1))
    }
}

/// The layers of pass 2.
#[derive(Clone, Copy)]
struct TokenLayers<'a> {
    mixed: &'a Mixed,
    merged: &'a Bf16Right,
    out: &'a Bf16Right,
}

/// Row `c` of `rows` times `scale[c]`.
pub(crate) fn scale_rows(rows: &[f32], scale: &[f32]) -> Vec<f32> {
    let width = rows.len() / scale.len();
    rows.chunks_exact(width)
        .zip(scale)
        .flat_map(|(row, &scale)| row.iter().map(move |&v| scale * v))
        .collect()
}

struct FirstTask<'a> {
    points: &'a [f32],
    first: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for FirstTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        first_layer(simd, self.points, self.first, self.out);
    }
}

struct ShiftTask<'a> {
    offsets: &'a [f32],
    mixed: &'a Mixed,
    out: &'a mut [f32],
}

impl WithSimd for ShiftTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        shift_offsets(simd, self.offsets, self.mixed, self.out);
    }
}

vectorized! {
    /// Adds row `of[r]` of `shifts` to row `r`, and takes the ReLU; what is not a number stays so.
    pub(crate) fn shift_and_clamp(rows: &mut [f32], shifts: &[f32], of: &[u32]) {
        let width = rows.len() / of.len();
        for (row, &of) in rows.chunks_exact_mut(width).zip(of) {
            for (value, shift) in row.iter_mut().zip(&shifts[of as usize * width..][..width]) {
                let sum = *value + shift;
                *value = if sum < 0.0 { 0.0 } else { sum };
            }
        }
    }

    /// The largest of each column over the `k` rows of a patch, plus the column's bias; columns are a multiple of 16.
    fn largest_of_patches(rows: &[f32], k: usize, into: Largest<'_>) {
        let columns = into.bias.len();
        let patches = into.value.chunks_exact_mut(columns).zip(into.point.chunks_exact_mut(columns));
        for (rows, (value, point)) in rows.chunks_exact(k * columns).zip(patches) {
            for column in (0..columns).step_by(LANES) {
                let (mut best, mut at) = ([f32::NEG_INFINITY; LANES], [0u32; LANES]);
                best.copy_from_slice(&rows[column..][..LANES]);
                for (number, row) in rows.chunks_exact(columns).enumerate() {
                    let row: &[f32; LANES] = row[column..].first_chunk().expect("whole lanes");
                    for lane in 0..LANES {
                        let is_larger = row[lane] > best[lane];
                        best[lane] = if is_larger { row[lane] } else { best[lane] };
                        at[lane] = if is_larger { number as u32 } else { at[lane] };
                    }
                }
                for lane in 0..LANES {
                    value[column + lane] = best[lane] + into.bias[column + lane];
                    point[column + lane] = at[lane] as u16;
                }
            }
        }
    }
}
