//! Visible points of meshes against ray casting.

use std::path::Path;

use glam::DVec3;
use jepa3d_render::stages::{TriangleMesh, VisibilityScratch, correspond_mesh};
use jepa3d_schemas::{Camera, Correspondences};

use crate::support::{SampledMesh, eye, files, look_at, scene, test_data, thread_seconds, twelve_cameras};

/// What fraction of the way from the camera to a point the ray must be free.
const FREE_SHARE: f64 = 1.0 - 1e-3;

fn triangles(scene: &SampledMesh) -> TriangleMesh<'_> {
    TriangleMesh { positions: &scene.positions, triangles: &scene.triangles }
}

/// Moeller and Trumbore 1997: where the ray `origin + t * way` crosses a triangle.
fn crossing(origin: DVec3, way: DVec3, corners: [DVec3; 3]) -> Option<f64> {
    let [a, b, c] = corners;
    let (ab, ac) = (b - a, c - a);
    let p = way.cross(ac);
    let determinant = ab.dot(p);
    if determinant == 0.0 {
        return None;
    }
    let s = (origin - a) / determinant;
    let u = s.dot(p);
    let q = s.cross(ab);
    let v = way.dot(q);
    (u >= 0.0 && v >= 0.0 && u + v <= 1.0).then(|| ac.dot(q))
}

/// Brute force: every point against every triangle in f64.
pub fn visible_by_rays(scene: &SampledMesh, camera: &Camera) -> Vec<bool> {
    let eye = eye(camera);
    let at = |p: &[f32; 3]| DVec3::from_array(p.map(f64::from));
    let corners: Vec<[DVec3; 3]> =
        scene.triangles.iter().map(|t| t.map(|i| at(&scene.positions[i as usize]))).collect();
    let is_free = |p: &[f32; 3]| {
        let way = at(p) - eye;
        !corners.iter().any(|c| crossing(eye, way, *c).is_some_and(|t| t > 0.0 && t < FREE_SHARE))
    };
    let is_inside = |p: &[f32; 3]| {
        let [u, v, z] = camera.project(p.map(f64::from));
        z > 0.0 && u >= 0.0 && v >= 0.0 && u < f64::from(camera.width) && v < f64::from(camera.height)
    };
    scene.points.iter().map(|p| is_inside(p) && is_free(p)).collect()
}

/// Agreeing and differing points over several views.
#[derive(Debug, Default)]
pub struct VisibilityTally {
    pub both: usize,
    pub only_ours: usize,
    pub only_rays: usize,
}

impl VisibilityTally {
    pub fn add(&mut self, ours: &Correspondences, rays: &[bool]) {
        let mut found = vec![false; rays.len()];
        for &point in &ours.point {
            found[point as usize] = true;
        }
        for (ours, rays) in found.iter().zip(rays) {
            self.both += usize::from(*ours && *rays);
            self.only_ours += usize::from(*ours && !*rays);
            self.only_rays += usize::from(!*ours && *rays);
        }
    }

    pub fn precision(&self) -> f64 {
        self.both as f64 / (self.both + self.only_ours) as f64
    }

    pub fn recall(&self) -> f64 {
        self.both as f64 / (self.both + self.only_rays) as f64
    }
}

/// Every stored number projects back.
pub fn assert_reprojects(found: &Correspondences, points: &[[f32; 3]], camera: &Camera) {
    assert!(found.point.windows(2).all(|w| w[0] < w[1]), "ascending");
    for i in 0..found.len() {
        let [u, v, z] = camera.project(points[found.point[i] as usize].map(f64::from));
        assert!((u - f64::from(found.u[i])).abs() < 0.01 && (v - f64::from(found.v[i])).abs() < 0.01);
        assert!((z - f64::from(found.depth[i])).abs() <= 1e-6 * z, "{z} {}", found.depth[i]);
    }
}

fn compare(path: &Path, points: usize, tally: &mut VisibilityTally) {
    let scene = scene(path, points);
    let mut scratch = VisibilityScratch::default();
    for camera in twelve_cameras(224) {
        let found = correspond_mesh(&scene.points, &camera, triangles(&scene), &mut scratch);
        assert_reprojects(&found, &scene.points, &camera);
        tally.add(&found, &visible_by_rays(&scene, &camera));
    }
}

fn real_meshes(step: usize) -> Option<Vec<std::path::PathBuf>> {
    let mut all = files(&test_data("shapedb")?, "obj", step);
    all.extend(files(&test_data("shapenetcore_v2")?, "obj", step.div_ceil(20)));
    Some(all)
}

fn compare_all(step: usize, points: usize) {
    let Some(paths) = real_meshes(step) else { return };
    let mut total = VisibilityTally::default();
    for path in paths {
        let mut tally = VisibilityTally::default();
        compare(&path, points, &mut tally);
        if tally.only_ours + tally.only_rays > 0 {
            eprintln!("{}: {tally:?}", path.display());
        }
        total.both += tally.both;
        total.only_ours += tally.only_ours;
        total.only_rays += tally.only_rays;
    }
    eprintln!("precision {:.6}, recall {:.6}: {total:?}", total.precision(), total.recall());
    assert!(total.precision() >= 0.995 && total.recall() >= 0.995);
}

#[test]
fn real_meshes_agree_with_ray_casting() {
    compare_all(50, 512);
}

#[test]
#[ignore = "minutes: 8192 points of many meshes against every triangle"]
fn real_meshes_agree_with_ray_casting_at_full_size() {
    compare_all(25, 8192);
}

#[test]
#[ignore = "prints times"]
fn time_of_visibility() {
    let Some(paths) = real_meshes(8) else { return };
    let scenes: Vec<SampledMesh> = paths.iter().map(|p| scene(p, 8192)).collect();
    let mut scratch = VisibilityScratch::default();
    let cameras = twelve_cameras(224);
    for _ in 0..5 {
        let start = thread_seconds();
        let mut shown = 0;
        for scene in &scenes {
            for camera in &cameras {
                shown += correspond_mesh(&scene.points, camera, triangles(scene), &mut scratch).len();
            }
        }
        let triangles: usize = scenes.iter().map(|s| s.triangles.len()).sum();
        let ms = (thread_seconds() - start) * 1e3 / scenes.len() as f64;
        eprintln!(
            "{} meshes of {} triangles: {ms:.2} ms a mesh, {} visible",
            scenes.len(),
            triangles / scenes.len(),
            shown / scenes.len()
        );
    }
}

#[test]
fn cameras_inside_a_mesh_agree_with_ray_casting() {
    let Some(paths) = real_meshes(100) else { return };
    let mut scratch = VisibilityScratch::default();
    let mut total = VisibilityTally::default();
    for path in paths {
        let scene = scene(&path, 1024);
        for i in 0..6 {
            let target = DVec3::new(f64::from(i) - 2.5, f64::from(i % 3) - 1.0, 0.3);
            let camera = look_at(target * 0.1, target, 224);
            let found = correspond_mesh(&scene.points, &camera, triangles(&scene), &mut scratch);
            assert_reprojects(&found, &scene.points, &camera);
            total.add(&found, &visible_by_rays(&scene, &camera));
        }
    }
    eprintln!("inside: precision {:.6}, recall {:.6}: {total:?}", total.precision(), total.recall());
    assert!(total.precision() >= 0.995 && total.recall() >= 0.995);
}

/// A mesh without area, one that the camera stands in a corner of, one far beyond the image, and no mesh.
#[test]
fn odd_meshes_and_cameras_do_not_panic() {
    let flat = vec![[0.3, 0.1, 0.0]; 3];
    let slivers = vec![[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.0, 0.0]];
    let huge = vec![[-1e30, -1e30, 0.5], [1e30, -1e30, 0.5], [0.0, 1e30, 0.5]];
    let through = vec![[-9.0, -9.0, -9.0], [9.0, -9.0, 9.0], [0.0, 9.0, 0.0]];
    let points: Vec<[f32; 3]> = (0..64).map(|i| [(i % 8) as f32 / 8.0, (i / 8) as f32 / 8.0, 0.0]).collect();
    let camera = look_at(DVec3::new(0.4, 0.4, 2.5), DVec3::new(0.4, 0.4, 0.0), 64);
    let mut scratch = VisibilityScratch::default();
    let mut shown = |positions: &[[f32; 3]], camera: &Camera, points: &[[f32; 3]]| {
        let triangles: &[[u32; 3]] = if positions.is_empty() { &[] } else { &[[0, 1, 2], [2, 2, 0]] };
        correspond_mesh(points, camera, TriangleMesh { positions, triangles }, &mut scratch).len()
    };
    assert_eq!(shown(&[], &camera, &points), 64);
    assert_eq!(shown(&flat, &camera, &points), 64);
    assert_eq!(shown(&slivers, &camera, &points), 64);
    assert_eq!(shown(&huge, &camera, &points), 0);
    assert_eq!(shown(&huge, &camera, &[]), 0);
    shown(&through, &camera, &points);
    // The camera stands in a corner of the mesh, among the points, and looks along the triangle.
    for target in [DVec3::X, DVec3::new(0.5, 0.5, 0.0), DVec3::Z, DVec3::NEG_Z] {
        shown(&slivers, &look_at(DVec3::ZERO, target, 64), &points);
        shown(&[[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], &look_at(DVec3::ZERO, target, 64), &points);
    }
}

#[test]
fn scratch_and_order_of_calls_do_not_matter() {
    let Some(paths) = real_meshes(200) else { return };
    let mut used = VisibilityScratch::default();
    for path in &paths {
        let scene = scene(path, 1000);
        for size in [224, 65, 640] {
            let camera = look_at(DVec3::new(1.0, 0.7, -2.0), DVec3::ZERO, size);
            let again = correspond_mesh(&scene.points, &camera, triangles(&scene), &mut used);
            let fresh =
                correspond_mesh(&scene.points, &camera, triangles(&scene), &mut VisibilityScratch::default());
            assert_eq!(again, fresh);
        }
    }
}
