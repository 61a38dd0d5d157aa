//! How many of a cloud's patches a share is.

use jepa3d_schemas::Draws;

/// A uniformly drawn share of `groups`, rounded down, at most all of them.
pub(super) fn draw_share(groups: usize, ratio: [f64; 2], draws: &mut Draws) -> usize {
    let [low, high] = ratio;
    // The least amount makes shares such as 0.6 of 5 the whole numbers that they mean.
    let share = draws.range(low, high.max(low + f64::EPSILON)) * groups as f64 + 1e-9;
    (share as usize).min(groups)
}
