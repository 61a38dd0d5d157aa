//! Which stored points of a mesh a camera sees: an exact occlusion test of every point against every triangle.
//!
//! A point is hidden if a triangle crosses the segment from the camera to 99.9 % of the way to
//! the point. The segment of a point is one spot in the image, so the test is two-dimensional: a
//! triangle whose projection covers that spot, with a smaller depth there, hides the point. No
//! depth map and no pixel takes part, hence no error from pixel footprint or surface slope: the
//! only tolerance is the last thousandth of the way, which keeps the point's own triangle and its
//! neighbours, whose planes the f32 rounding of the stored point may put before it, from hiding it.
//!
//! Points are sorted into cells of the image; a triangle meets the points of the cells its
//! projection touches, a row of cells being one run of the sorted arrays ([`crate::point_cells`]).
//! Triangles that cross the camera's plane or reach far beyond the image are tested in three
//! dimensions and f64 against all points; there are few, and none when the camera is outside.

use jepa3d_schemas::{Camera, Correspondences};
use pulp::{Arch, Simd, WithSimd};

use crate::cell_grid::CELL_SIDE;
use crate::facet::{Facet, RowSpan};
use crate::point_cells::PointCells;
use crate::project::{LEAST_DEPTH, project};
use crate::triangle_mesh::TriangleMesh;

/// Image widths beyond the image at which f32 pixels lose their precision.
const GUARD: f32 = 8.0;

/// Memory of [`correspond_mesh`], used again from view to view.
#[derive(Debug, Default)]
pub struct VisibilityScratch {
    /// `[u, v, z]`.
    points: Vec<[f32; 3]>,
    /// `[u, v, 1 / z]`.
    vertices: Vec<[f32; 3]>,
    cells: PointCells,
}

/// Which stored points a view of a mesh shows: inside the image, before the camera, not hidden.
///
/// # Shapes
/// `points [S,3]` in the frame of `mesh`, which is the camera's world.
pub fn correspond_mesh(
    points: &[[f32; 3]],
    camera: &Camera,
    mesh: TriangleMesh<'_>,
    scratch: &mut VisibilityScratch,
) -> Correspondences {
    Arch::new().dispatch(VisibilityPass { points, camera, mesh, scratch })
}

/// Arguments of one test, compiled once for each vector width that `pulp` knows; all give the same bits.
struct VisibilityPass<'a> {
    points: &'a [[f32; 3]],
    camera: &'a Camera,
    mesh: TriangleMesh<'a>,
    scratch: &'a mut VisibilityScratch,
}

impl WithSimd for VisibilityPass<'_> {
    type Output = Correspondences;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Correspondences {
        let Self { points, camera, mesh, scratch } = self;
        let VisibilityScratch { points: pixels, vertices, cells } = scratch;
        project(points, camera, pixels);
        project(mesh.positions, camera, vertices);
        for vertex in &mut *vertices {
            vertex[2] = 1.0 / vertex[2];
        }
        cells.fill(pixels, camera);
        let screen = Screen::new(camera);
        for triangle in mesh.triangles {
            let [a, b, c] = *triangle;
            let corners = [vertices[a as usize], vertices[b as usize], vertices[c as usize]];
            match screen.locate(&corners) {
                ScreenExtent::Nowhere => {}
                ScreenExtent::Box { low, high } => hide_behind(simd, corners, low, high, cells),
                ScreenExtent::Unbounded => {
                    hide_behind_in_space(triangle.map(|i| mesh.positions[i as usize]), camera, cells);
                }
            }
        }
        cells.collect_shown(pixels)
    }
}

/// The image and how far beyond it pixels are precise.
struct Screen {
    width: f32,
    height: f32,
    guard: f32,
}

/// Where a triangle falls.
enum ScreenExtent {
    /// Beside the image or behind the camera.
    Nowhere,
    /// Between these `[u, v]`.
    Box { low: [f32; 2], high: [f32; 2] },
    /// Across the camera's plane or too far out to be projected.
    Unbounded,
}

impl Screen {
    fn new(camera: &Camera) -> Self {
        let (width, height) = (camera.width as f32, camera.height as f32);
        Self { width, height, guard: GUARD * width.max(height) }
    }

    /// Where corners `[u, v, 1 / z]` fall: behind the camera `1 / z` is negative, at its plane infinite.
    #[inline(always)]
    fn locate(&self, corners: &[[f32; 3]; 3]) -> ScreenExtent {
        let [a, b, c] = corners;
        let least = |axis: usize| a[axis].min(b[axis]).min(c[axis]);
        let most = |axis: usize| a[axis].max(b[axis]).max(c[axis]);
        let ([u0, v0, d0], [u1, v1, d1]) = ([least(0), least(1), least(2)], [most(0), most(1), most(2)]);
        let is_before = d0 > 0.0 && d1 < 1.0 / LEAST_DEPTH;
        if !is_before {
            return if d1 < 0.0 { ScreenExtent::Nowhere } else { ScreenExtent::Unbounded };
        }
        if u0.min(v0) < -self.guard || u1.max(v1) > self.guard {
            return ScreenExtent::Unbounded;
        }
        if u1 < 0.0 || u0 >= self.width || v1 < 0.0 || v0 >= self.height {
            return ScreenExtent::Nowhere;
        }
        ScreenExtent::Box { low: [u0, v0], high: [u1, v1] }
    }
}

/// Marks the points that a triangle between the pixels `low` and `high` hides.
#[inline(always)]
fn hide_behind<S: Simd>(
    simd: S,
    corners: [[f32; 3]; 3],
    low: [f32; 2],
    high: [f32; 2],
    cells: &mut PointCells,
) {
    let Some(facet) = Facet::new(corners) else { return };
    let (top, bottom) = (cells.row(low[1]), cells.row(high[1]));
    if high[0] - low[0] < 3.0 * CELL_SIDE || bottom - top < 2 {
        for row in top..=bottom {
            cells.hide_run(simd, row, RowSpan { left: low[0], right: high[0] }, &facet);
        }
        return;
    }
    let slopes = facet.slopes();
    for row in top..=bottom {
        let span = slopes.span(row as f32 * CELL_SIDE, (row + 1) as f32 * CELL_SIDE);
        cells.hide_run(simd, row, span, &facet);
    }
}

/// The test of a triangle that cannot be projected: rays through the origin of the camera frame, f64.
///
/// With `n = a . (b x c)` and `w` the same product with each corner replaced by the point, the
/// line to the point meets the triangle if the three `w` share a sign, at `n / (w0 + w1 + w2)` of
/// the way.
#[inline(never)]
fn hide_behind_in_space(corners: [[f32; 3]; 3], camera: &Camera, cells: &mut PointCells) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Draws;

    #[test]
    fn every_vector_width_gives_the_same_bits() {
        let mut archs = vec![Arch::new()];
        #[cfg(target_arch = "x86_64")]
        archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
        let camera = Camera {
            width: 150,
            height: 90,
            fx: 120.0,
            fy: 120.0,
            cx: 75.0,
            cy: 45.0,
            camera_from_world: glam::DAffine3::from_translation(glam::DVec3::Z * 2.0),
        };
        for seed in 0..20 {
            let mut draws = Draws::new(seed, "x", "visible");
            let mut some = |n: usize| -> Vec<[f32; 3]> {
                (0..n).map(|_| [0; 3].map(|_: i32| draws.range(-1.0, 1.0) as f32)).collect()
            };
            let (points, positions) = (some(700), some(30));
            let triangles: Vec<[u32; 3]> = (0..10).map(|i| [3 * i, 3 * i + 1, 3 * i + 2]).collect();
            let mesh = TriangleMesh { positions: &positions, triangles: &triangles };
            let mut scratch = VisibilityScratch::default();
            let mut run = |arch: Arch| {
                arch.dispatch(VisibilityPass {
                    points: &points,
                    camera: &camera,
                    mesh,
                    scratch: &mut scratch,
                })
            };
            let scalar = run(Arch::Scalar);
            assert!(!scalar.is_empty() && scalar.len() < points.len());
            for &arch in &archs {
                assert_eq!(run(arch), scalar);
            }
        }
    }
}
