//! Exact k nearest neighbours, each patch sorted by (squared distance, index).
//!
//! Distances and indices are packed into one integer, `distance bits << 32 | index`, whose order
//! is the order wanted (bits of non-negative floats sort as the floats do), so ties need no
//! care. Few candidates reach it: the `k`-th smallest of the minima of 64 interleaved groups
//! of points is at least the `k`-th smallest distance, and usually close to it.

use pulp::{Arch, Simd, WithSimd};

use crate::cloud::{Bucket, Cloud};
use crate::error::{Error, Result};
use crate::lanes::{LANES, at_most, greater, largest, smaller};

/// Groups of lanes whose minima bound the `k`-th distance.
const GROUPS: usize = 4;

/// Memory of a query, kept for the next one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    /// Distances of the blocks under test.
    distances: Vec<[f32; LANES]>,
    /// Block numbers of `distances`.
    blocks: Vec<u32>,
    bounds: Vec<[f32; LANES]>,
    /// Buckets near enough to matter, by (lower bound bits, number).
    near: Vec<u64>,
    /// Candidates of the current query: the first `candidates` entries.
    keys: Vec<i64>,
    candidates: usize,
}

impl Cloud {
    /// The `k` nearest points of each of the points `queries [M]` (itself included), `[M,k]`
    /// indices, each patch sorted by (squared distance, index).
    ///
    /// # Errors
    /// Fails if `k` exceeds the number of points, or a query is none of them.
    pub fn nearest(&mut self, queries: &[u32], k: usize) -> Result<Vec<u32>> {
        if k > self.len() {
            return Err(Error::TooFew { what: "points", expected: k, found: self.len() });
        }
        if let Some(&index) = queries.iter().find(|&&q| q as usize >= self.len()) {
            return Err(Error::Index { points: self.len(), index });
        }
        let mut scratch = std::mem::take(&mut self.nearest);
        let mut found = vec![0; queries.len() * k];
        if k > 0 {
            let (scratch, found) = (&mut scratch, found.as_mut_slice());
            Arch::new().dispatch(Search { cloud: self, scratch, queries, k, found });
        }
        self.nearest = scratch;
        Ok(found)
    }
}

/// All queries of a call, compiled for each vector width.
struct Search<'a> {
    cloud: &'a Cloud,
    scratch: &'a mut Scratch,
    queries: &'a [u32],
    k: usize,
    found: &'a mut [u32],
}

impl WithSimd for Search<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (&query, patch) in self.queries.iter().zip(self.found.chunks_exact_mut(self.k)) {
            one(self.cloud, self.scratch, self.cloud.points[query as usize], patch);
        }
    }
}

#[inline(always)]
fn one(cloud: &Cloud, scratch: &mut Scratch, q: [f32; 3], patch: &mut [u32]) {
    scratch.distances.clear();
    scratch.blocks.clear();
    if cloud.buckets.len() == 1 {
        measure(cloud, scratch, cloud.buckets[0], q);
    } else {
        measure_near(cloud, scratch, q, patch.len());
    }
    let limit = limit(&scratch.distances, patch.len());
    collect(cloud, scratch, limit);
    smallest(scratch, patch);
}

/// Appends the distances of a bucket's blocks.
#[inline(always)]
fn measure(cloud: &Cloud, scratch: &mut Scratch, bucket: Bucket, q: [f32; 3]) {
    for block in bucket.first..bucket.last {
        scratch.distances.push(cloud.blocks[block as usize].squared_distances(q));
        scratch.blocks.push(block);
    }
}

/// Measures every bucket that may hold one of the `k` nearest.
#[inline(always)]
fn measure_near(cloud: &Cloud, scratch: &mut Scratch, q: [f32; 3], k: usize) {
    scratch.bounds.clear();
    let mut least = [f32::INFINITY; LANES];
    for boxes in &cloud.boxes {
        let bounds = boxes.lower_bounds(q);
        for i in 0..LANES {
            least[i] = smaller(least[i], bounds[i]);
        }
        scratch.bounds.push(bounds);
    }
    // The nearest buckets with k points between them bound the k-th distance from above.
    let mut reach = least.iter().copied().fold(f32::INFINITY, smaller);
    loop {
        gather(cloud, scratch, reach);
        let lanes: usize = scratch.near.iter().map(|&key| points(cloud, key)).sum();
        if lanes >= k {
            break;
        }
        reach = if reach > 0.0 { reach * 4.0 } else { f32::MIN_POSITIVE };
    }
    scratch.near.sort_unstable();
    let mut counted = 0;
    let mut at = 0;
    while counted < k {
        let key = scratch.near[at];
        counted += points(cloud, key);
        measure(cloud, scratch, cloud.buckets[key as u32 as usize], q);
        at += 1;
    }
    let farthest = kth_distance(cloud, scratch, k);
    let first = std::mem::take(&mut scratch.near);
    let seen = &first[..at];
    gather(cloud, scratch, farthest);
    let near = std::mem::take(&mut scratch.near);
    for &key in near.iter().filter(|key| !seen.contains(key)) {
        measure(cloud, scratch, cloud.buckets[key as u32 as usize], q);
    }
    scratch.near = near;
}

/// Points of the bucket that a key of `near` names.
fn points(cloud: &Cloud, key: u64) -> usize {
    let bucket = cloud.buckets[key as u32 as usize];
    let last = cloud.ids[bucket.last as usize - 1];
    let padding = last.iter().filter(|&&id| id == u32::MAX).count();
    (bucket.last - bucket.first) as usize * LANES - padding
}

/// Lists the buckets whose lower bound is at most `reach`.
#[inline(always)]
fn gather(cloud: &Cloud, scratch: &mut Scratch, reach: f32) {
    scratch.near.clear();
    for (row, bounds) in scratch.bounds.iter().enumerate() {
        let mut near = at_most(bounds, reach);
        while near != 0 {
            let lane = near.trailing_zeros() as usize;
            near &= near - 1;
            let number = row * LANES + lane;
            if number < cloud.buckets.len() {
                scratch.near.push(u64::from(bounds[lane].to_bits()) << 32 | number as u64);
            }
        }
    }
}

/// The `k`-th smallest distance measured so far.
#[inline(always)]
fn kth_distance(cloud: &Cloud, scratch: &mut Scratch, k: usize) -> f32 {
    if let Ok(rows) = <&[[f32; LANES]; GROUPS]>::try_from(scratch.distances.as_slice()) {
        return kth_of(rows, k);
    }
    collect(cloud, scratch, f32::INFINITY);
    let (_, key, _) = scratch.keys[..scratch.candidates].select_nth_unstable(k - 1);
    f32::from_bits((*key >> 32) as u32)
}

/// A distance that at least `k` of the measured points do not exceed, and few others.
#[inline(always)]
fn limit(distances: &[[f32; LANES]], k: usize) -> f32 {
    if k > GROUPS * LANES || distances.len() < 2 * GROUPS {
        return f32::INFINITY;
    }
    let mut least = [[f32::INFINITY; LANES]; GROUPS];
    let whole = distances.chunks_exact(GROUPS);
    for (least, row) in least.iter_mut().zip(whole.remainder()) {
        for lane in 0..LANES {
            least[lane] = smaller(least[lane], row[lane]);
        }
    }
    for rows in whole {
        for g in 0..GROUPS {
            for lane in 0..LANES {
                least[g][lane] = smaller(least[g][lane], rows[g][lane]);
            }
        }
    }
    kth_of(&least, k)
}

/// The `k`-th smallest of 64 numbers, by counting for each how many are smaller: 256 vector
/// comparisons without a branch, where a selection mispredicts its way.
#[inline(always)]
fn kth_of(values: &[[f32; LANES]; GROUPS], k: usize) -> f32 {
    let mut kth = [0.0; LANES];
    for group in values {
        let mut smaller_ones = [0u32; LANES];
        for &value in values.as_flattened() {
            for lane in 0..LANES {
                smaller_ones[lane] += u32::from(value < group[lane]);
            }
        }
        for lane in 0..LANES {
            let is_within = smaller_ones[lane] < k as u32;
            kth[lane] = greater(kth[lane], if is_within { group[lane] } else { 0.0 });
        }
    }
    largest(kth)
}

/// Turns the measured points within `limit` into keys.
#[inline(always)]
fn collect(cloud: &Cloud, scratch: &mut Scratch, limit: f32) {
    let Scratch { distances, blocks, keys, .. } = scratch;
    if keys.len() < distances.len() * LANES {
        keys.resize(distances.len() * LANES, 0);
    }
    let mut n = 0;
    for (distances, &block) in distances.iter().zip(blocks.iter()) {
        let mut within = at_most(distances, limit);
        let ids = &cloud.ids[block as usize];
        while within != 0 {
            let lane = within.trailing_zeros() as usize % LANES;
            within &= within - 1;
            keys[n] = i64::from(distances[lane].to_bits()) << 32 | i64::from(ids[lane]);
            // Padding is written over by the next candidate.
            n += usize::from(ids[lane] != u32::MAX);
        }
    }
    scratch.candidates = n;
}

/// Candidates that are ranked by counting; more are cut down to `k` first.
const RANKED: usize = 96;

/// The indices of the `k` smallest keys in order.
///
/// All keys differ, so the place of a key is the number of smaller ones, counted in vector
/// registers without a branch.
#[inline(always)]
fn smallest(scratch: &mut Scratch, patch: &mut [u32]) {
    let k = patch.len();
    let keys = &mut scratch.keys[..scratch.candidates];
    if keys.len() > RANKED {
        keys.select_nth_unstable(k - 1);
        let keys = &mut keys[..k];
        if k > RANKED {
            keys.sort_unstable();
            for (index, key) in patch.iter_mut().zip(keys.iter()) {
                *index = *key as u32;
            }
            return;
        }
    }
    let n = if keys.len() > RANKED { k } else { keys.len() };
    let padded = n.next_multiple_of(LANES);
    if scratch.keys.len() < padded {
        scratch.keys.resize(padded, 0);
    }
    scratch.keys[n..padded].fill(i64::MAX);
    let keys = &scratch.keys[..padded];
    for chunk in keys.as_chunks::<LANES>().0 {
        let mut ranks = [0i64; LANES];
        for &key in &keys[..n] {
            for lane in 0..LANES {
                ranks[lane] += i64::from(key < chunk[lane]);
            }
        }
        for (&key, rank) in chunk.iter().zip(ranks) {
            if let Some(index) = patch.get_mut(rank as usize).filter(|_| key != i64::MAX) {
                *index = key as u32;
            }
        }
    }
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
