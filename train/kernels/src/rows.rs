//! Loops over rows, whose sums are in an order that is always the same.

use jepa3d_products::vectorized;

/// Lanes of a reduction: fixed, so that sums do not depend on the processor's vectors.
pub(crate) const LANES: usize = 16;

/// Sum of the values, in an order that is always the same.
#[inline(always)]
pub(crate) fn sum_with(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for chunk in whole {
        for i in 0..LANES {
            lanes[i] += f(chunk[i]);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += f(x);
    }
    fold(lanes)
}

/// Dot product, in an order that is always the same.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let ((left, left_rest), (right, right_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (x, y) in left.iter().zip(right) {
        for i in 0..LANES {
            lanes[i] += x[i] * y[i];
        }
    }
    for ((lane, x), y) in lanes.iter_mut().zip(left_rest).zip(right_rest) {
        *lane += x * y;
    }
    fold(lanes)
}

#[inline(always)]
pub(crate) fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Writes `bias` into every row: where a product is then added.
pub(crate) fn fill_rows(out: &mut [f32], bias: &[f32]) {
    for row in out.chunks_exact_mut(bias.len()) {
        row.copy_from_slice(bias);
    }
}

vectorized! {
    /// `sums[j] += sum over rows of x[i, j]`.
    pub(crate) fn add_column_sums(sums: &mut [f32], x: &[f32]) {
        for row in x.chunks_exact(sums.len()) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }

    /// `out += x`.
    pub(crate) fn add(out: &mut [f32], x: &[f32]) {
        for (out, &value) in out.iter_mut().zip(x) {
            *out += value;
        }
    }
}
