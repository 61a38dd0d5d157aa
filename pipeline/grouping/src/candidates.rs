//! The few points that may be among the `k` nearest, packed side by side, and their order.
//!
//! Up to 64 are ordered by counting for each how many are nearer: no branch depends on a distance. Where two distances
//! are equal that leaves a place empty, and the whole is ordered again as `distance bits << 32 | index`, whose integer
//! order is the order wanted.

use crate::kernels::{LEAF, Leaf, LeafRows, NO_POINT, mask_within};
use crate::lanes::{LaneOps, PointRow, PointRowMut, WIDTH};

/// Up to this many candidates are ordered by counting.
const COUNTED: usize = 64;

/// Where the nearest points of one place are written.
pub(crate) struct NearestRow<'a, I> {
    /// `[k]`.
    pub(crate) indices: &'a mut [I],
    /// `[k]` squared distances; empty if nobody asks.
    pub(crate) distances: &'a mut [f32],
}

/// All points of a cloud, and their squared distances to one place.
#[derive(Clone, Copy)]
pub(crate) struct MeasuredPoints<'a> {
    pub(crate) leaves: &'a [Leaf],
    pub(crate) distances: &'a [LeafRows],
}

/// Squared distances and indices; entries from `used` on are room to write into.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates {
    distances: Vec<f32>,
    ids: Vec<u32>,
    used: usize,
    /// Places of points among all, on their way to the candidates.
    places: Vec<u32>,
    /// Key of the last of the `k` nearest when there were too many; what is beyond it is not among them.
    cut: Option<u64>,
}

impl Candidates {
    /// Forgets the candidates of the query before.
    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        self.used = 0;
        self.cut = None;
    }

    /// Makes room for `more` candidates, and to order up to [`COUNTED`] row by row.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, more: usize) {
        let needed = (self.used + more + WIDTH).max(COUNTED);
        if self.ids.len() < needed {
            self.distances.resize(needed, 0.0);
            self.ids.resize(needed, NO_POINT);
        }
    }

    /// Appends the points of a leaf whose distances are not above `limit`; there must be room.
    #[inline(always)]
    pub(crate) fn push_within<L: LaneOps>(
        &mut self,
        lanes: L,
        distances: &LeafRows,
        ids: &[u32; LEAF],
        limit: f32,
    ) {
        for (row, ids) in distances.0.iter().zip(ids.as_chunks::<WIDTH>().0) {
            let near = lanes.mask_at_most(row, &[limit; WIDTH]);
            let room = (&mut self.distances[self.used..], &mut self.ids[self.used..]);
            let (Some(distances), Some(indices)) = (room.0.first_chunk_mut(), room.1.first_chunk_mut())
            else {
                unreachable!("room for a row was reserved");
            };
            let from = PointRow { distances: row, ids };
            lanes.pack(near, from, PointRowMut { distances, ids: indices });
            self.used += near.count_ones() as usize;
        }
    }

    /// Appends those of all points that are not above `limit`, few of them.
    ///
    /// Their places are written four at a time, whether there are so many or not: a branch that depended on how many of 64
    /// points are near would be guessed wrong every other time.
    #[inline(always)]
    pub(crate) fn push_few<L: LaneOps>(&mut self, lanes: L, measured: MeasuredPoints<'_>, limit: f32) {
        let MeasuredPoints { leaves, distances } = measured;
        self.places.resize(self.places.len().max(leaves.len() * LEAF + 2 * LEAF), 0);
        let mut found = 0;
        for (pair, distances) in distances.chunks(2).enumerate() {
            let mut near = u64::from(mask_within(lanes, &distances[0], limit));
            if let Some(second) = distances.get(1) {
                near |= u64::from(mask_within(lanes, second, limit)) << LEAF;
            }
            let end = found + near.count_ones() as usize;
            while found < end {
                for place in &mut self.places[found..found + 4] {
                    *place = (2 * LEAF * pair) as u32 + near.trailing_zeros();
                    near &= near.wrapping_sub(1);
                }
                found = end.min(found + 4);
            }
        }
        self.reserve(found);
        let room = self.distances[self.used..].iter_mut().zip(&mut self.ids[self.used..]);
        for (&place, (distance, id)) in self.places[..found].iter().zip(room) {
            let (leaf, lane) = (place as usize / LEAF, place as usize % LEAF);
            *distance = distances[leaf].0.as_flattened()[lane];
            *id = leaves[leaf].id[lane];
        }
        self.used += found;
    }

    /// Keeps the `k` nearest if there are many more; returns the distance of the last one then.
    #[inline(always)]
    pub(crate) fn thin(&mut self, k: usize) -> Option<f32> {
        if let Some(cut) = self.cut {
            self.drop_beyond(cut);
        }
        (self.used > COUNTED.max(k)).then(|| self.select(k))
    }

    /// Where thousands of points are equally far, only the index tells them apart.
    #[inline(never)]
    fn drop_beyond(&mut self, cut: u64) {
        let mut kept = 0;
        for i in 0..self.used {
            let (distance, id) = (self.distances[i], self.ids[i]);
            (self.distances[kept], self.ids[kept]) = (distance, id);
            kept += usize::from(key(distance, id) <= cut);
        }
        self.used = kept;
    }

    #[inline(never)]
    fn select(&mut self, k: usize) -> f32 {
        let mut keys = self.keys();
        let (_, &mut last, _) = keys.select_nth_unstable(k - 1);
        self.cut = Some(last);
        for (i, &key) in keys[..k].iter().enumerate() {
            (self.distances[i], self.ids[i]) = (f32::from_bits((key >> 32) as u32), key as u32);
        }
        self.used = k;
        f32::from_bits((last >> 32) as u32)
    }

    /// Integers that order as (squared distance, index) does.
    fn keys(&self) -> Vec<u64> {
        let pairs = self.distances[..self.used].iter().zip(&self.ids);
        pairs.map(|(&distance, &id)| key(distance, id)).collect()
    }

    /// Writes the nearest of at least as many candidates as the row is long, by (squared distance, index).
    #[inline(always)]
    pub(crate) fn write_nearest<L: LaneOps, I: From<u32>>(&self, lanes: L, mut row: NearestRow<'_, I>) {
        if self.used > COUNTED || !self.write_by_counting(lanes, &mut row) {
            self.write_by_keys(row);
        }
    }

    #[inline(never)]
    fn write_by_keys<I: From<u32>>(&self, row: NearestRow<'_, I>) {
        let mut keys = self.keys();
        // By a closure of this crate: see the profile in the root Cargo.toml.
        keys.sort_unstable_by_key(|&key| key);
        for (index, &key) in row.indices.iter_mut().zip(&keys) {
            *index = I::from(key as u32);
        }
        for (distance, &key) in row.distances.iter_mut().zip(&keys) {
            *distance = f32::from_bits((key >> 32) as u32);
        }
    }

    /// Writes the nearest of at most [`COUNTED`] candidates; false if equal distances leave their order open.
    #[inline(always)]
    fn write_by_counting<L: LaneOps, I: From<u32>>(&self, lanes: L, row: &mut NearestRow<'_, I>) -> bool {
        let distances = &self.distances[..self.used];
        let mut ranks = [[0; WIDTH]; COUNTED / WIDTH];
        let rows = self.distances.as_chunks::<WIDTH>().0.iter().take(self.used.div_ceil(WIDTH));
        for (ranks, row) in ranks.iter_mut().zip(rows) {
            *ranks = lanes.count_below(row, distances);
        }
        let ranks = ranks.as_flattened();
        let mut places = [NO_POINT; COUNTED];
        for (&rank, &id) in ranks.iter().zip(&self.ids[..self.used]) {
            places[rank as usize % COUNTED] = id;
        }
        for (index, &id) in row.indices.iter_mut().zip(&places) {
            *index = I::from(id);
        }
        if !row.distances.is_empty() {
            let mut ordered = [0.0; COUNTED];
            for (&rank, &distance) in ranks.iter().zip(distances) {
                ordered[rank as usize % COUNTED] = distance;
            }
            row.distances.copy_from_slice(&ordered[..row.distances.len()]);
        }
        // Two at one place leave the next one empty; the last one wanted may share its place with one beyond.
        let settled = (row.indices.len() + 1).min(self.used);
        let mut filled = true;
        for &place in &places[..settled] {
            filled &= place != NO_POINT;
        }
        filled
    }
}

/// Orders by distance, which is never negative, then index.
fn key(distance: f32, id: u32) -> u64 {
    u64::from(distance.to_bits()) << 32 | u64::from(id)
}
