//! One grouping of a sample: its centers, and which patch each point belongs to.

use jepa3d_schemas::Sample;

use super::colors::{Color, of_group};

/// The centers and patches of one grouping.
pub(crate) struct ShownGrouping {
    /// `[G]` indices into the cloud.
    pub centers: Vec<u32>,
    /// `[G,K]` indices into the cloud.
    pub patches: Vec<u32>,
    /// `[G]` valid points of each patch, absent if all are.
    pub counts: Option<Vec<u16>>,
}

impl ShownGrouping {
    /// Grouping `grouping` of the `groupings` that a sample has.
    pub(crate) fn select(sample: &Sample, groupings: usize, grouping: usize) -> Self {
        let part = |len: usize| {
            let each = len / groupings.max(1);
            grouping * each..(grouping + 1) * each
        };
        Self {
            centers: sample.center_indices[part(sample.center_indices.len())].to_vec(),
            patches: sample.patch_indices[part(sample.patch_indices.len())].to_vec(),
            counts: sample.patch_counts.as_deref().map(|counts| counts[part(counts.len())].to_vec()),
        }
    }

    /// The patch that shows each point: of those that hold it the one in which it comes first,
    /// which is where it is nearest to the center; ties by group.
    ///
    /// # Shapes
    /// `[S]`, `None` for points in no patch.
    pub(crate) fn owners(&self, points: usize) -> Vec<Option<usize>> {
        let size = self.patches.len() / self.centers.len().max(1);
        let mut best: Vec<Option<(usize, usize)>> = vec![None; points];
        for (group, patch) in self.patches.chunks_exact(size.max(1)).enumerate() {
            let valid = self.counts.as_ref().map_or(size, |counts| usize::from(counts[group]).min(size));
            for (place, &point) in patch[..valid].iter().enumerate() {
                let Some(best) = best.get_mut(point as usize) else { continue };
                if best.is_none_or(|best| (place, group) < best) {
                    *best = Some((place, group));
                }
            }
        }
        best.into_iter().map(|best| best.map(|(_, group)| group)).collect()
    }

    /// The points that are in a patch, each in its colour; a grouping has `N` of the `S` points.
    pub(crate) fn colors(&self, points: usize) -> Vec<(usize, Color)> {
        let groups = self.owners(points).into_iter().enumerate();
        groups.filter_map(|(point, group)| Some((point, of_group(group?)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_of_two_patches_belongs_to_the_nearer_center() {
        let sample = Sample {
            points: vec![0.0; 18],
            center_indices: vec![9, 9, 0, 3],
            patch_indices: vec![9, 9, 9, 9, 9, 9, 0, 1, 2, 3, 2, 1],
            ..Sample::default()
        };
        let groups = ShownGrouping::select(&sample, 2, 1);
        assert_eq!(groups.centers, [0, 3]);
        assert_eq!(groups.owners(6), [Some(0), Some(0), Some(1), Some(1), None, None]);
        let [first, second] = [of_group(0), of_group(1)];
        assert_eq!(groups.colors(6), [(0, first), (1, first), (2, second), (3, second)]);
    }

    #[test]
    fn repeated_points_of_a_voxel_block_do_not_count() {
        let sample = Sample {
            points: vec![0.0; 9],
            center_indices: vec![0, 1],
            patch_indices: vec![0, 0, 2, 1],
            patch_counts: Some(vec![1, 0]),
            ..Sample::default()
        };
        assert_eq!(ShownGrouping::select(&sample, 1, 0).owners(3), [Some(0), None, None]);
    }
}
