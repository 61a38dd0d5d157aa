//! Features laid into a plane in which neighbours stay neighbours, to look at: exact t-SNE.
//!
//! Van der Maaten and Hinton, 2008, with the settings of sklearn's `TSNE(method="exact", init="pca")`: squared distances of
//! standardised features, neighbourhoods of one perplexity, a start in the principal plane, 250 steps of exaggeration and 750
//! without. All pairs are summed in one order, so the places are the same on any number of threads. `O(n^2)` a step.

use jepa3d_products::{Matrix, product};
use jepa3d_schemas::Draws;
use rayon::prelude::*;

use crate::error::Result;
use crate::features::Standardisation;
use crate::principal_plane::principal_plane;
use crate::tsne::{NeighborOdds, PlaneLayout};

/// Neighbours that a sample is to have, where there are enough others.
const PERPLEXITY: f64 = 30.0;
/// How far apart samples start.
const START: f64 = 1e-4;
/// Share of [`START`] that is drawn, so that what coincides or lies on a line can part.
const DRAWN: f64 = 0.01;
/// Fewer samples have no neighbourhoods.
const FEWEST: usize = 5;

/// Samples in a plane of neighbourhoods.
#[derive(Clone, Debug, PartialEq)]
pub struct NeighborPlane {
    /// Places `[n]`.
    pub places: Vec<[f64; 2]>,
    /// Kullback-Leibler divergence of the neighbourhoods in the plane from those of the features, in nats.
    pub divergence: f64,
    /// Neighbours that a sample was to have.
    pub perplexity: f64,
}

/// Lays standardised features into a plane in which neighbours stay neighbours; distances between groups say little.
///
/// Fewer than five samples, or features that do not vary, lie where [`principal_plane()`] lays them.
///
/// # Shapes
/// `values [n,width]`.
///
/// # Errors
/// Fails if a value is not finite or the sizes do not fit.
pub fn neighbor_plane(values: &[f32], width: usize) -> Result<NeighborPlane> {
    let principal = principal_plane(values, width)?.places;
    let n = principal.len();
    let perplexity = PERPLEXITY.min(n.saturating_sub(1) as f64 / 3.0);
    let spread = deviation(&principal);
    if n < FEWEST || spread == 0.0 {
        return Ok(NeighborPlane { places: principal, divergence: 0.0, perplexity });
    }
    let mut draws = Draws::new(0, "neighbor-plane", "start");
    let mut start = PlaneLayout::default();
    for place in principal {
        let [x, y] = place.map(|x| START * (x / spread + DRAWN * draws.normal()));
        start.x.push(x);
        start.y.push(y);
    }
    let odds = NeighborOdds::new(&square_distances(values, width), n, perplexity);
    let found = odds.lay_out(start);
    let divergence = odds.divergence(&found);
    let places = found.x.into_iter().zip(found.y).map(|(x, y)| [x, y]).collect();
    Ok(NeighborPlane { places, divergence, perplexity })
}

/// Standard deviation of the first coordinate.
fn deviation(places: &[[f64; 2]]) -> f64 {
    let n = places.len().max(1) as f64;
    let mean = places.iter().map(|p| p[0]).sum::<f64>() / n;
    (places.iter().map(|p| (p[0] - mean) * (p[0] - mean)).sum::<f64>() / n).sqrt()
}

/// Squared distances `[n,n]` of standardised features; 0 on the diagonal.
fn square_distances(values: &[f32], width: usize) -> Vec<f64> {
    let mut standard = values.to_vec();
    Standardisation::fit(values, width).apply(&mut standard);
    let standard: Vec<f64> = standard.into_iter().map(f64::from).collect();
    let all = Matrix::new(&standard, width);
    let mut out = product(all, all.transpose());
    let n = values.len() / width;
    let squares: Vec<f64> = (0..n).map(|i| out[i * n + i]).collect();
    out.par_chunks_mut(n).enumerate().for_each(|(i, row)| {
        for (j, value) in row.iter_mut().enumerate() {
            *value = if i == j { 0.0 } else { (squares[i] + squares[j] - 2.0 * *value).max(0.0) };
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three groups of 20 samples with eight numbers.
    fn groups() -> Vec<f32> {
        let mut draws = Draws::new(1, "groups", "test");
        (0..60)
            .flat_map(|i| (0..8).map(move |a| (i / 20, a)).collect::<Vec<_>>())
            .map(|(group, axis)| {
                let center = if axis == group { 6.0 } else { 0.0 };
                (center + draws.normal()) as f32
            })
            .collect()
    }

    #[test]
    fn neighbours_stay_neighbours_on_any_number_of_threads() {
        let found = neighbor_plane(&groups(), 8).unwrap();
        for (i, a) in found.places.iter().enumerate() {
            let distance = |j: &usize| (0..2).map(|k| (found.places[*j][k] - a[k]).powi(2)).sum::<f64>();
            let nearest =
                (0..60).filter(|&j| j != i).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap();
            assert_eq!(nearest / 20, i / 20, "sample {i}");
        }
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one.install(|| neighbor_plane(&groups(), 8).unwrap()), found);
    }

    #[test]
    fn what_has_no_neighbourhoods_lies_in_the_principal_plane() {
        let flat = neighbor_plane(&[2.0; 24], 3).unwrap();
        assert_eq!((flat.places, flat.divergence), (vec![[0.0; 2]; 8], 0.0));
        assert_eq!(neighbor_plane(&[1.0, 2.0, 4.0], 1).unwrap().places.len(), 3);
        assert!(neighbor_plane(&[], 3).unwrap().places.is_empty());
        assert!(neighbor_plane(&[1.0, f32::NAN], 2).is_err());
        // On a line, and all but one at one place: finite places all the same.
        let line: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let alone: Vec<f32> = (0..12).map(|i| if i == 3 { 1.0 } else { 0.0 }).collect();
        for values in [line, alone] {
            let found = neighbor_plane(&values, 1).unwrap();
            assert!(found.places.as_flattened().iter().all(|x| x.is_finite()), "{found:?}");
        }
    }
}
