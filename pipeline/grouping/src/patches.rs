//! Exact nearest neighbours: the `K` points nearest to each query, sorted by (distance, index).

use crate::index::SpatialIndex;
use crate::kernels::{FAN, LEAF, NO_POINT, largest, take_bit, within};

/// Candidates of one query: distance bits above, index below.
#[derive(Clone, Debug, Default)]
pub(crate) struct PatchScratch {
    keys: Vec<u64>,
}

/// Appends the `k` nearest points of each query point.
#[inline(always)]
pub(crate) fn nearest(index: &SpatialIndex, state: &mut PatchScratch, queries: &[u32], k: usize, out: &mut Vec<u32>) {
    for &query in queries {
        let slot = index.slots[query as usize] as usize;
        let from = index.leaves[slot / LEAF].point(slot % LEAF);
        let limit = first_limit(index, slot / LEAF, from, k);
        gather(index, state, from, limit);
        if state.keys.len() > k {
            state.keys.select_nth_unstable(k - 1);
            state.keys.truncate(k);
        }
        state.keys.sort_unstable();
        out.extend(state.keys.iter().map(|&key| key as u32));
    }
}

#[inline(always)]
fn first_limit(index: &SpatialIndex, home: usize, from: [f32; 3], k: usize) -> i32 {
    let mut home = home.min(index.slots.len().saturating_sub(k) / LEAF);
    let mut missing = k;
    let mut limit = 0;
    while missing > 0 {
        let leaf = &index.leaves[home];
        let mut distances = leaf.distances(from);
        let used = (index.slots.len() - home * LEAF).min(LEAF);
        distances[used..].fill(0);
        limit = limit.max(largest(&distances));
        missing = missing.saturating_sub(used);
        home += 1;
    }
    limit
}

#[inline(always)]
fn gather(index: &SpatialIndex, state: &mut PatchScratch, from: [f32; 3], limit: i32) {
    state.keys.clear();
    for limb in 0..index.branch_boxes.len() {
        let mut branches = within(&index.branch_boxes[limb].distances(from), limit);
        while let Some(which) = take_bit(&mut branches) {
            let branch = limb * FAN + which;
            let mut leaves = within(&index.leaf_boxes[branch].distances(from), limit);
            while let Some(which) = take_bit(&mut leaves) {
                let Some(leaf) = index.leaves.get(branch * FAN + which) else { break };
                let distances = leaf.distances(from);
                let mut near = within(&distances, limit);
                while let Some(lane) = take_bit(&mut near) {
                    if leaf.id[lane] != NO_POINT {
                        state.keys.push((distances[lane] as u64) << 32 | u64::from(leaf.id[lane]));
                    }
                }
            }
        }
    }
}
