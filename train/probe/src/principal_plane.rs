//! Features laid into the plane in which they vary most, to look at: the first two principal components.

use jepa3d_products::{Matrix, product};
use nalgebra::{DMatrix, SymmetricEigen};

use crate::error::{Error, Result};
use crate::features::Standardisation;

/// Samples in the plane of their first two principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct PrincipalPlane {
    /// Places `[n]`.
    pub places: Vec<[f64; 2]>,
    /// Share of the variance along each direction.
    pub shares: [f64; 2],
}

/// Projects standardised features on the two directions of their greatest variance.
///
/// Along each direction the greatest loading by magnitude is positive, which fixes its sign. One that does not vary, or does
/// not exist because features have a single number, is 0.
///
/// # Shapes
/// `values [n,width]`.
///
/// # Errors
/// Fails if a value is not finite or the sizes do not fit.
pub fn principal_plane(values: &[f32], width: usize) -> Result<PrincipalPlane> {
    let strange = values.iter().filter(|x| !x.is_finite()).count();
    if width == 0 || !values.len().is_multiple_of(width) || strange > 0 {
        return Err(Error::Features {
            what: "principal components".to_owned(),
            expected: format!("whole rows of {width} finite numbers"),
            found: format!("{} values, {strange} of them not finite", values.len()),
        });
    }
    let mut standard = values.to_vec();
    Standardisation::fit(values, width).apply(&mut standard);
    let standard: Vec<f64> = standard.into_iter().map(f64::from).collect();
    let all = Matrix::new(&standard, width);
    let directions = find_directions(product(all.transpose(), all), width);
    let place = |row: &[f64]| {
        directions.each_ref().map(|d| d.loadings.iter().zip(row).map(|(a, b)| a * b).sum::<f64>())
    };
    let total: f64 = standard.iter().map(|x| x * x).sum();
    let shares = directions.each_ref().map(|d| if total > 0.0 { d.square / total } else { 0.0 });
    Ok(PrincipalPlane { places: standard.chunks_exact(width).map(place).collect(), shares })
}

/// A direction of unit length, and the sum of squares along it.
struct Direction {
    loadings: Vec<f64>,
    square: f64,
}

/// The two eigenvectors of a Gram matrix `[width,width]` with the greatest eigenvalues.
fn find_directions(gram: Vec<f64>, width: usize) -> [Direction; 2] {
    let found = SymmetricEigen::new(DMatrix::from_vec(width, width, gram));
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by(|&a, &b| found.eigenvalues[b].total_cmp(&found.eigenvalues[a]).then(a.cmp(&b)));
    [0, 1].map(|rank| match order.get(rank) {
        None => Direction { loadings: vec![0.0; width], square: 0.0 },
        Some(&column) => {
            let mut loadings: Vec<f64> = found.eigenvectors.column(column).iter().copied().collect();
            // The first of equally great ones decides.
            let greatest =
                loadings.iter().fold(0.0f64, |best, x| if x.abs() > best.abs() { *x } else { best });
            if greatest < 0.0 {
                loadings.iter_mut().for_each(|x| *x = -*x);
            }
            Direction { loadings, square: found.eigenvalues[column].max(0.0) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_that_do_not_vary_or_have_one_number_lie_on_a_line() {
        let flat = principal_plane(&[3.0; 12], 4).unwrap();
        assert_eq!((flat.places, flat.shares), (vec![[0.0; 2]; 3], [0.0; 2]));
        let line = principal_plane(&[1.0, 2.0, 3.0], 1).unwrap();
        assert!(line.places[0][0] < -1.0 && line.places.iter().all(|p| p[1] == 0.0), "{line:?}");
        assert!((line.shares[0] - 1.0).abs() < 1e-6);
        assert!(principal_plane(&[], 3).unwrap().places.is_empty());
        let error = principal_plane(&[1.0, f32::NAN], 2).unwrap_err().to_string();
        assert!(error.ends_with("found 2 values, 1 of them not finite"), "{error}");
    }
}
