//! Features in two planes, coloured by class: a part of several reports.

use jepa3d_inspect::{MAX_SCATTER_POINTS, ReportScatter, ScatterPoint};
use jepa3d_loader::PreparedDataset;
use jepa3d_probe::{FeatureSet, fixed_subset, neighbor_plane, principal_plane};

/// Samples whose neighbourhoods are laid out: the work grows with their square.
const MAX_NEIGHBORS: usize = 1_000;

/// Lays the features of an encoder into the plane of their neighbourhoods, and that of their first two principal components.
pub(crate) fn project_features(
    features: &FeatureSet,
    dataset: &PreparedDataset,
    encoder: &str,
) -> anyhow::Result<[ReportScatter; 2]> {
    let near = ChosenFeatures::new(features, MAX_NEIGHBORS);
    let neighbors = neighbor_plane(&near.values, features.width)?;
    let by_neighbors = ReportScatter {
        caption: format!("Features by neighbourhood: {encoder}"),
        classes: dataset.classes().to_vec(),
        points: near.scatter(&neighbors.places),
        note: format!(
            "exact t-SNE of standardised features, perplexity {:.0}, divergence {:.2} nats; neighbours are near, distances between \
             groups say little; {} samples, those with the lowest hashes of their ids",
            neighbors.perplexity,
            neighbors.divergence,
            near.rows.len()
        ),
    };
    let all = ChosenFeatures::new(features, MAX_SCATTER_POINTS);
    let principal = principal_plane(&all.values, features.width)?;
    let [first, second] = principal.shares.map(|share| 100.0 * share);
    let by_variance = ReportScatter {
        caption: format!("Features in a plane: {encoder}"),
        classes: dataset.classes().to_vec(),
        points: all.scatter(&principal.places),
        note: format!(
            "the first two principal components of standardised features, {first:.0} % and {second:.0} % of the variance; {} \
             samples, those with the lowest hashes of their ids",
            all.rows.len()
        ),
    };
    Ok([by_neighbors, by_variance])
}

/// Features of the samples that are shown.
struct ChosenFeatures<'a> {
    features: &'a FeatureSet,
    rows: Vec<usize>,
    /// `[n,width]`.
    values: Vec<f32>,
}

impl<'a> ChosenFeatures<'a> {
    fn new(features: &'a FeatureSet, most: usize) -> Self {
        let (rows, width) = (fixed_subset(&features.ids, most), features.width);
        let values =
            rows.iter().flat_map(|&i| &features.values[i * width..(i + 1) * width]).copied().collect();
        Self { features, rows, values }
    }

    /// Those that have a class, at their places.
    fn scatter(&self, places: &[[f64; 2]]) -> Vec<ScatterPoint> {
        let class = |row: usize| self.features.labels[row].and_then(|label| usize::try_from(label).ok());
        let rows = self.rows.iter().zip(places);
        rows.filter_map(|(&row, place)| ScatterPoint::new(place[0], place[1], class(row)?)).collect()
    }
}
