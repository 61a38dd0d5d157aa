//! Where a camera stands and how it is turned, as eight numbers for a predictor.
//!
//! Azimuth, elevation and roll together are the camera's whole rotation: the first two are the direction
//! from which it looks (against its optical axis), counted as the rigs count them, roll turns it about that axis.
//! For a camera that looks at the origin this is also the direction in which it stands. Distance is that of the
//! camera's centre from the origin of the cloud's frame.

use jepa3d_schemas::{Camera, POSE_NUMBERS, UpAxis};

type Vector = [f64; 3];

/// Directions of a dataset: azimuth is 0 at the front and grows towards the left.
struct CloudAxes {
    up: Vector,
    front: Vector,
    left: Vector,
}

fn axes(up: UpAxis) -> CloudAxes {
    let (up, front) = match up {
        UpAxis::X => ([1.0, 0.0, 0.0], [0.0, 0.0, -1.0]),
        UpAxis::Y => ([0.0, 1.0, 0.0], [0.0, 0.0, -1.0]),
        UpAxis::Z => ([0.0, 0.0, 1.0], [0.0, 1.0, 0.0]),
    };
    CloudAxes { up, front, left: cross(up, front) }
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Measures sine and cosine of azimuth, of elevation, of roll; distance in the cloud's units; horizontal field of view in radians.
///
/// At the poles azimuth and roll cannot be told apart: roll is 0 there.
pub(crate) fn measure_pose(camera: &Camera, up: UpAxis) -> [f32; POSE_NUMBERS] {
    let CloudAxes { up, front, left } = axes(up);
    let m = camera.rows();
    let row = |r: usize| [m[4 * r], m[4 * r + 1], m[4 * r + 2]];
    let (right, down, forward) = (row(0), row(1), row(2));
    let from = forward.map(|x| -x);
    let sin_elevation = dot(from, up).clamp(-1.0, 1.0);
    let (ahead, aside) = (dot(from, front), dot(from, left));
    let cos_elevation = ahead.hypot(aside);
    let (sin_azimuth, cos_azimuth) = match cos_elevation > 1e-9 {
        true => (aside / cos_elevation, ahead / cos_elevation),
        // Image rows run along the meridian there.
        false => (dot(down, left) * sin_elevation.signum(), dot(down, front) * sin_elevation.signum()),
    };
    // The right of a camera in this direction that is not rolled.
    let level: Vector = std::array::from_fn(|i| left[i] * cos_azimuth - front[i] * sin_azimuth);
    let (sin_roll, cos_roll) = (dot(down, level), dot(right, level));
    // |camera_from_world * 0| is the distance of the two origins, since the rotation keeps lengths.
    let distance = m[3].hypot(m[7]).hypot(m[11]);
    let field_of_view = 2.0 * libm::atan(f64::from(camera.width) / 2.0 / camera.fx);
    [sin_azimuth, cos_azimuth, sin_elevation, cos_elevation, sin_roll, cos_roll, distance, field_of_view]
        .map(|x| x as f32)
}

#[cfg(test)]
mod tests {
    use jepa3d_loader::CachedView;

    use super::*;

    /// A camera at (azimuth, elevation) that looks back at the origin from `distance`, rolled; built from its
    /// position and the up axis alone.
    fn looking_back(up: UpAxis, angles: [f64; 3], distance: f64) -> Camera {
        let [azimuth, elevation, roll] = angles;
        let CloudAxes { up, front, left } = axes(up);
        let (sin_a, cos_a) = azimuth.sin_cos();
        let (sin_e, cos_e) = elevation.sin_cos();
        let stand: Vector =
            std::array::from_fn(|i| (front[i] * cos_a + left[i] * sin_a) * cos_e + up[i] * sin_e);
        let forward = stand.map(|x| -x);
        // forward x up points to the right of a level camera.
        let right = cross(forward, up);
        let length = dot(right, right).sqrt();
        let right = right.map(|x| x / length);
        let down = cross(forward, right);
        let (sin_r, cos_r) = roll.sin_cos();
        let x: Vector = std::array::from_fn(|i| cos_r * right[i] - sin_r * down[i]);
        let y: Vector = std::array::from_fn(|i| sin_r * right[i] + cos_r * down[i]);
        let mut rows = [0.0; 12];
        for (r, axis) in [x, y, forward].into_iter().enumerate() {
            rows[4 * r..4 * r + 3].copy_from_slice(&axis);
        }
        rows[11] = distance;
        let camera_from_world = Camera::affine_from_rows(&rows);
        let f = 112.0 / (0.4f64).tan();
        Camera { width: 224, height: 224, fx: f, fy: f, cx: 112.0, cy: 112.0, camera_from_world }
    }

    #[test]
    fn known_cameras_give_their_angles() {
        for up in [UpAxis::X, UpAxis::Y, UpAxis::Z] {
            for azimuth in [-2.0, 0.0, 0.7, 3.0] {
                for elevation in [-1.2, 0.0, 0.4, 1.5] {
                    for roll in [-0.5, 0.0, 2.0] {
                        let camera = looking_back(up, [azimuth, elevation, roll], 2.5);
                        let want = [azimuth, elevation, roll].map(f64::sin_cos);
                        let want =
                            [want[0].0, want[0].1, want[1].0, want[1].1, want[2].0, want[2].1, 2.5, 0.8];
                        let found = measure_pose(&camera, up);
                        let near = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs() < 1e-6;
                        assert!(found.iter().zip(&want).all(near), "{up:?} {found:?} {want:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_front_is_where_rigs_count_from() {
        // ShapeNet: y up, front -z. A camera on -z sees the front: azimuth 0, and stands at z = -2.
        let camera = looking_back(UpAxis::Y, [0.0; 3], 2.0);
        let seen = camera.project([0.0, 0.0, -1.0]);
        assert!((seen[2] - 1.0).abs() < 1e-12, "{seen:?}");
        // Up in the world is up in the image.
        assert!(camera.project([0.0, 0.5, 0.0])[1] < 112.0);
    }

    #[test]
    fn a_camera_that_turns_with_a_cloud_has_the_turned_pose() {
        for up in [UpAxis::X, UpAxis::Y, UpAxis::Z] {
            for (angles, turn) in [([0.7, 0.4, 2.0], 1.3), ([-2.0, -1.2, 0.0], -2.9), ([3.0, 0.0, -0.5], 0.2)]
            {
                let camera = looking_back(up, angles, 2.5);
                let mut rows = camera.rows();
                for r in 0..3 {
                    // A point p of the cloud went to turned(p), which the turned camera sees where the first saw p.
                    let axis = turned(up, turn, [rows[4 * r], rows[4 * r + 1], rows[4 * r + 2]]);
                    rows[4 * r..4 * r + 3].copy_from_slice(&axis);
                }
                let along = Camera { camera_from_world: Camera::affine_from_rows(&rows), ..camera };
                let (p, q) = ([0.1, -0.2, 0.3], turned(up, turn, [0.1, -0.2, 0.3]));
                let (seen, again) = (camera.project(p), along.project(q));
                assert!(seen.iter().zip(again).all(|(a, b)| (a - b).abs() < 1e-9), "{seen:?} {again:?}");
                let pose = measure_pose(&camera, up);
                let cached = CachedView { view: 0, valid: true, embedding: &[], pose: &pose, histogram: &[] };
                let (want, found) = (measure_pose(&along, up), cached.turned_pose(turn));
                assert!(want.iter().zip(found).all(|(a, b)| (a - b).abs() < 1e-6), "{want:?} {found:?}");
            }
        }
    }

    /// `v` turned about `up` by `angle`, counter-clockwise seen from its tip (Rodrigues).
    fn turned(up: UpAxis, angle: f64, v: Vector) -> Vector {
        let CloudAxes { up, .. } = axes(up);
        let (sin, cos) = angle.sin_cos();
        let (aside, along) = (cross(up, v), dot(up, v) * (1.0 - cos));
        std::array::from_fn(|i| v[i] * cos + aside[i] * sin + up[i] * along)
    }

    #[test]
    fn poles_have_no_roll() {
        for (up, sign) in [(UpAxis::Y, 1.0), (UpAxis::Z, -1.0)] {
            let near = looking_back(up, [0.7, sign * 1.570_795, 0.0], 1.0);
            let mut at = near.rows();
            let axis = axes(up).up;
            at[8..11].copy_from_slice(&axis.map(|x| -sign * x));
            let down = cross([at[8], at[9], at[10]], [at[0], at[1], at[2]]);
            at[4..7].copy_from_slice(&down);
            let found =
                measure_pose(&Camera { camera_from_world: Camera::affine_from_rows(&at), ..near }, up);
            let want = [0.7f32.sin(), 0.7f32.cos(), sign as f32, 0.0, 0.0, 1.0];
            assert!(found.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?}");
        }
    }
}
