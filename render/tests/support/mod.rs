//! What the tests of this crate share: real meshes in the unit sphere, and a plain f64 ray caster.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::{Path, PathBuf};

use glam::DVec3;
use jepa3d_datasets::formats::{ReadOptions, read_geometry};
use jepa3d_schemas::{Camera, Draws, Mesh, Object, Sample, Shape};

/// Sorted paths of `*.obj` below `folder`, at any depth.
pub fn objs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("test data can be listed") {
            let path = entry.expect("test data can be listed").path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(e) if e == "obj" => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// Reads a mesh and draws `count` points of its surface, normalised to the unit sphere.
/// `None` where the mesh has no area.
pub fn subject(path: &Path, count: usize, textures: bool) -> Option<(Object, Sample)> {
    // ShapeNet keeps images in a folder beside that of the model.
    let root = path.ancestors().nth(2).map(Path::to_owned);
    let loaded = read_geometry(path, &ReadOptions { textures, root }).expect("test data can be read");
    let Shape::Mesh(mesh) = &loaded.shape else { panic!("{} is no mesh", path.display()) };
    let raw = surface_points(mesh, count)?;
    let center = raw.iter().fold(DVec3::ZERO, |a, &b| a + b) / raw.len() as f64;
    let scale = raw.iter().map(|p| p.distance_squared(center)).fold(0.0, f64::max).sqrt();
    let points = raw.iter().flat_map(|&p| ((p - center) / scale).as_vec3().to_array()).collect();
    let id = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    let sample = Sample {
        sample_id: id.clone(),
        points,
        norm_center: center.to_array(),
        norm_scale: scale,
        ..Sample::default()
    };
    let object = Object::new(id, loaded.shape);
    Some((object, sample))
}

fn surface_points(mesh: &Mesh, count: usize) -> Option<Vec<DVec3>> {
    let corners = |t: &[u32; 3]| t.map(|v| DVec3::from_array(mesh.positions[v as usize]));
    let mut total = 0.0;
    let areas = mesh.triangles.iter().map(|t| {
        let [a, b, c] = corners(t);
        total += (b - a).cross(c - a).length();
        total
    });
    let cumulative: Vec<f64> = areas.collect();
    let mut draws = Draws::new(0, "surface", "test");
    let point = |_| {
        let target = draws.unit() * total;
        let t = cumulative.partition_point(|&c| c <= target).min(cumulative.len() - 1);
        let [a, b, c] = corners(&mesh.triangles[t]);
        let (root, v) = (draws.unit().sqrt(), draws.unit());
        a * (1.0 - root) + b * (root * (1.0 - v)) + c * (root * v)
    };
    (total > 0.0 && total.is_finite()).then(|| (0..count).map(point).collect())
}

/// The positions that are drawn: `(raw - center) / scale` in f64, then f32.
pub fn positions(mesh: &Mesh, sample: &Sample) -> Vec<[f32; 3]> {
    let moved =
        |p: &[f64; 3]| std::array::from_fn(|a| ((p[a] - sample.norm_center[a]) / sample.norm_scale) as f32);
    mesh.positions.iter().map(moved).collect()
}

/// Where a ray meets a triangle (Moeller and Trumbore 1997), from both sides, in f64.
pub fn meet(eye: DVec3, direction: DVec3, corners: [DVec3; 3]) -> Option<f64> {
    let [a, b, c] = corners;
    let (e1, e2, s) = (b - a, c - a, eye - a);
    let p = direction.cross(e2);
    let determinant = e1.dot(p);
    if determinant == 0.0 {
        return None;
    }
    let u = s.dot(p) / determinant;
    let q = s.cross(e1);
    let v = direction.dot(q) / determinant;
    let is_inside = u >= 0.0 && v >= 0.0 && u + v <= 1.0;
    is_inside.then(|| e2.dot(q) / determinant)
}

/// A tree of boxes over triangles: it only leaves out triangles whose box the ray misses.
pub struct Caster {
    corners: Vec<[DVec3; 3]>,
    order: Vec<u32>,
    nodes: Vec<Node>,
}

struct Node {
    low: DVec3,
    high: DVec3,
    /// A leaf's range of `order`, or the two children.
    leaf: Option<(usize, usize)>,
    children: [usize; 2],
}

impl Caster {
    pub fn new(positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> Self {
        let corner = |v: u32| DVec3::from_array(positions[v as usize].map(f64::from));
        let corners: Vec<[DVec3; 3]> = triangles.iter().map(|t| t.map(corner)).collect();
        let mut caster = Self { order: (0..corners.len() as u32).collect(), corners, nodes: Vec::new() };
        caster.split(0, triangles.len());
        caster
    }

    fn split(&mut self, begin: usize, end: usize) -> usize {
        let (mut low, mut high) = (DVec3::INFINITY, DVec3::NEG_INFINITY);
        for &t in &self.order[begin..end] {
            for c in self.corners[t as usize] {
                (low, high) = (low.min(c), high.max(c));
            }
        }
        // Wider than the rounding of the box test.
        let margin = (high - low).max_element() * 1e-9 + 1e-9;
        let node = self.nodes.len();
        let (low, high) = (low - DVec3::splat(margin), high + DVec3::splat(margin));
        self.nodes.push(Node { low, high, leaf: Some((begin, end)), children: [0; 2] });
        if end - begin > 4 {
            let axis =
                (0..3).max_by(|&a, &b| (high - low)[a].total_cmp(&(high - low)[b])).expect("three axes");
            let corners = &self.corners;
            let middle = |t: &u32| corners[*t as usize].iter().map(|c| c[axis]).sum::<f64>();
            self.order[begin..end].sort_by(|a, b| middle(a).total_cmp(&middle(b)));
            let half = (begin + end) / 2;
            let children = [self.split(begin, half), self.split(half, end)];
            self.nodes[node].leaf = None;
            self.nodes[node].children = children;
        }
        node
    }

    /// Nearest hit at a distance of `near` or more: distance in lengths of `direction`, and triangle.
    /// Of equal distances the lower triangle.
    pub fn cast(&self, eye: DVec3, direction: DVec3, near: f64) -> Option<(f64, u32)> {
        let mut best: Option<(f64, u32)> = None;
        let mut stack = vec![0];
        while let Some(node) = stack.pop() {
            let node = &self.nodes[node];
            let (a, b) = ((node.low - eye) / direction, (node.high - eye) / direction);
            let enter = a.min(b).max_element();
            let leave = a.max(b).min_element();
            if enter > leave || leave < 0.0 || best.is_some_and(|(t, _)| enter > t) {
                continue;
            }
            let Some((begin, end)) = node.leaf else {
                stack.extend(node.children);
                continue;
            };
            for &t in &self.order[begin..end] {
                let hit = meet(eye, direction, self.corners[t as usize]).filter(|&z| z >= near);
                if let Some(z) = hit
                    && best.is_none_or(|(nearest, id)| (z, t) < (nearest, id))
                {
                    best = Some((z, t));
                }
            }
        }
        best
    }

    /// Where a ray meets one triangle.
    pub fn meet(&self, eye: DVec3, direction: DVec3, t: u32) -> Option<f64> {
        meet(eye, direction, self.corners[t as usize])
    }
}

/// Eye of a camera and the direction through a pixel position, of z = 1 in the camera frame.
pub fn ray(camera: &Camera, u: f64, v: f64) -> (DVec3, DVec3) {
    let a = &camera.camera_from_world;
    let back = a.matrix3.inverse();
    let local = DVec3::new((u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1.0);
    (-(back * a.translation), back * local)
}
