//! Anchors of blocks: centers that are spread over their cloud.

use jepa3d_grouping::IndexedCloud;
use jepa3d_schemas::Draws;

use super::CloudPlaces;
use crate::error::{Error, Result, out_of_range};

/// `count` distinct indices in farthest-point order; the first is drawn, ties go to the lowest index.
///
/// # Errors
/// Fails if there are fewer centers than anchors, or one is not finite; the error names the sample.
pub(super) fn draw_anchors(cloud: &CloudPlaces<'_>, count: usize, draws: &mut Draws) -> Result<Vec<usize>> {
    let start = draws.index(cloud.centers.len()) as u32;
    let anchors =
        IndexedCloud::new(cloud.centers).and_then(|mut centers| centers.farthest_points(count, start));
    let wrong = |e: jepa3d_grouping::Error| Error::Regroup { id: cloud.id.to_owned(), found: e.to_string() };
    Ok(anchors.map_err(wrong)?.into_iter().map(|anchor| anchor as usize).collect())
}

/// Refuses more blocks than there are patches to be their anchors.
pub(super) fn check_blocks(blocks: usize, groups: usize) -> Result<()> {
    if blocks > groups {
        return Err(out_of_range("masking.blocks", format!("at most the {groups} patches"), blocks));
    }
    Ok(())
}
