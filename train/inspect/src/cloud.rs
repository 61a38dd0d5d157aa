//! Clouds as pictures: coloured discs, the nearer over the farther, seen from above at an angle.

use jepa3d_schemas::UpAxis;

use super::canvas::{Canvas, PixelRect};
use super::colors::{Color, ValueRange};

/// Sine and cosine of the viewpoint's azimuth (35 degrees) and elevation (25 degrees).
const AZIMUTH: [f32; 2] = [0.573_576_4, 0.819_152];
const ELEVATION: [f32; 2] = [0.422_618_3, 0.906_307_8];

/// Share of a cloud's depth by which a point may lie behind its neighbours and still be drawn.
const BEHIND: f32 = 0.12;

/// Where a cloud is seen from, without perspective: rows right, down and away.
pub(crate) struct Viewpoint([[f32; 3]; 3]);

impl Viewpoint {
    /// Beside and above, for this up axis.
    pub(crate) fn above(up: UpAxis) -> Self {
        let up = up.index();
        let (front, left) = ((up + 1) % 3, (up + 2) % 3);
        let ([sin_a, cos_a], [sin_e, cos_e]) = (AZIMUTH, ELEVATION);
        let mut rows = [[0.0; 3]; 3];
        (rows[0][front], rows[0][left]) = (-sin_a, cos_a);
        (rows[1][front], rows[1][left], rows[1][up]) = (sin_e * cos_a, sin_e * sin_a, -cos_e);
        (rows[2][front], rows[2][left], rows[2][up]) = (-cos_e * cos_a, -cos_e * sin_a, -sin_e);
        Self(rows)
    }

    /// Right, down and away of a point.
    fn see(&self, p: &[f32]) -> [f32; 3] {
        self.0.map(|row| row[0] * p[0] + row[1] * p[1] + row[2] * p[2])
    }
}

/// Points as seen in a tile.
///
/// # Shapes
/// `at` `[S]`: x and y on the canvas, and depth (larger is farther).
pub(crate) struct SeenCloud {
    at: Vec<[f32; 3]>,
    tile: PixelRect,
}

impl SeenCloud {
    /// Fits a cloud into a tile.
    ///
    /// A cloud within the unit sphere is shown whole. Of any other the bulk is, with a margin: far
    /// returns of a sweep would leave the rest too small to see.
    pub(crate) fn new(points: &[f32], viewpoint: &Viewpoint, tile: PixelRect) -> Self {
        let mut at: Vec<[f32; 3]> = points.chunks_exact(3).map(|p| viewpoint.see(p)).collect();
        let is_unit = points.chunks_exact(3).all(|p| p.iter().map(|x| x * x).sum::<f32>() <= 1.01);
        let tail = if is_unit { 0.0 } else { 0.06 };
        let spans = [0, 1].map(|i| ValueRange::measure(at.iter().map(|p| p[i]), tail, tail));
        let margin = if is_unit { 1.08 } else { 1.35 };
        let [x, y] = spans.map(|span| (span.high - span.low) * margin);
        let scale = (tile.width as f32 / x.max(1e-9)).min(tile.height as f32 / y.max(1e-9));
        let middle = spans.map(|span| 0.5 * (span.low + span.high));
        let home = [tile.x as f32 + 0.5 * tile.width as f32, tile.y as f32 + 0.5 * tile.height as f32];
        for p in &mut at {
            (p[0], p[1]) = (home[0] + scale * (p[0] - middle[0]), home[1] + scale * (p[1] - middle[1]));
        }
        Self { at, tile }
    }

    /// Where a point is on the canvas.
    pub(crate) fn place(&self, point: usize) -> [f32; 2] {
        [self.at[point][0], self.at[point][1]]
    }

    /// A radius that lets this many points of a surface close up.
    pub(crate) fn radius(&self, points: usize) -> f32 {
        let side = self.tile.width.min(self.tile.height) as f32;
        (0.5 * side / (points.max(1) as f32).sqrt()).clamp(0.8, 5.0)
    }

    /// Whether each point is in front: not behind the listed ones by more than a share of the cloud's
    /// depth, where each of these covers what lies within twice `radius` of it.
    ///
    /// # Shapes
    /// `[S]`.
    pub(crate) fn front(&self, points: &[(usize, Color)], radius: f32) -> Vec<bool> {
        let PixelRect { x, y, width, height } = self.tile;
        let mut nearest = vec![f32::INFINITY; (width * height) as usize];
        let reach = (2.0 * radius) as i64;
        let pixel = |p: &[f32; 3]| [p[0] as i64 - i64::from(x), p[1] as i64 - i64::from(y)];
        let index = |[px, py]: [i64; 2]| {
            let is_inside = (0..i64::from(width)).contains(&px) && (0..i64::from(height)).contains(&py);
            is_inside.then(|| (py * i64::from(width) + px) as usize)
        };
        for &(point, _) in points {
            let p = &self.at[point];
            let [px, py] = pixel(p);
            let square = (-reach..=reach).flat_map(|dy| (-reach..=reach).map(move |dx| [dx, dy]));
            let disc = square.filter(|[dx, dy]| dx * dx + dy * dy <= reach * reach);
            for i in disc.filter_map(|[dx, dy]| index([px + dx, py + dy])) {
                nearest[i] = nearest[i].min(p[2]);
            }
        }
        let depths = ValueRange::measure(self.at.iter().map(|p| p[2]), 0.0, 0.0);
        let slack = BEHIND * (depths.high - depths.low);
        self.at.iter().map(|p| index(pixel(p)).is_none_or(|i| p[2] <= nearest[i] + slack)).collect()
    }

    /// Draws the listed points, far to near; ties by place in the list.
    pub(crate) fn draw(&self, canvas: &mut Canvas, points: &[(usize, Color)], radius: f32) {
        let mut order: Vec<usize> = (0..points.len()).collect();
        let depth = |i: usize| self.at[points[i].0][2];
        order.sort_by(|&a, &b| depth(b).total_cmp(&depth(a)).then(a.cmp(&b)));
        for i in order {
            let (point, color) = points[i];
            canvas.disc(self.tile, self.place(point), radius, color);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_viewpoint_is_a_rotation_that_keeps_up_up() {
        for up in [UpAxis::X, UpAxis::Y, UpAxis::Z] {
            let v = Viewpoint::above(up);
            let dot = |a: [f32; 3], b: [f32; 3]| (0..3).map(|i| a[i] * b[i]).sum::<f32>();
            for i in 0..3 {
                for j in 0..3 {
                    assert!(
                        (dot(v.0[i], v.0[j]) - (if i == j { 1.0 } else { 0.0 })).abs() < 1e-6,
                        "{up:?} {i} {j}"
                    );
                }
            }
            let [r, d, a] = v.0;
            let cross = [r[1] * d[2] - r[2] * d[1], r[2] * d[0] - r[0] * d[2], r[0] * d[1] - r[1] * d[0]];
            assert!(dot(cross, a) > 0.99, "{up:?}: right, down, away is right-handed");
            let mut top = [0.0; 3];
            top[up.index()] = 1.0;
            assert!(v.see(&top)[0].abs() < 1e-6 && v.see(&top)[1] < 0.0, "{up:?}");
        }
    }

    #[test]
    fn a_unit_cloud_fits_its_tile_and_near_points_cover_far_ones() {
        let tile = PixelRect { x: 10, y: 20, width: 50, height: 40 };
        let points = [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [-0.9, 0.2, 0.1f32]];
        let seen = SeenCloud::new(points.as_flattened(), &Viewpoint::above(UpAxis::Z), tile);
        for i in 0..4 {
            let [x, y] = seen.place(i);
            assert!((10.0..60.0).contains(&x) && (20.0..60.0).contains(&y), "{x} {y}");
        }
        let line = [[0.0, 0.0, 0.0], [0.5 * 0.819_152, 0.5 * 0.573_576_4, 0.5 * 0.466_307_66f32]];
        let seen = SeenCloud::new(line.as_flattened(), &Viewpoint::above(UpAxis::Z), tile);
        let mut canvas = Canvas::new(70, 70, [255; 3]);
        seen.draw(&mut canvas, &[(1, [1, 2, 3]), (0, [9, 9, 9])], 2.0);
        let [x, y] = seen.place(1);
        assert_eq!(canvas.0.get_pixel(x as u32, y as u32).0, [1, 2, 3], "the nearer point");
    }
}
