//! Matrix products on tiles of a few rows and two vectors of columns, with what follows them done in registers.
//!
//! A general product writes its result to memory for the next operation to read; here the maximum over a patch, the start
//! value and the ReLU are part of the tile. Weights are packed once per step, activations are read where they lie. Everything
//! is inlined into one function per vector width (see `pulp`), hence `inline(always)` and plain loops.

use std::ops::Range;

use pulp::Simd;

use super::aligned::AlignedBuffer;

/// Widths are rounded up to this many channels, the widest panel; channels beyond the true width hold zeros.
pub(crate) const PAD: usize = 32;
/// Rows of a tile where registers are plenty (AVX-512) and where not.
const TALL: usize = 8;
const SHORT: usize = 4;

/// A right-hand side `[depth, columns]` as panels of two vectors: `[panel]``[depth]``[2 vectors]`.
pub(crate) struct Packed {
    data: AlignedBuffer,
    pub(crate) depth: usize,
    pub(crate) columns: usize,
    width: usize,
}

impl Packed {
    /// Packs `columns` columns (a multiple of [`PAD`]) for panels of `width` columns.
    pub(crate) fn new(
        depth: usize,
        columns: usize,
        width: usize,
        value: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let mut data = AlignedBuffer::zeros(depth * columns);
        for (panel, rows) in data.chunks_exact_mut(depth * width).enumerate() {
            for (d, row) in rows.chunks_exact_mut(width).enumerate() {
                for (j, slot) in row.iter_mut().enumerate() {
                    *slot = value(d, panel * width + j);
                }
            }
        }
        Self { data, depth, columns, width }
    }

    #[inline(always)]
    fn panel(&self, first_column: usize) -> &[f32] {
        &self.data[first_column * self.depth..][..self.width * self.depth]
    }
}

/// Row-major rows [n, stride].
#[derive(Clone, Copy)]
pub(crate) struct ActivationRows<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) stride: usize,
}

impl<'a> ActivationRows<'a> {
    /// `M` rows from `first`, none beyond `last` (which is repeated).
    #[inline(always)]
    fn take<const M: usize>(self, depth: usize, first: usize, last: usize) -> [&'a [f32]; M] {
        let mut rows = [&self.data[..0]; M];
        for i in 0..M {
            rows[i] = &self.data[(first + i).min(last) * self.stride..][..depth];
        }
        rows
    }
}

type RegisterTile<S, const M: usize> = [[<S as Simd>::f32s; 2]; M];

/// `start` + rows x panel.
#[inline(always)]
fn tile<S: Simd, const M: usize>(
    simd: S,
    rows: [&[f32]; M],
    panel: &[f32],
    start: RegisterTile<S, M>,
) -> RegisterTile<S, M> {
    let pairs = S::as_simd_f32s(panel).0.as_chunks::<2>().0;
    let mut sums = start;
    for d in 0..rows[0].len().min(pairs.len()) {
        for i in 0..M {
            let a = simd.splat_f32s(rows[i][d]);
            sums[i][0] = simd.mul_add_e_f32s(a, pairs[d][0], sums[i][0]);
            sums[i][1] = simd.mul_add_e_f32s(a, pairs[d][1], sums[i][1]);
        }
    }
    sums
}

#[inline(always)]
fn load<S: Simd>(from: &[f32]) -> [S::f32s; 2] {
    S::as_simd_f32s(from).0.as_chunks::<2>().0[0]
}

#[inline(always)]
fn store<S: Simd>(values: [S::f32s; 2], into: &mut [f32]) {
    S::as_mut_simd_f32s(into).0.as_chunks_mut::<2>().0[0] = values;
}

/// Where [`max_over_patches`] leaves the largest value of each patch and column, plus the column's bias, and its point.
pub(crate) struct Largest<'a> {
    /// [P, columns]
    pub(crate) value: &'a mut [f32],
    /// [P, columns]: the lowest index in the patch that has it.
    pub(crate) point: &'a mut [u16],
    /// `[columns]`
    pub(crate) bias: &'a [f32],
}

/// max over the `k` rows of each patch of (rows x weights), in one go.
#[inline(always)]
pub(crate) fn max_over_patches<S: Simd>(
    simd: S,
    rows: ActivationRows<'_>,
    k: usize,
    weights: &Packed,
    into: Largest<'_>,
) {
    if S::F32_LANES >= 16 {
        max_tiles::<S, TALL>(simd, rows, k, weights, into);
    } else {
        max_tiles::<S, SHORT>(simd, rows, k, weights, into);
    }
}

#[inline(always)]
fn max_tiles<S: Simd, const M: usize>(
    simd: S,
    rows: ActivationRows<'_>,
    k: usize,
    weights: &Packed,
    into: Largest<'_>,
) {
    let patches = into.value.len() / weights.columns;
    let width = 2 * S::F32_LANES;
    for column in (0..weights.columns).step_by(width) {
        let panel = weights.panel(column);
        for patch in 0..patches {
            let PatchMaximum { best, at } =
                max_of_patch::<S, M>(simd, rows, patch * k..(patch + 1) * k, panel, weights.depth);
            let bias = load::<S>(&into.bias[column..][..width]);
            let to = patch * weights.columns + column;
            let sum = [simd.add_f32s(best[0], bias[0]), simd.add_f32s(best[1], bias[1])];
            store::<S>(sum, &mut into.value[to..][..width]);
            let mut points = [0.0f32; PAD];
            store::<S>(at, &mut points[..width]);
            for (slot, &point) in into.point[to..][..width].iter_mut().zip(&points) {
                *slot = point as u16;
            }
        }
    }
}

/// Of each column of a panel, its largest value over a patch, and the row within the patch that has it (as a number).
struct PatchMaximum<S: Simd> {
    best: [S::f32s; 2],
    at: [S::f32s; 2],
}

/// Looks at the rows `patch`.
#[inline(always)]
fn max_of_patch<S: Simd, const M: usize>(
    simd: S,
    rows: ActivationRows<'_>,
    patch: Range<usize>,
    panel: &[f32],
    depth: usize,
) -> PatchMaximum<S> {
    let zero = [simd.splat_f32s(0.0); 2];
    let (mut best, mut at) = (zero, zero);
    for row in (0..patch.len()).step_by(M) {
        let sums = tile::<S, M>(simd, rows.take(depth, patch.start + row, patch.end - 1), panel, [zero; M]);
        if row == 0 {
            best = sums[0];
        }
        for i in 0..M {
            let here = simd.splat_f32s((row + i) as f32);
            for j in 0..2 {
                // Repeated rows at the end are never larger than the row they repeat.
                let larger = simd.greater_than_f32s(sums[i][j], best[j]);
                best[j] = simd.select_f32s(larger, sums[i][j], best[j]);
                at[j] = simd.select_f32s(larger, here, at[j]);
            }
        }
    }
    PatchMaximum { best, at }
}

/// What a product starts from and ends with.
#[derive(Clone, Copy)]
pub(crate) struct Start<'a> {
    /// Row `of[r]` of `rows` is added to row `r` of the result.
    pub(crate) rows: &'a [f32],
    pub(crate) of: &'a [u32],
    /// Whether negative sums become 0.
    pub(crate) relu: bool,
}

/// out [n, columns] = start + rows x weights, for the `start.of.len()` first rows.
#[inline(always)]
pub(crate) fn product<S: Simd>(
    simd: S,
    rows: ActivationRows<'_>,
    weights: &Packed,
    start: Start<'_>,
    out: &mut [f32],
) {
    if S::F32_LANES >= 16 {
        product_tiles::<S, TALL>(simd, rows, weights, start, out);
    } else {
        product_tiles::<S, SHORT>(simd, rows, weights, start, out);
    }
}

#[inline(always)]
fn product_tiles<S: Simd, const M: usize>(
    simd: S,
    rows: ActivationRows<'_>,
    weights: &Packed,
    start: Start<'_>,
    out: &mut [f32],
) {
    let (n, width) = (start.of.len(), 2 * S::F32_LANES);
    let zero = simd.splat_f32s(0.0);
    for column in (0..weights.columns).step_by(width) {
        let panel = weights.panel(column);
        for row in (0..n).step_by(M) {
            let mut sums = [[zero; 2]; M];
            for i in 0..M {
                let from = start.of[(row + i).min(n - 1)] as usize * weights.columns + column;
                sums[i] = load::<S>(&start.rows[from..][..width]);
            }
            sums = tile::<S, M>(simd, rows.take(weights.depth, row, n - 1), panel, sums);
            for i in 0..M.min(n - row) {
                if start.relu {
                    // In this order the maximum of a NaN is NaN.
                    sums[i] = [simd.max_f32s(zero, sums[i][0]), simd.max_f32s(zero, sums[i][1])];
                }
                store::<S>(sums[i], &mut out[(row + i) * weights.columns + column..][..width]);
            }
        }
    }
}

/// out [a.stride, b.stride] += a^T b over the rows of `a`; with `upper`, tiles wholly below the diagonal are left out.
#[inline(always)]
pub(crate) fn add_transposed<S: Simd>(
    simd: S,
    a: ActivationRows<'_>,
    b: ActivationRows<'_>,
    out: &mut [f32],
    upper: bool,
) {
    if S::F32_LANES >= 16 {
        transposed_tiles::<S, TALL>(simd, a, b, out, upper);
    } else {
        transposed_tiles::<S, SHORT>(simd, a, b, out, upper);
    }
}

#[inline(always)]
fn transposed_tiles<S: Simd, const M: usize>(
    simd: S,
    a: ActivationRows<'_>,
    b: ActivationRows<'_>,
    out: &mut [f32],
    upper: bool,
) {
    let width = 2 * S::F32_LANES;
    for column in (0..b.stride).step_by(width) {
        for row in (0..a.stride).step_by(M) {
            if upper && column + width <= row {
                continue;
            }
            let mut sums = [[simd.splat_f32s(0.0); 2]; M];
            for i in 0..M {
                sums[i] = load::<S>(&out[(row + i) * b.stride + column..][..width]);
            }
            for d in 0..a.data.len() / a.stride {
                let left =
                    a.data[d * a.stride + row..].first_chunk::<M>().expect("strides are multiples of a tile");
                let right = load::<S>(&b.data[d * b.stride + column..][..width]);
                for i in 0..M {
                    let value = simd.splat_f32s(left[i]);
                    sums[i][0] = simd.mul_add_e_f32s(value, right[0], sums[i][0]);
                    sums[i][1] = simd.mul_add_e_f32s(value, right[1], sums[i][1]);
                }
            }
            for i in 0..M {
                store::<S>(sums[i], &mut out[(row + i) * b.stride + column..][..width]);
            }
        }
    }
}
