//! Groups a cloud afresh, as the official recipe does at every step: a farthest-point subset, the
//! change, farthest points, nearest neighbours, each sampling from a random start, or from the one that preparation takes.

use jepa3d_grouping::{IndexedCloud, Result, farthest_from_centroid};
use jepa3d_schemas::Draws;

/// How large a fresh grouping is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupingSize {
    /// Points `N` of the subset; a smaller cloud is taken whole.
    pub points: usize,
    /// Centers `G`.
    pub groups: usize,
    /// Points `K` of a patch.
    pub group_size: usize,
}

/// Where farthest point sampling starts.
pub struct GroupingStart {
    /// At a drawn point: the first draw is for the subset, unless the cloud is whole, the next for the centers. Without
    /// draws at the point farthest from the centroid, ties to the lowest index, as in preparation.
    pub draws: Option<Draws>,
}

impl GroupingStart {
    fn choose(&mut self, points: &[[f32; 3]]) -> u32 {
        match &mut self.draws {
            Some(draws) => draws.index(points.len()) as u32,
            None => farthest_from_centroid(points),
        }
    }
}

/// Groups clouds; keeps memory from one to the next.
#[derive(Default)]
pub struct CloudGrouper {
    whole: IndexedCloud,
    part: IndexedCloud,
    points: Vec<[f32; 3]>,
}

/// A fresh grouping: indices into `points`.
pub struct FreshGrouping<'a> {
    /// `[N,3]`, changed.
    pub points: &'a mut [[f32; 3]],
    /// `[N]`: which points of the cloud those are, ascending; empty if they are all.
    pub subset: Vec<u32>,
    /// `[G]`.
    pub centers: Vec<u32>,
    /// `[G,K]`, each row sorted by (squared distance, index).
    pub patches: Vec<u32>,
}

impl CloudGrouper {
    /// Groups `points [S,3]`; `change` is applied to the subset before its centers are chosen.
    ///
    /// # Errors
    /// Fails if there are fewer than `G` or `K` points, or one is not finite.
    pub fn group(
        &mut self,
        points: &[[f32; 3]],
        size: GroupingSize,
        mut start: GroupingStart,
        change: impl FnOnce(&mut [[f32; 3]]),
    ) -> Result<FreshGrouping<'_>> {
        self.points.clear();
        let mut subset = Vec::new();
        if points.len() > size.points {
            self.whole.rebuild(points)?;
            subset = self.whole.farthest_points(size.points, start.choose(points))?;
            // Ascending, so that ties inside the subset go to the lowest index into the cloud.
            // By a closure of this crate: see the profile in the root Cargo.toml.
            subset.sort_unstable_by_key(|&key| key);
            self.points.extend(subset.iter().map(|&index| points[index as usize]));
        } else {
            self.points.extend_from_slice(points);
        }
        change(&mut self.points);
        self.part.rebuild(&self.points)?;
        let centers = self.part.farthest_points(size.groups, start.choose(&self.points))?;
        let patches = self.part.nearest(&centers, size.group_size)?;
        Ok(FreshGrouping { points: &mut self.points, subset, centers, patches })
    }
}
