//! Exact farthest point sampling: each next point is the one farthest from all chosen before.

use crate::index::SpatialIndex;
use crate::kernels::{FAN, FAR, LEAF, Leaf, NO_POINT, take_bit};
use crate::lanes::{Lanes, Row, WIDTH};

/// Marks a chosen point: below every distance, so it is never chosen again.
const CHOSEN: f32 = -1.0;

/// What one sampling run keeps per point, leaf and branch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    nearest: Vec<[Row; 2]>,
    leaf_most: Vec<Row>,
    leaf_first: Vec<[u32; FAN]>,
    branch_most: Vec<Row>,
}

impl Scratch {
    fn reset(&mut self, index: &SpatialIndex) {
        self.nearest.clear();
        self.nearest.resize(index.leaves.len(), [[FAR; WIDTH]; 2]);
        if let (Some(last), Some(leaf)) = (self.nearest.last_mut(), index.leaves.last()) {
            for lane in 0..LEAF {
                last[lane / WIDTH][lane % WIDTH] = if leaf.id[lane] == NO_POINT { CHOSEN } else { FAR };
            }
        }
        self.leaf_most.clear();
        self.leaf_most.resize(index.leaf_boxes.len(), [FAR; FAN]);
        self.leaf_first.clear();
        self.leaf_first.resize(index.leaf_boxes.len(), [NO_POINT; FAN]);
        self.branch_most.clear();
        self.branch_most.resize(index.branch_boxes.len(), [FAR; FAN]);
        let last = index.leaves.len() - 1;
        for which in last % FAN + 1..FAN {
            self.leaf_most[last / FAN][which] = CHOSEN;
        }
        for which in last / FAN % FAN + 1..FAN {
            self.branch_most[last / FAN / FAN][which] = CHOSEN;
        }
    }
}

/// Appends `count` indices, `start` first.
#[inline(always)]
pub(crate) fn sample<L: Lanes>(
    lanes: L,
    index: &SpatialIndex,
    state: &mut Scratch,
    count: usize,
    start: u32,
    out: &mut Vec<u32>,
) {
    state.reset(index);
    let mut chosen = start;
    out.push(chosen);
    for _ in 1..count {
        let slot = index.slots[chosen as usize] as usize;
        let (leaf, lane) = (slot / LEAF, slot % LEAF);
        state.nearest[leaf][lane / WIDTH][lane % WIDTH] = CHOSEN;
        lower(lanes, index, state, leaf, index.leaves[leaf].point(lane));
        chosen = farthest(lanes, index, state);
        out.push(chosen);
    }
}

/// Lowers the distance of every point that `center`, a point of leaf `home`, is nearest to.
#[inline(always)]
fn lower<L: Lanes>(lanes: L, index: &SpatialIndex, state: &mut Scratch, home: usize, center: [f32; 3]) {
    for limb in 0..index.branch_boxes.len() {
        let mut branches = lanes.below(&index.branch_boxes[limb].distances(lanes, center), &state.branch_most[limb]);
        if home / FAN / FAN == limb {
            branches |= 1 << (home / FAN % FAN);
        }
        while let Some(which) = take_bit(&mut branches) {
            let branch = limb * FAN + which;
            lower_branch(lanes, index, state, branch, home, center);
            state.branch_most[limb][which] = lanes.largest(&state.leaf_most[branch]);
        }
    }
}

#[inline(always)]
<<<<<<< HEAD
fn lower_branch<L: Lanes>(lanes: L, index: &SpatialIndex, state: &mut Scratch, branch: usize, home: usize, center: [f32; 3]) {
    let mut leaves = lanes.below(&index.leaf_boxes[branch].distances(lanes, center), &state.leaf_most[branch]);
=======
fn lower_branch<L: Lanes>(
    lanes: L,
    index: &SpatialIndex,
    state: &mut Scratch,
    branch: usize,
    home: usize,
    center: [f32; 3],
) {
    let mut leaves = lanes.below(&index.leaf_boxes[branch].distances(center), &state.leaf_most[branch]);
>>>>>>> main
    if home / FAN == branch {
        leaves |= 1 << (home % FAN);
    }
    while let Some(which) = take_bit(&mut leaves) {
        let leaf = branch * FAN + which;
        state.leaf_most[branch][which] = lower_leaf(lanes, &index.leaves[leaf], &mut state.nearest[leaf], center);
        state.leaf_first[branch][which] = NO_POINT;
    }
}

#[inline(always)]
fn lower_leaf<L: Lanes>(lanes: L, leaf: &Leaf, nearest: &mut [Row; 2], center: [f32; 3]) -> f32 {
    let distances = leaf.distances(lanes, center);
    *nearest = [lanes.smaller(&nearest[0], &distances[0]), lanes.smaller(&nearest[1], &distances[1])];
    lanes.largest(&lanes.larger(&nearest[0], &nearest[1]))
}

/// The point with the largest distance; among equals the one with the lowest index.
#[inline(always)]
fn farthest<L: Lanes>(lanes: L, index: &SpatialIndex, state: &mut Scratch) -> u32 {
    let mut most = [CHOSEN; FAN];
    for branches in &state.branch_most {
        most = lanes.larger(&most, branches);
    }
    let most = lanes.largest(&most);
    let mut first = NO_POINT;
    for limb in 0..state.branch_most.len() {
        let mut branches = lanes.equal_to_most(&state.branch_most[limb], most);
        while let Some(which) = take_bit(&mut branches) {
            let branch = limb * FAN + which;
            let mut leaves = lanes.equal_to_most(&state.leaf_most[branch], most);
            while let Some(which) = take_bit(&mut leaves) {
                if state.leaf_first[branch][which] == NO_POINT {
                    let leaf = branch * FAN + which;
                    state.leaf_first[branch][which] =
                        first_of(&index.leaves[leaf], &state.nearest[leaf], most);
                }
                first = first.min(state.leaf_first[branch][which]);
            }
        }
    }
    first
}

#[inline(always)]
fn first_of(leaf: &Leaf, nearest: &[Row; 2], most: f32) -> u32 {
    let mut first = NO_POINT;
    for lane in 0..LEAF {
        first = first.min(if nearest.as_flattened()[lane] == most { leaf.id[lane] } else { NO_POINT });
    }
    first
}

#[cfg(test)]
mod tests {
    use crate::oracle::{clouds, farthest_points};
    use crate::{Cloud, Error, farthest_from_centroid};

    #[test]
    fn equals_the_greedy_oracle_on_every_kind_of_cloud() {
        for (name, points) in clouds() {
            let mut cloud = Cloud::new(&points).unwrap();
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
            let mut all = Cloud::new(&points).unwrap().farthest_points(points.len(), 0).unwrap();
            assert_eq!(all, farthest_points(&points, points.len(), 0), "{name}");
            all.sort_unstable();
            assert!(all.iter().copied().eq(0..points.len() as u32), "{name}");
        }
    }

    #[test]
    fn impossible_requests_are_named() {
        let mut cloud = Cloud::new(&[[0.0; 3]; 4]).unwrap();
        assert_eq!(cloud.farthest_points(0, 0), Ok(vec![]));
        let error = cloud.farthest_points(5, 0).unwrap_err();
        assert_eq!(error.to_string(), "expected at least 5 points, found 4");
        assert_eq!(cloud.farthest_points(2, 4), Err(Error::Index { points: 4, index: 4 }));
        let error = Cloud::new(&[[0.0; 3], [f32::NAN, 0.0, 0.0]]).unwrap_err().to_string();
        assert_eq!(error, "expected finite coordinates, found [NaN, 0.0, 0.0] at point 1");
        assert!(Cloud::new(&[]).is_err());
    }
}
