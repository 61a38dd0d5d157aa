//! Visible points of meshes against ray casting.

use std::path::Path;

use glam::DVec3;
use jepa3d_render::{Surface, VisibilityScratch, correspond_mesh};
use jepa3d_schemas::{Camera, Correspondences};

use crate::support::{Scene, eye, files, look_at, scene, test_data, twelve_cameras};

/// What fraction of the way from the camera to a point the ray must be free.
const STOP: f64 = 1.0 - 1e-3;

fn surface(scene: &Scene) -> Surface<'_> {
    Surface { positions: &scene.positions, triangles: &scene.triangles }
}

/// Moeller and Trumbore 1997: where the ray `origin + t * way` crosses a triangle.
fn crossing(origin: DVec3, way: DVec3, [a, b, c]: [DVec3; 3]) -> Option<f64> {
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
pub fn visible_by_rays(scene: &Scene, camera: &Camera) -> Vec<bool> {
    let eye = eye(camera);
    let at = |p: &[f32; 3]| DVec3::from_array(p.map(f64::from));
    let corners: Vec<[DVec3; 3]> =
        scene.triangles.iter().map(|t| t.map(|i| at(&scene.positions[i as usize]))).collect();
    let is_free = |p: &[f32; 3]| {
        let way = at(p) - eye;
        !corners.iter().any(|c| crossing(eye, way, *c).is_some_and(|t| t > 0.0 && t < STOP))
    };
    let is_inside = |p: &[f32; 3]| {
        let [u, v, z] = camera.project(p.map(f64::from));
        z > 0.0 && u >= 0.0 && v >= 0.0 && u < f64::from(camera.width) && v < f64::from(camera.height)
    };
    scene.points.iter().map(|p| is_inside(p) && is_free(p)).collect()
}

/// Agreeing and differing points over several views.
#[derive(Debug, Default)]
pub struct Tally {
    pub both: usize,
    pub only_ours: usize,
    pub only_rays: usize,
}

impl Tally {
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

fn compare(path: &Path, points: usize, tally: &mut Tally) {
    let scene = scene(path, points);
    let mut scratch = VisibilityScratch::default();
    for camera in twelve_cameras(224) {
        let found = correspond_mesh(&scene.points, &camera, surface(&scene), &mut scratch);
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
    let mut total = Tally::default();
    for path in paths {
        let mut tally = Tally::default();
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
    compare_all(50, 256);
}

#[test]
#[ignore = "minutes: 8192 points of many meshes against every triangle"]
fn real_meshes_agree_with_ray_casting_at_full_size() {
    compare_all(25, 8192);
}

/// Time this thread spent on a core (Linux; 0 elsewhere), so that a busy machine counts little.
fn thread_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) * 1e-9
}

#[test]
#[ignore = "prints times"]
fn time_of_visibility() {
    let Some(paths) = real_meshes(8) else { return };
    let scenes: Vec<Scene> = paths.iter().map(|p| scene(p, 8192)).collect();
    let mut scratch = VisibilityScratch::default();
    let cameras = twelve_cameras(224);
    for _ in 0..5 {
        let start = thread_seconds();
        let mut shown = 0;
        for scene in &scenes {
            for camera in &cameras {
                shown += correspond_mesh(&scene.points, camera, surface(scene), &mut scratch).len();
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
    let mut total = Tally::default();
    for path in paths {
        let scene = scene(&path, 256);
        for i in 0..6 {
            let target = DVec3::new(f64::from(i) - 2.5, f64::from(i % 3) - 1.0, 0.3);
            let camera = look_at(target * 0.1, target, 224);
            let found = correspond_mesh(&scene.points, &camera, surface(&scene), &mut scratch);
            assert_reprojects(&found, &scene.points, &camera);
            total.add(&found, &visible_by_rays(&scene, &camera));
        }
    }
    eprintln!("inside: precision {:.6}, recall {:.6}: {total:?}", total.precision(), total.recall());
    assert!(total.precision() >= 0.995 && total.recall() >= 0.995);
}
