//! The forward passes: statistics of both BatchNorms first, then tokens, no activation kept.
//!
//! Pass 1 forms the first layer's output block by block and takes from it the maxima of `local`, its sums per patch and its
//! Gram matrix. The mixing layer is affine in that output and in the patch's maximum, so the second BatchNorm's statistics
//! follow from these; pass 2 mixes, normalises and takes the last maximum. Chunks of patches are fixed by their number
//! alone, and their sums are added in order: results do not depend on the number of threads.

use candle_core::Result;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::activations::first_layer;
use super::aligned::AlignedBuffer;
use super::bf16_passes::Bf16Pass;
use super::cut::Cut;
use super::first_pass::{FirstPass, FirstPassPlan, run_first_pass};
use super::flat::{ChannelMoments, CountedMoments, FlatWeights, PointMoments};
use super::mixed_statistics::{MixedStatistics, MixedSums, find_offsets};
use super::prepared::{Local, Mixed, shift_offsets};
use super::tile::{ActivationRows, Largest, Start, max_over_patches, product};
use crate::linear::Precision;
use crate::parts::{BatchParts, add_parts};

/// What backward needs of a forward pass, besides its arguments.
pub(crate) struct SavedPasses {
    /// Of the products, backward's too.
    pub(crate) precision: Precision,
    pub(crate) cut: Cut,
    /// Points that statistics are of, in all parts of the batch.
    pub(crate) rows: f64,
    pub(crate) local: Local,
    pub(crate) mixed: Mixed,
    pub(crate) moments: PointMoments,
    pub(crate) norms: [ChannelMoments; 2],
    /// [P, c2]: maximum of `local` over the patch, and the point that has it.
    pub(crate) summary: AlignedBuffer,
    pub(crate) summary_point: Vec<u16>,
    /// [P, c1]: sum of the first layer's output over the patch.
    pub(crate) sums: AlignedBuffer,
    /// [P, c3]: what the mixing layer adds to every point of the patch.
    pub(crate) offset: AlignedBuffer,
    /// [P, d]: the point with the largest output.
    pub(crate) token_point: Vec<u16>,
    /// `[c1]`: mean of the first layer's output, and `[c3, c1]`: sum over all rows of mixed x first, both of this part. Empty with
    /// running statistics.
    pub(crate) first_mean: Vec<f64>,
    pub(crate) mixed_by_first: Vec<f64>,
}

/// Running statistics, or none for those of the batch.
pub(crate) type Running = Option<[ChannelMoments; 2]>;

/// How a forward pass is run.
#[derive(Clone, Copy)]
pub(crate) struct ForwardPlan<'a> {
    pub(crate) running: &'a Running,
    pub(crate) precision: Precision,
    /// `None`: the patches are all that there are.
    pub(crate) parts: Option<&'a dyn BatchParts>,
}

/// Tokens [P, d] of patches [P, K, 3].
pub(crate) fn forward(
    patches: &[f32],
    k: usize,
    flat: FlatWeights<'_>,
    plan: ForwardPlan<'_>,
) -> Result<(Vec<f32>, SavedPasses)> {
    let ForwardPlan { running, precision, parts } = plan;
    let cut = Cut::new(patches.len() / (3 * k), k);
    let CountedMoments { moments, rows } = PointMoments::measure(patches, parts)?;
    let first_norm = match running {
        Some([norm, _]) => norm.clone(),
        None => moments.push_through(&flat.values[flat.ranges.first.clone()]),
    };
    let local = Local::new(flat, &first_norm);
    let train = running.is_none();
    let wide = match precision {
        Precision::F32 => None,
        Precision::Bf16(engine) => Some(Bf16Pass { cut, local: &local, flat, engine }),
    };
    let seen = run_first_pass(patches, wide.as_ref(), FirstPassPlan { cut, local: &local, with_gram: train });
    let offsets = find_offsets(cut, &local, &seen, train);
    let MixedStatistics { first_mean, mixed_by_first, norm: second_norm } = match running {
        Some([_, norm]) => MixedStatistics::from_running(norm),
        None => find_mixed(&local, MixedSums::new(cut, &local, &seen, offsets.sums), parts)?
            .keep_channels(flat.widths.c3),
    };
    let mixed = Mixed::new(flat, &local, &second_norm);
    let layers = Layers { local: &local, mixed: &mixed };
    let (tokens, token_point) = match wide {
        None => find_tokens(patches, cut, layers, &offsets.values, flat.widths.d),
        Some(pass) => pass.find_tokens(patches, &mixed, &offsets.values),
    };
    let FirstPass { summary, summary_point, sums, .. } = seen;
    #[rustfmt::skip]
    let saved = SavedPasses {
        precision, cut, rows, local, mixed, moments, norms: [first_norm, second_norm], summary, summary_point, sums,
        offset: offsets.values, token_point, first_mean, mixed_by_first,
    };
    Ok((tokens, saved))
}

/// Mean and variance of all parts; what backward adds up is of this one.
fn find_mixed(local: &Local, mut sums: MixedSums, parts: Option<&dyn BatchParts>) -> Result<MixedStatistics> {
    let own = MixedStatistics::new(local, &sums);
    if parts.is_none() {
        return Ok(own);
    }
    add_parts(parts, "moments of the mixing layer", &mut sums.0)?;
    Ok(MixedStatistics { norm: MixedStatistics::new(local, &sums).norm, ..own })
}

/// What pass 2 runs.
#[derive(Clone, Copy)]
struct Layers<'a> {
    local: &'a Local,
    mixed: &'a Mixed,
}

/// Pass 2: tokens [P, d] and the points they come from [P, padded d].
fn find_tokens(
    patches: &[f32],
    cut: Cut,
    layers: Layers<'_>,
    offsets: &[f32],
    d: usize,
) -> (Vec<f32>, Vec<u16>) {
    let width = layers.local.width;
    let mut tokens = vec![0.0f32; cut.patches * d];
    let mut token_point = vec![0u16; cut.patches * width.d];
    patches
        .par_chunks(cut.chunk * cut.k * 3)
        .zip(offsets.par_chunks(cut.chunk * width.c3))
        .zip(tokens.par_chunks_mut(cut.chunk * d))
        .zip(token_point.par_chunks_mut(cut.chunk * width.d))
        .for_each(|(((points, offsets), tokens), token_point)| {
            Arch::new().dispatch(TokenPass { cut, layers, points, offsets, tokens, token_point });
        });
    (tokens, token_point)
}

struct TokenPass<'a> {
    cut: Cut,
    layers: Layers<'a>,
    points: &'a [f32],
    offsets: &'a [f32],
    tokens: &'a mut [f32],
    token_point: &'a mut [u16],
}

impl WithSimd for TokenPass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (Layers { local, mixed }, k, block) = (self.layers, self.cut.k, self.cut.block);
        let (width, d) = (local.width, self.tokens.len() * local.width.d / self.token_point.len());
        let mut first = AlignedBuffer::zeros(block * k * width.c1);
        let mut second = AlignedBuffer::zeros(block * k * width.c3);
        let mut shifts = AlignedBuffer::zeros(block * width.c3);
        let mut value = AlignedBuffer::zeros(block * width.d);
        let of: Vec<u32> = (0..block * k).map(|row| (row / k) as u32).collect();
        let blocks = self.points.chunks(block * k * 3).zip(self.offsets.chunks(block * width.c3));
        let outputs = self.tokens.chunks_mut(block * d).zip(self.token_point.chunks_mut(block * width.d));
        for ((points, offsets), (tokens, point)) in blocks.zip(outputs) {
            first_layer(simd, points, &local.first, &mut first);
            shift_offsets(simd, offsets, mixed, &mut shifts);
            let start = Start { rows: &shifts, of: &of[..points.len() / 3], relu: true };
            let rows = ActivationRows { data: &first, stride: width.c1 };
            product(simd, rows, &mixed.merged, start, &mut second);
            let rows = ActivationRows { data: &second, stride: width.c3 };
            let value = &mut value[..point.len()];
            max_over_patches(simd, rows, k, &mixed.out, Largest { value, point, bias: &mixed.out_bias });
            for (token, value) in tokens.chunks_exact_mut(d).zip(value.chunks_exact(width.d)) {
                token.copy_from_slice(&value[..d]);
            }
        }
    }
}
