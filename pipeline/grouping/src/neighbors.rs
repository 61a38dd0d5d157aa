//! Nearest points of any places: by the spatial index where one pays, else by measuring every point.

use pulp::Arch;

use crate::candidates::NearestRow;
use crate::cloud::check_points;
use crate::error::{Error, Result};
use crate::index::SpatialIndex;
use crate::kernels::{LEAF, Leaf};
use crate::lanes::{Kernel, LaneOps, dispatch};
use crate::nearest::{KnnRun, KnnScratch};
use crate::scan::{ScanRun, ScanScratch};

/// Measuring so many points for a place costs no more than asking an index.
const SMALL: usize = 1536;
/// Building an index costs per point what measuring it for so many places does.
const BUILD: usize = 220;

/// A search for the nearest points of places, which need not be points of the cloud.
///
/// Exact, by (squared distance, index), whichever way it goes. [`NeighborSearch::rebuild`] takes another cloud into the same
/// memory; a search writes where it is told to and allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct NeighborSearch {
    index: SpatialIndex,
    nearest: KnnScratch,
    /// The points as they come, where there is no index.
    leaves: Vec<Leaf>,
    scan: ScanScratch,
    points: usize,
    is_indexed: bool,
    arch: Arch,
}

/// Where neighbours of `M` places are written, `k` in a row.
pub struct NeighborRows<'a> {
    /// `[M,k]` squared distances, ascending.
    pub distances: &'a mut [f32],
    /// `[M,k]` indices of points.
    pub indices: &'a mut [i64],
}

impl NeighborSearch {
    /// Lays out `points [N,3]` for about so many `places`: their number decides the speed, not the result.
    ///
    /// # Errors
    /// Fails if there are no points, more than 2^31, or one is not finite; the cloud before is then still there.
    pub fn rebuild(&mut self, points: &[[f32; 3]], places: usize) -> Result<()> {
        check_points(points)?;
        self.is_indexed = places.saturating_mul(points.len().saturating_sub(SMALL)) > BUILD * points.len();
        self.points = points.len();
        let arch = self.arch;
        dispatch(arch, LayoutKernel { search: self, points });
        Ok(())
    }

    /// Writes the nearest points of each of `places [M]`: `k` in a row, or as many as there are and leaves the rest of it.
    ///
    /// # Errors
    /// Fails if `k` is 0, `rows` are not `M` times `k`, a place is not finite, or there is no cloud.
    pub fn write_nearest(&mut self, places: &[[f32; 3]], k: usize, rows: NeighborRows<'_>) -> Result<()> {
        if self.points == 0 || k == 0 {
            return Err(Error::TooFew { what: "points and neighbours", expected: 1, found: 0 });
        }
        check_places(places)?;
        for found in [rows.distances.len(), rows.indices.len()] {
            if found != places.len() * k {
                return Err(Error::Rows { expected: places.len() * k, found });
            }
        }
        dispatch(self.arch, NeighborKernel { search: self, places, k, rows });
        Ok(())
    }
}

fn check_places(places: &[[f32; 3]]) -> Result<()> {
    match crate::cloud::find_not_finite(places) {
        Some(index) => Err(Error::NotFinite { index, found: places[index] }),
        None => Ok(()),
    }
}

/// Arguments of laying out a cloud, compiled once for each vector width that `pulp` knows.
struct LayoutKernel<'a> {
    search: &'a mut NeighborSearch,
    points: &'a [[f32; 3]],
}

impl Kernel for LayoutKernel<'_> {
    #[inline(always)]
    fn run<L: LaneOps>(self, _: L) {
        if self.search.is_indexed {
            return self.search.index.build(self.points);
        }
        let leaves = &mut self.search.leaves;
        leaves.resize(self.points.len().div_ceil(LEAF), Leaf::EMPTY);
        for ((leaf, points), first) in
            leaves.iter_mut().zip(self.points.chunks(LEAF)).zip((0u32..).step_by(LEAF))
        {
            leaf.fill(points, first);
        }
    }
}

/// Arguments of a search.
struct NeighborKernel<'a> {
    search: &'a mut NeighborSearch,
    places: &'a [[f32; 3]],
    k: usize,
    rows: NeighborRows<'a>,
}

impl Kernel for NeighborKernel<'_> {
    #[inline(always)]
    fn run<L: LaneOps>(self, lanes: L) {
        let NeighborSearch { index, nearest, leaves, scan, points, is_indexed, .. } = self.search;
        let k = self.k.min(*points);
        let distances = self.rows.distances.chunks_exact_mut(self.k);
        let rows = self.rows.indices.chunks_exact_mut(self.k).zip(distances);
        for (&place, (indices, distances)) in self.places.iter().zip(rows) {
            let row = NearestRow { indices: &mut indices[..k], distances: &mut distances[..k] };
            if *is_indexed {
                KnnRun { lanes, index, state: nearest, k }.write_nearest(place, row);
            } else {
                ScanRun { lanes, leaves, state: scan, k }.write_nearest(place, row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp::Arch;

    use super::{NeighborRows, NeighborSearch};
    use crate::Error;
    use crate::oracle::{Noise, archs, clouds, nearest, squared_distance};

    /// What a search writes: indices and distances.
    fn find(search: &mut NeighborSearch, places: &[[f32; 3]], k: usize) -> (Vec<i64>, Vec<f32>) {
        let (mut indices, mut distances) = (vec![-1; places.len() * k], vec![-1.0; places.len() * k]);
        let rows = NeighborRows { distances: &mut distances, indices: &mut indices };
        search.write_nearest(places, k, rows).unwrap();
        (indices, distances)
    }

    #[test]
    fn places_that_are_no_points_find_what_sorting_finds_by_either_way() {
        let mut search = NeighborSearch::default();
        for (name, points) in clouds() {
            let mut noise = Noise::new(points.len() as u64);
            let beside = |p: &[f32; 3], by: [f32; 3]| std::array::from_fn(|a| p[a] + 0.1 * by[a]);
            let step = points.len() / 6 + 1;
            let mut places: Vec<[f32; 3]> =
                points.iter().step_by(step).map(|p| beside(p, noise.point())).collect();
            places.extend([points[0], [0.0; 3], [1e30, -1e30, 0.0], [f32::MAX; 3]]);
            let ordered: Vec<_> = places.iter().map(|&place| nearest(&points, place, points.len())).collect();
            let counts = [1, 8, 33, 40, 41, 100, points.len()].into_iter();
            for k in counts.filter(|&k| k <= points.len() && k < 3000) {
                let expected = ordered.iter().flat_map(|row| &row[..k]).map(|&i| i64::from(i));
                let expected: Vec<i64> = expected.collect();
                for is_indexed in [false, true] {
                    search.rebuild(&points, if is_indexed { usize::MAX } else { 0 }).unwrap();
                    assert_eq!(search.is_indexed, is_indexed && points.len() > super::SMALL);
                    let (indices, distances) = find(&mut search, &places, k);
                    assert_eq!(indices, expected, "{name}, k {k}, indexed: {is_indexed}");
                    for (row, (found, &place)) in distances.chunks(k).zip(indices.chunks(k).zip(&places)) {
                        let measured = found.iter().map(|&i| squared_distance(points[i as usize], place));
                        assert!(row.iter().copied().eq(measured), "{name}, k {k}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_processor_gives_the_same_neighbours() {
        for (name, points) in clouds().into_iter().filter(|(_, points)| points.len() > 60) {
            let mut found = archs().into_iter().map(|arch: Arch| {
                let mut search = NeighborSearch { arch, ..NeighborSearch::default() };
                search.rebuild(&points, 1).unwrap();
                find(&mut search, &points[..20], 32)
            });
            let first = found.next().unwrap();
            assert!(found.all(|other| other == first), "{name}");
        }
    }

    #[test]
    fn rows_longer_than_the_cloud_keep_what_is_beyond_it() {
        let mut search = NeighborSearch::default();
        search.rebuild(&[[0.0; 3], [1.0, 0.0, 0.0]], 1).unwrap();
        let (indices, distances) = find(&mut search, &[[0.9, 0.0, 0.0]], 3);
        assert_eq!((&indices[..], distances[2]), (&[1, 0, -1][..], -1.0));
    }

    #[test]
    fn impossible_requests_are_named() {
        let mut search = NeighborSearch::default();
        let rows = || NeighborRows { distances: &mut [], indices: &mut [] };
        assert!(matches!(search.write_nearest(&[], 1, rows()), Err(Error::TooFew { .. })));
        assert!(matches!(search.rebuild(&[], 1), Err(Error::TooFew { .. })));
        assert!(matches!(search.rebuild(&[[f32::INFINITY; 3]], 1), Err(Error::NotFinite { index: 0, .. })));
        search.rebuild(&[[0.0; 3]; 4], 1).unwrap();
        let error = search.write_nearest(&[[0.0; 3]], 2, rows()).unwrap_err();
        assert_eq!(error.to_string(), "expected rows of 2 neighbours in all, found 0");
        assert!(matches!(
            search.write_nearest(&[[f32::NAN; 3]], 1, rows()),
            Err(Error::NotFinite { index: 0, .. })
        ));
    }
}
