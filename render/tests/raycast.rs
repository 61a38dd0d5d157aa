//! Depth and triangle ids of the rasterizer against a ray cast through every pixel centre, on real meshes.

mod support;
#[path = "../../datasets/src/test_data.rs"]
mod test_data;

use std::path::{Path, PathBuf};

use glam::DVec3;
use jepa3d_render::ViewsConfig;
use jepa3d_render::stages::{
    FrameBuffer, NO_ID, NamedCamera, RasterScratch, SampleGrid, Sphere, TriangleMesh, place_cameras,
    rasterize,
};
use jepa3d_schemas::{Camera, Draws, Shape, UpAxis};
use support::{Caster, objs, positions, ray, subject};
use test_data::test_data;

/// Nothing nearer is drawn.
const NEAR_PLANE: f64 = 1e-3;

/// How a set of frames compares with ray casting.
#[derive(Debug, Default)]
struct RaycastTally {
    /// Pixels that both cover.
    both: u64,
    same_id: u64,
    /// Other id at the same depth (1e-6): coplanar or doubled triangles.
    ties: u64,
    /// Other id, but a ray moved by up to 1e-3 pixel meets it first too.
    edges: u64,
    wrong_id: u64,
    /// Pixels that one covers.
    coverage: u64,
    /// Of these, those where rays moved by up to 1e-3 pixel both hit and miss.
    silhouette: u64,
    /// Largest depth difference where ids agree or tie, and number above 1e-4.
    worst_depth: f64,
    far_depth: u64,
}

impl RaycastTally {
    fn add(&mut self, other: &RaycastTally) {
        self.both += other.both;
        self.same_id += other.same_id;
        self.ties += other.ties;
        self.edges += other.edges;
        self.wrong_id += other.wrong_id;
        self.coverage += other.coverage;
        self.silhouette += other.silhouette;
        self.worst_depth = self.worst_depth.max(other.worst_depth);
        self.far_depth += other.far_depth;
    }

    /// Compares one pixel.
    fn add_pixel(&mut self, caster: &Caster, camera: &Camera, seen: SeenPixel) {
        let SeenPixel { x, y, depth, id } = seen;
        let at = |dx: f64, dy: f64| {
            let (eye, direction) = ray(camera, x as f64 + 0.5 + dx, y as f64 + 0.5 + dy);
            caster.cast(eye, direction, NEAR_PLANE)
        };
        let moved = || (0..9).map(|i| at(f64::from(i % 3 - 1) * 1e-3, f64::from(i / 3 - 1) * 1e-3));
        let expected = at(0.0, 0.0);
        match (expected, id != NO_ID) {
            (None, false) => {}
            (Some((z, t)), true) => {
                self.both += 1;
                let difference = (f64::from(depth) - z).abs();
                let is_tie = || is_met_at(caster, camera, seen, z);
                if t == id {
                    self.same_id += 1;
                } else if is_tie() {
                    self.ties += 1;
                } else if moved().flatten().any(|(_, t)| t == id) {
                    self.edges += 1;
                    return;
                } else {
                    self.wrong_id += 1;
                    return;
                }
                self.worst_depth = self.worst_depth.max(difference);
                self.far_depth += u64::from(difference > 1e-4);
            }
            _ => {
                self.coverage += 1;
                let hits = moved().flatten().count();
                self.silhouette += u64::from(hits > 0 && hits < 9);
            }
        }
    }
}

/// What a frame shows at a pixel.
#[derive(Clone, Copy)]
struct SeenPixel {
    x: usize,
    y: usize,
    depth: f32,
    id: u32,
}

/// Whether the ray through a pixel meets the triangle that is seen there at depth `z`, to 1e-6.
fn is_met_at(caster: &Caster, camera: &Camera, seen: SeenPixel, z: f64) -> bool {
    let (eye, direction): (DVec3, DVec3) = ray(camera, seen.x as f64 + 0.5, seen.y as f64 + 0.5);
    caster.meet(eye, direction, seen.id).is_some_and(|other| (other - z).abs() <= 1e-6)
}

fn compare(path: &Path, views: usize) -> Option<RaycastTally> {
    let (object, sample) = subject(path, 2048, false)?;
    let Shape::Mesh(mesh) = &object.shape else { unreachable!("subject reads meshes") };
    let positions = positions(mesh, &sample);
    let caster = Caster::new(&positions, &mesh.triangles);
    let triangles = TriangleMesh { positions: &positions, triangles: &mesh.triangles };
    let sphere = Sphere::enclose(&sample.points);
    let mut draws = Draws::new(1, "raycast", "test");
    let rig = place_cameras(&ViewsConfig::default(), UpAxis::Y, sphere, &mut draws);
    let (mut scratch, mut frame, mut tally) =
        (RasterScratch::default(), FrameBuffer::default(), RaycastTally::default());
    for NamedCamera { camera, .. } in rig.iter().step_by(rig.len() / views) {
        rasterize(triangles, SampleGrid { camera, scale: 1 }, NEAR_PLANE, &mut scratch, &mut frame);
        for i in 0..frame.id.len() {
            let (x, y) = (i % frame.width, i / frame.width);
            tally.add_pixel(&caster, camera, SeenPixel { x, y, depth: frame.depth[i], id: frame.id[i] });
        }
    }
    Some(tally)
}

fn compare_all(paths: &[PathBuf], views: usize) -> RaycastTally {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut sum = RaycastTally::default();
        while let Some(path) = paths.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            let Some(tally) = compare(path, views) else { continue };
            if tally.wrong_id + tally.far_depth > 0 || tally.silhouette < tally.coverage {
                eprintln!("{}: {tally:?}", path.display());
            }
            sum.add(&tally);
        }
        sum
    };
    let mut sum = RaycastTally::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().for_each(|t| sum.add(&t.join().expect("no mesh panics")));
    });
    sum
}

fn check(name: &str, tally: &RaycastTally) {
    let agree = (tally.same_id + tally.ties) as f64 / tally.both as f64;
    eprintln!("{name}: ids agree or tie on {:.4} % of pixels; {tally:?}", agree * 100.0);
    assert!(tally.both > 10_000, "{tally:?}");
    assert!(agree >= 0.999, "{name}: {tally:?}");
    assert_eq!(tally.far_depth, 0, "{name}: {tally:?}");
    assert_eq!(tally.coverage, tally.silhouette, "{name}: {tally:?}");
}

#[test]
fn depth_and_ids_agree_with_ray_casting() {
    for (folder, step) in [("shapedb", 83), ("shapenetcore_v2", 9)] {
        let Some(root) = test_data(folder) else { continue };
        let paths: Vec<PathBuf> = objs(&root).into_iter().step_by(step).collect();
        check(folder, &compare_all(&paths, 3));
    }
}

/// `make test-render`: 128 + 24 meshes, 12 views.
#[test]
#[ignore = "takes minutes; run by make test-render"]
fn depth_and_ids_agree_with_ray_casting_on_all_meshes() {
    for (folder, limit) in [("shapedb", 128), ("shapenetcore_v2", 25)] {
        let Some(root) = test_data(folder) else { continue };
        let all = objs(&root);
        let step = (all.len() / limit).max(1);
        let paths: Vec<PathBuf> = all.into_iter().step_by(step).take(limit).collect();
        check(folder, &compare_all(&paths, 12));
    }
}
