//! Disturbs a finished mesh (stretch, bending, bumps, lean, turn) and adds normals.
//!
//! Draws come from a stream of their own and are all made whatever the amplitudes are, so an
//! amplitude changes how strong a disturbance is, never its direction or another one.

use glam::{DVec3, dvec3};
use jepa3d_schemas::{Draws, Mesh};
use std::f64::consts::TAU;

use super::config::SyntheticConfig;
use super::solids::rotation;

/// Edges sharper than this stay sharp in the normals (cosine of 40 degrees).
const CREASE_COSINE: f64 = 0.766;

/// Stretches, bends, bumps, leans and turns the mesh, in this order.
pub(super) fn disturb(mesh: &mut Mesh, config: &SyntheticConfig, id: &str) {
    let mut draws = Draws::new(config.seed, id, "synthetic disturbance");
    let mut points: Vec<DVec3> = mesh.positions.iter().map(|p| DVec3::from_array(*p)).collect();
    let stretch = [(); 3].map(|()| libm::exp(draws.range(-1.0, 1.0) * config.stretch));
    points.iter_mut().for_each(|p| *p *= DVec3::from_array(stretch));
    let radius = radius(&points);
    bend(&mut points, &mut draws, radius, config.warp);
    let normals = vertex_normals(&points, &mesh.triangles);
    let shortest = shortest_edges(&points, &mesh.triangles);
    for ((p, n), edge) in points.iter_mut().zip(normals).zip(shortest) {
        *p += n * (draws.normal().clamp(-3.0, 3.0) * (config.bumps * radius).min(0.08 * edge));
    }
    let direction = draws.range(0.0, TAU);
    let lean = (draws.unit() * config.tilt_degrees).to_radians();
    let turn = (draws.range(-1.0, 1.0) * config.yaw_degrees).to_radians();
    let axis = dvec3(libm::cos(direction), 0.0, libm::sin(direction));
    let m = rotation(axis, lean) * rotation(DVec3::Y, turn);
    mesh.positions = points.iter().map(|p| (m * *p).to_array()).collect();
}

/// Half the diagonal of the bounding box.
fn radius(points: &[DVec3]) -> f64 {
    let low = points.iter().copied().fold(DVec3::INFINITY, DVec3::min);
    let high = points.iter().copied().fold(DVec3::NEG_INFINITY, DVec3::max);
    (high - low).length() / 2.0
}

/// Adds a smooth field of displacements: three plane waves of up to one wavelength a diagonal.
fn bend(points: &mut [DVec3], draws: &mut Draws, radius: f64, warp: f64) {
    let waves: Vec<(DVec3, DVec3, f64)> = (0..3)
        .map(|_| {
            let mut any = || dvec3(draws.range(-1.0, 1.0), draws.range(-1.0, 1.0), draws.range(-1.0, 1.0));
            let (along, push) = (any(), any());
            (along * (0.3 * TAU / radius), push * (warp * radius / 1.7), draws.range(0.0, TAU))
        })
        .collect();
    if warp > 0.0 {
        for p in points {
            let at = *p;
            *p += waves.iter().map(|(k, push, phase)| *push * libm::sin(k.dot(at) + phase)).sum::<DVec3>();
        }
    }
}

/// Twice the area times the unit normal of each triangle.
fn area_vectors(points: &[DVec3], triangles: &[[u32; 3]]) -> Vec<DVec3> {
    let at = |i: u32| points[i as usize];
    triangles.iter().map(|&[a, b, c]| (at(b) - at(a)).cross(at(c) - at(a))).collect()
}

/// Length of the shortest edge at each vertex; bumps stay small against it, so that they turn no
/// triangle over where vertices are dense.
fn shortest_edges(points: &[DVec3], triangles: &[[u32; 3]]) -> Vec<f64> {
    let mut shortest = vec![f64::INFINITY; points.len()];
    for t in triangles {
        for (a, b) in [(t[0], t[1]), (t[1], t[2]), (t[2], t[0])] {
            let length = (points[a as usize] - points[b as usize]).length();
            for i in [a, b] {
                shortest[i as usize] = shortest[i as usize].min(length);
            }
        }
    }
    shortest
}

/// Area-weighted unit normal of each vertex.
fn vertex_normals(points: &[DVec3], triangles: &[[u32; 3]]) -> Vec<DVec3> {
    let mut normals = vec![DVec3::ZERO; points.len()];
    for (t, n) in triangles.iter().zip(area_vectors(points, triangles)) {
        t.iter().for_each(|&i| normals[i as usize] += n);
    }
    normals.into_iter().map(DVec3::normalize_or_zero).collect()
}

/// Gives every corner a normal: the mean over the triangles at its vertex that make no crease
/// with its own triangle (over all of them for a triangle without area). Corners with the same normal share one entry.
pub(super) fn add_normals(mesh: &mut Mesh) {
    let points: Vec<DVec3> = mesh.positions.iter().map(|p| DVec3::from_array(*p)).collect();
    let areas = area_vectors(&points, &mesh.triangles);
    let units: Vec<DVec3> = areas.iter().map(|a| a.normalize_or_zero()).collect();
    let around = triangles_around(mesh);
    let mut normals: Vec<[f32; 3]> = Vec::with_capacity(points.len());
    let mut made: Vec<Vec<u32>> = vec![Vec::new(); points.len()];
    mesh.normal_corners = mesh.triangles.clone();
    for (t, corners) in mesh.normal_corners.iter_mut().enumerate() {
        for corner in corners {
            let vertex = *corner as usize;
            let smooth = around.triangles_at(vertex).filter(|&u| units[u].dot(units[t]) > CREASE_COSINE);
            let any = || around.triangles_at(vertex).map(|u| areas[u]).sum::<DVec3>().normalize_or(DVec3::Y);
            let mean = smooth.map(|u| areas[u]).sum::<DVec3>().try_normalize().unwrap_or_else(any);
            let normal = mean.to_array().map(|x| x as f32);
            let known = made[vertex].iter().copied().find(|&i| normals[i as usize] == normal);
            *corner = known.unwrap_or_else(|| {
                normals.push(normal);
                made[vertex].push(normals.len() as u32 - 1);
                normals.len() as u32 - 1
            });
        }
    }
    mesh.normals = normals;
}

/// For each vertex the triangles that use it, in ascending order.
struct VertexTriangles {
    starts: Vec<u32>,
    triangles: Vec<u32>,
}

impl VertexTriangles {
    fn triangles_at(&self, vertex: usize) -> impl Iterator<Item = usize> {
        let range = self.starts[vertex] as usize..self.starts[vertex + 1] as usize;
        self.triangles[range].iter().map(|&t| t as usize)
    }
}

fn triangles_around(mesh: &Mesh) -> VertexTriangles {
    let mut starts = vec![0u32; mesh.positions.len() + 1];
    for i in mesh.triangles.iter().flatten() {
        starts[*i as usize + 1] += 1;
    }
    for i in 1..starts.len() {
        starts[i] += starts[i - 1];
    }
    let mut next = starts.clone();
    let mut triangles = vec![0; 3 * mesh.triangles.len()];
    for (t, corners) in mesh.triangles.iter().enumerate() {
        for &i in corners {
            triangles[next[i as usize] as usize] = t as u32;
            next[i as usize] += 1;
        }
    }
    VertexTriangles { starts, triangles }
}
