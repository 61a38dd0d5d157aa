//! Products of dense matrices that lie in slices, in `f32` or `f64`.
//!
//! `gemm` takes raw pointers; [`product_into`] checks that every element it will touch exists, so that its callers
//! need no `unsafe`. Work is split over rows of the result in blocks of a fixed size, so that the bits of the result do
//! not depend on the number of threads.
#![allow(
    unsafe_code,
    reason = "gemm reads and writes through raw pointers; bounds are asserted beside the call"
)]

use gemm::Parallelism;
use rayon::prelude::*;

/// Rows of a block: one task of [`product`].
const BLOCK: usize = 128;

/// A number that `gemm` multiplies.
pub trait Number: Copy + Send + Sync + Default + 'static {
    /// 1.
    const ONE: Self;
}

impl Number for f32 {
    const ONE: Self = 1.0;
}

impl Number for f64 {
    const ONE: Self = 1.0;
}

/// A matrix in a slice: element `(r, c)` is `values[r * row_step + c * column_step]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Row-major `values` with `columns` columns.
    pub fn new(values: &'a [T], columns: usize) -> Self {
        let rows = values.len().checked_div(columns).unwrap_or(0);
        Self { values, rows, columns, row_step: columns, column_step: 1 }
    }

    /// Rows that begin `row_step` elements apart.
    pub fn strided(values: &'a [T], rows: usize, columns: usize, row_step: usize) -> Self {
        Self { values, rows, columns, row_step, column_step: 1 }
    }

    /// The same numbers with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_step: self.column_step,
            column_step: self.row_step,
            ..self
        }
    }

    /// `count` of the columns of a row-major matrix.
    pub fn columns(self, start: usize, count: usize) -> Self {
        assert!(self.column_step == 1 && start + count <= self.columns, "columns of a matrix");
        Self { values: &self.values[start.min(self.values.len())..], columns: count, ..self }
    }

    fn tail(self, row: usize, rows: usize) -> Self {
        Self { values: &self.values[row * self.row_step..], rows, ..self }
    }

    fn last(&self) -> usize {
        (self.rows.max(1) - 1) * self.row_step + (self.columns.max(1) - 1) * self.column_step
    }
}

/// What a product does with what was in its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Overwrites it.
    Set,
    /// Adds to it.
    Add,
}

/// `out[r, c] = sum_k a[r, k] b[k, c]` on one thread; rows of `out` start `step` apart.
///
/// # Panics
/// If the inner sizes differ or `out` is too small.
pub fn product_into<T: Number>(out: &mut [T], step: usize, a: Matrix<'_, T>, b: Matrix<'_, T>) {
    scaled_product_into(out, step, Store::Set, T::ONE, (a, b));
}

/// `out = scale * a b`, or `out += scale * a b`, on one thread; rows of `out` start `step` apart.
///
/// # Panics
/// If the inner sizes differ or `out` is too small.
pub fn scaled_product_into<T: Number>(
    out: &mut [T],
    step: usize,
    how: Store,
    scale: T,
    (a, b): (Matrix<'_, T>, Matrix<'_, T>),
) {
    assert_eq!(a.columns, b.rows, "inner sizes of a product");
    if a.rows == 0 || b.columns == 0 {
        return;
    }
    assert!(step >= b.columns && out.len() >= (a.rows - 1) * step + b.columns, "room for a product");
    let is_added = how == Store::Add;
    if a.columns == 0 {
        let rows = if is_added { 0 } else { a.rows };
        out.chunks_mut(step).take(rows).for_each(|row| row[..b.columns].fill(T::default()));
        return;
    }
    assert!(a.last() < a.values.len() && b.last() < b.values.len(), "factors of a product");
    // SAFETY: the assertions above bound every element that the sizes and steps reach, in both factors and in `out`,
    // which no factor can overlap because it is borrowed mutably.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            step as isize,
            is_added,
            a.values.as_ptr(),
            a.column_step as isize,
            a.row_step as isize,
            b.values.as_ptr(),
            b.column_step as isize,
            b.row_step as isize,
            if is_added { T::ONE } else { T::default() },
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// `a b`, row-major, on all threads of the current pool.
///
/// # Panics
/// If the inner sizes differ.
pub fn product<T: Number>(a: Matrix<'_, T>, b: Matrix<'_, T>) -> Vec<T> {
    let mut out = vec![T::default(); a.rows * b.columns];
    if out.is_empty() {
        return out;
    }
    out.par_chunks_mut(BLOCK * b.columns).enumerate().for_each(|(block, out)| {
        let rows = out.len() / b.columns;
        product_into(out, b.columns, a.tail(block * BLOCK, rows), b);
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Draws;

    fn numbers(n: usize, step: f64) -> Vec<f64> {
        (0..n).map(|i| (i as f64 * step).sin()).collect()
    }

    #[test]
    fn equals_the_definition_in_every_layout() {
        let (m, k, n) = (300, 7, 5);
        let (a, b) = (numbers(m * k, 0.7), numbers(k * n, 1.3));
        let at: Vec<f64> = (0..k * m).map(|i| a[(i % m) * k + i / m]).collect();
        let bt: Vec<f64> = (0..k * n).map(|i| b[(i % k) * n + i / k]).collect();
        let lefts = [Matrix::new(&a, k), Matrix::new(&at, m).transposed()];
        let rights = [Matrix::new(&b, n), Matrix::new(&bt, k).transposed()];
        for (left, right) in lefts.into_iter().flat_map(|l| rights.map(|r| (l, r))) {
            let out = product(left, right);
            for (i, &found) in out.iter().enumerate() {
                let expected: f64 = (0..k).map(|j| a[i / n * k + j] * b[j * n + i % n]).sum();
                assert!((found - expected).abs() < 1e-12, "{i}: {found} {expected}");
            }
        }
    }

    #[test]
    fn rows_of_the_result_may_stand_apart() {
        let (a, b) = ([1.0f32, 2.0, 3.0, 4.0], [1.0f32, 0.0, 0.0, 1.0]);
        let mut out = [9.0; 6];
        product_into(&mut out, 3, Matrix::new(&a, 2), Matrix::new(&b, 2));
        assert_eq!(out, [1.0, 2.0, 9.0, 3.0, 4.0, 9.0]);
    }

    #[test]
    fn no_inner_size_gives_zeros() {
        assert_eq!(
            product::<f32>(
                Matrix { rows: 2, ..Matrix::new(&[], 0) },
                Matrix { columns: 3, ..Matrix::new(&[], 0) }
            ),
            [0.0; 6]
        );
    }

    fn naive(a: &Matrix<'_, f32>, b: &Matrix<'_, f32>) -> Vec<f32> {
        let at =
            |m: &Matrix<'_, f32>, i: usize, j: usize| f64::from(m.values[i * m.row_step + j * m.column_step]);
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
                (Matrix::new(&left, k), Matrix::new(&right, n)),
                (Matrix::new(&left, m).transposed(), Matrix::new(&right, k).transposed()),
            ] {
                let want = naive(&a, &b);
                let mut out = vec![1.0; m * n];
                scaled_product_into(&mut out, n, Store::Add, 1.0, (a, b));
                let near = |x: f32, y: f32| (x - y).abs() < 1e-4 * (1.0 + y.abs());
                assert!(out.iter().zip(&want).all(|(&x, &y)| near(x, y + 1.0)), "{m} {n} {k}");
                scaled_product_into(&mut out, n, Store::Set, 1.0, (a, b));
                assert!(out.iter().zip(&want).all(|(&x, &y)| near(x, y)));
            }
        }
    }

    #[test]
    #[should_panic(expected = "inner sizes")]
    fn sizes_that_do_not_fit_are_refused() {
        let data = [0.0; 6];
        product_into(&mut [0.0; 4], 2, Matrix::new(&data, 3), Matrix::new(&data, 3));
    }
}
