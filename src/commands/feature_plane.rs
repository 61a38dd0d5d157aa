//! Features in a plane, coloured by class: a part of several reports.

use jepa3d_inspect::{MAX_SCATTER_POINTS, ReportScatter, ScatterPoint};
use jepa3d_loader::PreparedDataset;
use jepa3d_probe::{FeatureSet, fixed_subset, principal_plane};

/// Lays the features of an encoder into the plane of their first two principal components.
pub(crate) fn project_features(
    features: &FeatureSet,
    dataset: &PreparedDataset,
    encoder: &str,
) -> anyhow::Result<ReportScatter> {
    let FeatureSet { ids, labels, values, width, .. } = features;
    let rows = fixed_subset(ids, MAX_SCATTER_POINTS);
    let chosen: Vec<f32> = rows.iter().flat_map(|&i| &values[i * width..(i + 1) * width]).copied().collect();
    let plane = principal_plane(&chosen, *width)?;
    let class = |row: usize| labels[row].and_then(|label| usize::try_from(label).ok());
    let points = rows
        .iter()
        .zip(&plane.places)
        .filter_map(|(&row, place)| ScatterPoint::new(place[0], place[1], class(row)?));
    let [first, second] = plane.shares.map(|share| 100.0 * share);
    Ok(ReportScatter {
        caption: format!("Features in a plane: {encoder}"),
        classes: dataset.classes().to_vec(),
        points: points.collect(),
        note: format!(
            "the first two principal components of standardised features, {first:.0} % and {second:.0} % of the variance; {} \
             samples, those with the lowest hashes of their ids",
            rows.len()
        ),
    })
}
