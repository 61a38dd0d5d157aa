//! Where cameras stand: rigs of perspective cameras that look at the middle of a cloud.
//!
//! Directions are azimuth and elevation about the up axis. The front is -z where x or y is up
//! (ShapeNet) and +y where z is up (nuScenes LiDAR, and what a turn from y-up to z-up makes of
//! -z). Image rows run against the up axis, also for cameras at the poles.

use std::f64::consts::PI;

use glam::{DAffine3, DMat3, DVec3};
use jepa3d_schemas::{Camera, Draws, UpAxis};

use crate::config::{Placement, RigConfig, ViewsConfig};

/// A ball that encloses what the cameras look at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sphere {
    /// Its centre, in the cloud's frame.
    pub center: [f64; 3],
    /// Its radius, in the cloud's units; positive.
    pub radius: f64,
}

impl Sphere {
    /// The ball about a stored cloud `points [S*3]`: the unit sphere for a cloud that was normalised to
    /// it, else (scenes in metres) about the middle of its bounding box.
    pub fn enclose(points: &[f32]) -> Self {
        let rows = || points.chunks_exact(3).map(|p| DVec3::new(p[0].into(), p[1].into(), p[2].into()));
        let reach = |center: DVec3| rows().map(|p| p.distance_squared(center)).fold(0.0, f64::max).sqrt();
        let is_unit = (reach(DVec3::ZERO) - 1.0).abs() < 1e-3;
        let (low, high) =
            rows().fold((DVec3::INFINITY, DVec3::NEG_INFINITY), |(l, h), p| (l.min(p), h.max(p)));
        let center = (low + high) / 2.0;
        let radius = reach(center);
        if is_unit || !(radius > 0.0 && radius.is_finite() && center.is_finite()) {
            return Self { center: [0.0; 3], radius: 1.0 };
        }
        Self { center: center.to_array(), radius }
    }
}

/// The axes that azimuth and elevation count from.
#[derive(Clone, Copy, Debug)]
struct Compass {
    up: DVec3,
    front: DVec3,
    left: DVec3,
}

impl Compass {
    fn new(up: UpAxis) -> Self {
        let (up, front) = match up {
            UpAxis::X => (DVec3::X, DVec3::NEG_Z),
            UpAxis::Y => (DVec3::Y, DVec3::NEG_Z),
            UpAxis::Z => (DVec3::Z, DVec3::Y),
        };
        Self { up, front, left: up.cross(front) }
    }

    /// Rows right, down, forward of a camera in direction (azimuth, elevation) that looks back.
    fn rotation(&self, azimuth: f64, elevation: f64) -> DMat3 {
        let (sin_a, cos_a) = (libm::sin(azimuth), libm::cos(azimuth));
        let (sin_e, cos_e) = (libm::sin(elevation), libm::cos(elevation));
        let around = self.front * cos_a + self.left * sin_a;
        let forward = -(around * cos_e + self.up * sin_e);
        // The derivative by elevation: a unit vector at the poles too.
        let down = around * sin_e - self.up * cos_e;
        DMat3::from_cols(down.cross(forward), down, forward).transpose()
    }
}

/// Where one camera stands, in radians and the cloud's units.
struct Stand {
    name: String,
    azimuth: f64,
    elevation: f64,
    roll: f64,
    /// `None` = fitted.
    distance: Option<f64>,
    field_of_view: f64,
}

/// A camera of a rig.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedCamera {
    /// Its name, for example `orbit-e20-a045`.
    pub name: String,
    /// Where it stands and how it sees.
    pub camera: Camera,
}

/// The cameras of a rig in the order of their view numbers.
///
/// They look at the middle of `sphere`; without an explicit distance they stand where the sphere's
/// outline reaches `fill` of the half image. The photo rig has none.
pub fn place_cameras(
    config: &ViewsConfig,
    up: UpAxis,
    sphere: Sphere,
    draws: &mut Draws,
) -> Vec<NamedCamera> {
    let compass = Compass::new(up);
    let stands = list_stands(config, sphere.radius, draws);
    stands
        .into_iter()
        .map(|stand| {
            let turn = draw_jitter(config.jitter.to_radians(), draws);
            let roll = DMat3::from_cols(
                DVec3::new(libm::cos(stand.roll), libm::sin(stand.roll), 0.0),
                DVec3::new(-libm::sin(stand.roll), libm::cos(stand.roll), 0.0),
                DVec3::Z,
            );
            let rotation = roll * turn * compass.rotation(stand.azimuth, stand.elevation);
            let tangent = libm::tan(stand.field_of_view / 2.0);
            let fitted = sphere.radius * (1.0 + (config.fill * tangent).powi(-2)).sqrt();
            let translation =
                DVec3::Z * stand.distance.unwrap_or(fitted) - rotation * DVec3::from_array(sphere.center);
            let half = f64::from(config.size) / 2.0;
            let camera = Camera {
                width: config.size,
                height: config.size,
                fx: half / tangent,
                fy: half / tangent,
                cx: half,
                cy: half,
                camera_from_world: DAffine3 { matrix3: rotation, translation },
            };
            NamedCamera { name: stand.name, camera }
        })
        .collect()
}

fn list_stands(config: &ViewsConfig, radius: f64, draws: &mut Draws) -> Vec<Stand> {
    let field_of_view = config.field_of_view.to_radians();
    let fitted = |name: String, azimuth: f64, elevation: f64| Stand {
        name,
        azimuth,
        elevation,
        roll: 0.0,
        distance: None,
        field_of_view,
    };
    match &config.rig {
        RigConfig::Fibonacci { views } => (0..*views)
            .map(|i| {
                // Gonzalez 2010, Measurement of areas on a sphere: equal bands, golden turns.
                let height = 1.0 - (2 * i + 1) as f64 / *views as f64;
                let azimuth = PI * (3.0 - 5f64.sqrt()) * i as f64;
                fitted(format!("fibonacci-{i:02}"), azimuth, libm::asin(height))
            })
            .collect(),
        RigConfig::Orbit { elevations, azimuths } => elevations
            .iter()
            .flat_map(|&e| (0..*azimuths).map(move |i| (e, 360.0 * i as f64 / *azimuths as f64)))
            .map(|(e, a)| fitted(format!("orbit-e{e:02.0}-a{a:03.0}"), a.to_radians(), e.to_radians()))
            .collect(),
        RigConfig::ShapenetRendering => (0..24).map(|i| draw_shapenet_stand(i, radius, draws)).collect(),
        RigConfig::Explicit { cameras } => {
            cameras.iter().enumerate().map(|(i, c)| explicit_stand(i, c, field_of_view)).collect()
        }
        RigConfig::Photos => Vec::new(),
    }
}

/// One view of 3D-R2N2 (Choy et al. 2016): uniform azimuth and elevation in 25..30 degrees, 35 mm lens
/// on a 32 mm sensor. Its distances are in units of the bounding box's diagonal, here the diameter.
fn draw_shapenet_stand(i: usize, radius: f64, draws: &mut Draws) -> Stand {
    Stand {
        name: format!("shapenet-{i:02}"),
        azimuth: draws.range(0.0, 2.0 * PI),
        elevation: draws.range(25.0, 30.0).to_radians(),
        roll: 0.0,
        distance: Some(2.0 * radius * 1.75 * draws.range(0.65, 1.0)),
        field_of_view: 2.0 * libm::atan(16.0 / 35.0),
    }
}

fn explicit_stand(i: usize, placement: &Placement, field_of_view: f64) -> Stand {
    Stand {
        name: format!("explicit-{i:02}"),
        azimuth: placement.azimuth.to_radians(),
        elevation: placement.elevation.to_radians(),
        roll: placement.roll.to_radians(),
        distance: placement.distance,
        field_of_view: placement.field_of_view.map_or(field_of_view, f64::to_radians),
    }
}

/// A turn of the camera about the object by up to `largest` radians, uniform over the disc of turns.
fn draw_jitter(largest: f64, draws: &mut Draws) -> DMat3 {
    let (angle, along) = (largest * draws.unit().sqrt(), draws.range(0.0, 2.0 * PI));
    if largest == 0.0 {
        return DMat3::IDENTITY;
    }
    let axis = DVec3::new(libm::cos(along), libm::sin(along), 0.0);
    let (sin, cos) = (libm::sin(angle), libm::cos(angle));
    // Rodrigues: turns every column by `angle` about `axis`.
    let turned = |v: DVec3| v * cos + axis.cross(v) * sin + axis * (axis.dot(v) * (1.0 - cos));
    DMat3::from_cols(turned(DVec3::X), turned(DVec3::Y), turned(DVec3::Z))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Sphere = Sphere { center: [0.0; 3], radius: 1.0 };

    fn make(config: &ViewsConfig, up: UpAxis, sphere: Sphere) -> Vec<NamedCamera> {
        place_cameras(config, up, sphere, &mut Draws::new(5, "chair", "views"))
    }

    fn eye(camera: &Camera) -> DVec3 {
        let a = camera.camera_from_world;
        a.inverse().translation
    }

    /// Every kind of rig.
    fn rigs() -> Vec<RigConfig> {
        let placement = Placement {
            azimuth: 30.0,
            elevation: 90.0,
            roll: 45.0,
            distance: None,
            field_of_view: Some(30.0),
        };
        vec![
            RigConfig::Fibonacci { views: 12 },
            RigConfig::Fibonacci { views: 1 },
            RigConfig::Orbit { elevations: vec![-90.0, 20.0, 90.0], azimuths: 4 },
            RigConfig::Explicit { cameras: vec![placement] },
        ]
    }

    #[test]
    fn the_outline_of_the_sphere_reaches_the_stated_part() {
        let spheres = [UNIT, Sphere { center: [40.0, -3.0, 7.0], radius: 25.0 }];
        for (rig, sphere) in rigs().into_iter().flat_map(|r| spheres.map(|s| (r.clone(), s))) {
            for fill in [0.5, 0.95, 1.0] {
                let config = ViewsConfig { rig: rig.clone(), fill, jitter: 20.0, ..ViewsConfig::default() };
                for NamedCamera { camera, .. } in make(&config, UpAxis::Z, sphere) {
                    let mut reach = 0.0f64;
                    for i in 0..20_000 {
                        let (a, h) = (0.1 * f64::from(i), f64::from(i) / 10_000.0 - 1.0);
                        let ring = (1.0 - h * h).max(0.0).sqrt();
                        let p = DVec3::new(ring * a.cos(), ring * a.sin(), h) * sphere.radius
                            + DVec3::from_array(sphere.center);
                        let [u, v, z] = camera.project(p.to_array());
                        assert!(z > 0.0);
                        reach = reach.max((u - 112.0).hypot(v - 112.0));
                    }
                    assert!((reach / 112.0 - fill).abs() < 2e-3, "{rig:?} {fill}: {}", reach / 112.0);
                }
            }
        }
    }

    #[test]
    fn cameras_look_at_the_middle_with_right_handed_axes_and_the_up_axis_up() {
        for up in [UpAxis::X, UpAxis::Y, UpAxis::Z] {
            let config = ViewsConfig { rig: RigConfig::Fibonacci { views: 50 }, ..ViewsConfig::default() };
            for NamedCamera { camera, .. } in make(&config, up, UNIT) {
                let m = camera.camera_from_world.matrix3;
                assert!((m * m.transpose()).abs_diff_eq(DMat3::IDENTITY, 1e-12));
                assert!((m.determinant() - 1.0).abs() < 1e-12);
                let [u, v, _] = camera.project([0.0; 3]);
                assert!((u - 112.0).abs() < 1e-9 && (v - 112.0).abs() < 1e-9);
                let mut above = [0.0; 3];
                above[up as usize] = 0.1;
                let [u, v, _] = camera.project(above);
                assert!((u - 112.0).abs() < 1e-9 && v < 112.0, "{up:?}: {u} {v}");
            }
        }
    }

    #[test]
    fn azimuth_runs_from_the_front_to_the_left() {
        let rig = RigConfig::Orbit { elevations: vec![0.0, 30.0], azimuths: 4 };
        let config = ViewsConfig { rig, ..ViewsConfig::default() };
        let rig = make(&config, UpAxis::Y, UNIT);
        let names: Vec<&str> = rig.iter().map(|stand| stand.name.as_str()).collect();
        assert_eq!(names[..3], ["orbit-e00-a000", "orbit-e00-a090", "orbit-e00-a180"]);
        assert_eq!(names[7], "orbit-e30-a270");
        assert!(eye(&rig[0].camera).normalize().abs_diff_eq(DVec3::NEG_Z, 1e-12));
        assert!(eye(&rig[1].camera).normalize().abs_diff_eq(DVec3::NEG_X, 1e-12));
        assert!((eye(&rig[7].camera).normalize().y - 0.5).abs() < 1e-12);
        let rig = make(&config, UpAxis::Z, UNIT);
        assert!(eye(&rig[0].camera).normalize().abs_diff_eq(DVec3::Y, 1e-12));
        assert!(eye(&rig[1].camera).normalize().abs_diff_eq(DVec3::NEG_X, 1e-12));
    }

    #[test]
    fn the_24_views_follow_their_convention() {
        let config = ViewsConfig { rig: RigConfig::ShapenetRendering, ..ViewsConfig::default() };
        let rig = make(&config, UpAxis::Y, UNIT);
        assert_eq!(rig.len(), 24);
        for NamedCamera { camera, .. } in &rig {
            let at = eye(camera);
            let (distance, elevation) = (at.length(), (at.y / at.length()).asin().to_degrees());
            assert!((2.275..=3.5).contains(&distance) && (25.0..=30.0).contains(&elevation));
            assert!((camera.fx / 224.0 - 35.0 / 32.0).abs() < 1e-12);
        }
        assert_ne!(eye(&rig[0].camera), eye(&rig[1].camera));
        let other = place_cameras(&config, UpAxis::Y, UNIT, &mut Draws::new(5, "table", "views"));
        assert_ne!(rig, other);
        assert_eq!(rig, make(&config, UpAxis::Y, UNIT));
    }

    #[test]
    fn jitter_turns_by_at_most_its_angle_and_keeps_the_distance() {
        let still = ViewsConfig { rig: RigConfig::Fibonacci { views: 200 }, ..ViewsConfig::default() };
        let moved = ViewsConfig { jitter: 10.0, ..still.clone() };
        let mut largest = 0.0f64;
        for (a, b) in make(&still, UpAxis::Y, UNIT).iter().zip(&make(&moved, UpAxis::Y, UNIT)) {
            let (a, b) = (eye(&a.camera), eye(&b.camera));
            let angle = a.angle_between(b).to_degrees();
            assert!(angle <= 10.0 + 1e-9 && (a.length() - b.length()).abs() < 1e-12);
            largest = largest.max(angle);
        }
        assert!(largest > 9.0);
    }

    #[test]
    fn spheres_of_objects_are_the_unit_sphere_and_scenes_get_their_own() {
        assert_eq!(Sphere::enclose(&[0.6, 0.0, 0.8, 0.1, 0.0, 0.0]), UNIT);
        let scene = Sphere::enclose(&[10.0, 0.0, 0.0, 14.0, 0.0, 0.0]);
        assert_eq!(scene, Sphere { center: [12.0, 0.0, 0.0], radius: 2.0 });
        assert_eq!(Sphere::enclose(&[3.0, 3.0, 3.0]), UNIT);
        assert_eq!(Sphere::enclose(&[]), UNIT);
    }
}
