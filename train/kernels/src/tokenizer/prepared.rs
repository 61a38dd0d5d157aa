//! The parameters of one step in the forms the passes read: folded with BatchNorm, merged, padded and packed.

use pulp::{Arch, Simd, WithSimd};

use super::buffer::Buffer;
use super::parameters::{Flat, Norm, Widths};
use super::tile::{Packed, Rows, Start, add_transposed, product};

/// What does not depend on the second BatchNorm.
pub(super) struct Local {
    pub(super) width: Widths,
    /// First layer and BatchNorm in one, [4, c1]: x, y, z, constant.
    pub(super) first: Buffer,
    /// c1 -> c2
    pub(super) lift: Packed,
    pub(super) lift_bias: Buffer,
    /// Global part of the mixing layer, c2 -> c3, and what the lift's bias adds behind its local part.
    pub(super) mix_global: Packed,
    pub(super) merged_bias: Buffer,
    /// Local part of the mixing layer times the lift, [c3, c1]: both are linear, so `local` need not be mixed.
    pub(super) merged: Buffer,
}

/// What follows the second BatchNorm: its scale is folded into `merged`, its shift into a start value of each patch.
pub(super) struct Mixed {
    pub(super) scale: Buffer,
    pub(super) shift: Buffer,
    /// c1 -> c3
    pub(super) merged: Packed,
    /// c3 -> d
    pub(super) out: Packed,
    pub(super) out_bias: Buffer,
}

impl Local {
    pub(super) fn new(flat: Flat<'_>, norm: &Norm) -> Self {
        let (values, at) = (flat.values, flat.layout);
        let width = flat.widths.padded();
        let lift = lift_rows(flat);
        let lift_bias = padded(&values[at.lift_bias.clone()], (1, flat.widths.c2), (1, width.c2));
        let mix_local = local_rows(flat);
        let mut merged_bias = Buffer::zeros(width.c3);
        for (slot, row) in merged_bias.iter_mut().zip(mix_local.chunks_exact(width.c2)) {
            let sum: f64 = row.iter().zip(&*lift_bias).map(|(&w, &b)| f64::from(w) * f64::from(b)).sum();
            *slot = sum as f32;
        }
        Self {
            width,
            first: fold_first(flat, norm),
            lift: packed_transposed(&lift, width.c1),
            mix_global: packed_transposed(&global_rows(flat), width.c2),
            lift_bias,
            merged_bias,
            merged: multiply(&mix_local, &packed_rows(&lift, width.c2)),
        }
    }
}

impl Mixed {
    pub(super) fn new(flat: Flat<'_>, local: &Local, norm: &Norm) -> Self {
        let (values, at, width) = (flat.values, flat.layout, local.width);
        let (mut scale, mut shift) = (Buffer::zeros(width.c3), Buffer::zeros(width.c3));
        for c in 0..flat.widths.c3 {
            let (s, t) = norm.affine(c, values[at.bn2_weight.start + c], values[at.bn2_bias.start + c]);
            (scale[c], shift[c]) = (s as f32, t as f32);
        }
        Self {
            merged: packed(width.c1, width.c3, |j, c| scale[c] * local.merged[c * width.c1 + j]),
            out: packed_transposed(&out_rows(flat), width.c3),
            out_bias: padded(&values[at.out_bias.clone()], (1, flat.widths.d), (1, width.d)),
            scale,
            shift,
        }
    }
}

/// The first layer and its BatchNorm as one affine map, [4, c1].
fn fold_first(flat: Flat<'_>, norm: &Norm) -> Buffer {
    let (values, at, c1) = (flat.values, flat.layout, flat.widths.padded().c1);
    let mut folded = Buffer::zeros(4 * c1);
    for c in 0..flat.widths.c1 {
        let (scale, shift) = norm.affine(c, values[at.bn1_weight.start + c], values[at.bn1_bias.start + c]);
        for axis in 0..3 {
            folded[axis * c1 + c] = (scale * f64::from(values[at.first.start + c * 3 + axis])) as f32;
        }
        folded[3 * c1 + c] = shift as f32;
    }
    folded
}

/// The lift, padded [c2, c1].
pub(super) fn lift_rows(flat: Flat<'_>) -> Buffer {
    let (from, to) = (flat.widths, flat.widths.padded());
    padded(&flat.values[flat.layout.lift.clone()], (from.c2, from.c1), (to.c2, to.c1))
}

/// The last layer, padded [d, c3].
pub(super) fn out_rows(flat: Flat<'_>) -> Buffer {
    let (from, to) = (flat.widths, flat.widths.padded());
    padded(&flat.values[flat.layout.out.clone()], (from.d, from.c3), (to.d, to.c3))
}

/// Local part of the mixing layer, padded [c3, c2].
pub(super) fn local_rows(flat: Flat<'_>) -> Buffer {
    half_of_mix(flat, flat.widths.c2)
}

/// Global part of the mixing layer, padded [c3, c2].
pub(super) fn global_rows(flat: Flat<'_>) -> Buffer {
    half_of_mix(flat, 0)
}

fn half_of_mix(flat: Flat<'_>, first: usize) -> Buffer {
    let (width, c2) = (flat.widths.padded(), flat.widths.c2);
    let mut rows = Buffer::zeros(width.c3 * width.c2);
    let mix = &flat.values[flat.layout.mix.clone()];
    for (to, from) in rows.chunks_exact_mut(width.c2).zip(mix.chunks_exact(2 * c2)) {
        to[..c2].copy_from_slice(&from[first..first + c2]);
    }
    rows
}

/// Rows and columns of zeros added to `values` `[from]`.
pub(super) fn padded(values: &[f32], from: (usize, usize), to: (usize, usize)) -> Buffer {
    let mut out = Buffer::zeros(to.0 * to.1);
    for (to, from) in out.chunks_exact_mut(to.1).zip(values.chunks_exact(from.1).take(from.0)) {
        to[..from.len()].copy_from_slice(from);
    }
    out
}

/// Packs `columns` columns of `depth` rows for this processor.
pub(super) fn packed(depth: usize, columns: usize, value: impl Fn(usize, usize) -> f32) -> Packed {
    Packed::new(depth, columns, panel_width(), value)
}

/// Packs a padded weight [out, depth] as depth -> out.
pub(super) fn packed_transposed(weight: &[f32], depth: usize) -> Packed {
    packed(depth, weight.len() / depth, |d, c| weight[c * depth + d])
}

/// Packs padded rows [depth, columns] as they are.
pub(super) fn packed_rows(rows: &[f32], depth: usize) -> Packed {
    let columns = rows.len() / depth;
    packed(depth, columns, |d, c| rows[d * columns + c])
}

fn panel_width() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    2 * Arch::new().dispatch(Lanes)
}

/// rows [n, depth] x weights -> [n, columns].
pub(super) fn multiply(rows: &[f32], weights: &Packed) -> Buffer {
    struct Task<'a> {
        rows: &'a [f32],
        weights: &'a Packed,
        out: Buffer,
    }
    impl WithSimd for Task<'_> {
        type Output = Buffer;
        #[inline(always)]
        fn with_simd<S: Simd>(mut self, simd: S) -> Buffer {
            let zeros = Buffer::zeros(self.weights.columns);
            let of = vec![0; self.rows.len() / self.weights.depth];
            let rows = Rows { data: self.rows, stride: self.weights.depth };
            product(simd, rows, self.weights, Start { rows: &zeros, of: &of, relu: false }, &mut self.out);
            self.out
        }
    }
    let out = Buffer::zeros(rows.len() / weights.depth * weights.columns);
    Arch::new().dispatch(Task { rows, weights, out })
}

/// a^T b of a [n, i] and b [n, j] -> [i, j].
pub(super) fn multiply_transposed(a: &[f32], b: &[f32], n: usize) -> Buffer {
    struct Task<'a> {
        a: Rows<'a>,
        b: Rows<'a>,
        out: Buffer,
    }
    impl WithSimd for Task<'_> {
        type Output = Buffer;
        #[inline(always)]
        fn with_simd<S: Simd>(mut self, simd: S) -> Buffer {
            add_transposed(simd, self.a, self.b, &mut self.out, false);
            self.out
        }
    }
    let (i, j) = (a.len() / n, b.len() / n);
    let (a, b) = (Rows { data: a, stride: i }, Rows { data: b, stride: j });
    Arch::new().dispatch(Task { a, b, out: Buffer::zeros(i * j) })
}
