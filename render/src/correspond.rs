//! Where the stored points fall in a view: pixel, depth, and which of them the image can show.
//!
//! Positions are projected in f64 and rounded once, to the f32 that is stored, so a stored
//! correspondence projects back to its pixel within the rounding of f32 (2e-5 px at 224 px). What
//! hides a point is another question, answered by [`crate::correspond_mesh`] (a surface),
//! [`crate::correspond_splats`] (a cloud's own discs) and [`crate::correspond_photo`] (a lidar sweep).

use jepa3d_schemas::{Camera, Correspondences};

/// Depth at or below which a point counts as behind the camera, in the cloud's units.
pub(crate) const NEAR: f32 = 1e-6;

/// Points in a camera, as parallel arrays.
///
/// # Shapes
/// `u`, `v`, `z` `[P]`; `u` and `v` mean nothing unless `z` is above [`NEAR`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Projected {
    pub(crate) u: Vec<f32>,
    pub(crate) v: Vec<f32>,
    pub(crate) z: Vec<f32>,
}

impl Projected {
    /// Projects `positions` (the camera's world), replacing what was there.
    pub(crate) fn project(&mut self, positions: &[[f32; 3]], camera: &Camera) {
        let [x, y, z] = pixel_rows(camera);
        self.u.clear();
        self.v.clear();
        self.z.clear();
        for array in [&mut self.u, &mut self.v, &mut self.z] {
            array.resize(positions.len(), 0.0);
        }
        let out = self.u.iter_mut().zip(&mut self.v).zip(&mut self.z);
        for (p, ((u, v), depth)) in positions.iter().zip(out) {
            let p = p.map(f64::from);
            let apply = |r: &[f64; 4]| r[0] * p[0] + r[1] * p[1] + r[2] * p[2] + r[3];
            let w = apply(&z);
            let inverse = 1.0 / w;
            *u = (apply(&x) * inverse + camera.cx) as f32;
            *v = (apply(&y) * inverse + camera.cy) as f32;
            *depth = w as f32;
        }
    }

    /// Whether point `i` lies before the camera and inside the image, as stored.
    pub(crate) fn is_inside(&self, i: usize, camera: &Camera) -> bool {
        let (u, v) = (self.u[i], self.v[i]);
        self.z[i] > NEAR && u >= 0.0 && u < camera.width as f32 && v >= 0.0 && v < camera.height as f32
    }

    /// `[u, v, z]` of point `i`.
    pub(crate) fn at(&self, i: usize) -> [f32; 3] {
        [self.u[i], self.v[i], self.z[i]]
    }
}

/// `camera_from_world` by rows, the first two in units of focal lengths, so that
/// `u = row0 . p / (row2 . p) + cx`.
fn pixel_rows(camera: &Camera) -> [[f64; 4]; 3] {
    let r = camera.rows();
    let row = |i: usize, f: f64| [r[4 * i] * f, r[4 * i + 1] * f, r[4 * i + 2] * f, r[4 * i + 3] * f];
    [row(0, camera.fx), row(1, camera.fy), row(2, 1.0)]
}

/// All points before the camera and inside the image, whatever stands before them.
pub fn correspond_frustum(points: &[[f32; 3]], camera: &Camera) -> Correspondences {
    let mut projected = Projected::default();
    projected.project(points, camera);
    let mut found = Correspondences::default();
    for i in (0..points.len()).filter(|&i| projected.is_inside(i, camera)) {
        found.push(i as u32, projected.at(i));
    }
    found
}
