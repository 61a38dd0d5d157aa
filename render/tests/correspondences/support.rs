//! Cameras, surface points and real files for the tests.

use std::path::{Path, PathBuf};

use glam::{DAffine3, DMat3, DVec3};
use jepa3d_datasets::formats::{ReadOptions, read_geometry};
use jepa3d_schemas::{Camera, Draws, Mesh, Shape};

#[path = "../../../datasets/src/test_data.rs"]
mod data;
pub(crate) use data::test_data;

/// A camera at `eye` that looks at `target`, `size` pixels wide and high, 50 degrees.
pub fn look_at(eye: DVec3, target: DVec3, size: u32) -> Camera {
    let forward = (target - eye).normalize();
    let up = if forward.y.abs() > 0.99 { DVec3::X } else { DVec3::Y };
    let right = forward.cross(up).normalize();
    let down = forward.cross(right);
    let matrix3 = DMat3::from_cols(right, down, forward).transpose();
    let f = f64::from(size) / 2.0 / 25.0_f64.to_radians().tan();
    let half = f64::from(size) / 2.0;
    let camera_from_world = DAffine3 { matrix3, translation: -(matrix3 * eye) };
    Camera { width: size, height: size, fx: f, fy: f, cx: half, cy: half, camera_from_world }
}

/// Twelve cameras on a Fibonacci sphere of radius 2.5.
pub fn twelve_cameras(size: u32) -> Vec<Camera> {
    (0..12)
        .map(|i| {
            let height = 1.0 - (2.0 * f64::from(i) + 1.0) / 12.0;
            let around = std::f64::consts::PI * (1.0 + 5.0_f64.sqrt()) * (f64::from(i) + 0.5);
            let ring = (1.0 - height * height).sqrt();
            let eye = DVec3::new(ring * around.cos(), height, ring * around.sin()) * 2.5;
            look_at(eye, DVec3::ZERO, size)
        })
        .collect()
}

/// The camera's place in its world.
pub fn eye(camera: &Camera) -> DVec3 {
    camera.camera_from_world.inverse().translation
}

/// A mesh in the frame of the cloud, with points on it.
pub struct SampledMesh {
    pub positions: Vec<[f32; 3]>,
    pub triangles: Vec<[u32; 3]>,
    pub points: Vec<[f32; 3]>,
}

/// Reads a mesh file and puts `count` points on it, all in the unit sphere of the points.
pub fn scene(path: &Path, count: usize) -> SampledMesh {
    let options = ReadOptions::default();
    match read_geometry(path, &options).unwrap_or_else(|e| panic!("{e}")).shape {
        Shape::Mesh(mesh) => sample_mesh(&mesh, count),
        Shape::Points(_) => panic!("{}: no mesh", path.display()),
    }
}

/// Puts `count` points on a mesh, all in their unit sphere.
fn sample_mesh(mesh: &Mesh, count: usize) -> SampledMesh {
    let raw = surface_points(mesh, count);
    let center = raw.iter().sum::<DVec3>() / count as f64;
    let scale = raw.iter().map(|p| p.distance(center)).fold(0.0, f64::max);
    let fit = |p: DVec3| ((p - center) / scale).to_array().map(|x| x as f32);
    SampledMesh {
        positions: mesh.positions.iter().map(|p| fit(DVec3::from_array(*p))).collect(),
        triangles: mesh.triangles.clone(),
        points: raw.into_iter().map(fit).collect(),
    }
}

fn surface_points(mesh: &Mesh, count: usize) -> Vec<DVec3> {
    let corners = |t: usize| mesh.triangles[t].map(|i| DVec3::from_array(mesh.positions[i as usize]));
    let mut total = 0.0;
    let cumulative: Vec<f64> = (0..mesh.triangles.len())
        .map(|t| {
            let [a, b, c] = corners(t);
            total += (b - a).cross(c - a).length();
            total
        })
        .collect();
    let mut draws = Draws::new(1, "tests", "surface");
    (0..count)
        .map(|_| {
            let at = draws.unit() * total;
            let [a, b, c] = corners(cumulative.partition_point(|sum| *sum <= at).min(cumulative.len() - 1));
            let (mut v, mut w) = (draws.unit(), draws.unit());
            if v + w > 1.0 {
                (v, w) = (1.0 - v, 1.0 - w);
            }
            a + (b - a) * v + (c - a) * w
        })
        .collect()
}

/// Every `step`-th file with `extension` below a folder, by name.
pub fn files(folder: &Path, extension: &str, step: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found.into_iter().step_by(step).collect()
}

/// Time this thread spent on a core (Linux; 0 elsewhere), so that a busy machine counts little.
pub fn thread_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) * 1e-9
}
