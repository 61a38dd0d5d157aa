//! Solution of positive definite systems by Cholesky decomposition, in double precision.

use pulp::Arch;

/// Numbers that are multiplied at once.
const LANES: usize = 8;

/// Solves `matrix x = right` for every column of `right` `[n, columns]` in place; `matrix` `[n, n]` is overwritten.
///
/// About `n^3 / 3 + 2 n^2 columns` operations.
///
/// # Panics
/// If the matrix is not positive definite.
pub(super) fn solve_in_place(matrix: &mut [f64], right: &mut [f64], columns: usize) {
    let n = right.len() / columns;
    assert_eq!(matrix.len(), n * n, "a row of the right-hand side for each row of the matrix");
    Arch::new().dispatch(
        #[inline(always)]
        || {
            decompose(matrix, n);
            substitute(matrix, n, right, columns);
        },
    );
}

/// The lower triangle `L` of `matrix = L L'`, in the lower triangle of `matrix`.
#[inline(always)]
fn decompose(matrix: &mut [f64], n: usize) {
    for i in 0..n {
        let (above, rest) = matrix.split_at_mut(i * n);
        let row = &mut rest[..n];
        for (j, other) in above.chunks_exact(n).enumerate() {
            row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
        }
        let square = row[i] - dot(&row[..i], &row[..i]);
        assert!(square > 0.0, "a Gram matrix plus a positive diagonal is positive definite");
        row[i] = square.sqrt();
    }
}

#[inline(always)]
fn substitute(lower: &[f64], n: usize, right: &mut [f64], columns: usize) {
    for i in 0..n {
        let (solved, rest) = right.split_at_mut(i * columns);
        let row = &mut rest[..columns];
        for (k, earlier) in solved.chunks_exact(columns).enumerate() {
            subtract(row, lower[i * n + k], earlier);
        }
        row.iter_mut().for_each(|x| *x /= lower[i * n + i]);
    }
    for i in (0..n).rev() {
        let (head, solved) = right.split_at_mut((i + 1) * columns);
        let row = &mut head[i * columns..];
        for (k, later) in solved.chunks_exact(columns).enumerate() {
            subtract(row, lower[(i + 1 + k) * n + i], later);
        }
        row.iter_mut().for_each(|x| *x /= lower[i * n + i]);
    }
}

#[inline(always)]
fn subtract(row: &mut [f64], factor: f64, other: &[f64]) {
    for (x, y) in row.iter_mut().zip(other) {
        *x -= factor * y;
    }
}

#[inline(always)]
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let (mut xs, mut ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    for (x, y) in xs.by_ref().zip(ys.by_ref()) {
        for l in 0..LANES {
            sums[l] += x[l] * y[l];
        }
    }
    let mut total = 0.0;
    for sum in sums {
        total += sum;
    }
    for (x, y) in xs.remainder().iter().zip(ys.remainder()) {
        total += x * y;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Draws;

    #[test]
    fn the_solution_satisfies_the_system() {
        for n in [1, 2, 7, 8, 9, 40] {
            let mut draws = Draws::new(n as u64, "cholesky", "test");
            let mut fill = |len: usize| (0..len).map(|_| draws.normal()).collect::<Vec<f64>>();
            let (x, right) = (fill(n * n), fill(n * 3));
            let entry = |i: usize| {
                let (r, c) = (i / n, i % n);
                (0..n).map(|k| x[r * n + k] * x[c * n + k]).sum::<f64>() + f64::from(u8::from(r == c))
            };
            let matrix: Vec<f64> = (0..n * n).map(entry).collect();
            let mut solution = right.clone();
            solve_in_place(&mut matrix.clone(), &mut solution, 3);
            for i in 0..n * 3 {
                let found: f64 = (0..n).map(|k| matrix[i / 3 * n + k] * solution[k * 3 + i % 3]).sum();
                assert!((found - right[i]).abs() < 1e-9, "{n}: {found} {}", right[i]);
            }
        }
    }
}
