//! Which stored points of a mesh a camera sees: an exact occlusion test of every point against every triangle.
//!
//! A point is hidden if a triangle crosses the segment from the camera to [`STOP`] of the way to
//! the point. The segment of a point is one spot in the image, so the test is two-dimensional: a
//! triangle whose projection covers that spot, with a smaller depth there, hides the point. No
//! depth map and no pixel takes part, hence no error from pixel footprint or surface slope: the
//! only tolerance is the last thousandth of the way, which keeps the point's own triangle and its
//! neighbours, whose planes the f32 rounding of the stored point may put before it, from hiding it.
//!
//! Points are sorted into cells of the image; a triangle meets the points of the cells its
//! projection touches, a row of cells being one run of the sorted arrays. Time grows with
//! triangles, points, and the points that lie within the bounding boxes of triangles.
//! Triangles that cross the camera's plane or reach far beyond the image are tested in three
//! dimensions and f64 against all points; there are few, and none when the camera is outside.

use jepa3d_schemas::{Camera, Correspondences};

use crate::correspond::{NEAR, Projected};

/// Share of the way from the camera to a point that must be free for the point to be visible.
pub const STOP: f32 = 1.0 - 1e-3;

/// Side of a cell in pixels.
const CELL: f32 = 2.0;

/// Image widths beyond the image at which f32 pixels lose their precision.
const GUARD: f32 = 8.0;

/// A triangle mesh in the frame of the stored cloud.
///
/// # Shapes
/// `positions [P,3]`, `triangles [T,3]`.
#[derive(Clone, Copy, Debug)]
pub struct Surface<'a> {
    /// Vertex positions.
    pub positions: &'a [[f32; 3]],
    /// Vertex indices of each triangle.
    pub triangles: &'a [[u32; 3]],
}

/// Memory of [`correspond_mesh`], used again from view to view.
#[derive(Debug, Default)]
pub struct VisibilityScratch {
    points: Projected,
    vertices: Projected,
    cells: Cells,
}

/// Which stored points a view of a mesh shows: inside the image, before the camera, not hidden.
///
/// # Shapes
/// `points [S,3]` in the frame of `surface`, which is the camera's world.
pub fn correspond_mesh(
    points: &[[f32; 3]],
    camera: &Camera,
    surface: Surface<'_>,
    scratch: &mut VisibilityScratch,
) -> Correspondences {
    let VisibilityScratch { points: projected, vertices, cells } = scratch;
    projected.project(points, camera);
    vertices.project(surface.positions, camera);
    cells.fill(projected, camera);
    cells.hide_behind(surface, vertices, camera);
    cells.visible(projected)
}

/// The points inside the image, sorted by cell.
///
/// # Shapes
/// `start [rows*columns+1]`; the other arrays have one entry a point inside the image.
#[derive(Debug, Default)]
struct Cells {
    columns: usize,
    rows: usize,
    /// First sorted point of each cell, row by row.
    start: Vec<u32>,
    u: Vec<f32>,
    v: Vec<f32>,
    /// Depth below which a surface hides the point.
    limit: Vec<f32>,
    /// All ones where a triangle was found before the point.
    hidden: Vec<u32>,
    /// Place among the sorted points, `u32::MAX` outside the image; one entry a stored point.
    place: Vec<u32>,
    /// Largest of `limit`.
    farthest: f32,
}

impl Cells {
    /// Sorts the points of a view (counting sort, stable).
    fn fill(&mut self, points: &Projected, camera: &Camera) {
        self.columns = (camera.width as f32 / CELL).ceil() as usize;
        self.rows = (camera.height as f32 / CELL).ceil() as usize;
        self.start.clear();
        self.start.resize(self.rows * self.columns + 1, 0);
        self.place.clear();
        for i in 0..points.z.len() {
            let inside = points.is_inside(i, camera);
            let cell = if inside { self.cell(points.u[i], points.v[i]) } else { u32::MAX };
            self.place.push(cell);
            if inside {
                self.start[cell as usize + 1] += 1;
            }
        }
        let mut total = 0;
        for count in &mut self.start {
            total += *count;
            *count = total;
        }
        self.farthest = 0.0;
        for array in [&mut self.u, &mut self.v, &mut self.limit] {
            array.clear();
            array.resize(total as usize, 0.0);
        }
        self.hidden.clear();
        self.hidden.resize(total as usize, 0);
        self.place_points(points);
    }

    /// Moves every point behind those placed in its cell; `start` is where it was again afterwards.
    fn place_points(&mut self, points: &Projected) {
        for i in 0..self.place.len() {
            let cell = self.place[i] as usize;
            if cell == u32::MAX as usize {
                continue;
            }
            let at = self.start[cell] as usize;
            self.start[cell] += 1;
            (self.u[at], self.v[at], self.limit[at]) = (points.u[i], points.v[i], points.z[i] * STOP);
            self.farthest = self.farthest.max(self.limit[at]);
            self.place[i] = at as u32;
        }
        // Each entry now holds the end of its cell, which is the start of the next.
        let cells = self.start.len() - 1;
        self.start.copy_within(0..cells, 1);
        self.start[0] = 0;
    }

    fn cell(&self, u: f32, v: f32) -> u32 {
        ((v * (1.0 / CELL)) as usize * self.columns + (u * (1.0 / CELL)) as usize) as u32
    }

    /// Marks the points that a triangle hides.
    fn hide_behind(&mut self, surface: Surface<'_>, vertices: &Projected, camera: &Camera) {
        let (width, height) = (camera.width as f32, camera.height as f32);
        let guard = GUARD * width.max(height);
        for triangle in surface.triangles {
            let corners = triangle.map(|i| vertices.at(i as usize));
            let [[u0, u1], [v0, v1], [z0, z1]] = [0, 1, 2].map(|axis| span(corners.map(|c| c[axis])));
            if z1 <= NEAR || z0 >= self.farthest {
                continue;
            }
            let is_far_out = u0 < -guard || u1 > guard || v0 < -guard || v1 > guard;
            if z0 <= NEAR || is_far_out {
                self.hide_behind_in_space(triangle.map(|i| surface.positions[i as usize]), camera);
                continue;
            }
            if u1 < 0.0 || u0 >= width || v1 < 0.0 || v0 >= height {
                continue;
            }
            let Some(plane) = Facet::new(corners) else { continue };
            let column = |u: f32| ((u * (1.0 / CELL)).max(0.0) as usize).min(self.columns - 1);
            let row = |v: f32| ((v * (1.0 / CELL)).max(0.0) as usize).min(self.rows - 1);
            let (left, right) = (column(u0), column(u1));
            for r in row(v0)..=row(v1) {
                let begin = self.start[r * self.columns + left] as usize;
                let end = self.start[r * self.columns + right + 1] as usize;
                plane.hide(
                    &self.u[begin..end],
                    &self.v[begin..end],
                    &self.limit[begin..end],
                    &mut self.hidden[begin..end],
                );
            }
        }
    }

    /// The test of a triangle that cannot be projected: rays through the origin of the camera frame, f64.
    ///
    /// With `n = a . (b x c)` and `w` the same product with each corner replaced by the point, the
    /// line to the point meets the triangle if the three `w` share a sign, at `n / (w0 + w1 + w2)` of
    /// the way.
    fn hide_behind_in_space(&mut self, corners: [[f32; 3]; 3], camera: &Camera) {
        let [a, b, c] = corners
            .map(|p| camera.camera_from_world.transform_point3(glam::DVec3::from_array(p.map(f64::from))));
        let (bc, ca, ab) = (b.cross(c), c.cross(a), a.cross(b));
        let volume = a.dot(bc);
        for i in 0..self.u.len() {
            let z = f64::from(self.limit[i]);
            let x = (f64::from(self.u[i]) - camera.cx) / camera.fx * z;
            let y = (f64::from(self.v[i]) - camera.cy) / camera.fy * z;
            let p = glam::DVec3::new(x, y, z);
            let w = [p.dot(bc), p.dot(ca), p.dot(ab)].map(|w| w * volume.signum());
            let is_before = w[0] + w[1] + w[2] > volume.abs();
            if w.iter().all(|w| *w >= 0.0) && is_before {
                self.hidden[i] = u32::MAX;
            }
        }
    }

    /// The points that nothing hides, by ascending index.
    fn visible(&self, points: &Projected) -> Correspondences {
        let shown = self.hidden.iter().filter(|h| **h == 0).count();
        let mut found = Correspondences {
            point: Vec::with_capacity(shown),
            u: Vec::with_capacity(shown),
            v: Vec::with_capacity(shown),
            depth: Vec::with_capacity(shown),
        };
        for (i, &at) in self.place.iter().enumerate() {
            if at != u32::MAX && self.hidden[at as usize] == 0 {
                found.push(i as u32, points.at(i));
            }
        }
        found
    }
}

/// Smallest and largest of three numbers.
fn span([a, b, c]: [f32; 3]) -> [f32; 2] {
    [a.min(b).min(c), a.max(b).max(c)]
}

/// A projected triangle: three edges that are positive inside, and inverse depth over it.
struct Facet {
    /// `[u, v, du, dv]` of the edges opposite to corner 0, 1, 2.
    edges: [[f32; 4]; 3],
    inverse_depth: [f32; 3],
    /// Twice the area in square pixels.
    area: f32,
}

impl Facet {
    /// `None` for a triangle seen edge-on or without area: it covers no line of sight.
    fn new([a, mut b, mut c]: [[f32; 3]; 3]) -> Option<Self> {
        let mut area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
        if area < 0.0 {
            (b, c, area) = (c, b, -area);
        }
        let edge = |p: [f32; 3], q: [f32; 3]| [p[0], p[1], q[0] - p[0], q[1] - p[1]];
        let inverse_depth = [1.0 / a[2], 1.0 / b[2], 1.0 / c[2]];
        (area > 0.0).then(|| Self { edges: [edge(b, c), edge(c, a), edge(a, b)], inverse_depth, area })
    }

    /// Marks the points of a run that lie behind the triangle.
    #[inline]
    fn hide(&self, u: &[f32], v: &[f32], limit: &[f32], hidden: &mut [u32]) {
        for (((&u, &v), &limit), hidden) in u.iter().zip(v).zip(limit).zip(hidden) {
            let side = |e: &[f32; 4]| e[2] * (v - e[1]) - e[3] * (u - e[0]);
            let [x, y, z] = [side(&self.edges[0]), side(&self.edges[1]), side(&self.edges[2])];
            let [i, j, k] = self.inverse_depth;
            let is_covered = (x >= 0.0) & (y >= 0.0) & (z >= 0.0);
            // The edges sum to the area: depth here is area / (x i + y j + z k).
            let is_before = (x * i + y * j + z * k) * limit > self.area;
            *hidden |= u32::from(is_covered & is_before).wrapping_neg();
        }
    }
}
