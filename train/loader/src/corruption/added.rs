//! Corruptions that add points.

use jepa3d_schemas::Draws;

use super::moved::{Ball, draw_direction, squared_length, subtract};

/// Most clusters of one cloud.
pub(super) const CLUSTERS: usize = 7;

/// Standard deviation of an added cluster, radii: a draw between these.
const SPREAD: [f64; 2] = [0.075, 0.125];

/// So many points, uniform in the ball around the cloud.
pub(super) fn add_global(points: &[[f32; 3]], count: usize, draws: &mut Draws) -> Vec<[f32; 3]> {
    let ball = Ball::measure(points);
    let mut made = points.to_vec();
    made.extend((0..count).map(|_| {
        let reach = ball.radius * libm::cbrt(draws.unit());
        ball.place(draw_direction(draws).map(|x| reach * x))
    }));
    made
}

/// So many points in normal clusters around points of the cloud; what falls out of the ball is pulled back onto it.
pub(super) fn add_local(points: &[[f32; 3]], count: usize, draws: &mut Draws) -> Vec<[f32; 3]> {
    let ball = Ball::measure(points);
    let mut made = points.to_vec();
    for size in draw_sizes(count, draws) {
        let center = subtract(points[draws.index(points.len())], ball.mean);
        let spread = ball.radius * draws.range(SPREAD[0], SPREAD[1]);
        for _ in 0..size {
            let offset = center.map(|x| x + spread * draws.normal());
            let length = squared_length(offset).sqrt();
            let back = if length > ball.radius { ball.radius / length } else { 1.0 };
            made.push(ball.place(offset.map(|x| back * x)));
        }
    }
    made
}

/// Sizes of one to seven clusters of `total` points: every point chooses its cluster.
pub(super) fn draw_sizes(total: usize, draws: &mut Draws) -> Vec<usize> {
    let mut sizes = vec![0; 1 + draws.index(CLUSTERS)];
    for _ in 0..total {
        let at = draws.index(sizes.len());
        sizes[at] += 1;
    }
    sizes
}
