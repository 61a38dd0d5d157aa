//! The product of two matrices: into a slice on one thread, or into a vector on all.
//!
//! `gemm` takes raw pointers; [`Product`] checks that every element it will touch exists, so that its callers need no
//! `unsafe`.
#![allow(
    unsafe_code,
    reason = "gemm reads and writes through raw pointers; bounds are asserted beside the call"
)]

use gemm::Parallelism;
use rayon::prelude::*;

use crate::matrix::Matrix;

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

/// `scale * left right`, to be computed into a slice: element `(r, c)` is `scale * sum_k left[r, k] right[k, c]`.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a, T> {
    /// `[rows, inner]`.
    pub left: Matrix<'a, T>,
    /// `[inner, columns]`.
    pub right: Matrix<'a, T>,
    /// Multiplies every element of the result.
    pub scale: T,
}

impl<'a, T: Number> Product<'a, T> {
    /// `left right`, with a scale of 1.
    pub fn new(left: Matrix<'a, T>, right: Matrix<'a, T>) -> Self {
        Self { left, right, scale: T::ONE }
    }

    /// Overwrites `out`, whose rows start `step` apart; what lies between the rows stays. On one thread.
    ///
    /// # Panics
    /// If the inner sizes differ or `out` is too small.
    pub fn write_to(self, out: &mut [T], step: usize) {
        self.multiply(out, step, false);
    }

    /// Adds to `out`, whose rows start `step` apart. On one thread.
    ///
    /// # Panics
    /// If the inner sizes differ or `out` is too small.
    pub fn add_to(self, out: &mut [T], step: usize) {
        self.multiply(out, step, true);
    }

    fn multiply(self, out: &mut [T], step: usize, is_added: bool) {
        let Self { left, right, scale } = self;
        assert_eq!(left.columns, right.rows, "inner sizes of a product");
        if left.rows == 0 || right.columns == 0 {
            return;
        }
        let room = (left.rows - 1) * step + right.columns;
        assert!(step >= right.columns && out.len() >= room, "room for a product");
        if left.columns == 0 {
            let rows = if is_added { 0 } else { left.rows };
            out.chunks_mut(step).take(rows).for_each(|row| row[..right.columns].fill(T::default()));
            return;
        }
        assert!(left.last() < left.values.len() && right.last() < right.values.len(), "factors of a product");
        // SAFETY: the assertions above bound every element that the sizes and steps reach, in both factors and in
        // `out`, which no factor can overlap because it is borrowed mutably.
        unsafe {
            #[rustfmt::skip]
            gemm::gemm(
                left.rows, right.columns, left.columns,
                out.as_mut_ptr(), 1, step as isize, is_added,
                left.values.as_ptr(), left.column_step as isize, left.row_step as isize,
                right.values.as_ptr(), right.column_step as isize, right.row_step as isize,
                if is_added { T::ONE } else { T::default() }, scale,
                false, false, false, Parallelism::None,
            );
        }
    }
}

/// `left right`, row-major, on all threads of the current pool.
///
/// # Panics
/// If the inner sizes differ.
pub fn product<T: Number>(left: Matrix<'_, T>, right: Matrix<'_, T>) -> Vec<T> {
    let mut out = vec![T::default(); left.rows * right.columns];
    if out.is_empty() {
        return out;
    }
    out.par_chunks_mut(BLOCK * right.columns).enumerate().for_each(|(block, out)| {
        let rows = left.rows(block * BLOCK, out.len() / right.columns);
        Product::new(rows, right).write_to(out, right.columns);
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
        let lefts = [Matrix::new(&a, k), Matrix::new(&at, m).transpose()];
        let rights = [Matrix::new(&b, n), Matrix::new(&bt, k).transpose()];
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
        Product::new(Matrix::new(&a, 2), Matrix::new(&b, 2)).write_to(&mut out, 3);
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
                (Matrix::new(&left, m).transpose(), Matrix::new(&right, k).transpose()),
            ] {
                let want = naive(&a, &b);
                let near = |x: f32, y: f32| (x - y).abs() < 1e-4 * (1.0 + y.abs());
                let mut out = vec![1.0; m * n];
                Product::new(a, b).add_to(&mut out, n);
                assert!(out.iter().zip(&want).all(|(&x, &y)| near(x, y + 1.0)), "{m} {n} {k}");
                Product { scale: -2.0, ..Product::new(a, b) }.write_to(&mut out, n);
                assert!(out.iter().zip(&want).all(|(&x, &y)| near(x, -2.0 * y)), "{m} {n} {k}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "inner sizes")]
    fn sizes_that_do_not_fit_are_refused() {
        let data = [0.0; 6];
        Product::new(Matrix::new(&data, 3), Matrix::new(&data, 3)).write_to(&mut [0.0; 4], 2);
    }
}
