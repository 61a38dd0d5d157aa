//! Orders of the centers that contiguous runs are cut from (Point-JEPA, section 3.2).

use super::config::Sequence;
use super::distance::squared_distance;

/// The order of one cloud's centers; ties go to the lowest index.
///
/// # Shapes
/// `centers [G]` to a permutation of `0..G`.
pub(super) fn sequence_centers(centers: &[[f32; 3]], kind: Sequence) -> Vec<u32> {
    match kind {
        Sequence::NearestFromFirst => walk_from(centers, 0),
        Sequence::NearestMinStart => walk_from(centers, find_lowest(centers)),
        Sequence::Morton => sort_by_morton(centers),
    }
}

/// The center of the least x + y + z.
fn find_lowest(centers: &[[f32; 3]]) -> usize {
    let sum = |i: usize| (centers[i][0] + centers[i][1]) + centers[i][2];
    (0..centers.len()).min_by(|&a, &b| sum(a).total_cmp(&sum(b))).unwrap_or(0)
}

/// From `first` always on to the nearest unvisited center.
fn walk_from(centers: &[[f32; 3]], first: usize) -> Vec<u32> {
    let mut left: Vec<usize> = (0..centers.len()).filter(|&i| i != first).collect();
    let mut order = vec![first as u32];
    let mut here = first;
    while !left.is_empty() {
        let key = |i: usize| squared_distance(centers[left[i]], centers[here]);
        let next = (0..left.len()).min_by(|&a, &b| key(a).total_cmp(&key(b))).unwrap_or(0);
        // The rest keeps its ascending order, so that ties still go to the lowest index.
        here = left.remove(next);
        order.push(here as u32);
    }
    order
}

/// Bits an axis of a Morton code has.
const BITS: u32 = 21;

/// By the Morton code of cells of 1 / 256, the highest first.
fn sort_by_morton(centers: &[[f32; 3]]) -> Vec<u32> {
    let axis = |k: usize| centers.iter().map(move |c| c[k]);
    let low = [0, 1, 2].map(|k| axis(k).fold(f32::INFINITY, f32::min));
    let code = |c: &[f32; 3]| {
        let cells = [0, 1, 2].map(|k| ((c[k] - low[k]) * 256.0).round_ties_even().max(0.0) as u64);
        let inverted = cells.map(|cell| ((1u64 << BITS) - 1).saturating_sub(cell));
        (0..BITS).fold(0u64, |code, bit| {
            let spread = |k: usize| (inverted[k] >> bit & 1) << (3 * bit + k as u32);
            code | spread(0) | spread(1) | spread(2)
        })
    };
    let mut order: Vec<(u64, u32)> = centers.iter().map(code).zip(0..).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, i)| i).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_walked_from_its_low_end() {
        let centers: Vec<[f32; 3]> = [3.0, 0.0, 2.0, 1.0].map(|x| [x, 0.0, 0.0]).to_vec();
        assert_eq!(sequence_centers(&centers, Sequence::NearestMinStart), [1, 3, 2, 0]);
        assert_eq!(sequence_centers(&centers, Sequence::NearestFromFirst), [0, 2, 3, 1]);
    }

    #[test]
    fn every_order_is_a_permutation_also_of_equal_centers() {
        for kind in [Sequence::NearestMinStart, Sequence::NearestFromFirst, Sequence::Morton] {
            let mut order = sequence_centers(&[[0.5; 3]; 9], kind);
            assert_eq!(order, (0..9).collect::<Vec<u32>>(), "ties by index");
            order.sort_unstable();
            assert_eq!(order, (0..9).collect::<Vec<u32>>());
        }
    }
}
