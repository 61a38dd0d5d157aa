//! The products of the sparse pass, on the rows that get a gradient: in `f32` in registers, or in `bf16`.

use jepa3d_products::{Bf16Left, Bf16Product, Bf16Right, Matrix};
use pulp::Simd;

use super::bf16_passes::{scale_rows, shift_and_clamp};
use super::forward::SavedPasses;
use super::prepared::pack_rows;
use super::tile::{ActivationRows, Packed, Start, add_transposed, product};
use crate::linear::{Bf16Factor, Precision};

/// The merged layer with the second BatchNorm's scale, in both directions.
pub(crate) enum RowProducts<'a> {
    F32 {
        /// c1 -> c3
        forward: &'a Packed,
        /// c3 -> c1
        back: Packed,
    },
    Bf16 {
        forward: Bf16Factor,
        back: Bf16Factor,
    },
}

/// Rows [n, c1] and [n, c3] on both sides of the merged layer.
#[derive(Clone, Copy)]
pub(crate) struct RowFactors<'a> {
    pub first: &'a [f32],
    pub gradient: &'a [f32],
    pub c3: usize,
}

impl<'a> RowProducts<'a> {
    /// In the precision of the forward passes, so that what is computed again is the same.
    pub(crate) fn new(saved: &'a SavedPasses) -> Self {
        let (c1, c3) = (saved.local.width.c1, saved.local.width.c3);
        let scaled = scale_rows(&saved.local.merged, &saved.mixed.scale);
        match saved.precision {
            Precision::F32 => Self::F32 { forward: &saved.mixed.merged, back: pack_rows(&scaled, c3) },
            Precision::Bf16(engine) => {
                let scaled = Matrix::new(&scaled, c1);
                let forward = Bf16Factor::new(scaled.transpose(), engine);
                Self::Bf16 { forward, back: Bf16Factor::new(scaled, engine) }
            }
        }
    }

    /// Sets `second` [n, c3] to relu(row `of[r]` of `shifts` + merged `first`), for `first` [n, c1].
    #[inline(always)]
    pub(crate) fn activate<S: Simd>(
        &self,
        simd: S,
        first: ActivationRows<'_>,
        start: Start<'_>,
        second: &mut [f32],
    ) {
        match self {
            Self::F32 { forward, .. } => product(simd, first, forward, start, second),
            Self::Bf16 { forward, .. } => {
                let (n, c3) = (start.of.len(), second.len() / start.of.len());
                forward.multiply(second, Matrix::new(&first.data[..n * first.stride], first.stride), c3);
                shift_and_clamp(second, start.rows, start.of);
            }
        }
    }

    /// Adds the merged layer's gradient to `merged` [c3, c1].
    #[inline(always)]
    pub(crate) fn add_weight_gradient<S: Simd>(&self, simd: S, rows: RowFactors<'_>, merged: &mut [f32]) {
        let RowFactors { first, gradient, c3 } = rows;
        let c1 = merged.len() / c3;
        match self {
            Self::F32 { .. } => {
                let (gradient, first) = (
                    ActivationRows { data: gradient, stride: c3 },
                    ActivationRows { data: first, stride: c1 },
                );
                add_transposed(simd, gradient, first, merged, false);
            }
            Self::Bf16 { forward, .. } => {
                let left = Bf16Left::pack(Matrix::new(gradient, c3).transpose());
                let right = Bf16Right::pack(Matrix::new(first, c1));
                Bf16Product { left: &left, right: &right, engine: forward.engine() }.add_to(merged, c1);
            }
        }
    }

    /// Sets `back` [n, c1] to the gradient of the first layer's output.
    #[inline(always)]
    pub(crate) fn multiply_back<S: Simd>(&self, simd: S, rows: RowFactors<'_>, back: &mut [f32]) {
        let RowFactors { gradient, c3, .. } = rows;
        let c1 = back.len() * c3 / gradient.len();
        match self {
            Self::F32 { back: weights, .. } => {
                let (zeros, of) = (vec![0.0; c1], vec![0; gradient.len() / c3]);
                let start = Start { rows: &zeros, of: &of, relu: false };
                product(simd, ActivationRows { data: gradient, stride: c3 }, weights, start, back);
            }
            Self::Bf16 { back: weights, .. } => weights.multiply(back, Matrix::new(gradient, c3), c1),
        }
    }
}
