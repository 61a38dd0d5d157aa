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
use crate::correspond::{NEAR, project};
use crate::facet::Facet;

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
/// # Shapes
/// `points [S,3]` in the frame of `surface`, which is the camera's world.
pub fn correspond_mesh(
    points: &[[f32; 3]],
    camera: &Camera,
    surface: Surface<'_>,
    scratch: &mut VisibilityScratch,
) -> Correspondences {
    Arch::new().dispatch(Search { points, camera, surface, scratch })
}

/// Arguments of one search, compiled once for each vector width that `pulp` knows; all give the same bits.
struct Search<'a> {
    points: &'a [[f32; 3]],
    camera: &'a Camera,
    surface: Surface<'a>,
    scratch: &'a mut VisibilityScratch,
}

impl WithSimd for Search<'_> {
    type Output = Correspondences;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Correspondences {
        let Self { points, camera, surface, scratch } = self;
        let VisibilityScratch { points: pixels, vertices, cells } = scratch;
        project(points, camera, pixels);
        project(surface.positions, camera, vertices);
        cells.fill(pixels, camera);
        for triangle in surface.triangles {
            hide_behind(triangle, surface.positions, vertices, camera, cells);
        }
        visible(pixels, cells)
    }
}

/// Marks the points that a triangle hides.
#[inline(always)]
fn hide_behind(
    triangle: &[u32; 3],
    positions: &[[f32; 3]],
    vertices: &[[f32; 3]],
    camera: &Camera,
    cells: &mut Cells,
) {
    let (width, height) = (camera.width as f32, camera.height as f32);
    let guard = GUARD * width.max(height);
    let [a, b, c] = triangle.map(|i| vertices[i as usize]);
    let [u0, v0, z0] = [0, 1, 2].map(|axis| a[axis].min(b[axis]).min(c[axis]));
    let [u1, v1, z1] = [0, 1, 2].map(|axis| a[axis].max(b[axis]).max(c[axis]));
    if z1 <= NEAR || z0 >= cells.farthest {
        return;
    }
    if z0 <= NEAR || u0 < -guard || u1 > guard || v0 < -guard || v1 > guard {
        hide_behind_in_space(triangle.map(|i| positions[i as usize]), camera, cells);
        return;
    }
    if u1 < 0.0 || u0 >= width || v1 < 0.0 || v0 >= height {
        return;
    }
    let Some(facet) = Facet::new([a, b, c]) else { return };
    let (top, bottom) = (cells.row(v0), cells.row(v1));
    let is_wide = (u1 - u0) > 3.0 * CELL && bottom - top > 1;
    for row in top..=bottom {
        let (left, right) = if is_wide { facet.span(row as f32 * CELL, CELL) } else { (u0, u1) };
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

/// The points that nothing hides, by ascending index.
fn visible(pixels: &[[f32; 3]], cells: &Cells) -> Correspondences {
    let shown = cells.shown();
    let mut found = Correspondences {
        point: Vec::with_capacity(shown),
        u: Vec::with_capacity(shown),
        v: Vec::with_capacity(shown),
        depth: Vec::with_capacity(shown),
    };
    for (i, pixel) in pixels.iter().enumerate().filter(|(i, _)| cells.is_shown(*i)) {
        found.push(i as u32, *pixel);
    }
    found
}
