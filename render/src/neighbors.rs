//! Nearest neighbours within a cloud: a balanced k-d tree (Bentley 1975), for densities and normals of splats.
//!
//! Exact, with ties broken by index, so the result depends on the cloud alone. Points at the same
//! place are not neighbours of each other: a repeated point says nothing about density.

/// Points in a leaf.
const LEAF: usize = 8;

/// A k-d tree over a cloud.
pub(crate) struct Tree<'a> {
    points: &'a [[f32; 3]],
    /// Indices of points; the middle of every range splits it.
    order: Vec<u32>,
    /// Axis along which the range with this middle is split.
    axis: Vec<u8>,
}

/// A neighbour: squared distance, then index.
pub(crate) type Neighbor = (f32, u32);

impl<'a> Tree<'a> {
    /// Builds the tree in O(P log P).
    pub(crate) fn new(points: &'a [[f32; 3]]) -> Self {
        let mut tree =
            Self { points, order: (0..points.len() as u32).collect(), axis: vec![0; points.len()] };
        tree.split(0, points.len());
        tree
    }

    fn split(&mut self, begin: usize, end: usize) {
        if end - begin <= LEAF {
            return;
        }
        let points = self.points;
        let range = &mut self.order[begin..end];
        let (mut low, mut high) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
        for &i in range.iter() {
            for axis in 0..3 {
                low[axis] = low[axis].min(points[i as usize][axis]);
                high[axis] = high[axis].max(points[i as usize][axis]);
            }
        }
        let extent = [0, 1, 2].map(|axis| high[axis] - low[axis]);
        let axis = (0..3).fold(0, |best, axis| if extent[axis] > extent[best] { axis } else { best });
        let middle = range.len() / 2;
        let key = |i: u32| points[i as usize][axis];
        range.select_nth_unstable_by(middle, |&a, &b| key(a).total_cmp(&key(b)).then(a.cmp(&b)));
        self.axis[begin + middle] = axis as u8;
        self.split(begin, begin + middle);
        self.split(begin + middle + 1, end);
    }

    /// The `count` points nearest to point `i` that lie elsewhere, by (distance, index); fewer in a small cloud.
    pub(crate) fn nearest(&self, i: usize, count: usize, found: &mut Vec<Neighbor>) {
        found.clear();
        if count > 0 {
            self.search(self.points[i], count, (0, self.order.len()), found);
        }
    }

    fn search(&self, at: [f32; 3], count: usize, (begin, end): (usize, usize), found: &mut Vec<Neighbor>) {
        if end - begin <= LEAF {
            for &i in &self.order[begin..end] {
                self.offer(at, i, count, found);
            }
            return;
        }
        let middle = begin + (end - begin) / 2;
        let (split, axis) = (self.order[middle], self.axis[middle] as usize);
        let offset = at[axis] - self.points[split as usize][axis];
        let (left, right) = ((begin, middle), (middle + 1, end));
        let (near, far) = if offset <= 0.0 { (left, right) } else { (right, left) };
        self.search(at, count, near, found);
        self.offer(at, split, count, found);
        // Equal distances beyond the split may have a lower index.
        if found.len() < count || offset * offset <= found[found.len() - 1].0 {
            self.search(at, count, far, found);
        }
    }

    /// Keeps point `i` if it is among the nearest so far.
    fn offer(&self, at: [f32; 3], i: u32, count: usize, found: &mut Vec<Neighbor>) {
        let p = self.points[i as usize];
        let d = [p[0] - at[0], p[1] - at[1], p[2] - at[2]];
        let candidate = (d[0] * d[0] + d[1] * d[1] + d[2] * d[2], i);
        if candidate.0 == 0.0 {
            return;
        }
        let place = found.partition_point(|f| f.0.total_cmp(&candidate.0).then(f.1.cmp(&i)).is_lt());
        if place < count {
            found.truncate(count - 1);
            found.insert(place, candidate);
        }
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
            let tree = Tree::new(&points);
            let (k, mut found) = (1 + draws.index(12), Vec::new());
            for i in 0..count {
                tree.nearest(i, k, &mut found);
                let square = |p: &[f32; 3]| (0..3).map(|a| (p[a] - points[i][a]).powi(2)).sum::<f32>();
                let mut all: Vec<Neighbor> = (0..).zip(&points).map(|(j, p)| (square(p), j)).collect();
                all.retain(|n| n.0 > 0.0);
                all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                all.truncate(k);
                assert_eq!(found, all, "seed {seed}, point {i}");
            }
        }
    }
}
