//! Exact farthest point sampling (Eldar et al. 1997): each next point is one farthest from all chosen before.
//!
//! Every point keeps its squared distance to the nearest chosen one; every leaf and branch of the index keeps the largest
//! of its points. A new center changes nothing in a box that is at least that far away, so whole branches are skipped, as
//! in QuickFPS (Han et al. 2023). `O(M N)` at worst; on surfaces about `N log M` point updates and `M N / 8192` box tests.

use crate::index::SpatialIndex;
use crate::kernels::{FAN, FAR, LEAF, Leaf, LeafRows, NO_POINT};
use crate::lanes::{LaneOps, LaneRow, WIDTH, take_bit};

/// Distance of chosen points and of unused lanes: below every distance, so they are never chosen (again).
const CHOSEN: f32 = -1.0;

/// What one run keeps per point, leaf and branch; the memory serves the next run.
#[derive(Clone, Debug, Default)]
pub(crate) struct FpsScratch {
    /// Squared distance of every point to the nearest chosen one.
    nearest: Vec<LeafRows>,
    /// The largest of these in every leaf, and in every branch.
    leaf_most: Vec<LaneRow>,
    branch_most: Vec<LaneRow>,
    /// Lowest index that has its leaf's largest distance; [`NO_POINT`] until asked for.
    leaf_first: Vec<[u32; FAN]>,
}

impl FpsScratch {
    fn reset(&mut self, index: &SpatialIndex) {
        self.nearest.clear();
        self.nearest.resize(index.leaves.len(), LeafRows([[FAR; WIDTH]; 2]));
        if let (Some(last), Some(leaf)) = (self.nearest.last_mut(), index.leaves.last()) {
            for (distance, &id) in last.0.as_flattened_mut().iter_mut().zip(&leaf.id) {
                *distance = if id == NO_POINT { CHOSEN } else { FAR };
            }
        }
        self.leaf_first.clear();
        self.leaf_first.resize(index.leaf_boxes.len(), [NO_POINT; FAN]);
        reset_rows(&mut self.leaf_most, index.leaves.len());
        reset_rows(&mut self.branch_most, index.leaf_boxes.len());
    }
}

/// Rows of `used` infinite distances, then lanes that no search enters.
fn reset_rows(rows: &mut Vec<LaneRow>, used: usize) {
    rows.clear();
    rows.resize(used.div_ceil(FAN), [FAR; FAN]);
    rows.as_flattened_mut()[used..].fill(CHOSEN);
}

/// One run of farthest point sampling.
pub(crate) struct FpsRun<'a, L> {
    pub(crate) lanes: L,
    pub(crate) index: &'a SpatialIndex,
    pub(crate) state: &'a mut FpsScratch,
}

/// A chosen point and the leaf it lies in.
#[derive(Clone, Copy)]
struct Center {
    at: [f32; 3],
    leaf: usize,
}

impl<L: LaneOps> FpsRun<'_, L> {
    /// Appends `count >= 1` indices, `start` first.
    #[inline(always)]
    pub(crate) fn choose(mut self, count: usize, start: u32, chosen: &mut Vec<u32>) {
        self.state.reset(self.index);
        let mut next = start;
        chosen.push(next);
        for _ in 1..count {
            let slot = self.index.slots[next as usize] as usize;
            let (leaf, lane) = (slot / LEAF, slot % LEAF);
            self.state.nearest[leaf].0.as_flattened_mut()[lane] = CHOSEN;
            self.lower_distances(Center { at: self.index.leaves[leaf].point(lane), leaf });
            next = self.find_farthest();
            chosen.push(next);
        }
    }

    /// Lowers the distance of every point that `center` is nearer to than all before.
    #[inline(always)]
    fn lower_distances(&mut self, center: Center) {
        for limb in 0..self.index.branch_boxes.len() {
            let bounds = self.index.branch_boxes[limb].distances(self.lanes, center.at);
            let mut branches = self.lanes.mask_below(&bounds, &self.state.branch_most[limb]);
            // The center's own leaf has lost a point, also where no distance changes.
            if center.leaf / (FAN * FAN) == limb {
                branches |= 1 << (center.leaf / FAN % FAN);
            }
            while let Some(which) = take_bit(&mut branches) {
                self.lower_branch(limb * FAN + which, center);
                self.state.branch_most[limb][which] =
                    self.lanes.reduce_max(&self.state.leaf_most[limb * FAN + which]);
            }
        }
    }

    #[inline(always)]
    fn lower_branch(&mut self, branch: usize, center: Center) {
        let bounds = self.index.leaf_boxes[branch].distances(self.lanes, center.at);
        let mut leaves = self.lanes.mask_below(&bounds, &self.state.leaf_most[branch]);
        if center.leaf / FAN == branch {
            leaves |= 1 << (center.leaf % FAN);
        }
        while let Some(which) = take_bit(&mut leaves) {
            let leaf = branch * FAN + which;
            let distances = self.index.leaves[leaf].distances(self.lanes, center.at);
            let nearest = &mut self.state.nearest[leaf].0;
            nearest[0] = self.lanes.min_rows(&nearest[0], &distances.0[0]);
            nearest[1] = self.lanes.min_rows(&nearest[1], &distances.0[1]);
            let most = self.lanes.max_rows(&nearest[0], &nearest[1]);
            self.state.leaf_most[branch][which] = self.lanes.reduce_max(&most);
            self.state.leaf_first[branch][which] = NO_POINT;
        }
    }

    /// The point with the largest distance; among equals the one with the lowest index.
    #[inline(always)]
    fn find_farthest(&mut self) -> u32 {
        let mut most = [CHOSEN; FAN];
        for row in &self.state.branch_most {
            most = self.lanes.max_rows(&most, row);
        }
        let most = self.lanes.reduce_max(&most);
        let mut first = NO_POINT;
        for limb in 0..self.state.branch_most.len() {
            let mut branches = self.lanes.mask_equal_to_most(&self.state.branch_most[limb], most);
            while let Some(which) = take_bit(&mut branches) {
                first = first.min(self.find_in_branch(limb * FAN + which, most));
            }
        }
        first
    }

    /// The lowest index in a branch whose distance is `most`.
    #[inline(always)]
    fn find_in_branch(&mut self, branch: usize, most: f32) -> u32 {
        let mut leaves = self.lanes.mask_equal_to_most(&self.state.leaf_most[branch], most);
        let mut first = NO_POINT;
        while let Some(which) = take_bit(&mut leaves) {
            let leaf = branch * FAN + which;
            let known = &mut self.state.leaf_first[branch][which];
            if *known == NO_POINT {
                *known = find_in_leaf(&self.index.leaves[leaf], &self.state.nearest[leaf], most);
            }
            first = first.min(*known);
        }
        first
    }
}

/// The lowest index in a leaf whose distance is `most`.
#[inline(always)]
fn find_in_leaf(leaf: &Leaf, nearest: &LeafRows, most: f32) -> u32 {
    let mut first = NO_POINT;
    for (&id, &distance) in leaf.id.iter().zip(nearest.0.as_flattened()) {
        first = first.min(if distance == most { id } else { NO_POINT });
    }
    first
}

#[cfg(test)]
mod tests {
    use crate::oracle::{clouds, farthest_points};
    use crate::{Error, IndexedCloud, farthest_from_centroid};

    #[test]
    fn equals_the_greedy_oracle_on_every_kind_of_cloud() {
        for (name, points) in clouds() {
            let mut cloud = IndexedCloud::new(&points).unwrap();
            for start in [0, points.len() / 2, points.len() - 1, farthest_from_centroid(&points) as usize] {
                for count in [1, points.len().min(70), points.len().min(300)] {
                    let found = cloud.farthest_points(count, start as u32).unwrap();
                    assert_eq!(
                        found,
                        farthest_points(&points, count, start as u32),
                        "{name} {count} {start}"
                    );
                }
            }
        }
    }

    #[test]
    fn all_points_are_chosen_once_when_all_are_asked_for() {
        for (name, points) in clouds().into_iter().filter(|(_, p)| p.len() <= 2500) {
            let mut all = IndexedCloud::new(&points).unwrap().farthest_points(points.len(), 0).unwrap();
            assert_eq!(all, farthest_points(&points, points.len(), 0), "{name}");
            all.sort_unstable();
            assert!(all.iter().copied().eq(0..points.len() as u32), "{name}");
        }
    }

    #[test]
    fn the_first_points_of_a_sample_are_what_sampling_the_sample_gives() {
        for (name, points) in clouds().into_iter().filter(|(_, p)| p.len() >= 500) {
            let subset = IndexedCloud::new(&points).unwrap().farthest_points(200, 7).unwrap();
            let part: Vec<[f32; 3]> = subset.iter().map(|&i| points[i as usize]).collect();
            let again = IndexedCloud::new(&part).unwrap().farthest_points(40, 0).unwrap();
            assert!(again.into_iter().eq(0..40), "{name}");
        }
    }

    #[test]
    fn impossible_requests_are_named() {
        let mut cloud = IndexedCloud::new(&[[0.0; 3]; 4]).unwrap();
        assert_eq!(cloud.farthest_points(0, 0), Ok(vec![]));
        let error = cloud.farthest_points(5, 0).unwrap_err();
        assert_eq!(error.to_string(), "expected at least 5 points, found 4");
        assert_eq!(cloud.farthest_points(2, 4), Err(Error::Index { points: 4, index: 4 }));
        let error = IndexedCloud::new(&[[0.0; 3], [f32::NAN, 0.0, 0.0]]).unwrap_err().to_string();
        assert_eq!(error, "expected finite coordinates, found [NaN, 0.0, 0.0] at point 1");
        assert!(IndexedCloud::new(&[]).is_err());
    }
}
