//! Exact farthest point sampling (Eldar et al. 1997): each point is one farthest from all before.
//!
//! A small cloud is swept whole for every new point. A large one keeps the largest distance of
//! each bucket; a bucket whose box is farther from the new point than that cannot change and is
//! skipped, as in QuickFPS (Han et al. 2023). Cost: `O(N M)` vector steps at worst, about
//! `O(N log M + M N / 64)` for clouds of even density.

use pulp::{Arch, Simd, WithSimd};

use crate::cloud::Cloud;
use crate::error::{Error, Result};
use crate::lanes::{LANES, greater, lanes_where, largest, smaller};

/// Distance of points that are chosen already, and of padding: below every distance.
const CHOSEN: f32 = -1.0;

/// Memory of a run, kept for the next one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    /// Squared distance of every lane to the nearest chosen point.
    distances: Vec<[f32; LANES]>,
    /// Largest of these in every bucket.
    largest: Vec<[f32; LANES]>,
    /// First place of the largest in every bucket, counted in lanes.
    places: Vec<u32>,
}

impl Cloud {
    /// Chooses `count` distinct points, the first of them `start`, each next one the point with
    /// the largest squared distance to those before; ties go to the lowest index.
    ///
    /// Points that coincide with a chosen one are taken only when no others are left.
    ///
    /// # Errors
    /// Fails if `count` exceeds the number of points, or `start` is none of them.
    pub fn farthest_points(&mut self, count: usize, start: u32) -> Result<Vec<u32>> {
        if count > self.len() {
            return Err(Error::TooFew { what: "points", expected: count, found: self.len() });
        }
        if start as usize >= self.len() {
            return Err(Error::Index { points: self.len(), index: start });
        }
        let mut scratch = std::mem::take(&mut self.fps);
        scratch.reset(self);
        let mut chosen = Vec::with_capacity(count);
        if count > 0 {
            Arch::new().dispatch(Run {
                cloud: self,
                scratch: &mut scratch,
                chosen: &mut chosen,
                count,
                start,
            });
        }
        self.fps = scratch;
        Ok(chosen)
    }
}

impl Scratch {
    fn reset(&mut self, cloud: &Cloud) {
        self.distances.clear();
        self.distances.extend(
            cloud.ids.iter().map(|ids| ids.map(|id| if id == u32::MAX { CHOSEN } else { f32::INFINITY })),
        );
        self.largest.clear();
        self.largest.resize(cloud.boxes.len(), [CHOSEN; LANES]);
        self.places.clear();
        self.places.resize(cloud.buckets.len(), 0);
        for bucket in 0..cloud.buckets.len() {
            self.largest[bucket / LANES][bucket % LANES] = f32::INFINITY;
        }
    }
}

/// A lane of the layout.
#[derive(Clone, Copy)]
struct Place {
    block: usize,
    lane: usize,
}

/// One run, compiled for each vector width.
struct Run<'a> {
    cloud: &'a Cloud,
    scratch: &'a mut Scratch,
    chosen: &'a mut Vec<u32>,
    count: usize,
    start: u32,
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { cloud, scratch, chosen, count, start } = self;
        let (mut next, mut place) = (start, locate(cloud, start));
        loop {
            chosen.push(next);
            scratch.distances[place.block][place.lane] = CHOSEN;
            if chosen.len() == count {
                return;
            }
            update(cloud, scratch, cloud.points[next as usize], place.block as u32);
            (next, place) = farthest(cloud, scratch);
        }
    }
}

fn locate(cloud: &Cloud, id: u32) -> Place {
    for (block, ids) in cloud.ids.iter().enumerate() {
        if let Some(lane) = ids.iter().position(|&i| i == id) {
            return Place { block, lane };
        }
    }
    unreachable!("every point has a lane")
}

/// Lowers the distances of all points that `q`, just chosen, may be nearer to.
///
/// The bucket of `q` itself (that of block `home`) is always swept: its largest distance was
/// that of `q`.
#[inline(always)]
fn update(cloud: &Cloud, scratch: &mut Scratch, q: [f32; 3], home: u32) {
    for (row, boxes) in cloud.boxes.iter().enumerate() {
        let bounds = boxes.lower_bounds(q);
        let mut near = lanes_where(&bounds, &scratch.largest[row], |bound, largest| bound < largest);
        while near != 0 {
            let lane = near.trailing_zeros() as usize;
            near &= near - 1;
            sweep(cloud, scratch, row, lane, q);
        }
    }
    // At distance infinity (an overflow) no bound is below the largest: sweep it all the same.
    let number = cloud.buckets.partition_point(|b| b.last <= home);
    sweep(cloud, scratch, number / LANES, number % LANES, q);
}

#[inline(always)]
fn sweep(cloud: &Cloud, scratch: &mut Scratch, row: usize, lane: usize, q: [f32; 3]) {
    let bucket = cloud.buckets[row * LANES + lane];
    let range = bucket.first as usize..bucket.last as usize;
    let mut most = [CHOSEN; LANES];
    let mut first_of = [u32::MAX; LANES];
    let blocks = cloud.blocks[range.clone()].iter().zip(&mut scratch.distances[range]);
    for ((block, kept), number) in blocks.zip(bucket.first..) {
        let d = block.squared_distances(q);
        for i in 0..LANES {
            let least = smaller(kept[i], d[i]);
            kept[i] = least;
            // Strictly greater: each lane remembers the first block of its largest.
            first_of[i] = if least > most[i] { number } else { first_of[i] };
            most[i] = greater(most[i], least);
        }
    }
    let largest = largest(most);
    let mut place = u32::MAX;
    for i in 0..LANES {
        let here = first_of[i].wrapping_mul(LANES as u32).wrapping_add(i as u32);
        place = place.min(if most[i] == largest { here } else { u32::MAX });
    }
    scratch.largest[row][lane] = largest;
    scratch.places[row * LANES + lane] = place;
}

/// The farthest point, the lowest index among equals.
#[inline(always)]
fn farthest(cloud: &Cloud, scratch: &Scratch) -> (u32, Place) {
    let mut most = [CHOSEN; LANES];
    for row in &scratch.largest {
        for i in 0..LANES {
            most[i] = greater(most[i], row[i]);
        }
    }
    let most = largest(most);
    let mut best = (u32::MAX, Place { block: 0, lane: 0 });
    for (row, values) in scratch.largest.iter().enumerate() {
        let mut tied = lanes_where(values, &[most; LANES], |value, most| value == most);
        while tied != 0 {
            let place = scratch.places[row * LANES + tied.trailing_zeros() as usize] as usize;
            tied &= tied - 1;
            // Ids ascend inside a bucket, so its first place holds its lowest.
            let place = Place { block: place / LANES, lane: place % LANES };
            let id = cloud.ids[place.block][place.lane];
            if id < best.0 {
                best = (id, place);
            }
        }
    }
    best
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
