//! Puts the parts found by the two backward passes together: the gradient of the flat parameters.

use candle_core::Result;

use super::activations::{add_wide, sum_chunks, total};
use super::aligned::AlignedBuffer;
use super::dense::{DenseGradients, NormBackward, run_dense};
use super::flat::{FlatWeights, dot};
use super::forward::SavedPasses;
use super::prepared::{local_rows, multiply, multiply_transposed};
use super::sparse::{SparseFindings, run_sparse};
use crate::parts::{BatchParts, add_parts};

/// What a backward pass belongs to.
#[derive(Clone, Copy)]
pub(crate) struct BackwardPass<'a> {
    pub(crate) saved: &'a SavedPasses,
    /// With the statistics of the batch.
    pub(crate) is_training: bool,
    /// `None`: the patches are all that there are.
    pub(crate) parts: Option<&'a dyn BatchParts>,
}

/// Gradient of the flat parameters, given that of the tokens [P, d]; of a part of a batch its share of it.
pub(crate) fn backward(
    points: &[f32],
    tokens: &[f32],
    flat: FlatWeights<'_>,
    pass: BackwardPass<'_>,
) -> Result<Vec<f32>> {
    let BackwardPass { saved, is_training, parts } = pass;
    let gradient = vec![0.0f32; flat.ranges.len()];
    let mut assembly = Assembly { flat, saved, is_training, parts, gradient };
    assembly.last_bias(tokens);
    let sparse = run_sparse(points, tokens, flat, saved);
    let norm = assembly.second_norm(&sparse)?;
    let dense = run_dense(points, flat, saved, &sparse, &norm.backward);
    assembly.last_layers(&sparse, &dense, &norm);
    assembly.first_layer(&dense);
    Ok(assembly.gradient)
}

/// The gradient of the flat parameters in the making.
struct Assembly<'a> {
    flat: FlatWeights<'a>,
    saved: &'a SavedPasses,
    is_training: bool,
    parts: Option<&'a dyn BatchParts>,
    gradient: Vec<f32>,
}

/// What the second BatchNorm passes on.
struct SecondNorm {
    backward: NormBackward,
    /// [c3, c1], f64
    merged: Vec<f64>,
}

impl Assembly<'_> {
    fn last_bias(&mut self, tokens: &[f32]) {
        let d = self.flat.widths.d;
        let mut bias = vec![0.0; d];
        tokens.chunks_exact(d).for_each(|row| add_wide(row, &mut bias));
        narrow(&bias, &mut self.gradient[self.flat.ranges.out_bias.clone()]);
    }

    /// Gradients of the second BatchNorm, and what it passes on.
    fn second_norm(&mut self, sparse: &SparseFindings) -> Result<SecondNorm> {
        let (flat, saved, gradient) = (self.flat, self.saved, &mut self.gradient);
        let (width, norm) = (saved.local.width, &saved.norms[1]);
        let merged = total(sparse.chunks.iter().map(|part| &part.merged), width.c3 * width.c1);
        let (mut sum, mut by_offset) = (vec![0.0; width.c3], vec![0.0; width.c3]);
        for (sums, offset) in
            sparse.patch_sums.chunks_exact(width.c3).zip(saved.offset.chunks_exact(width.c3))
        {
            for c in 0..width.c3 {
                sum[c] += f64::from(sums[c]);
                by_offset[c] += f64::from(sums[c]) * f64::from(offset[c]);
            }
        }
        let mut weights = vec![0.0; flat.widths.c3];
        for c in 0..flat.widths.c3 {
            let row = c * width.c1..(c + 1) * width.c1;
            let by_local: f64 = merged[row.clone()]
                .iter()
                .zip(&saved.local.merged[row])
                .map(|(&g, &m)| g * f64::from(m))
                .sum();
            let inverse = norm.inverse_std(c);
            let weight = (by_local + by_offset[c] - norm.mean[c] * sum[c]) * inverse;
            gradient[flat.ranges.bn2_weight.start + c] = weight as f32;
            gradient[flat.ranges.bn2_bias.start + c] = sum[c] as f32;
            weights[c] = weight;
        }
        sum.truncate(flat.widths.c3);
        Ok(SecondNorm { backward: self.pass_on([sum, weights].concat())?, merged })
    }

    /// What the second BatchNorm takes away from every row of all parts: `sums` are those of the gradients behind it, then those
    /// times what is normed, `[2, c3]`, of this part.
    fn pass_on(&self, mut sums: Vec<f64>) -> Result<NormBackward> {
        let (saved, norm, c3) = (self.saved, &self.saved.norms[1], self.saved.local.width.c3);
        let mut backward =
            NormBackward { constant: AlignedBuffer::zeros(c3), slope: AlignedBuffer::zeros(c3) };
        if !self.is_training {
            return Ok(backward);
        }
        add_parts(self.parts, "gradients of the second batch norm", &mut sums)?;
        let (sum, weights) = sums.split_at(sums.len() / 2);
        for (c, (sum, weight)) in sum.iter().zip(weights).enumerate() {
            let scale = f64::from(saved.mixed.scale[c]);
            let slope = scale * weight * norm.inverse_std(c) / saved.rows;
            backward.slope[c] = slope as f32;
            backward.constant[c] = (scale * sum / saved.rows - slope * norm.mean[c]) as f32;
        }
        Ok(backward)
    }

    /// Gradients of the last layer, the mixing layer and the lift. The lift's bias moves every mixed row by the same amount,
    /// through the maximum too, and the batch's mean takes it away again: its gradient is exactly 0 in training, and rounding
    /// errors in its place would be steps to AdamW.
    fn last_layers(&mut self, sparse: &SparseFindings, dense: &[DenseGradients], norm: &SecondNorm) {
        let (flat, saved, gradient) = (self.flat, self.saved, &mut self.gradient);
        let (width, c2, at) = (saved.local.width, flat.widths.c2, flat.ranges);
        let out = total(sparse.chunks.iter().map(|part| &part.out), width.d * width.c3);
        rows_into(&out, width.c3, &mut gradient[at.out.clone()], flat.widths.c3);
        let offset = sum_chunks(dense.iter().map(|part| &part.offset), width.c3);
        let merged = merged_gradient(saved, norm);
        let mut mix_local = multiply(&merged, &saved.local.lift);
        for (row, &g) in mix_local.chunks_exact_mut(width.c2).zip(&offset) {
            row.iter_mut().zip(&*saved.local.lift_bias).for_each(|(to, &b)| *to += g as f32 * b);
        }
        let mix_global = total(dense.iter().map(|part| &part.mix_global), width.c3 * width.c2);
        let global = mix_global.chunks_exact(width.c2);
        for ((to, global), local) in gradient[at.mix.clone()]
            .chunks_exact_mut(2 * c2)
            .zip(global)
            .zip(mix_local.chunks_exact(width.c2))
        {
            narrow(&global[..c2], &mut to[..c2]);
            to[c2..].copy_from_slice(&local[..c2]);
        }
        let mix = local_rows(flat);
        let through_mix = multiply_transposed(&mix, &merged, width.c3);
        let mut lift = total(dense.iter().map(|part| &part.lift), width.c2 * width.c1);
        add_wide(&through_mix, &mut lift);
        rows_into(&lift, width.c1, &mut gradient[at.lift.clone()], flat.widths.c1);
        if !self.is_training {
            let mut bias = sum_chunks(dense.iter().map(|part| &part.summary), width.c2);
            for (row, &g) in mix.chunks_exact(width.c2).zip(&offset) {
                bias.iter_mut().zip(row).for_each(|(b, &w)| *b += f64::from(w) * g);
            }
            narrow(&bias[..c2], &mut gradient[at.lift_bias.clone()]);
        }
    }

    /// Gradients of the first layer and its BatchNorm; its statistics follow from the points' moments here too. What the norm takes
    /// away is linear in the sums of a part and in the moments of all, so that shares of parts add up without a meeting.
    fn first_layer(&mut self, dense: &[DenseGradients]) {
        let (flat, saved, gradient) = (self.flat, self.saved, &mut self.gradient);
        let (at, c1) = (flat.ranges, saved.local.width.c1);
        let found = sum_chunks(dense.iter().map(|part| &part.first), 4 * c1);
        let weights = flat.values[at.first.clone()].as_chunks::<3>().0;
        for (c, w) in weights.iter().enumerate() {
            let (w, norm) = (w.map(f64::from), &saved.norms[0]);
            let (inverse, by_point, sum) =
                (norm.inverse_std(c), [0, 1, 2].map(|a| found[a * c1 + c]), found[3 * c1 + c]);
            let weight = (dot(w, by_point) - norm.mean[c] * sum) * inverse;
            gradient[at.bn1_weight.start + c] = weight as f32;
            gradient[at.bn1_bias.start + c] = sum as f32;
            let scale = f64::from(flat.values[at.bn1_weight.start + c]) * inverse;
            let along = saved.moments.along(w);
            for axis in 0..3 {
                let common = sum * saved.moments.mean[axis] + weight * inverse * along[axis];
                let value = scale * (by_point[axis] - if self.is_training { common } else { 0.0 });
                gradient[at.first.start + c * 3 + axis] = value as f32;
            }
        }
    }
}

/// Gradient of the merged layer [c3, c1]: the sparse part, scaled, and BatchNorm's part of every row.
fn merged_gradient(saved: &SavedPasses, norm: &SecondNorm) -> AlignedBuffer {
    let width = saved.local.width;
    let n = (saved.cut.patches * saved.cut.k) as f64;
    let mut merged = AlignedBuffer::zeros(width.c3 * width.c1);
    for (c, row) in merged.chunks_exact_mut(width.c1).enumerate() {
        let channel = |v: &AlignedBuffer| f64::from(v[c]);
        let (scale, constant) = (channel(&saved.mixed.scale), channel(&norm.backward.constant) * n);
        for (j, to) in row.iter_mut().enumerate() {
            let at = c * width.c1 + j;
            // With running statistics there is no second part, and its sums are not kept.
            let dense = saved.first_mean.get(j).map_or(0.0, |mean| {
                constant * mean + channel(&norm.backward.slope) * saved.mixed_by_first[at]
            });
            *to = (scale * norm.merged[at] - dense) as f32;
        }
    }
    merged
}

fn narrow(from: &[f64], to: &mut [f32]) {
    to.iter_mut().zip(from).for_each(|(to, &v)| *to = v as f32);
}

/// Padded rows into rows of their true width.
fn rows_into(from: &[f64], stride: usize, to: &mut [f32], columns: usize) {
    for (to, from) in to.chunks_exact_mut(columns).zip(from.chunks_exact(stride)) {
        narrow(&from[..columns], to);
    }
}
