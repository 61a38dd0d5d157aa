//! A cloud prepared for grouping: its spatial index, and the memory that its groupings reuse.

use pulp::Arch;

use crate::error::{Error, Result};
use crate::fps::{FpsRun, FpsScratch};
use crate::index::SpatialIndex;
use crate::lanes::{Kernel, LaneOps, dispatch};
use crate::nearest::{KnnRun, KnnScratch};

/// A cloud laid out for [`IndexedCloud::farthest_points`] and [`IndexedCloud::nearest`].
///
/// Building costs `O(N log N)`; every grouping of the cloud shares it. [`IndexedCloud::rebuild`]
/// reuses the memory for another cloud.
#[derive(Clone, Debug, Default)]
pub struct IndexedCloud {
    index: SpatialIndex,
    fps: FpsScratch,
    nearest: KnnScratch,
    arch: Arch,
}

impl IndexedCloud {
    /// Lays out `points [N,3]`.
    ///
    /// # Errors
    /// Fails if there are no points, more than 2^31, or one is not finite.
    pub fn new(points: &[[f32; 3]]) -> Result<Self> {
        let mut cloud = Self::default();
        cloud.rebuild(points)?;
        Ok(cloud)
    }

    /// Lays out another cloud in the same memory.
    ///
    /// # Errors
    /// Fails if there are no points, more than 2^31, or one is not finite; the cloud before is then still there.
    pub fn rebuild(&mut self, points: &[[f32; 3]]) -> Result<()> {
        check_points(points)?;
        dispatch(self.arch, BuildKernel { index: &mut self.index, points });
        Ok(())
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are no points (only before the first [`IndexedCloud::rebuild`]).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Chooses `count` distinct points, the first of them `start`, each next one the point with
    /// the largest squared distance to those before; ties go to the lowest index.
    ///
    /// Points that coincide with a chosen one are taken only when no others are left.
    ///
    /// # Errors
    /// Fails if `count` exceeds the number of points, or `start` is none of them.
    pub fn farthest_points(&mut self, count: usize, start: u32) -> Result<Vec<u32>> {
        self.check(count, &[start])?;
        let mut chosen = Vec::with_capacity(count);
        if count > 0 {
            let (index, scratch, chosen) = (&self.index, &mut self.fps, &mut chosen);
            dispatch(self.arch, FpsKernel { index, scratch, count, start, chosen });
        }
        Ok(chosen)
    }

    /// The `k` nearest points of each of the points `queries [M]` (itself included), `[M,k]`
    /// indices, each patch sorted by (squared distance, index).
    ///
    /// # Errors
    /// Fails if `k` exceeds the number of points, or a query is none of them.
    pub fn nearest(&mut self, queries: &[u32], k: usize) -> Result<Vec<u32>> {
        self.check(k, queries)?;
        let mut found = vec![0; queries.len() * k];
        if k > 0 {
            let (index, scratch, found) = (&self.index, &mut self.nearest, &mut found);
            dispatch(self.arch, KnnKernel { index, scratch, queries, k, found });
        }
        Ok(found)
    }

    fn check(&self, needed: usize, indices: &[u32]) -> Result<()> {
        if needed > self.len() {
            return Err(Error::TooFew { what: "points", expected: needed, found: self.len() });
        }
        match indices.iter().find(|&&index| index as usize >= self.len()) {
            Some(&index) => Err(Error::Index { points: self.len(), index }),
            None => Ok(()),
        }
    }
}

/// Arguments of building the index, compiled once for each vector width that `pulp` knows.
struct BuildKernel<'a> {
    index: &'a mut SpatialIndex,
    points: &'a [[f32; 3]],
}

impl Kernel for BuildKernel<'_> {
    #[inline(always)]
    fn run<L: LaneOps>(self, _: L) {
        self.index.build(self.points);
    }
}

/// Arguments of farthest point sampling.
struct FpsKernel<'a> {
    index: &'a SpatialIndex,
    scratch: &'a mut FpsScratch,
    count: usize,
    start: u32,
    chosen: &'a mut Vec<u32>,
}

impl Kernel for FpsKernel<'_> {
    #[inline(always)]
    fn run<L: LaneOps>(self, lanes: L) {
        let run = FpsRun { lanes, index: self.index, state: self.scratch };
        run.choose(self.count, self.start, self.chosen);
    }
}

/// Arguments of a search for nearest neighbours.
struct KnnKernel<'a> {
    index: &'a SpatialIndex,
    scratch: &'a mut KnnScratch,
    queries: &'a [u32],
    k: usize,
    found: &'a mut [u32],
}

impl Kernel for KnnKernel<'_> {
    #[inline(always)]
    fn run<L: LaneOps>(self, lanes: L) {
        let run = KnnRun { lanes, index: self.index, state: self.scratch, k: self.k };
        run.search(self.queries, self.found);
    }
}

/// Fails if there are no points, more than 2^31, or one is not finite.
pub(crate) fn check_points(points: &[[f32; 3]]) -> Result<()> {
    if points.is_empty() {
        return Err(Error::TooFew { what: "points", expected: 1, found: 0 });
    }
    if points.len() > 1 << 31 {
        return Err(Error::TooMany { found: points.len() });
    }
    match find_not_finite(points) {
        Some(index) => Err(Error::NotFinite { index, found: points[index] }),
        None => Ok(()),
    }
}

/// The first point that is not finite.
pub(crate) fn find_not_finite(points: &[[f32; 3]]) -> Option<usize> {
    const EXPONENT: u32 = 0x7F80_0000;
    // One pass without a branch over what is almost always finite.
    let bad =
        points.as_flattened().iter().fold(0, |bad, x| bad | u32::from(x.to_bits() & EXPONENT == EXPONENT));
    if bad == 0 {
        return None;
    }
    points.iter().position(|p| !p.iter().all(|x| x.is_finite()))
}

/// The point farthest from the mean of the cloud (in f64), ties to the lowest index: the
/// canonical start of farthest point sampling. 0 for an empty cloud.
pub fn farthest_from_centroid(points: &[[f32; 3]]) -> u32 {
    let mut sum = [0.0f64; 3];
    for p in points {
        for a in 0..3 {
            sum[a] += f64::from(p[a]);
        }
    }
    let mean = sum.map(|s| s / points.len().max(1) as f64);
    let distance = |p: &[f32; 3]| -> f64 {
        let [x, y, z] = [0, 1, 2].map(|a| f64::from(p[a]) - mean[a]);
        (x * x + y * y) + z * z
    };
    let mut best = (0, f64::NEG_INFINITY);
    for (i, p) in points.iter().enumerate() {
        let d = distance(p);
        if d > best.1 {
            best = (i, d);
        }
    }
    best.0 as u32
}

#[cfg(test)]
mod tests {
    use super::IndexedCloud;
    use crate::oracle::{Noise, archs, clouds, farthest_points, nearest};
    use proptest::prelude::*;

    #[test]
    fn every_processor_gives_the_same_indices() {
        for (name, points) in clouds() {
            let count = points.len().min(150);
            let mut cloud = IndexedCloud::new(&points).unwrap();
            let mut results = Vec::new();
            for arch in archs() {
                cloud.arch = arch;
                cloud.rebuild(&points).unwrap();
                let centers = cloud.farthest_points(count, 0).unwrap();
                let patches = cloud.nearest(&centers[..count.min(40)], count.min(32)).unwrap();
                results.push((centers, patches));
            }
            assert!(results.iter().all(|result| *result == results[0]), "{name}");
        }
    }

    #[test]
    fn leaves_branches_and_limbs_are_cut_where_they_should() {
        for n in [31, 32, 33, 511, 512, 513, 8191, 8192, 8193, 20_000] {
            let mut noise = Noise::new(n as u64);
            // A dense and a thin part, and ties: coordinates are multiples of 2^-6.
            let points: Vec<[f32; 3]> = (0..n)
                .map(|i| noise.point().map(|x| (x * 64.0).round() / if i % 4 == 0 { 1.0 } else { 64.0 }))
                .collect();
            let mut cloud = IndexedCloud::new(&points).unwrap();
            let start = n as u32 / 3;
            let centers = cloud.farthest_points(n.min(60), start).unwrap();
            assert_eq!(centers, farthest_points(&points, n.min(60), start), "{n} points");
            let patches = cloud.nearest(&centers, n.min(32)).unwrap();
            for (patch, &q) in patches.chunks(n.min(32)).zip(&centers) {
                assert_eq!(patch, nearest(&points, points[q as usize], n.min(32)), "{n} points, query {q}");
            }
        }
    }

    #[test]
    fn a_large_cloud_in_one_place_or_on_a_lattice_stays_affordable() {
        let equal = vec![[0.25, -3.0, 1e-30]; 100_000];
        let lattice: Vec<[f32; 3]> =
            (0..100_000).map(|i| [(i % 50) as f32, (i / 50 % 50) as f32, (i / 2500) as f32]).collect();
        let mut cloud = IndexedCloud::new(&equal).unwrap();
        assert!(
            cloud.farthest_points(500, 9).unwrap().into_iter().eq([9].into_iter().chain(0..9).chain(10..500))
        );
        assert!(cloud.nearest(&[77_777], 40).unwrap().into_iter().eq(0..40));
        cloud.rebuild(&lattice).unwrap();
        let centers = cloud.farthest_points(30, 5).unwrap();
        assert_eq!(centers, farthest_points(&lattice, 30, 5));
        assert_eq!(cloud.nearest(&[51_275], 100).unwrap(), nearest(&lattice, lattice[51_275], 100));
    }

    proptest! {
        #[test]
        fn any_cloud_agrees_with_the_oracles(
            raw in proptest::collection::vec(proptest::array::uniform3(-9i8..9), 1..400),
            exponent in -30i32..18,
            k in 1usize..70,
        ) {
            let scale = 10.0f32.powi(exponent);
            let points: Vec<[f32; 3]> = raw.iter().map(|p| p.map(|x| f32::from(x) * scale)).collect();
            let mut cloud = IndexedCloud::new(&points).unwrap();
            let (count, k) = (points.len().min(80), points.len().min(k));
            let centers = cloud.farthest_points(count, 0).unwrap();
            prop_assert_eq!(&centers, &farthest_points(&points, count, 0));
            let patches = cloud.nearest(&centers, k).unwrap();
            for (patch, &q) in patches.chunks(k).zip(&centers) {
                prop_assert_eq!(patch, nearest(&points, points[q as usize], k));
            }
        }
    }
}
