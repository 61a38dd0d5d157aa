//! Corruptions that move points and keep their number.

use jepa3d_schemas::{Draws, UpAxis};

use crate::augment::rotate_about;

/// Mean of a cloud and the largest distance from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ball {
    pub mean: [f64; 3],
    pub radius: f64,
}

impl Ball {
    /// That of `points`; the sums are in `f64`.
    pub fn measure(points: &[[f32; 3]]) -> Self {
        let n = points.len().max(1) as f64;
        let mean = [0, 1, 2].map(|axis| points.iter().map(|p| f64::from(p[axis])).sum::<f64>() / n);
        let most = points.iter().map(|p| squared_length(subtract(*p, mean))).fold(0.0, f64::max);
        Self { mean, radius: most.sqrt() }
    }

    /// A point at `offset` from the mean.
    pub fn place(&self, offset: [f64; 3]) -> [f32; 3] {
        [0, 1, 2].map(|axis| (self.mean[axis] + offset[axis]) as f32)
    }
}

/// `p - origin`.
pub(super) fn subtract(p: [f32; 3], origin: [f64; 3]) -> [f64; 3] {
    [0, 1, 2].map(|axis| f64::from(p[axis]) - origin[axis])
}

pub(super) fn squared_length(v: [f64; 3]) -> f64 {
    (v[0] * v[0] + v[1] * v[1]) + v[2] * v[2]
}

/// A uniform direction: the height is uniform on a sphere (Archimedes).
pub(super) fn draw_direction(draws: &mut Draws) -> [f64; 3] {
    let height = draws.range(-1.0, 1.0);
    let angle = draws.range(0.0, std::f64::consts::TAU);
    let around = (1.0 - height * height).max(0.0).sqrt();
    [around * libm::cos(angle), around * libm::sin(angle), height]
}

/// Normal noise of `deviation` radii on every coordinate.
pub(super) fn jitter(points: &[[f32; 3]], deviation: f64, draws: &mut Draws) -> Vec<[f32; 3]> {
    let size = deviation * Ball::measure(points).radius;
    points.iter().map(|p| p.map(|x| (f64::from(x) + size * draws.normal()) as f32)).collect()
}

/// Each axis by a draw between 1 / `most` and `most`, then back into the ball of before.
pub(super) fn scale(points: &[[f32; 3]], most: f64, draws: &mut Draws) -> Vec<[f32; 3]> {
    let ball = Ball::measure(points);
    let factors = [(); 3].map(|()| draws.range(1.0 / most, most));
    let stretched = |p: &[f32; 3]| {
        let offset = subtract(*p, ball.mean);
        [0, 1, 2].map(|axis| factors[axis] * offset[axis])
    };
    let all: Vec<[f64; 3]> = points.iter().map(stretched).collect();
    let radius = all.iter().map(|offset| squared_length(*offset)).fold(0.0, f64::max).sqrt();
    let back = if radius > 0.0 { ball.radius / radius } else { 1.0 };
    all.into_iter().map(|offset| ball.place(offset.map(|x| back * x))).collect()
}

/// About x, then y, then z through the mean, each by a draw of at most `most` radians.
pub(super) fn rotate(points: &[[f32; 3]], most: f64, draws: &mut Draws) -> Vec<[f32; 3]> {
    let turns = [UpAxis::X, UpAxis::Y, UpAxis::Z].map(|axis| rotate_about(axis, draws.range(-most, most)));
    apply_turns(points, &turns)
}

/// About the vertical through the mean by a draw of at most `most` radians.
pub(super) fn turn(points: &[[f32; 3]], up: UpAxis, most: f64, draws: &mut Draws) -> Vec<[f32; 3]> {
    apply_turns(points, &[rotate_about(up, draws.range(-most, most))])
}

fn apply_turns(points: &[[f32; 3]], turns: &[[[f64; 3]; 3]]) -> Vec<[f32; 3]> {
    let ball = Ball::measure(points);
    let turned = |p: &[f32; 3]| {
        let start = subtract(*p, ball.mean);
        let one = |v: [f64; 3], turn: &[[f64; 3]; 3]| {
            turn.map(|row| (row[0] * v[0] + row[1] * v[1]) + row[2] * v[2])
        };
        ball.place(turns.iter().fold(start, one))
    };
    points.iter().map(turned).collect()
}
