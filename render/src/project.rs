//! Where stored points fall in a view: pixel and depth as they are stored.
//!
//! Positions are projected in f64 and rounded once, to the f32 that is stored, so a stored
//! correspondence projects back to its pixel within the rounding of f32 (2e-5 px at 224 px). The
//! rasterizer has a projection of its own ([`crate::screen`]): it clips in homogeneous coordinates,
//! which must hold the principal point, and adding that after the division is what keeps the bits of
//! stored pixels those of the camera's formula.

use jepa3d_schemas::Camera;

/// Depth at or below which a point counts as behind the camera, in the cloud's units.
pub(crate) const LEAST_DEPTH: f32 = 1e-6;

/// Projects `positions` (the camera's world) to `[u, v, z]`, replacing what `pixels` held; `u` and
/// `v` mean nothing unless `z` is above [`LEAST_DEPTH`].
#[inline(always)]
pub(crate) fn project(positions: &[[f32; 3]], camera: &Camera, pixels: &mut Vec<[f32; 3]>) {
    let [x, y, z] = pixel_rows(camera);
    pixels.clear();
    pixels.extend(positions.iter().map(|p| {
        let p = p.map(f64::from);
        let apply = |r: &[f64; 4]| r[0] * p[0] + r[1] * p[1] + r[2] * p[2] + r[3];
        let depth = apply(&z);
        let inverse = 1.0 / depth;
        [apply(&x) * inverse + camera.cx, apply(&y) * inverse + camera.cy, depth].map(|x| x as f32)
    }));
}

/// `camera_from_world` by rows, the first two in units of focal lengths, so that
/// `u = row0 . p / (row2 . p) + cx`.
fn pixel_rows(camera: &Camera) -> [[f64; 4]; 3] {
    let r = camera.rows();
    let row = |i: usize, f: f64| [r[4 * i] * f, r[4 * i + 1] * f, r[4 * i + 2] * f, r[4 * i + 3] * f];
    [row(0, camera.fx), row(1, camera.fy), row(2, 1.0)]
}

/// Whether a projected point `[u, v, z]` lies before the camera and inside the image, as stored.
#[inline(always)]
pub(crate) fn is_inside(pixel: [f32; 3], camera: &Camera) -> bool {
    let [u, v, z] = pixel;
    z > LEAST_DEPTH && u >= 0.0 && u < camera.width as f32 && v >= 0.0 && v < camera.height as f32
}
