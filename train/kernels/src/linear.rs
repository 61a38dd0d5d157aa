//! The linear layer.
//!
//! Forward `y = x W^T + b`; backward `dx = dy W`, `dW += dy^T x`, `db += sum over rows of dy`.

use jepa3d_products::{Matrix, Product};

use super::affine::{Affine, AffineGradient};
use super::rows::{add_column_sums, fill_rows};

/// Sets `out [n, outputs]` from `x [n, inputs]`.
pub(crate) fn linear(out: &mut [f32], x: &[f32], layer: Affine<'_>) {
    let (outputs, inputs) = (layer.bias.len(), layer.weight.len() / layer.bias.len());
    fill_rows(out, layer.bias);
    let weight = Matrix::new(layer.weight, inputs).transpose();
    Product::new(Matrix::new(x, inputs), weight).add_to(out, outputs);
}

/// Sets `dx`, adds to `gradient`, given `dy`, the gradient of the output.
pub(crate) fn linear_backward(
    dx: &mut [f32],
    gradient: &mut AffineGradient<'_>,
    x: &[f32],
    weight: &[f32],
    dy: &[f32],
) {
    let (outputs, inputs) = (gradient.bias.len(), weight.len() / gradient.bias.len());
    let dy_rows = Matrix::new(dy, outputs);
    add_column_sums(gradient.bias, dy);
    Product::new(dy_rows.transpose(), Matrix::new(x, inputs)).add_to(gradient.weight, inputs);
    Product::new(dy_rows, Matrix::new(weight, inputs)).write_to(dx, inputs);
}
