//! The parameters of one step in the forms the passes read: folded with BatchNorm, merged, padded and packed.

use pulp::{Arch, Simd, WithSimd};

use super::aligned::AlignedBuffer;
use super::flat::{ChannelMoments, FlatWeights, ScaleShift, Widths};
use super::tile::{ActivationRows, Packed, Start, add_transposed, product};

/// What does not depend on the second BatchNorm.
pub(crate) struct Local {
    pub(crate) width: Widths,
    /// First layer and BatchNorm in one, [4, c1]: x, y, z, constant.
    pub(crate) first: AlignedBuffer,
    /// c1 -> c2
    pub(crate) lift: Packed,
    pub(crate) lift_bias: AlignedBuffer,
    /// Global part of the mixing layer, c2 -> c3, and what the lift's bias adds behind its local part.
    pub(crate) mix_global: Packed,
    pub(crate) merged_bias: AlignedBuffer,
    /// Local part of the mixing layer times the lift, [c3, c1]: both are linear, so `local` need not be mixed.
    pub(crate) merged: AlignedBuffer,
}

/// What follows the second BatchNorm: its scale is folded into `merged`, its shift into a start value of each patch.
pub(crate) struct Mixed {
    pub(crate) scale: AlignedBuffer,
    pub(crate) shift: AlignedBuffer,
    /// c1 -> c3
    pub(crate) merged: Packed,
    /// c3 -> d
    pub(crate) out: Packed,
    pub(crate) out_bias: AlignedBuffer,
}

impl Local {
    pub(crate) fn new(flat: FlatWeights<'_>, norm: &ChannelMoments) -> Self {
        let (values, at) = (flat.values, flat.ranges);
        let width = flat.widths.pad();
        let lift = lift_rows(flat);
        let lift_bias = pad_vector(&values[at.lift_bias.clone()], width.c2);
        let mix_local = local_rows(flat);
        let mut merged_bias = AlignedBuffer::zeros(width.c3);
        for (slot, row) in merged_bias.iter_mut().zip(mix_local.chunks_exact(width.c2)) {
            let sum: f64 = row.iter().zip(&*lift_bias).map(|(&w, &b)| f64::from(w) * f64::from(b)).sum();
            *slot = sum as f32;
        }
        Self {
            width,
            first: fold_first(flat, norm),
            lift: pack_transposed(&lift, width.c1),
            mix_global: pack_transposed(&global_rows(flat), width.c2),
            lift_bias,
            merged_bias,
            merged: multiply(&mix_local, &pack_rows(&lift, width.c2)),
        }
    }
}

impl Mixed {
    pub(crate) fn new(flat: FlatWeights<'_>, local: &Local, norm: &ChannelMoments) -> Self {
        let (values, at, width) = (flat.values, flat.ranges, local.width);
        let (mut scale, mut shift) = (AlignedBuffer::zeros(width.c3), AlignedBuffer::zeros(width.c3));
        for c in 0..flat.widths.c3 {
            let folded = norm.fold(c, values[at.bn2_weight.start + c], values[at.bn2_bias.start + c]);
            (scale[c], shift[c]) = (folded.scale as f32, folded.shift as f32);
        }
        Self {
            merged: pack(width.c1, width.c3, |j, c| scale[c] * local.merged[c * width.c1 + j]),
            out: pack_transposed(&out_rows(flat), width.c3),
            out_bias: pad_vector(&values[at.out_bias.clone()], width.d),
            scale,
            shift,
        }
    }
}

/// What the second BatchNorm makes of a patch's offset: scale * offset + shift, [n, c3].
#[inline(always)]
pub(crate) fn shift_offsets<S: Simd>(simd: S, offsets: &[f32], mixed: &Mixed, out: &mut [f32]) {
    let (scale, shift) = (S::as_simd_f32s(&mixed.scale).0, S::as_simd_f32s(&mixed.shift).0);
    let c3 = mixed.scale.len();
    for (out, offset) in out.chunks_exact_mut(c3).zip(offsets.chunks_exact(c3)) {
        let out = S::as_mut_simd_f32s(out).0.iter_mut().zip(S::as_simd_f32s(offset).0);
        for (c, (out, &offset)) in out.enumerate() {
            *out = simd.mul_add_e_f32s(scale[c], offset, shift[c]);
        }
    }
}

/// The first layer and its BatchNorm as one affine map, [4, c1].
fn fold_first(flat: FlatWeights<'_>, norm: &ChannelMoments) -> AlignedBuffer {
    let (values, at, c1) = (flat.values, flat.ranges, flat.widths.pad().c1);
    let mut folded = AlignedBuffer::zeros(4 * c1);
    for c in 0..flat.widths.c1 {
        let ScaleShift { scale, shift } =
            norm.fold(c, values[at.bn1_weight.start + c], values[at.bn1_bias.start + c]);
        for axis in 0..3 {
            folded[axis * c1 + c] = (scale * f64::from(values[at.first.start + c * 3 + axis])) as f32;
        }
        folded[3 * c1 + c] = shift as f32;
    }
    folded
}

/// The lift, padded [c2, c1].
pub(crate) fn lift_rows(flat: FlatWeights<'_>) -> AlignedBuffer {
    let (from, to) = (flat.widths, flat.widths.pad());
    let (from, to) = (WeightShape::new(from.c2, from.c1), WeightShape::new(to.c2, to.c1));
    pad(&flat.values[flat.ranges.lift.clone()], from, to)
}

/// The last layer, padded [d, c3].
pub(crate) fn out_rows(flat: FlatWeights<'_>) -> AlignedBuffer {
    let (from, to) = (flat.widths, flat.widths.pad());
    let (from, to) = (WeightShape::new(from.d, from.c3), WeightShape::new(to.d, to.c3));
    pad(&flat.values[flat.ranges.out.clone()], from, to)
}

/// Local part of the mixing layer, padded [c3, c2].
pub(crate) fn local_rows(flat: FlatWeights<'_>) -> AlignedBuffer {
    half_of_mix(flat, flat.widths.c2)
}

/// Global part of the mixing layer, padded [c3, c2].
pub(crate) fn global_rows(flat: FlatWeights<'_>) -> AlignedBuffer {
    half_of_mix(flat, 0)
}

fn half_of_mix(flat: FlatWeights<'_>, first: usize) -> AlignedBuffer {
    let (width, c2) = (flat.widths.pad(), flat.widths.c2);
    let mut rows = AlignedBuffer::zeros(width.c3 * width.c2);
    let mix = &flat.values[flat.ranges.mix.clone()];
    for (to, from) in rows.chunks_exact_mut(width.c2).zip(mix.chunks_exact(2 * c2)) {
        to[..c2].copy_from_slice(&from[first..first + c2]);
    }
    rows
}

/// Rows and columns of a weight.
#[derive(Clone, Copy)]
struct WeightShape {
    rows: usize,
    columns: usize,
}

impl WeightShape {
    fn new(rows: usize, columns: usize) -> Self {
        Self { rows, columns }
    }
}

/// Adds rows and columns of zeros to `values` of shape `from`.
fn pad(values: &[f32], from: WeightShape, to: WeightShape) -> AlignedBuffer {
    let mut out = AlignedBuffer::zeros(to.rows * to.columns);
    let rows = values.chunks_exact(from.columns).take(from.rows);
    for (to, from) in out.chunks_exact_mut(to.columns).zip(rows) {
        to[..from.len()].copy_from_slice(from);
    }
    out
}

/// Adds zeros up to `len`.
fn pad_vector(values: &[f32], len: usize) -> AlignedBuffer {
    pad(values, WeightShape::new(1, values.len()), WeightShape::new(1, len))
}

/// Packs `columns` columns of `depth` rows for this processor.
pub(crate) fn pack(depth: usize, columns: usize, value: impl Fn(usize, usize) -> f32) -> Packed {
    Packed::new(depth, columns, panel_width(), value)
}

/// Packs a padded weight [out, depth] as depth -> out.
pub(crate) fn pack_transposed(weight: &[f32], depth: usize) -> Packed {
    pack(depth, weight.len() / depth, |d, c| weight[c * depth + d])
}

/// Packs padded rows [depth, columns] as they are.
pub(crate) fn pack_rows(rows: &[f32], depth: usize) -> Packed {
    let columns = rows.len() / depth;
    pack(depth, columns, |d, c| rows[d * columns + c])
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
pub(crate) fn multiply(rows: &[f32], weights: &Packed) -> AlignedBuffer {
    struct Task<'a> {
        rows: &'a [f32],
        weights: &'a Packed,
        out: AlignedBuffer,
    }
    impl WithSimd for Task<'_> {
        type Output = AlignedBuffer;
        #[inline(always)]
        fn with_simd<S: Simd>(mut self, simd: S) -> AlignedBuffer {
            let zeros = AlignedBuffer::zeros(self.weights.columns);
            let of = vec![0; self.rows.len() / self.weights.depth];
            let rows = ActivationRows { data: self.rows, stride: self.weights.depth };
            product(simd, rows, self.weights, Start { rows: &zeros, of: &of, relu: false }, &mut self.out);
            self.out
        }
    }
    let out = AlignedBuffer::zeros(rows.len() / weights.depth * weights.columns);
    Arch::new().dispatch(Task { rows, weights, out })
}

/// a^T b of a [n, i] and b [n, j] -> [i, j].
pub(crate) fn multiply_transposed(a: &[f32], b: &[f32], n: usize) -> AlignedBuffer {
    struct Task<'a> {
        a: ActivationRows<'a>,
        b: ActivationRows<'a>,
        out: AlignedBuffer,
    }
    impl WithSimd for Task<'_> {
        type Output = AlignedBuffer;
        #[inline(always)]
        fn with_simd<S: Simd>(mut self, simd: S) -> AlignedBuffer {
            add_transposed(simd, self.a, self.b, &mut self.out, false);
            self.out
        }
    }
    let (i, j) = (a.len() / n, b.len() / n);
    let (a, b) = (ActivationRows { data: a, stride: i }, ActivationRows { data: b, stride: j });
    Arch::new().dispatch(Task { a, b, out: AlignedBuffer::zeros(i * j) })
}
