//! Nearest neighbours within a cloud, for densities and normals of splats.
//!
//! Exact, with ties broken by index, so the result depends on the cloud alone. Points at the same
//! place are not neighbours of each other: a repeated point says nothing about density.

use std::num::NonZero;

use kiddo::{ImmutableKdTree, SquaredEuclidean};

/// Points asked for beyond the neighbours wanted: the point itself, and some to see that none is as near as the last.
const SPARE: usize = 4;

/// A k-d tree over a cloud.
///
/// `kiddo` finds as many points as it is asked for and leaves open which of equally far ones, so the search asks for
/// more until the farthest found is clearly beyond the last neighbour, and orders them itself.
pub(crate) struct NeighborTree<'a> {
    points: &'a [[f32; 3]],
    tree: ImmutableKdTree<f32, 3>,
}

/// A point near another one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Neighbor {
    pub(crate) squared_distance: f32,
    pub(crate) point: u32,
}

impl<'a> NeighborTree<'a> {
    /// Builds the tree in O(P log P).
    pub(crate) fn new(points: &'a [[f32; 3]]) -> Self {
        let tree =
            ImmutableKdTree::new_from_slice(points).expect("stored clouds have fewer than 2^32 points");
        Self { points, tree }
    }

    /// The `count` points nearest to point `i` that lie elsewhere, by (distance, index); fewer in a small cloud.
    pub(crate) fn nearest(&self, i: usize, count: usize, found: &mut Vec<Neighbor>) {
        let mut asked = count + SPARE;
        while !self.try_nearest(i, count, asked, found) {
            asked *= 4;
        }
    }

    /// Whether the `asked` nearest points, those at point `i` included, hold the `count` neighbours.
    fn try_nearest(&self, i: usize, count: usize, asked: usize, found: &mut Vec<Neighbor>) -> bool {
        let at = self.points[i];
        let asked = NonZero::new(asked).unwrap_or(NonZero::<usize>::MIN);
        let hits = self.tree.query(&at).nearest_n::<SquaredEuclidean<f32>>(asked).execute();
        let neighbor = |point: u32| Neighbor { squared_distance: self.squared_distance(at, point), point };
        found.clear();
        found.extend(hits.iter().map(|hit| neighbor(hit.item)).filter(|n| n.squared_distance > 0.0));
        found.sort_unstable_by(|a, b| {
            a.squared_distance.total_cmp(&b.squared_distance).then(a.point.cmp(&b.point))
        });
        found.truncate(count);
        let reached = hits.last().map_or(0.0, |hit| hit.distance);
        // Rounding may differ between the two sums of squares, by less than this.
        let is_beyond = |last: &Neighbor| reached > last.squared_distance * (1.0 + 1e-6);
        asked.get() >= self.points.len() || (found.len() == count && found.last().is_none_or(is_beyond))
    }

    fn squared_distance(&self, at: [f32; 3], point: u32) -> f32 {
        let p = self.points[point as usize];
        let d = [p[0] - at[0], p[1] - at[1], p[2] - at[2]];
        d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Draws;

    #[test]
    fn neighbours_are_those_of_a_full_search() {
        for seed in 0..40 {
            let mut draws = Draws::new(seed, "x", "neighbors");
            let count = 1 + draws.index(200);
            // A coarse lattice: many ties and repeated points.
            let points: Vec<[f32; 3]> =
                (0..count).map(|_| [0; 3].map(|_: i32| draws.index(6) as f32)).collect();
            let tree = NeighborTree::new(&points);
            let (k, mut found) = (1 + draws.index(12), Vec::new());
            for i in 0..count {
                tree.nearest(i, k, &mut found);
                let neighbor =
                    |point| Neighbor { squared_distance: tree.squared_distance(points[i], point), point };
                let mut all: Vec<Neighbor> = (0..count as u32).map(neighbor).collect();
                all.retain(|n| n.squared_distance > 0.0);
                all.sort_by(|a, b| {
                    a.squared_distance.total_cmp(&b.squared_distance).then(a.point.cmp(&b.point))
                });
                all.truncate(k);
                assert_eq!(found, all, "seed {seed}, point {i}");
            }
        }
    }

    /// A small cloud filled up by repeating its points holds each of them hundreds of times.
    #[test]
    fn repeated_points_are_no_neighbours() {
        for [count, copies] in [[77, 107], [2, 3000], [1, 700]] {
            let points: Vec<[f32; 3]> = (0..count * copies).map(|i| [(i % count) as f32, 0.0, 0.0]).collect();
            let (tree, mut found) = (NeighborTree::new(&points), Vec::new());
            tree.nearest(0, 4, &mut found);
            assert_eq!(found.len(), if count == 1 { 0 } else { 4 }, "{count} x {copies}");
            assert!(found.iter().all(|n| n.squared_distance == 1.0), "{count} x {copies}: {found:?}");
        }
    }
}
