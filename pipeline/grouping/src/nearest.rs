//! Exact nearest neighbours: the `K` points nearest to each query, sorted by (distance, index).

use crate::index::SpatialIndex;
use crate::kernels::{FAN, FAR, LEAF, count_within, take_bit, within};
use crate::lanes::{Lanes, Row, WIDTH};

/// Leaves whose distances are held before they are thinned.
const HELD: usize = 64;
/// Leaves looked at first, to bound the distance of the k-th neighbour.
const FIRST: usize = 4;
/// Candidates beyond `k` that are not worth another step of the search for a bound.
const SPARE: usize = 8;
/// Up to this many candidates are ordered by counting, without branches.
const COUNTED: usize = 64;

/// Candidates of one query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    /// Distance bits of the leaves in `held`.
    distances: Vec<[Row; 2]>,
    held: Vec<u32>,
    /// Distance bits above, index below: integer order is (distance, index) order.
    keys: Vec<u64>,
}

/// Appends the `k` nearest points of each query point.
#[inline(always)]
pub(crate) fn nearest<L: Lanes>(
    lanes: L,
    index: &SpatialIndex,
    state: &mut Scratch,
    queries: &[u32],
    k: usize,
    found: &mut [u32],
) {
    for (&query, patch) in queries.iter().zip(found.chunks_exact_mut(k)) {
        let slot = index.slots[query as usize] as usize;
        let from = index.leaves[slot / LEAF].point(slot % LEAF);
        nearest_to(lanes, index, state, slot / LEAF, from, k);
        for (index, &key) in patch.iter_mut().zip(&state.keys) {
            *index = key as u32;
        }
    }
}

/// Leaves the `k` nearest points of `from` in `state.keys`, sorted; leaf `home` lies near it.
#[inline(always)]
fn nearest_to<L: Lanes>(
    lanes: L,
    index: &SpatialIndex,
    state: &mut Scratch,
    home: usize,
    from: [f32; 3],
    k: usize,
) {
    state.keys.clear();
    state.held.clear();
    state.distances.clear();
    let first = home / FIRST * FIRST;
    let done = first..(first + FIRST).min(index.leaves.len());
    for leaf in done.clone() {
        hold(lanes, index, state, leaf, from);
    }
    let mut limit = kth_bound(lanes, &state.distances, FAR, k);
    for limb in 0..index.branch_boxes.len() {
        let mut branches = lanes.at_most(&index.branch_boxes[limb].distances(lanes, from), &[limit; FAN]);
        while let Some(which) = take_bit(&mut branches) {
            let branch = limb * FAN + which;
            let Some(boxes) = index.leaf_boxes.get(branch) else { break };
            let mut leaves = lanes.at_most(&boxes.distances(lanes, from), &[limit; FAN]);
            while let Some(which) = take_bit(&mut leaves) {
                let leaf = branch * FAN + which;
                if done.contains(&leaf) || leaf >= index.leaves.len() {
                    continue;
                }
                if state.held.len() == HELD {
                    limit = thin(lanes, index, state, limit, k);
                }
                hold(lanes, index, state, leaf, from);
            }
        }
    }
    thin(lanes, index, state, limit, k);
    sort(&mut state.keys, k);
}

#[inline(always)]
fn hold<L: Lanes>(lanes: L, index: &SpatialIndex, state: &mut Scratch, leaf: usize, from: [f32; 3]) {
    state.distances.push(index.leaves[leaf].distances(lanes, from));
    state.held.push(leaf as u32);
}

/// Moves what can be among the `k` nearest from the held leaves to the keys; returns the new limit.
#[inline(always)]
fn thin<L: Lanes>(lanes: L, index: &SpatialIndex, state: &mut Scratch, limit: f32, k: usize) -> f32 {
    let mut limit = kth_bound(lanes, &state.distances, limit, k);
    let Scratch { distances, held, keys } = state;
    for (distances, &leaf) in distances.iter().zip(held.iter()) {
        let ids = &index.leaves[leaf as usize].id;
        let mut near = within(lanes, distances, limit);
        while let Some(lane) = take_bit(&mut near) {
            keys.push(u64::from(distances.as_flattened()[lane].to_bits()) << 32 | u64::from(ids[lane]));
        }
    }
    if keys.len() > COUNTED.max(k) {
        let (_, &mut last, _) = keys.select_nth_unstable(k - 1);
        keys.truncate(k);
        limit = limit.min(f32::from_bits((last >> 32) as u32));
    }
    distances.clear();
    held.clear();
    limit
}

/// A value not above `limit` that at least `k` distances do not exceed, `limit` itself when fewer than `k` are within it.
#[inline(always)]
fn kth_bound<L: Lanes>(lanes: L, distances: &[[Row; 2]], limit: f32, k: usize) -> f32 {
    let mut most = [0.0; WIDTH];
    for leaf in distances {
        most = lanes.larger(&most, &lanes.larger(&leaf[0], &leaf[1]));
    }
    let (mut lo, mut hi) = (-1, lanes.largest(&most).min(limit).to_bits() as i32);
    let mut held = count_within(lanes, distances, f32::from_bits(hi as u32));
    if held < k {
        return limit;
    }
    let mut step = 0;
    while held > k + SPARE && hi - lo > 1 {
        let (low, high) = (f32::from_bits(lo.max(0) as u32), f32::from_bits(hi as u32));
        let share = if step == 0 { (k + SPARE / 2) as f32 / held as f32 } else { 0.5 };
        let guess = (low + (high - low) * share).to_bits() as i32;
        let middle = if step < 8 { guess.clamp(lo + 1, hi - 1) } else { lo + (hi - lo) / 2 };
        let inside = count_within(lanes, distances, f32::from_bits(middle as u32));
        if inside >= k {
            (hi, held) = (middle, inside);
        } else {
            lo = middle;
        }
        step += 1;
    }
    f32::from_bits(hi as u32)
}

/// Keeps the `k` smallest keys, sorted.
///
/// All keys differ, so the place of a key is the number of smaller ones: counted without a branch.
#[inline(always)]
fn sort(keys: &mut Vec<u64>, k: usize) {
    if keys.len() > COUNTED {
        keys.sort_unstable();
        keys.truncate(k);
        return;
    }
    let mut padded = [i64::MAX; COUNTED];
    for (slot, &key) in padded.iter_mut().zip(keys.iter()) {
        *slot = key as i64;
    }
    let used = keys.len();
    let mut sorted = [0u64; COUNTED + 1];
    for chunk in padded.as_chunks::<WIDTH>().0.iter().take(used.div_ceil(WIDTH)) {
        let mut ranks = [0i64; WIDTH];
        for &key in &padded[..used] {
            for i in 0..WIDTH {
                ranks[i] += i64::from(key < chunk[i]);
            }
        }
        for i in 0..WIDTH {
            sorted[(ranks[i] as usize).min(COUNTED)] = chunk[i] as u64;
        }
    }
    keys.clear();
    keys.extend_from_slice(&sorted[..k]);
}

#[cfg(test)]
mod tests {
    use crate::oracle::{clouds, nearest};
    use crate::{Cloud, Error};

    #[test]
    fn equals_the_sorting_oracle_on_every_kind_of_cloud() {
        for (name, points) in clouds() {
            let mut cloud = Cloud::new(&points).unwrap();
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
    fn impossible_requests_are_named() {
        let mut cloud = Cloud::new(&[[0.0; 3]; 4]).unwrap();
        assert_eq!(cloud.nearest(&[0, 1], 0), Ok(vec![]));
        let error = cloud.nearest(&[0], 5).unwrap_err();
        assert_eq!(error.to_string(), "expected at least 5 points, found 4");
        assert_eq!(cloud.nearest(&[9], 2), Err(Error::Index { points: 4, index: 9 }));
    }
}
