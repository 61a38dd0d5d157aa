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
//! projection touches, a row of cells being one run of the sorted arrays ([`crate::cells`]).
//! Triangles that cross the camera's plane or reach far beyond the image are tested in three
//! dimensions and f64 against all points; there are few, and none when the camera is outside.

use jepa3d_schemas::{Camera, Correspondences};
use pulp::{Arch, WithSimd};

use crate::cells::{CELL, Cells};
use crate::correspond::{NEAR, is_inside, project};
use crate::facet::Facet;
use crate::frame::Frame;

/// Share of the way from the camera to a point that must be free for the point to be visible.
pub const STOP: f32 = 1.0 - 1e-3;

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
    points: Vec<[f32; 3]>,
    vertices: Vec<[f32; 3]>,
    cells: Cells,
}

/// Which stored points a view of a mesh shows: inside the image, before the camera, not hidden.
///
/// `frame` is the same view drawn by [`crate::rasterize`], any number of samples a pixel; it saves time and decides
/// nothing: an empty frame gives the same points.
///
/// # Shapes
/// `points [S,3]` in the frame of `surface`, which is the camera's world.
pub fn correspond_mesh(
    points: &[[f32; 3]],
    camera: &Camera,
    surface: Surface<'_>,
    frame: &Frame,
    scratch: &mut VisibilityScratch,
) -> Correspondences {
    Arch::new().dispatch(Search { points, camera, surface, frame, scratch })
}

/// Arguments of one search, compiled once for each vector width that `pulp` knows; all give the same bits.
struct Search<'a> {
    points: &'a [[f32; 3]],
    camera: &'a Camera,
    surface: Surface<'a>,
    frame: &'a Frame,
    scratch: &'a mut VisibilityScratch,
}

impl WithSimd for Search<'_> {
    type Output = Correspondences;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Correspondences {
        let Self { points, camera, surface, frame, scratch } = self;
        let VisibilityScratch { points: pixels, vertices, cells } = scratch;
        project(points, camera, pixels);
        project(surface.positions, camera, vertices);
        let screen = Screen::new(camera, frame);
        cells.fill(pixels, camera, |pixel| {
            is_inside(pixel, camera) && !screen.hides(pixel, surface.triangles, vertices)
        });
        for triangle in surface.triangles {
            let corners = [0, 1, 2].map(|i| vertices[triangle[i] as usize]);
            match screen.place(corners) {
                Place::Nowhere => {}
                Place::Window([low, high]) => hide_behind(corners, low, high, cells),
                Place::Space => {
                    hide_behind_in_space(triangle.map(|i| surface.positions[i as usize]), camera, cells);
                }
            }
        }
        cells.shown(pixels)
    }
}

/// The image, and what was drawn on it.
struct Screen<'a> {
    width: f32,
    height: f32,
    guard: f32,
    frame: &'a Frame,
    /// Samples a pixel along each axis.
    scale: f32,
}

/// Where a triangle falls.
enum Place {
    Nowhere,
    /// Smallest and largest `[u, v, z]`.
    Window([[f32; 3]; 2]),
    /// Across the camera's plane or too far out to be projected.
    Space,
}

impl<'a> Screen<'a> {
    fn new(camera: &Camera, frame: &'a Frame) -> Self {
        let (width, height) = (camera.width as f32, camera.height as f32);
        Self { width, height, guard: GUARD * width.max(height), frame, scale: frame.width as f32 / width }
    }

    #[inline(always)]
    fn place(&self, [a, b, c]: [[f32; 3]; 3]) -> Place {
        let low: [f32; 3] = std::array::from_fn(|axis| a[axis].min(b[axis]).min(c[axis]));
        let high: [f32; 3] = std::array::from_fn(|axis| a[axis].max(b[axis]).max(c[axis]));
        if high[2] <= NEAR {
            return Place::Nowhere;
        }
        if low[2] <= NEAR || low[0].min(low[1]) < -self.guard || high[0].max(high[1]) > self.guard {
            return Place::Space;
        }
        if high[0] < 0.0 || low[0] >= self.width || high[1] < 0.0 || low[1] >= self.height {
            return Place::Nowhere;
        }
        Place::Window([low, high])
    }

    /// Whether the triangle that was drawn where the point falls hides it. Half of all points fall here, by one test
    /// each, and then need no sorting.
    #[inline(always)]
    fn hides(&self, [u, v, z]: [f32; 3], triangles: &[[u32; 3]], vertices: &[[f32; 3]]) -> bool {
        let at = (v * self.scale) as usize * self.frame.width + (u * self.scale) as usize;
        let Some(&depth) = self.frame.depth.get(at) else { return false };
        let limit = z * STOP;
        if depth >= limit {
            return false;
        }
        let triangle = &triangles[self.frame.id[at] as usize];
        let corners = [0, 1, 2].map(|i| vertices[triangle[i] as usize]);
        matches!(self.place(corners), Place::Window(_))
            && Facet::new(corners).is_some_and(|facet| facet.hides([u, v, limit]))
    }
}

/// Marks the points that a triangle hides.
#[inline(always)]
fn hide_behind(corners: [[f32; 3]; 3], low: [f32; 3], high: [f32; 3], cells: &mut Cells) {
    if !cells.reach_beyond(low[2], [low[0], low[1]], [high[0], high[1]]) {
        return;
    }
    let Some(facet) = Facet::new(corners) else { return };
    let (top, bottom) = (cells.row(low[1]), cells.row(high[1]));
    if high[0] - low[0] < 3.0 * CELL || bottom - top < 2 {
        for row in top..=bottom {
            cells.hide_run(row, low[0], high[0], &facet);
        }
        return;
    }
    let slopes = facet.slopes();
    for row in top..=bottom {
        let (left, right) = slopes.span(row as f32 * CELL, (row + 1) as f32 * CELL);
        cells.hide_run(row, left, right, &facet);
    }
}

/// The test of a triangle that cannot be projected: rays through the origin of the camera frame, f64.
///
/// With `n = a . (b x c)` and `w` the same product with each corner replaced by the point, the
/// line to the point meets the triangle if the three `w` share a sign, at `n / (w0 + w1 + w2)` of
/// the way.
#[inline(never)]
fn hide_behind_in_space(corners: [[f32; 3]; 3], camera: &Camera, cells: &mut Cells) {
    let [a, b, c] =
        corners.map(|p| camera.camera_from_world.transform_point3(glam::DVec3::from_array(p.map(f64::from))));
    let (bc, ca, ab) = (b.cross(c), c.cross(a), a.cross(b));
    let volume = a.dot(bc);
    cells.hide_each(|[u, v, limit]| {
        let z = f64::from(limit);
        let x = (f64::from(u) - camera.cx) / camera.fx * z;
        let y = (f64::from(v) - camera.cy) / camera.fy * z;
        let p = glam::DVec3::new(x, y, z);
        let w = [p.dot(bc), p.dot(ca), p.dot(ab)].map(|w| w * volume.signum());
        w.iter().all(|w| *w >= 0.0) && w[0] + w[1] + w[2] > volume.abs()
    });
}
