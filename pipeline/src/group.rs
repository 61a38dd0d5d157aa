//! The `R` groupings of a stored cloud: which points, which centers, which patches.
//!
//! Grouping 0 is canonical: farthest point sampling starts at the point farthest from the
//! centroid. The others start at a point drawn from (run seed, sample id, grouping), which keeps
//! the variety that regrouping at every training step would give.

use jepa3d_grouping::{CellEdge, IndexedCloud, VoxelBlocks, farthest_from_centroid, voxel_blocks};
use jepa3d_schemas::Draws;

use crate::config::{GroupKind, GroupsConfig};
use crate::error::Rejected;

/// The groupings of a sample, indices into its stored cloud; shapes as in `Sample`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CloudGroupings {
    /// `[R,N]`, each ascending; absent if every grouping uses all stored points.
    pub subset: Option<Vec<u32>>,
    /// `[R,G]`.
    pub center_indices: Vec<u32>,
    /// `[R,G,K]`.
    pub patch_indices: Vec<u32>,
    /// `[R,G]`, voxel blocks only.
    pub patch_counts: Option<Vec<u16>>,
    /// `[R,G,3]`, voxel blocks only.
    pub centers: Option<Vec<f32>>,
}

/// Memory that a worker keeps from sample to sample.
#[derive(Debug, Default)]
pub(crate) struct GroupScratch {
    whole: IndexedCloud,
    part: IndexedCloud,
    points: Vec<[f32; 3]>,
}

/// CloudGroupings a normalised cloud; `draws` gives the random stream of a purpose.
///
/// # Errors
/// Rejects a cloud with fewer than `N` points, or with too few distinct ones for voxel blocks.
pub(crate) fn group(
    points: &[[f32; 3]],
    config: &GroupsConfig,
    draws: &dyn Fn(&str) -> Draws,
    scratch: &mut GroupScratch,
) -> Result<CloudGroupings, Rejected> {
    let wrong = |e: jepa3d_grouping::Error| Rejected::new("group", e.to_string());
    let mut groups = CloudGroupings::default();
    let is_subset = points.len() > config.points;
    scratch.whole.rebuild(points).map_err(wrong)?;
    let mut shared_starts = Vec::new();
    for r in 0..config.groupings {
        // One stream a grouping: its first draw starts the subset, its second the centers.
        let mut starts = (r > 0).then(|| draws(&format!("grouping {r}")));
        let mut start = |points: &[[f32; 3]]| match &mut starts {
            None => farthest_from_centroid(points),
            Some(draws) => draws.index(points.len()) as u32,
        };
        if !is_subset {
            shared_starts.push(start(points));
            continue;
        }
        let mut subset = scratch.whole.farthest_points(config.points, start(points)).map_err(wrong)?;
        // Ascending, so that ties inside the subset go to the lowest index into the cloud.
        // By a closure of this crate: see the profile in the root Cargo.toml.
        subset.sort_unstable_by_key(|&key| key);
        scratch.points.clear();
        scratch.points.extend(subset.iter().map(|&i| points[i as usize]));
        scratch.part.rebuild(&scratch.points).map_err(wrong)?;
        let first = start(&scratch.points);
        groups.push(&mut scratch.part, &scratch.points, config, &[first]).map_err(wrong)?;
        groups.refer_to(&subset, config);
    }
    if !is_subset {
        groups.push(&mut scratch.whole, points, config, &shared_starts).map_err(wrong)?;
    }
    Ok(groups)
}

impl CloudGroupings {
    /// Appends a grouping of `cloud` for each of `starts`, indices into it.
    fn push(
        &mut self,
        cloud: &mut IndexedCloud,
        points: &[[f32; 3]],
        config: &GroupsConfig,
        starts: &[u32],
    ) -> jepa3d_grouping::Result<()> {
        match config.kind {
            GroupKind::Patch => self.push_patches(cloud, config, starts)?,
            GroupKind::Voxel => {
                let edge =
                    if config.voxel_edge > 0.0 { CellEdge::Fixed(config.voxel_edge) } else { CellEdge::Auto };
                for _ in starts {
                    let blocks = voxel_blocks(points, config.centers, config.neighbors, edge)?;
                    self.push_blocks(blocks, config);
                }
            }
        }
        Ok(())
    }

    /// Appends centers and patches; a point that is a center of several groupings, as one of five
    /// in a cloud of 1,024 points is, has its neighbours searched once.
    fn push_patches(
        &mut self,
        cloud: &mut IndexedCloud,
        config: &GroupsConfig,
        starts: &[u32],
    ) -> jepa3d_grouping::Result<()> {
        let first = self.center_indices.len();
        for &start in starts {
            self.center_indices.extend(cloud.farthest_points(config.centers, start)?);
        }
        let centers = &self.center_indices[first..];
        let mut distinct = Vec::with_capacity(centers.len());
        let mut place = vec![u32::MAX; cloud.len()];
        for &center in centers {
            let place = &mut place[center as usize];
            if *place == u32::MAX {
                *place = distinct.len() as u32;
                distinct.push(center);
            }
        }
        let patches = cloud.nearest(&distinct, config.neighbors)?;
        self.patch_indices.reserve(centers.len() * config.neighbors);
        for &center in centers {
            let at = place[center as usize] as usize * config.neighbors;
            self.patch_indices.extend_from_slice(&patches[at..at + config.neighbors]);
        }
        Ok(())
    }

    /// Appends voxel blocks; those a fixed edge leaves out of `G` get the count 0 and repeat
    /// the first block's center.
    fn push_blocks(&mut self, blocks: VoxelBlocks, config: &GroupsConfig) {
        let absent = config.centers - blocks.counts.len();
        let (center, at) = (blocks.center_indices[0], blocks.centers[0]);
        self.center_indices.extend(blocks.center_indices);
        self.center_indices.extend(std::iter::repeat_n(center, absent));
        self.patch_indices.extend(blocks.patch_indices);
        self.patch_indices.extend(std::iter::repeat_n(center, absent * config.neighbors));
        let counts = self.patch_counts.get_or_insert_default();
        counts.extend(blocks.counts);
        counts.extend(std::iter::repeat_n(0, absent));
        let centers = self.centers.get_or_insert_default();
        centers.extend(blocks.centers.iter().chain(std::iter::repeat_n(&at, absent)).flatten());
    }

    /// Turns the last grouping's indices into `subset` into indices into the whole cloud.
    fn refer_to(&mut self, subset: &[u32], config: &GroupsConfig) {
        let centers = self.center_indices.len() - config.centers;
        let patches = self.patch_indices.len() - config.centers * config.neighbors;
        for i in self.center_indices[centers..].iter_mut().chain(&mut self.patch_indices[patches..]) {
            *i = subset[*i as usize];
        }
        self.subset.get_or_insert_default().extend_from_slice(subset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(n: usize) -> Vec<[f32; 3]> {
        let mut draws = Draws::new(9, "cloud", "test");
        (0..n).map(|_| std::array::from_fn(|_| draws.normal() as f32)).collect()
    }

    fn config(kind: GroupKind, points: usize) -> GroupsConfig {
        GroupsConfig { kind, points, centers: 10, neighbors: 8, groupings: 3, voxel_edge: 0.0 }
    }

    fn run(points: &[[f32; 3]], config: &GroupsConfig) -> CloudGroupings {
        group(points, config, &|purpose| Draws::new(1, "a", purpose), &mut GroupScratch::default()).unwrap()
    }

    /// Whether a patch of 8 starts with its center and no other member is nearer than its last point.
    fn is_nearest(points: &[[f32; 3]], members: &[u32], center: u32, patch: &[u32]) -> bool {
        let distance = |i: u32| -> f32 {
            (0..3).map(|a| (points[i as usize][a] - points[center as usize][a]).powi(2)).sum()
        };
        let farthest = patch.iter().map(|&i| distance(i)).fold(0.0, f32::max);
        let nearer = members.iter().filter(|&&i| distance(i) < farthest).count();
        (patch[0], nearer) == (center, 7)
    }

    #[test]
    fn patches_of_a_subset_are_nearest_within_it() {
        let (points, config) = (cloud(300), config(GroupKind::Patch, 90));
        let groups = run(&points, &config);
        let subset = groups.subset.unwrap();
        for r in 0..3 {
            let members = &subset[r * 90..(r + 1) * 90];
            for g in r * 10..(r + 1) * 10 {
                let center = groups.center_indices[g];
                assert!(members.contains(&center));
                assert!(is_nearest(&points, members, center, &groups.patch_indices[g * 8..][..8]));
            }
        }
        assert_eq!(groups.center_indices[0], {
            let first: Vec<_> = subset[..90].iter().map(|&i| points[i as usize]).collect();
            subset[farthest_from_centroid(&first) as usize]
        });
    }

    #[test]
    fn patches_of_a_whole_cloud_are_nearest_also_where_groupings_share_a_center() {
        let (points, config) = (cloud(20), config(GroupKind::Patch, 20));
        let groups = run(&points, &config);
        let mut distinct = groups.center_indices.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() < 30, "30 centers of 20 points");
        let members: Vec<u32> = (0..20).collect();
        for (&center, patch) in groups.center_indices.iter().zip(groups.patch_indices.chunks(8)) {
            assert!(is_nearest(&points, &members, center, patch));
        }
        assert_eq!(groups.patch_indices.len(), 30 * 8);
    }

    #[test]
    fn groupings_of_a_whole_cloud_differ_and_store_no_subset() {
        let groups = run(&cloud(90), &config(GroupKind::Patch, 90));
        assert_eq!(groups.subset, None);
        let (a, b) = (&groups.center_indices[..10], &groups.center_indices[10..20]);
        assert_ne!(a, b);
        assert_eq!(a[0], farthest_from_centroid(&cloud(90)));
    }

    #[test]
    fn voxel_blocks_fill_their_shape() {
        let groups = run(&cloud(300), &config(GroupKind::Voxel, 200));
        assert_eq!(groups.patch_counts.as_ref().map(Vec::len), Some(30));
        assert_eq!(groups.centers.as_ref().map(Vec::len), Some(90));
        let coarse = GroupsConfig { voxel_edge: 100.0, ..config(GroupKind::Voxel, 300) };
        let groups = run(&cloud(300), &coarse);
        assert_eq!(groups.patch_counts.unwrap()[..3], [8, 0, 0]);
        assert_eq!((groups.center_indices.len(), groups.patch_indices.len()), (30, 240));
    }
}
