//! Pinhole cameras: intrinsics and `camera_from_world`, in the conventions of the project.
//!
//! Axes are x right, y down, z forward (OpenCV). Pixel (0,0) is the top-left *corner* of the
//! top-left pixel, so the centre of that pixel is (0.5, 0.5). Depth is z in the camera frame.

use glam::{DAffine3, DMat3, DVec3};
use serde::{Deserialize, Serialize};

/// A calibrated pinhole camera, placed in a world frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Camera {
    /// Image width in pixels.
    pub width: u32,
    /// Image height in pixels.
    pub height: u32,
    /// Focal length along x, in pixels.
    pub fx: f64,
    /// Focal length along y, in pixels.
    pub fy: f64,
    /// Principal point x, in pixels from the left edge.
    pub cx: f64,
    /// Principal point y, in pixels from the top edge.
    pub cy: f64,
    /// Maps world coordinates to camera coordinates (x right, y down, z forward).
    pub camera_from_world: DAffine3,
}

impl Camera {
    /// Pixel position and depth `[u, v, z]` of a world point; `u`, `v` mean nothing unless `z > 0`.
    pub fn project(&self, world: [f64; 3]) -> [f64; 3] {
        let p = self.camera_from_world.transform_point3(DVec3::from_array(world));
        [self.fx * p.x / p.z + self.cx, self.fy * p.y / p.z + self.cy, p.z]
    }

    /// The same camera for a world that was moved and scaled: `raw = normalised * scale + center`.
    ///
    /// The camera frame is scaled with the world, so pixels stay where they were and depths are
    /// in normalised units.
    pub fn normalized(&self, center: [f64; 3], scale: f64) -> Self {
        let a = &self.camera_from_world;
        let translation = (a.matrix3 * DVec3::from_array(center) + a.translation) / scale;
        Self { camera_from_world: DAffine3 { matrix3: a.matrix3, translation }, ..*self }
    }

    /// `camera_from_world` as 12 numbers, row-major 3x4, the stored form.
    pub fn rows(&self) -> [f64; 12] {
        let (m, t) = (self.camera_from_world.matrix3, self.camera_from_world.translation);
        let mut rows = [0.0; 12];
        for r in 0..3 {
            let row = m.row(r);
            rows[4 * r..4 * r + 4].copy_from_slice(&[row.x, row.y, row.z, t[r]]);
        }
        rows
    }

    /// The inverse of [`Camera::rows`].
    pub fn affine_from_rows(rows: &[f64; 12]) -> DAffine3 {
        let row = |r: usize| DVec3::new(rows[4 * r], rows[4 * r + 1], rows[4 * r + 2]);
        DAffine3 {
            matrix3: DMat3::from_cols(row(0), row(1), row(2)).transpose(),
            translation: DVec3::new(rows[3], rows[7], rows[11]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::DQuat;

    fn camera() -> Camera {
        let q = DQuat::from_xyzw(0.1, -0.4, 0.2, 0.9).normalize();
        Camera {
            width: 640,
            height: 480,
            fx: 500.0,
            fy: 510.0,
            cx: 320.5,
            cy: 239.0,
            camera_from_world: DAffine3::from_rotation_translation(q, DVec3::new(0.3, -2.0, 7.0)),
        }
    }

    #[test]
    fn rows_round_trip() {
        let c = camera();
        assert_eq!(Camera::affine_from_rows(&c.rows()), c.camera_from_world);
    }

    #[test]
    fn normalising_the_world_keeps_pixels_and_scales_depth() {
        let c = camera();
        let (center, scale) = ([3.0, -1.0, 0.5], 2.5);
        let raw = [1.0, 0.4, -0.7];
        let normalised = [0, 1, 2].map(|i| (raw[i] - center[i]) / scale);
        let (a, b) = (c.project(raw), c.normalized(center, scale).project(normalised));
        assert!((a[0] - b[0]).abs() < 1e-9 && (a[1] - b[1]).abs() < 1e-9);
        assert!((a[2] - b[2] * scale).abs() < 1e-9);
    }
}
