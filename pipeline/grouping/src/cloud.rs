//! A cloud prepared for grouping: its spatial index, and the memory that its groupings reuse.

use pulp::Arch;

use crate::error::{Error, Result};
use crate::index::SpatialIndex;
use crate::lanes::{Kernel, Lanes, dispatch};
use crate::{fps, nearest};

/// A cloud laid out for [`Cloud::farthest_points`] and [`Cloud::nearest`].
///
/// Building costs `O(N log N)`; every grouping of the cloud shares it. [`Cloud::rebuild`]
/// reuses the memory for another cloud.
#[derive(Clone, Debug, Default)]
pub struct Cloud {
    index: SpatialIndex,
    fps: fps::Scratch,
    nearest: nearest::Scratch,
    arch: Arch,
}

impl Cloud {
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
    /// As [`Cloud::new`].
    pub fn rebuild(&mut self, points: &[[f32; 3]]) -> Result<()> {
        if points.is_empty() {
            return Err(Error::TooFew { what: "points", expected: 1, found: 0 });
        }
        if points.len() > 1 << 31 {
            return Err(Error::TooMany { found: points.len() });
        }
        if let Some(index) = points.iter().position(|p| !p.iter().all(|x| x.is_finite())) {
            return Err(Error::NotFinite { index, found: points[index] });
        }
        dispatch(self.arch, Build { index: &mut self.index, points });
        Ok(())
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are no points (only before the first [`Cloud::rebuild`]).
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
            dispatch(self.arch, Sample { index, scratch, count, start, chosen });
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
            dispatch(self.arch, Search { index, scratch, queries, k, found });
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

/// Arguments of one run, compiled once for each vector width that `pulp` knows.
struct Build<'a> {
    index: &'a mut SpatialIndex,
    points: &'a [[f32; 3]],
}

impl Kernel for Build<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        self.index.build(self.points);
    }
}

struct Sample<'a> {
    index: &'a SpatialIndex,
    scratch: &'a mut fps::Scratch,
    count: usize,
    start: u32,
    chosen: &'a mut Vec<u32>,
}

impl Kernel for Sample<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        fps::sample(lanes, self.index, self.scratch, self.count, self.start, self.chosen);
    }
}

struct Search<'a> {
    index: &'a SpatialIndex,
    scratch: &'a mut nearest::Scratch,
    queries: &'a [u32],
    k: usize,
    found: &'a mut [u32],
}

impl Kernel for Search<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        nearest::nearest(lanes, self.index, self.scratch, self.queries, self.k, self.found);
    }
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
