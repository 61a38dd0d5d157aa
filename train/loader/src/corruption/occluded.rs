//! Occlusion: what a sensor that looks from one direction does not see.
//!
//! A point is hidden if another one lies in front of it by more than a given depth, within the distance that points
//! spread over the ball's surface have from each other: sparse clouds need wider ones to close their surface. The view is
//! parallel. Seen from closer by, more would be hidden; hidden-point removal by a convex hull (Katz et al. 2007) needs a
//! parameter that depends on the noise, this one on what can be counted.

use jepa3d_schemas::Draws;

use super::moved::{Ball, draw_direction, subtract};

/// A point as the sensor has it.
#[derive(Clone, Copy)]
struct SeenPoint {
    /// Across the view.
    across: [f64; 2],
    /// Towards the sensor.
    near: f64,
}

/// Drops what lies more than `depth` radii behind other points, seen from a random direction.
pub(super) fn occlude(points: &[[f32; 3]], depth: f64, draws: &mut Draws) -> Vec<[f32; 3]> {
    let ball = Ball::measure(points);
    let view = draw_direction(draws);
    let reach = ball.radius * (4.0 * std::f64::consts::PI / points.len() as f64).sqrt();
    if reach <= 0.0 {
        return points.to_vec();
    }
    let frame = across(view);
    let along = |axis: [f64; 3], v: [f64; 3]| (axis[0] * v[0] + axis[1] * v[1]) + axis[2] * v[2];
    let see = |p: &[f32; 3]| {
        let v = subtract(*p, ball.mean);
        SeenPoint { across: frame.map(|axis| along(axis, v)), near: along(view, v) }
    };
    let seen: Vec<SeenPoint> = points.iter().map(see).collect();
    let grid = ViewGrid::new(&seen, ball.radius, reach);
    let is_seen = |at: &SeenPoint| !grid.is_hidden(*at, depth * ball.radius);
    points.iter().zip(&seen).filter(|(_, at)| is_seen(at)).map(|(p, _)| *p).collect()
}

/// Two axes that make a right frame with a direction.
fn across(view: [f64; 3]) -> [[f64; 3]; 2] {
    let smallest = (1..3).fold(0, |best, axis| if view[axis].abs() < view[best].abs() { axis } else { best });
    let mut helper = [0.0; 3];
    helper[smallest] = 1.0;
    let cross = |a: [f64; 3], b: [f64; 3]| {
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    };
    let first = cross(view, helper);
    let length = ((first[0] * first[0] + first[1] * first[1]) + first[2] * first[2]).sqrt();
    let first = first.map(|x| x / length);
    [first, cross(view, first)]
}

/// The points in square cells across the view, each as wide as a point hides others.
struct ViewGrid {
    cells: Vec<Vec<SeenPoint>>,
    side: usize,
    radius: f64,
    reach: f64,
}

impl ViewGrid {
    fn new(seen: &[SeenPoint], radius: f64, reach: f64) -> Self {
        // Rounding may put a point of the rim one cell further.
        let side = (2.0 * radius / reach) as usize + 2;
        let mut grid = Self { cells: vec![Vec::new(); side * side], side, radius, reach };
        for at in seen {
            let [column, row] = grid.cell(*at);
            grid.cells[row * side + column].push(*at);
        }
        grid
    }

    fn cell(&self, at: SeenPoint) -> [usize; 2] {
        at.across.map(|x| (((x + self.radius) / self.reach).max(0.0) as usize).min(self.side - 1))
    }

    /// Whether another point lies more than `depth` in front of this one.
    fn is_hidden(&self, at: SeenPoint, depth: f64) -> bool {
        let [column, row] = self.cell(at);
        let around = |x: usize| x.saturating_sub(1)..(x + 2).min(self.side);
        let mut cells = around(row).flat_map(|row| around(column).map(move |column| (row, column)));
        cells.any(|(row, column)| {
            self.cells[row * self.side + column].iter().any(|other| {
                let [u, v] = [0, 1].map(|i| other.across[i] - at.across[i]);
                other.near - at.near > depth && u * u + v * v <= self.reach * self.reach
            })
        })
    }
}
