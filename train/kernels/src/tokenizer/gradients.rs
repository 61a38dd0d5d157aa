//! Puts the parts found by the passes together: the gradient of the flat parameters.

use super::backward::{Sparse, sparse};
use super::buffer::Buffer;
use super::dense::{Backward, Dense, dense};
use super::forward::{Running, Saved};
use super::parameters::{Flat, dot};
use super::prepared::{local_rows, multiply, multiply_transposed};
use super::rows::{add_wide, sum_chunks};

/// Gradient of the flat parameters, given that of the tokens [P, d].
pub(super) fn backward(
    points: &[f32],
    tokens: &[f32],
    flat: Flat<'_>,
    saved: &Saved,
    running: &Running,
) -> Vec<f32> {
    let mut gradient = vec![0.0f32; flat.layout.len()];
    let d = flat.widths.d;
    let mut out_bias = vec![0.0; d];
    tokens.chunks_exact(d).for_each(|row| add_wide(row, &mut out_bias));
    narrow(&out_bias, &mut gradient[flat.layout.out_bias.clone()]);
    let (patch_sums, parts) = sparse(points, tokens, flat, saved);
    let norm = second_norm(flat, saved, (&patch_sums, &parts), running.is_none(), &mut gradient);
    let rest = dense(points, flat, saved, (&patch_sums, &parts), &norm.backward);
    last_layers(flat, saved, (&parts, &rest), &norm, &mut gradient);
    first_layer(flat, saved, &rest, running.is_none(), &mut gradient);
    gradient
}

/// What the second BatchNorm passes on.
struct SecondNorm {
    backward: Backward,
    /// [c3, c1], f64
    merged: Vec<f64>,
}

fn second_norm(
    flat: Flat<'_>,
    saved: &Saved,
    (patch_sums, parts): (&[f32], &[Sparse]),
    train: bool,
    gradient: &mut [f32],
) -> SecondNorm {
    let (width, norm) = (saved.local.width, &saved.norms[1]);
    let merged = total(parts.iter().map(|part| &part.merged), width.c3 * width.c1);
    let (mut sum, mut by_offset) = (vec![0.0; width.c3], vec![0.0; width.c3]);
    for (sums, offset) in patch_sums.chunks_exact(width.c3).zip(saved.offset.chunks_exact(width.c3)) {
        for c in 0..width.c3 {
            sum[c] += f64::from(sums[c]);
            by_offset[c] += f64::from(sums[c]) * f64::from(offset[c]);
        }
    }
    let n = (saved.cut.patches * saved.cut.k) as f64;
    let mut backward = Backward { constant: Buffer::zeros(width.c3), slope: Buffer::zeros(width.c3) };
    for c in 0..flat.widths.c3 {
        let row = c * width.c1..(c + 1) * width.c1;
        let by_local: f64 =
            merged[row.clone()].iter().zip(&saved.local.merged[row]).map(|(&g, &m)| g * f64::from(m)).sum();
        let inverse = norm.inverse_std(c);
        let weight = (by_local + by_offset[c] - norm.mean[c] * sum[c]) * inverse;
        gradient[flat.layout.bn2_weight.start + c] = weight as f32;
        gradient[flat.layout.bn2_bias.start + c] = sum[c] as f32;
        if train {
            let scale = f64::from(saved.mixed.scale[c]);
            let slope = scale * weight * inverse / n;
            backward.slope[c] = slope as f32;
            backward.constant[c] = (scale * sum[c] / n - slope * norm.mean[c]) as f32;
        }
    }
    SecondNorm { backward, merged }
}

/// Gradients of the last layer, the mixing layer and the lift. The lift's bias moves every mixed row by the same amount,
/// through the maximum too, and the batch's mean takes it away again: its gradient is exactly 0 in training, and rounding
/// errors in its place would be steps to AdamW.
fn last_layers(
    flat: Flat<'_>,
    saved: &Saved,
    (parts, rest): (&[Sparse], &[Dense]),
    norm: &SecondNorm,
    gradient: &mut [f32],
) {
    let train = !saved.first_mean.is_empty();
    let (width, c2, at) = (saved.local.width, flat.widths.c2, flat.layout);
    let out = total(parts.iter().map(|part| &part.out), width.d * width.c3);
    rows_into(&out, width.c3, &mut gradient[at.out.clone()], flat.widths.c3);
    let offset = sum_chunks(rest.iter().map(|part| part.offset.clone()), width.c3);
    let merged = merged_gradient(saved, norm);
    let mut mix_local = multiply(&merged, &saved.local.lift);
    for (row, &g) in mix_local.chunks_exact_mut(width.c2).zip(&offset) {
        row.iter_mut().zip(&*saved.local.lift_bias).for_each(|(to, &b)| *to += g as f32 * b);
    }
    let mix_global = total(rest.iter().map(|part| &part.mix_global), width.c3 * width.c2);
    let global = mix_global.chunks_exact(width.c2);
    for ((to, global), local) in
        gradient[at.mix.clone()].chunks_exact_mut(2 * c2).zip(global).zip(mix_local.chunks_exact(width.c2))
    {
        narrow(&global[..c2], &mut to[..c2]);
        to[c2..].copy_from_slice(&local[..c2]);
    }
    let mix = local_rows(flat);
    let through_mix = multiply_transposed(&mix, &merged, width.c3);
    let mut lift = total(rest.iter().map(|part| &part.lift), width.c2 * width.c1);
    add_wide(&through_mix, &mut lift);
    rows_into(&lift, width.c1, &mut gradient[at.lift.clone()], flat.widths.c1);
    if !train {
        let mut bias = sum_chunks(rest.iter().map(|part| part.summary.clone()), width.c2);
        for (row, &g) in mix.chunks_exact(width.c2).zip(&offset) {
            bias.iter_mut().zip(row).for_each(|(b, &w)| *b += f64::from(w) * g);
        }
        narrow(&bias[..c2], &mut gradient[at.lift_bias.clone()]);
    }
}

/// Gradient of the merged layer [c3, c1]: the sparse part, scaled, and BatchNorm's part of every row.
fn merged_gradient(saved: &Saved, norm: &SecondNorm) -> Buffer {
    let width = saved.local.width;
    let n = (saved.cut.patches * saved.cut.k) as f64;
    let mut merged = Buffer::zeros(width.c3 * width.c1);
    for (c, row) in merged.chunks_exact_mut(width.c1).enumerate() {
        let of = |v: &Buffer| f64::from(v[c]);
        let (scale, constant) = (of(&saved.mixed.scale), of(&norm.backward.constant) * n);
        for (j, to) in row.iter_mut().enumerate() {
            let at = c * width.c1 + j;
            // With running statistics there is no second part, and its sums are not kept.
            let dense = saved
                .first_mean
                .get(j)
                .map_or(0.0, |mean| constant * mean + of(&norm.backward.slope) * saved.mixed_by_first[at]);
            *to = (scale * norm.merged[at] - dense) as f32;
        }
    }
    merged
}

/// Gradients of the first layer and its BatchNorm; its statistics follow from the points' moments here too.
fn first_layer(flat: Flat<'_>, saved: &Saved, rest: &[Dense], train: bool, gradient: &mut [f32]) {
    let (at, c1) = (flat.layout, saved.local.width.c1);
    let found = sum_chunks(rest.iter().map(|part| part.first.clone()), 4 * c1);
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
            let value = scale * (by_point[axis] - if train { common } else { 0.0 });
            gradient[at.first.start + c * 3 + axis] = value as f32;
        }
    }
}

/// Sum of the chunks' parts, in their order.
fn total<'a>(parts: impl Iterator<Item = &'a Buffer>, len: usize) -> Vec<f64> {
    let mut sum = vec![0.0; len];
    parts.for_each(|part| add_wide(part, &mut sum));
    sum
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
