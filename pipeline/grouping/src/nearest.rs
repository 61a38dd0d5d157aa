//! Exact k nearest neighbours, each patch sorted by (squared distance, index).
//!
//! A query first measures the 128 points of its corner of the k-d tree; a distance that `k` of them do not exceed limits
//! the boxes worth visiting. That limit, and a tighter one over all points measured, comes from counting how many
//! distances lie within a guess: a few passes over registers, no selection. What is left, rarely more than `k + 8`
//! candidates, is packed and put in order.

use crate::candidates::{Candidates, NearestRow};
use crate::index::SpatialIndex;
use crate::kernels::{FAN, FAR, LEAF, LeafRows};
use crate::lanes::{LaneOps, LaneRow, take_bit};
use crate::limit::lower_limit;

/// Leaves measured first: one cell of the k-d split.
const FIRST: usize = 4;
/// Leaves whose distances are held before they are thinned out: bounds the memory.
const HELD: usize = 64;

/// Candidates of one query; the memory serves the next one.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnnScratch {
    /// Squared distances of the leaves in `held`.
    distances: Vec<LeafRows>,
    held: Vec<u32>,
    near: Candidates,
}

/// A search for the `k >= 1` nearest points.
pub(crate) struct KnnRun<'a, L> {
    pub(crate) lanes: L,
    pub(crate) index: &'a SpatialIndex,
    pub(crate) state: &'a mut KnnScratch,
    pub(crate) k: usize,
}

/// A point whose neighbours are asked for, and the leaf it lies in.
#[derive(Clone, Copy)]
struct KnnQuery {
    home: usize,
    at: [f32; 3],
}

impl<L: LaneOps> KnnRun<'_, L> {
    /// Writes the patch of each query point into `found [M,k]`.
    #[inline(always)]
    pub(crate) fn search(mut self, queries: &[u32], found: &mut [u32]) {
        for (&query, patch) in queries.iter().zip(found.chunks_exact_mut(self.k)) {
            let slot = self.index.slots[query as usize] as usize;
            let home = slot / LEAF;
            self.gather(KnnQuery { home, at: self.index.leaves[home].point(slot % LEAF) });
            self.state.near.write_nearest(self.lanes, NearestRow { indices: patch, distances: &mut [] });
        }
    }

    /// Writes the `k` points nearest to `place`, which need not be a point of the cloud.
    #[inline(always)]
    pub(crate) fn write_nearest<I: From<u32>>(&mut self, place: [f32; 3], row: NearestRow<'_, I>) {
        let home = self.find_home(place);
        self.gather(KnnQuery { home, at: place });
        self.state.near.write_nearest(self.lanes, row);
    }

    /// A leaf near to a place: the nearest box of the nearest branch. It decides the speed, not the result.
    #[inline(always)]
    fn find_home(&self, at: [f32; 3]) -> usize {
        let (mut branch, mut least) = (0, FAR);
        for (limb, boxes) in self.index.branch_boxes.iter().enumerate() {
            let (which, distance) = find_least(&boxes.distances(self.lanes, at));
            if distance < least {
                (branch, least) = (limb * FAN + which, distance);
            }
        }
        branch * FAN + find_least(&self.index.leaf_boxes[branch].distances(self.lanes, at)).0
    }

    /// Leaves the nearest points of `query` among the candidates.
    #[inline(always)]
    fn gather(&mut self, query: KnnQuery) {
        self.state.near.clear();
        self.state.held.clear();
        self.state.distances.clear();
        let corner = query.home / FIRST * FIRST;
        for leaf in corner..(corner + FIRST).min(self.index.leaves.len()) {
            self.hold(leaf, query.at);
        }
        let mut limit = lower_limit(self.lanes, &self.state.distances, self.k, FAR);
        for limb in 0..self.index.branch_boxes.len() {
            let bounds = self.index.branch_boxes[limb].distances(self.lanes, query.at);
            let mut branches = self.lanes.mask_at_most(&bounds, &[limit; FAN]);
            while let Some(which) = take_bit(&mut branches) {
                limit = self.visit(limb * FAN + which, query, limit);
            }
        }
        self.thin(limit);
    }

    /// Measures the leaves of a branch that reach within `limit`; returns the limit, lowered if they were thinned out.
    #[inline(always)]
    fn visit(&mut self, branch: usize, query: KnnQuery, mut limit: f32) -> f32 {
        // Unused boxes are infinitely far, which is within an infinite limit.
        let Some(boxes) = self.index.leaf_boxes.get(branch) else { return limit };
        let mut leaves = self.lanes.mask_at_most(&boxes.distances(self.lanes, query.at), &[limit; FAN]);
        while let Some(which) = take_bit(&mut leaves) {
            let leaf = branch * FAN + which;
            if leaf / FIRST == query.home / FIRST || leaf >= self.index.leaves.len() {
                continue;
            }
            if self.state.held.len() == HELD {
                limit = self.thin(limit);
            }
            self.hold(leaf, query.at);
        }
        limit
    }

    /// Measures a leaf.
    #[inline(always)]
    fn hold(&mut self, leaf: usize, from: [f32; 3]) {
        self.state.distances.push(self.index.leaves[leaf].distances(self.lanes, from));
        self.state.held.push(leaf as u32);
    }

    /// Turns what can be among the `k` nearest into candidates and forgets the rest; returns the new limit.
    #[inline(always)]
    fn thin(&mut self, limit: f32) -> f32 {
        let limit = lower_limit(self.lanes, &self.state.distances, self.k, limit);
        let KnnScratch { distances, held, near } = &mut *self.state;
        near.reserve(held.len() * LEAF);
        for (distances, &leaf) in distances.iter().zip(held.iter()) {
            near.push_within(self.lanes, distances, &self.index.leaves[leaf as usize].id, limit);
        }
        distances.clear();
        held.clear();
        near.thin(self.k).map_or(limit, |last| if last < limit { last } else { limit })
    }
}

/// Where the first least distance of a row is, and what it is.
#[inline(always)]
fn find_least(row: &LaneRow) -> (usize, f32) {
    let mut least = (0, FAR);
    for (which, &distance) in row.iter().enumerate() {
        if distance < least.1 {
            least = (which, distance);
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use kiddo::{ImmutableKdTree, SquaredEuclidean};

    use crate::oracle::{clouds, kiddo_distances, nearest, squared_distance};
    use crate::{Error, IndexedCloud};

    #[test]
    fn equals_the_sorting_oracle_on_every_kind_of_cloud() {
        for (name, points) in clouds() {
            let mut cloud = IndexedCloud::new(&points).unwrap();
            let step = points.len() / 12 + 1;
            let queries: Vec<u32> = (0..points.len()).step_by(step).map(|i| i as u32).collect();
            for k in [1, 2, 31, 32, 48, 100, points.len()] {
                if k > points.len() || k * queries.len() > 60_000 {
                    continue;
                }
                let found = cloud.nearest(&queries, k).unwrap();
                for (patch, &q) in found.chunks(k).zip(&queries) {
                    assert_eq!(patch, nearest(&points, points[q as usize], k), "{name} k {k} query {q}");
                }
            }
        }
    }

    #[test]
    fn neighbours_are_as_near_as_those_that_kiddo_finds() {
        // Where squares overflow, `kiddo` finds nothing.
        for (name, points) in clouds().into_iter().filter(|(name, _)| !name.starts_with("overflowing")) {
            let tree = ImmutableKdTree::new_from_slice(&points).unwrap();
            let mut cloud = IndexedCloud::new(&points).unwrap();
            let k = points.len().min(32);
            let queries: Vec<u32> =
                (0..points.len()).step_by(points.len() / 40 + 1).map(|i| i as u32).collect();
            let found = cloud.nearest(&queries, k).unwrap();
            for (patch, &q) in found.chunks(k).zip(&queries) {
                let query = points[q as usize];
                let ours: Vec<f32> =
                    patch.iter().map(|&i| squared_distance(points[i as usize], query)).collect();
                assert_eq!(ours, kiddo_distances(&tree, &points, query, k), "{name}, query {q}");
            }
        }
    }

    #[test]
    fn every_point_is_as_near_to_a_center_as_the_last_center_was_to_those_before() {
        for (name, points) in clouds().into_iter().filter(|(name, _)| name.starts_with("random")) {
            let count = points.len().min(48);
            let centers = IndexedCloud::new(&points).unwrap().farthest_points(count, 0).unwrap();
            let centers: Vec<[f32; 3]> = centers.iter().map(|&i| points[i as usize]).collect();
            let nearest = |among: &[[f32; 3]], query: [f32; 3]| {
                let tree: ImmutableKdTree<f32, 3> = ImmutableKdTree::new_from_slice(among).unwrap();
                let hit = tree.query(&query).nearest_one::<SquaredEuclidean<f32>>().execute();
                squared_distance(among[hit.item as usize], query)
            };
            let Some((&last, before @ [_, ..])) = centers.split_last() else { continue };
            let radius = nearest(before, last);
            assert!(points.iter().all(|&p| nearest(before, p) <= radius), "{name}: a farther point was left");
        }
    }

    #[test]
    fn impossible_requests_are_named() {
        let mut cloud = IndexedCloud::new(&[[0.0; 3]; 4]).unwrap();
        assert_eq!(cloud.nearest(&[0, 1], 0), Ok(vec![]));
        let error = cloud.nearest(&[0], 5).unwrap_err();
        assert_eq!(error.to_string(), "expected at least 5 points, found 4");
        assert_eq!(cloud.nearest(&[9], 2), Err(Error::Index { points: 4, index: 9 }));
    }
}
