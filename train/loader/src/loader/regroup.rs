//! Groups a cloud afresh, as the official recipe does at every step: a farthest-point subset, the
//! change, farthest points, nearest neighbours, each sampling from a random start.

use jepa3d_grouping::{IndexedCloud, Result};
use jepa3d_schemas::Draws;

/// Memory that a thread keeps from sample to sample.
#[derive(Default)]
pub struct Regrouper {
    whole: IndexedCloud,
    part: IndexedCloud,
    points: Vec<[f32; 3]>,
}

/// A fresh grouping: indices into `points`.
pub struct Regrouped<'a> {
    /// `[N,3]`, changed.
    pub points: &'a [[f32; 3]],
    /// `[N]`: which points of the cloud those are, ascending; empty if they are all.
    pub subset: Vec<u32>,
    /// `[G]`.
    pub centers: Vec<u32>,
    /// `[G,K]`, each row sorted by (squared distance, index).
    pub patches: Vec<u32>,
}

impl Regrouper {
    /// Groups `points [S,3]` with sizes `[N, G, K]`; a cloud of at most `N` points is taken whole.
    /// The first draw starts the subset (absent if it is whole), the next the centers.
    ///
    /// # Errors
    /// Fails if there are fewer than `G` or `K` points, or one is not finite.
    pub fn regroup(
        &mut self,
        points: &[[f32; 3]],
        [n, groups, size]: [usize; 3],
        mut starts: Draws,
        change: impl FnOnce(&mut [[f32; 3]]),
    ) -> Result<Regrouped<'_>> {
        self.points.clear();
        let mut subset = Vec::new();
        if points.len() > n {
            self.whole.rebuild(points)?;
            subset = self.whole.farthest_points(n, starts.index(points.len()) as u32)?;
            // Ascending, so that ties inside the subset go to the lowest index into the cloud.
            subset.sort_unstable();
            self.points.extend(subset.iter().map(|&index| points[index as usize]));
        } else {
            self.points.extend_from_slice(points);
        }
        change(&mut self.points);
        self.part.rebuild(&self.points)?;
        let start = starts.index(self.points.len()) as u32;
        let centers = self.part.farthest_points(groups, start)?;
        let patches = self.part.nearest(&centers, size)?;
        Ok(Regrouped { points: &self.points, subset, centers, patches })
    }
}
