//! Effective rank of features, and how well predictions explain their targets.
//!
//! Effective rank is the exponential of the entropy of the normalised singular values (Roy, Vetterli, EUSIPCO 2007;
//! RankMe, Garrido et al., arXiv 2210.02885). Singular values are square roots of the eigenvalues of the smaller Gram
//! matrix, in double precision: Householder reduction to three diagonals, then implicit QL steps (Golub, Van Loan,
//! chapter 8). About `4/3 n^3` operations, 0.1 s at 384.

use jepa3d_products::{Matrix, product};
use jepa3d_schemas::derive_seed;

use crate::error::{Error, Result};

/// Samples of the fixed subset on which the effective rank is measured.
pub const RANK_SAMPLES: usize = 512;

/// Rotations after which an eigenvalue counts as found in any case.
const MOST_SWEEPS: usize = 60;

/// The rows of at most `count` of `ids`, ascending: those with the lowest hashes, whatever order the ids come in.
pub fn fixed_subset<T: AsRef<str>>(ids: &[T], count: usize) -> Vec<usize> {
    let mut order: Vec<_> =
        (0..ids.len()).map(|i| (derive_seed(0, ids[i].as_ref(), "fixed-subset"), i)).collect();
    order.sort_unstable();
    let mut rows: Vec<_> = order.into_iter().take(count).map(|(_, i)| i).collect();
    rows.sort_unstable();
    rows
}

/// Effective rank of `values` `[n, width]`: between 1 and the smaller size; 0 where all values are 0.
///
/// The mean is not removed: features that are all alike have rank 1, however small the noise around them.
///
/// # Errors
/// Fails if a value is not finite or the sizes do not fit.
pub fn effective_rank(values: &[f32], width: usize) -> Result<f64> {
    if width == 0 || !values.len().is_multiple_of(width) || values.iter().any(|x| !x.is_finite()) {
        return Err(Error::Features {
            what: "effective rank".to_owned(),
            expected: format!("whole rows of {width} finite numbers"),
            found: format!(
                "{} values, {} of them not finite",
                values.len(),
                values.iter().filter(|x| !x.is_finite()).count()
            ),
        });
    }
    let values: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
    let (rows, all) = (values.len() / width, Matrix::new(&values, width));
    let gram = if rows < width { product(all, all.transposed()) } else { product(all.transposed(), all) };
    let singular: Vec<f64> =
        symmetric_eigenvalues(gram, rows.min(width)).into_iter().map(|x| x.max(0.0).sqrt()).collect();
    let sum: f64 = singular.iter().sum();
    if sum == 0.0 {
        return Ok(0.0);
    }
    let shares = singular.into_iter().map(|x| x / sum).filter(|&p| p > 0.0);
    Ok(shares.map(|p| -p * p.ln()).sum::<f64>().exp())
}

/// `1 - mean |p - z|^2 / mean |z - mean z|^2` of predictions and targets `[n, width]`; 0 where the targets do not vary.
///
/// # Panics
/// If the sizes differ.
pub fn explained_share(predictions: &[f32], targets: &[f32], width: usize) -> f64 {
    let variance = squared_deviations(targets, width);
    if variance == 0.0 { 0.0 } else { 1.0 - squared_differences(predictions, targets) / variance }
}

/// Sum of `|p - z|^2`.
pub(super) fn squared_differences(predictions: &[f32], targets: &[f32]) -> f64 {
    assert_eq!(predictions.len(), targets.len(), "a prediction for every target");
    predictions.iter().zip(targets).map(|(&p, &z)| (f64::from(p) - f64::from(z)).powi(2)).sum()
}

/// Sum of `|z - mean z|^2` of the rows of `values` `[n, width]`.
pub(super) fn squared_deviations(values: &[f32], width: usize) -> f64 {
    let n = (values.len() / width.max(1)).max(1) as f64;
    let mut mean = vec![0.0f64; width];
    for row in values.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    // Divided last: the mean of equal numbers is then that number, and their variance 0.
    mean.iter_mut().for_each(|sum| *sum /= n);
    let deviation =
        |row: &[f32]| row.iter().zip(&mean).map(|(&x, m)| (f64::from(x) - m).powi(2)).sum::<f64>();
    values.chunks_exact(width).map(deviation).sum()
}

/// Eigenvalues of a symmetric matrix `[n, n]`, in no particular order.
fn symmetric_eigenvalues(matrix: Vec<f64>, n: usize) -> Vec<f64> {
    let (mut diagonal, mut beside) = three_diagonals(matrix, n);
    for l in 0..n {
        for _ in 0..MOST_SWEEPS {
            let is_split =
                |m: usize| beside[m].abs() <= f64::EPSILON * (diagonal[m].abs() + diagonal[m + 1].abs());
            let m = (l..n - 1).find(|&m| is_split(m)).unwrap_or(n - 1);
            if m == l {
                break;
            }
            implicit_step(&mut diagonal, &mut beside, l, m);
        }
    }
    diagonal
}

/// Householder reduction: the diagonal, and the diagonal beside it with a 0 at its end.
fn three_diagonals(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut beside = vec![0.0; n];
    for k in 0..n.saturating_sub(2) {
        let length = (k + 1..n).map(|i| a[i * n + k].powi(2)).sum::<f64>().sqrt();
        if length == 0.0 {
            continue;
        }
        let head = a[(k + 1) * n + k];
        let alpha = if head > 0.0 { -length } else { length };
        beside[k] = alpha;
        let mut v: Vec<f64> = (k + 1..n).map(|i| a[i * n + k]).collect();
        v[0] -= alpha;
        let square: f64 = v.iter().map(|x| x * x).sum();
        reflect(&mut a, n, k + 1, (&v, square));
    }
    if n >= 2 {
        beside[n - 2] = a[(n - 1) * n + n - 2];
    }
    ((0..n).map(|i| a[i * n + i]).collect(), beside)
}

/// `H A H` on rows and columns from `from` on, for `H = 1 - 2 v v' / |v|^2`.
fn reflect(a: &mut [f64], n: usize, from: usize, (v, square): (&[f64], f64)) {
    let mut p: Vec<f64> = vec![0.0; v.len()];
    for (i, p) in p.iter_mut().enumerate() {
        let row = &a[(from + i) * n + from..(from + i + 1) * n];
        *p = 2.0 * row.iter().zip(v).map(|(x, v)| x * v).sum::<f64>() / square;
    }
    let half = p.iter().zip(v).map(|(p, v)| p * v).sum::<f64>() / square;
    p.iter_mut().zip(v).for_each(|(p, v)| *p -= half * v);
    for i in 0..v.len() {
        let (vi, wi) = (v[i], p[i]);
        let row = &mut a[(from + i) * n + from..(from + i + 1) * n];
        for ((x, v), w) in row.iter_mut().zip(v).zip(&p) {
            *x -= vi * w + wi * v;
        }
    }
}

/// One QL step with implicit shift on the part from `l` to `m`.
fn implicit_step(d: &mut [f64], e: &mut [f64], l: usize, m: usize) {
    let slope = (d[l + 1] - d[l]) / (2.0 * e[l]);
    let root = slope.hypot(1.0);
    let mut g = d[m] - d[l] + e[l] / (slope + root.copysign(slope));
    let (mut sine, mut cosine, mut carried) = (1.0, 1.0, 0.0);
    for i in (l..m).rev() {
        let (f, b) = (sine * e[i], cosine * e[i]);
        let r = f.hypot(g);
        e[i + 1] = r;
        if r == 0.0 {
            d[i + 1] -= carried;
            e[m] = 0.0;
            return;
        }
        (sine, cosine) = (f / r, g / r);
        g = d[i + 1] - carried;
        let r = (d[i] - g) * sine + 2.0 * cosine * b;
        carried = sine * r;
        d[i + 1] = g + carried;
        g = cosine * r - b;
    }
    d[l] -= carried;
    e[l] = g;
    e[m] = 0.0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Draws;

    fn normal(seed: u64, n: usize) -> Vec<f32> {
        let mut draws = Draws::new(seed, "rank", "test");
        (0..n).map(|_| draws.normal() as f32).collect()
    }

    #[test]
    fn eigenvalues_keep_trace_squares_and_determinant() {
        for n in [1, 2, 3, 8, 40] {
            let x: Vec<f64> = normal(n as u64, n * n).into_iter().map(f64::from).collect();
            let gram = product(Matrix::new(&x, n), Matrix::new(&x, n).transposed());
            let found = symmetric_eigenvalues(gram.clone(), n);
            let trace: f64 = (0..n).map(|i| gram[i * n + i]).sum();
            let squares: f64 = gram.iter().map(|x| x * x).sum();
            assert!((found.iter().sum::<f64>() / trace - 1.0).abs() < 1e-12);
            assert!((found.iter().map(|x| x * x).sum::<f64>() / squares - 1.0).abs() < 1e-12);
        }
        let mut found = symmetric_eigenvalues(vec![2.0, 0.0, 1.0, 0.0, 5.0, 0.0, 1.0, 0.0, 2.0], 3);
        found.sort_by(f64::total_cmp);
        assert!(found.iter().zip([1.0, 3.0, 5.0]).all(|(x, y)| (x - y).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn rank_of_equal_orthogonal_directions_is_their_number() {
        for (rows, width, directions) in [(40, 16, 5), (10, 64, 10), (300, 3, 3)] {
            let mut values = vec![0.0f32; rows * width];
            (0..rows / directions * directions).for_each(|i| values[i * width + i % directions] = 2.0);
            let found = effective_rank(&values, width).unwrap();
            assert!((found - directions as f64).abs() < 1e-9, "{found} {directions}");
        }
    }

    #[test]
    fn a_constant_has_rank_1_also_under_noise() {
        let mut values = vec![3.0f32; 512 * 64];
        assert!((effective_rank(&values, 64).unwrap() - 1.0).abs() < 1e-6);
        values.iter_mut().zip(normal(1, 512 * 64)).for_each(|(x, noise)| *x += 1e-5 * noise);
        assert!(effective_rank(&values, 64).unwrap() < 1.1);
        assert_eq!(effective_rank(&[0.0; 64], 8).unwrap(), 0.0);
    }

    #[test]
    fn explained_share_by_its_definition() {
        let targets = normal(2, 600);
        assert_eq!(explained_share(&targets, &targets, 6), 1.0);
        let noisy: Vec<f32> = targets.iter().zip(normal(3, 600)).map(|(z, e)| z + 0.5 * e).collect();
        assert!((explained_share(&noisy, &targets, 6) - 0.75).abs() < 0.05);
        assert_eq!(explained_share(&[1.0; 6], &[2.0; 6], 3), 0.0);
    }

    #[test]
    fn the_subset_is_the_same_in_any_order() {
        let ids: Vec<String> = (0..100).map(|i| format!("s{i}")).collect();
        let chosen: Vec<_> = fixed_subset(&ids, 7).into_iter().map(|i| ids[i].clone()).collect();
        let reversed: Vec<String> = ids.into_iter().rev().collect();
        let mut again: Vec<_> = fixed_subset(&reversed, 7).into_iter().map(|i| reversed[i].clone()).collect();
        again.reverse();
        assert_eq!(chosen, again);
    }

    #[test]
    fn a_value_that_is_not_finite_is_an_error() {
        let error = effective_rank(&[1.0, f32::NAN, 2.0, 3.0], 2).unwrap_err().to_string();
        let expected = "features: effective rank: expected whole rows of 2 finite numbers, found 4 values, 1 of them not finite";
        assert_eq!(error, expected);
    }
}
