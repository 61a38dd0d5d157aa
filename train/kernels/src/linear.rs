//! The linear layer.
//!
//! Forward `y = x W^T + b`; backward `dx = dy W`, `dW = sum over chunks of dy^T x`, `db = sum over rows of dy`. Its products are
//! taken in `f32` or in `bf16` ([`Precision`]); everything else is `f32`.

use jepa3d_products::{Bf16Engine, Bf16Left, Bf16Product, Bf16Right, Matrix, Product, Recycled};

use super::rows::fill_rows;

/// What the factors of a linear layer's products are rounded to; sums are always `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Nothing is rounded.
    #[default]
    F32,
    /// Weights, activations and their gradients, where they are multiplied.
    Bf16(Bf16Engine),
}

/// A weight as the right factor of many products in `bf16`: packed once, and the engine that multiplies.
#[derive(Debug)]
pub(crate) struct Bf16Factor {
    packed: Bf16Right,
    engine: Bf16Engine,
}

impl Bf16Factor {
    pub(crate) fn new(weight: Matrix<'_, f32>, engine: Bf16Engine) -> Self {
        Self { packed: Bf16Right::pack(weight), engine }
    }

    /// The engine, for products with other factors.
    pub(crate) fn engine(&self) -> Bf16Engine {
        self.engine
    }

    /// Sets `out`, whose rows are `width` long, to the product with `x`.
    pub(crate) fn multiply(&self, out: &mut [f32], x: Matrix<'_, f32>, width: usize) {
        let left = Bf16Left::pack(x);
        Bf16Product { left: &left, right: &self.packed, engine: self.engine }.write_to(out, width);
    }

    /// Adds the product with `x` to `out`, whose rows are `width` long.
    fn add(&self, out: &mut [f32], x: Matrix<'_, f32>, width: usize) {
        let left = Bf16Left::pack(x);
        Bf16Product { left: &left, right: &self.packed, engine: self.engine }.add_to(out, width);
    }
}

/// A weight as the right factor of many products.
#[derive(Debug)]
pub(crate) enum RightFactor<'a> {
    F32(Matrix<'a, f32>),
    Bf16(Bf16Factor),
}

impl<'a> RightFactor<'a> {
    pub(crate) fn new(weight: Matrix<'a, f32>, precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32(weight),
            Precision::Bf16(engine) => Self::Bf16(Bf16Factor::new(weight, engine)),
        }
    }

    /// Sets `out [n, outputs]` to `bias` plus the product with `x`.
    pub(crate) fn apply(&self, out: &mut [f32], x: Matrix<'_, f32>, bias: &[f32]) {
        fill_rows(out, bias);
        match self {
            Self::F32(weight) => Product::new(x, *weight).add_to(out, bias.len()),
            Self::Bf16(factor) => factor.add(out, x, bias.len()),
        }
    }

    /// Sets `out`, whose rows are `width` long, to the product with `x`.
    pub(crate) fn multiply(&self, out: &mut [f32], x: Matrix<'_, f32>, width: usize) {
        match self {
            Self::F32(weight) => Product::new(x, *weight).write_to(out, width),
            Self::Bf16(factor) => factor.multiply(out, x, width),
        }
    }
}

/// What one chunk of rows adds to the gradient of a weight: `dy^T x`, not multiplied yet.
#[derive(Debug)]
pub(crate) enum GradientFactors {
    F32 { dy: Recycled<f32>, x: Recycled<f32> },
    Bf16 { dy: Bf16Left, x: Bf16Right, engine: Bf16Engine },
}

/// Numbers of a row of both factors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerWidths {
    pub outputs: usize,
    pub inputs: usize,
}

impl GradientFactors {
    /// Of `dy [n, outputs]` and `x [n, inputs]`.
    pub(crate) fn new(
        dy: Recycled<f32>,
        x: Recycled<f32>,
        widths: LayerWidths,
        precision: Precision,
    ) -> Self {
        match precision {
            Precision::F32 => Self::F32 { dy, x },
            Precision::Bf16(engine) => Self::Bf16 {
                dy: Bf16Left::pack(Matrix::new(&dy, widths.outputs).transpose()),
                x: Bf16Right::pack(Matrix::new(&x, widths.inputs)),
                engine,
            },
        }
    }

    /// Adds rows `first..` of the product to `out`, as many as it has; `first` is a multiple of [`Self::ROWS`].
    pub(crate) fn add_rows_to(&self, out: &mut [f32], first: usize, widths: LayerWidths) {
        let rows = out.len() / widths.inputs;
        match self {
            Self::F32 { dy, x } => {
                let dy = Matrix::new(dy, widths.outputs).columns(first, rows).transpose();
                Product::new(dy, Matrix::new(x, widths.inputs)).add_to(out, widths.inputs);
            }
            Self::Bf16 { dy, x, engine } => {
                const BLOCK: usize = Bf16Product::BLOCK;
                let blocks = first / BLOCK..(first + rows).div_ceil(BLOCK);
                Bf16Product { left: dy, right: x, engine: *engine }.add_blocks_to(blocks, out, widths.inputs);
            }
        }
    }

    /// Rows of a weight's gradient that are summed as one task.
    pub(crate) const ROWS: usize = 4 * Bf16Product::BLOCK;
}
