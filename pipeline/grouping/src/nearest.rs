//! Exact k nearest neighbours, each patch sorted by (squared distance, index).
//!
//! A query first measures the 128 points of its corner of the k-d tree; a distance that `k` of them do not exceed limits
//! the boxes worth visiting. That limit, and a tighter one over all points measured, comes from counting how many
//! distances lie within a guess: a few passes over registers, no selection. What is left, rarely more than `k + 8`
//! candidates, is packed and put in order.

use crate::candidates::Candidates;
use crate::index::SpatialIndex;
use crate::kernels::{FAN, FAR, LEAF, count_within};
use crate::lanes::{LaneOps, LaneRow, WIDTH, take_bit};

/// Leaves measured first: one cell of the k-d split.
const FIRST: usize = 4;
/// Leaves whose distances are held before they are thinned out: bounds the memory.
const HELD: usize = 64;
/// Candidates beyond `k` that are not worth another guess.
const SPARE: usize = 8;
/// Guesses by interpolation; then halving the bit patterns ends the search within 32 steps.
const GUESSES: usize = 8;

/// Candidates of one query; the memory serves the next one.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnnScratch {
    /// Squared distances of the leaves in `held`.
    distances: Vec<[LaneRow; 2]>,
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
            self.state.near.write_nearest(self.lanes, patch);
        }
    }

    /// Writes the nearest points of each of `places`, which need not be points of the cloud, into `found [M,k]`.
    #[inline(always)]
    pub(crate) fn search_places(mut self, places: &[[f32; 3]], found: &mut [u32]) {
        for (&at, patch) in places.iter().zip(found.chunks_exact_mut(self.k)) {
            let home = self.find_home(at);
            self.gather(KnnQuery { home, at });
            self.state.near.write_nearest(self.lanes, patch);
        }
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
        let mut limit = self.lower_limit(FAR);
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
        let limit = self.lower_limit(limit);
        let KnnScratch { distances, held, near } = &mut *self.state;
        near.reserve(held.len() * LEAF);
        for (distances, &leaf) in distances.iter().zip(held.iter()) {
            near.push_within(self.lanes, distances, &self.index.leaves[leaf as usize].id, limit);
        }
        distances.clear();
        held.clear();
        near.thin(self.k).map_or(limit, |last| if last < limit { last } else { limit })
    }

    /// A distance not above `limit` that at least `k` held points do not exceed; `limit` if fewer are within it.
    ///
    /// Non-negative floats order as their bit patterns do, so the search ends even where values are equal or infinite.
    #[inline(always)]
    fn lower_limit(&self, limit: f32) -> f32 {
        let distances = &self.state.distances;
        let mut most = [0.0; WIDTH];
        for leaf in distances {
            most = self.lanes.max_rows(&most, &self.lanes.max_rows(&leaf[0], &leaf[1]));
        }
        let most = self.lanes.reduce_max(&most);
        let (mut lo, mut hi) = (-1, if most < limit { most } else { limit }.to_bits() as i32);
        let mut inside = count_within(self.lanes, distances, f32::from_bits(hi as u32));
        if inside < self.k {
            return limit;
        }
        let mut step = 0;
        while inside > self.k + SPARE && hi - lo > 1 {
            // On a surface the number of points within a squared distance is proportional to it.
            let share = if step == 0 { (self.k + SPARE / 2) as f32 / inside as f32 } else { 0.5 };
            let middle = if step < GUESSES { interpolate_bits(lo, hi, share) } else { lo + (hi - lo) / 2 };
            let count = count_within(self.lanes, distances, f32::from_bits(middle as u32));
            if count >= self.k {
                (hi, inside) = (middle, count);
            } else {
                lo = middle;
            }
            step += 1;
        }
        f32::from_bits(hi as u32)
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

/// The bit pattern of the value at `share` of the way from `lo` to `hi`, strictly between them.
#[inline(always)]
fn interpolate_bits(lo: i32, hi: i32, share: f32) -> i32 {
    let (low, high) = (f32::from_bits(lo.max(0) as u32), f32::from_bits(hi as u32));
    ((low + (high - low) * share).to_bits() as i32).clamp(lo + 1, hi - 1)
}

#[cfg(test)]
mod tests {
    use kiddo::{ImmutableKdTree, SquaredEuclidean};

    use crate::oracle::{Noise, clouds, kiddo_distances, nearest, squared_distance};
    use crate::{Error, IndexedCloud};

    #[test]
    fn places_that_are_no_points_find_what_sorting_finds() {
        for (name, points) in clouds() {
            let mut cloud = IndexedCloud::new(&points).unwrap();
            let mut noise = Noise::new(points.len() as u64);
            let beside = |p: &[f32; 3], by: [f32; 3]| std::array::from_fn(|a| p[a] + 0.1 * by[a]);
            let step = points.len() / 6 + 1;
            let mut places: Vec<[f32; 3]> =
                points.iter().step_by(step).map(|p| beside(p, noise.point())).collect();
            places.extend([points[0], [0.0; 3], [1e30, -1e30, 0.0], [f32::MAX; 3]]);
            for k in [1, 8, 33, points.len()].into_iter().filter(|&k| k <= points.len() && k < 3000) {
                let found = cloud.nearest_to(&places, k).unwrap();
                for (patch, &place) in found.chunks(k).zip(&places) {
                    assert_eq!(patch, nearest(&points, place, k), "{name}, k {k}, {place:?}");
                }
            }
        }
        let mut cloud = IndexedCloud::new(&[[0.0; 3]; 4]).unwrap();
        assert!(matches!(cloud.nearest_to(&[[f32::NAN; 3]], 1), Err(Error::NotFinite { index: 0, .. })));
        assert!(matches!(cloud.nearest_to(&[[0.0; 3]], 5), Err(Error::TooFew { .. })));
    }

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
