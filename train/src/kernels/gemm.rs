//! Matrix products on slices: a checked face of the `gemm` crate.

#![allow(unsafe_code, reason = "gemm takes pointers; bounds are checked here")]

use gemm::Parallelism;

/// A matrix on a slice: element `(i, j)` is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix without gaps.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that begin `row_stride` elements apart.
    pub(crate) fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        let matrix = Self { data, rows, columns, row_stride, column_stride: 1 };
        assert!(matrix.end() <= data.len(), "a matrix of {rows} x {columns} needs more than {}", data.len());
        matrix
    }

    /// The transpose, without a copy.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn end(&self) -> usize {
        if self.rows == 0 || self.columns == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1
    }
}

/// What a product does with what was in its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// Overwrites it.
    Set,
    /// Adds to it.
    Add,
}

/// `out = scale * a b`, or `out += scale * a b`, on one thread; rows of `out` begin `row_stride` apart.
///
/// # Panics
/// If the inner sizes differ or `out` is too short.
pub(crate) fn product_into(
    out: &mut [f32],
    row_stride: usize,
    how: Store,
    scale: f32,
    (a, b): (Matrix<'_>, Matrix<'_>),
) {
    assert_eq!(a.columns, b.rows, "inner sizes of a product");
    let (m, n, k) = (a.rows, b.columns, a.columns);
    if m == 0 || n == 0 {
        return;
    }
    assert!(n <= row_stride && (m - 1) * row_stride + n <= out.len(), "output of a product is too short");
    let (alpha, is_added) = (f32::from(how == Store::Add), how == Store::Add);
    // SAFETY: `out` holds (m - 1) rows of `row_stride` and n more elements (checked above) and is borrowed
    // mutably, so it overlaps neither input; both inputs hold their last element (checked when they were made,
    // and a transpose has the same last element). Strides fit isize because they index slices.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            row_stride as isize,
            is_added,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            alpha,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// `out = a b` or `out += a b`, row-major without gaps, on one thread.
///
/// # Panics
/// If sizes do not fit.
pub(crate) fn product(out: &mut [f32], how: Store, a: Matrix<'_>, b: Matrix<'_>) {
    product_into(out, b.columns, how, 1.0, (a, b));
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Draws;

    fn naive(a: &Matrix<'_>, b: &Matrix<'_>) -> Vec<f32> {
        let at =
            |m: &Matrix<'_>, i: usize, j: usize| f64::from(m.data[i * m.row_stride + j * m.column_stride]);
        let mut out = Vec::new();
        for i in 0..a.rows {
            for j in 0..b.columns {
                out.push((0..a.columns).map(|k| at(a, i, k) * at(b, k, j)).sum::<f64>() as f32);
            }
        }
        out
    }

    #[test]
    fn products_equal_the_definition() {
        for seed in 0..60 {
            let mut draws = Draws::new(seed, "gemm", "test");
            let (m, n, k) = (1 + draws.index(40), 1 + draws.index(40), 1 + draws.index(40));
            let mut fill = |len: usize| (0..len).map(|_| draws.normal() as f32).collect::<Vec<_>>();
            let (left, right) = (fill(m * k), fill(k * n));
            for (a, b) in [
                (Matrix::new(&left, m, k), Matrix::new(&right, k, n)),
                (Matrix::new(&left, k, m).t(), Matrix::new(&right, n, k).t()),
            ] {
                let want = naive(&a, &b);
                let mut out = vec![1.0; m * n];
                product(&mut out, Store::Add, a, b);
                let near = |x: f32, y: f32| (x - y).abs() < 1e-4 * (1.0 + y.abs());
                assert!(out.iter().zip(&want).all(|(&x, &y)| near(x, y + 1.0)), "{m} {n} {k}");
                product(&mut out, Store::Set, a, b);
                assert!(out.iter().zip(&want).all(|(&x, &y)| near(x, y)));
            }
        }
    }

    #[test]
    #[should_panic(expected = "inner sizes")]
    fn sizes_that_do_not_fit_are_refused() {
        let data = [0.0; 6];
        product(&mut [0.0; 4], Store::Set, Matrix::new(&data, 2, 3), Matrix::new(&data, 2, 3));
    }
}
