//! Corruptions that drop points; those that stay keep their order, and at least one stays.

use jepa3d_schemas::Draws;

use super::added::draw_sizes;
use super::moved::{draw_direction, squared_length, subtract};

/// This many points at random.
pub(super) fn subsample(points: &[[f32; 3]], count: usize, draws: &mut Draws) -> Vec<[f32; 3]> {
    let kept = draws.distinct_sorted(points.len(), count.clamp(1, points.len()));
    kept.into_iter().map(|i| points[i as usize]).collect()
}

/// A share of the points at random.
pub(super) fn drop_global(points: &[[f32; 3]], share: f64, draws: &mut Draws) -> Vec<[f32; 3]> {
    subsample(points, (points.len() as f64 * (1.0 - share)) as usize, draws)
}

/// One to seven regions of together this share of the points: each a point that is left, and those nearest to it, ties to
/// the lowest index.
pub(super) fn drop_local(points: &[[f32; 3]], share: f64, draws: &mut Draws) -> Vec<[f32; 3]> {
    let total = ((points.len() as f64 * share) as usize).min(points.len() - 1);
    let mut left = points.to_vec();
    for size in draw_sizes(total, draws) {
        let center = left[draws.index(left.len())].map(f64::from);
        if size == 0 {
            continue;
        }
        let gaps: Vec<f64> = left.iter().map(|p| squared_length(subtract(*p, center))).collect();
        let mut order: Vec<usize> = (0..left.len()).collect();
        order.select_nth_unstable_by(size - 1, |&a, &b| gaps[a].total_cmp(&gaps[b]).then(a.cmp(&b)));
        let mut is_dropped = vec![false; left.len()];
        order[..size].iter().for_each(|&i| is_dropped[i] = true);
        let mut flags = is_dropped.into_iter();
        left.retain(|_| !flags.next().unwrap_or(false));
    }
    left
}

/// Along a random direction the chance of a point to stay falls from 1 to 1 / `ratio`, exponentially.
pub(super) fn thin_out(points: &[[f32; 3]], ratio: f64, draws: &mut Draws) -> Vec<[f32; 3]> {
    let direction = draw_direction(draws);
    let places: Vec<f64> = points
        .iter()
        .map(|p| {
            let [x, y, z] = p.map(f64::from);
            (direction[0] * x + direction[1] * y) + direction[2] * z
        })
        .collect();
    let low = places.iter().copied().fold(f64::INFINITY, f64::min);
    let high = places.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let length = if high > low { high - low } else { 1.0 };
    let stays = |place: f64| draws.unit() < libm::pow(ratio, -(place - low) / length);
    let flags: Vec<bool> = places.iter().copied().map(stays).collect();
    // The first along the direction stays with a chance of 1.
    points.iter().zip(flags).filter(|(_, stays)| *stays).map(|(p, _)| *p).collect()
}
