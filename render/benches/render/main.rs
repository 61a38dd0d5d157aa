//! How long views of meshes take: the same work as `render_peers.py` asks of its peer, and how time grows.
//!
//! `render peers FOLDER [LIMIT] [SUPERSAMPLE] [PASSES]` prints one JSON object: milliseconds a mesh, on two
//! threads: `*_ms` of processor time, `*_wall_ms` as a clock sees them inside one thread. `render growth` prints one JSON object a
//! line: milliseconds a view of a bumpy ball by triangles, pixels, views, samples and discs, on one thread.

mod growth;
mod png_settings;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use jepa3d_render::stages::{
    FrameBuffer, RasterScratch, SampleGrid, Sphere, TriangleMesh, VisibilityScratch, correspond_mesh,
    place_cameras, rasterize,
};
use jepa3d_render::{
    ColorBy, Placement, Rendered, RigConfig, Subject, ViewScratch, ViewsConfig, render_views,
};
use jepa3d_schemas::{Camera, Draws, Mesh, Object, Sample, Shape, UpAxis};

const THREADS: usize = 2;
const NEAR_PLANE: f64 = 1e-3;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let number = |i: usize, default: usize| args.get(i).map_or(default, |a| a.parse().expect("a number"));
    match args.first().map(String::as_str) {
        Some("peers") => peers(Path::new(&args[1]), number(2, 128), number(3, 1) as u32, number(4, 3)),
        Some("pictures") => pictures(Path::new(&args[1]), Path::new(&args[2]), number(3, 2) as u32),
        Some("png") => png_settings::measure(Path::new(&args[1]), number(2, 32), number(3, 2) as u32),
        _ => growth::measure(),
    }
}

/// The peer's rig: 12 cameras on a Fibonacci sphere at distance 2.5.
fn peer_config(supersample: u32) -> ViewsConfig {
    let placement = |i: usize| {
        let (height, around) = (1.0 - 2.0 * (i as f64 + 0.5) / 12.0, (1.0 + 5f64.sqrt()) * (i as f64 + 0.5));
        Placement {
            azimuth: -90.0 - around * 180.0,
            elevation: height.asin().to_degrees(),
            roll: 0.0,
            distance: Some(2.5),
            field_of_view: None,
        }
    };
    let rig = RigConfig::Explicit { cameras: (0..12).map(placement).collect() };
    ViewsConfig {
        rig,
        supersample,
        color: ColorBy::Plain,
        smooth: false,
        depth: false,
        ..ViewsConfig::default()
    }
}

struct BenchMesh {
    object: Object,
    sample: Sample,
    positions: Vec<[f32; 3]>,
}

fn mesh(object: &Object) -> &Mesh {
    let Shape::Mesh(mesh) = &object.shape else { unreachable!("the bench reads meshes") };
    mesh
}

impl BenchMesh {
    fn read(path: &Path) -> Option<Self> {
        let (object, sample) = support::subject(path, 8192, false)?;
        let positions = support::positions(mesh(&object), &sample);
        Some(Self { positions, object, sample })
    }

    fn render(&self, config: &ViewsConfig, scratch: &mut ViewScratch) -> Rendered {
        let subject = Subject { object: &self.object, sample: &self.sample, up: UpAxis::Y, seed: 0 };
        render_views(&subject, config, scratch).expect("the config is in range")
    }

    fn triangles(&self) -> TriangleMesh<'_> {
        TriangleMesh { positions: &self.positions, triangles: &mesh(&self.object).triangles }
    }
}

/// Seconds that this thread has been running on a core (Linux; zero elsewhere).
fn busy() -> f64 {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    schedule.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// Runs `work` on every item, spread over the threads: wall and processor milliseconds an item.
fn spread<S: Default>(items: &[BenchMesh], work: impl Fn(&BenchMesh, &mut S) + Sync) -> (f64, f64) {
    let next = AtomicUsize::new(0);
    let one = || {
        let (mut scratch, start) = (S::default(), busy());
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item, &mut scratch);
        }
        busy() - start
    };
    let start = Instant::now();
    let inside: f64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|t| t.join().expect("the bench does not panic")).sum()
    });
    let per_item = 1e3 / items.len() as f64;
    (start.elapsed().as_secs_f64() * per_item, inside * per_item)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn rig(config: &ViewsConfig, item: &BenchMesh) -> Vec<Camera> {
    let mut draws = Draws::new(0, &item.sample.sample_id, "views");
    let sphere = Sphere::enclose(&item.sample.points);
    place_cameras(config, UpAxis::Y, sphere, &mut draws).into_iter().map(|stand| stand.camera).collect()
}

fn peers(folder: &Path, limit: usize, supersample: u32, passes: usize) {
    let all = support::objs(folder);
    let step = (all.len() / limit).max(1);
    let items: Vec<BenchMesh> =
        all.iter().step_by(step).take(limit).filter_map(|p| BenchMesh::read(p)).collect();
    let config = peer_config(supersample);
    // The first pass warms caches and memory.
    let passes: Vec<[f64; 7]> = (0..=passes).map(|_| pass(&items, &config)).skip(1).collect();
    let time = |i: usize| median(passes.iter().map(|p| p[i]).collect());
    let [geometry, visible, whole] = [time(0), time(1), time(2)];
    let (mut bytes, mut pairs, mut triangles) = (0, 0, 0);
    for item in &items {
        let rendered = item.render(&config, &mut ViewScratch::default());
        triangles += mesh(&item.object).triangles.len();
        bytes += rendered.views.iter().map(|v| v.image.len()).sum::<usize>();
        pairs += rendered.views.iter().map(|v| v.correspondences.len()).sum::<usize>();
    }
    println!(
        "{}",
        serde_json::json!({
            "meshes": items.len(), "mean_triangles": triangles / items.len(), "supersample": supersample,
            "geometry_ms": geometry, "visibility_ms": visible, "whole_ms": whole,
            "shade_and_png_ms": whole - geometry - visible,
            "geometry_wall_ms": time(3) * THREADS as f64, "visibility_wall_ms": time(4) * THREADS as f64,
            "wall_ms_per_mesh": time(5), "wall_ms_per_mesh_with_depth_png": time(6),
            "png_bytes_per_view": bytes / items.len() / 12, "pairs_per_mesh": pairs / items.len(),
        })
    );
}

/// Processor time of geometry, visibility and whole views, then wall time of these and with depth PNGs.
fn pass(items: &[BenchMesh], config: &ViewsConfig) -> [f64; 7] {
    let geometry = spread(items, |item: &BenchMesh, (raster, frame): &mut (RasterScratch, FrameBuffer)| {
        for camera in rig(config, item) {
            let grid = SampleGrid { camera: &camera, scale: 1 };
            rasterize(item.triangles(), grid, NEAR_PLANE, raster, frame);
        }
    });
    let visible = spread(items, |item: &BenchMesh, scratch: &mut VisibilityScratch| {
        let (points, _) = item.sample.points.as_chunks::<3>();
        for camera in rig(config, item) {
            std::hint::black_box(correspond_mesh(points, &camera, item.triangles(), scratch));
        }
    });
    let with_depth = ViewsConfig { depth: true, ..config.clone() };
    let [whole, whole_depth] = [config, &with_depth].map(|config| {
        spread(items, |item: &BenchMesh, scratch: &mut ViewScratch| {
            std::hint::black_box(item.render(config, scratch));
        })
    });
    [geometry.1, visible.1, whole.1, geometry.0, visible.0, whole.0, whole_depth.0]
}

/// Writes the twelve default views of every `*.obj` of a folder, to be looked at.
fn pictures(folder: &Path, out: &Path, supersample: u32) {
    let config = ViewsConfig { supersample, ..ViewsConfig::default() };
    for path in support::objs(folder) {
        let Some((object, sample)) = support::subject(&path, 8192, true) else { continue };
        let subject = Subject { object: &object, sample: &sample, up: UpAxis::Y, seed: 0 };
        let rendered =
            render_views(&subject, &config, &mut ViewScratch::default()).expect("the config is in range");
        let model = path.parent().and_then(Path::parent).and_then(Path::file_name).unwrap_or_default();
        for view in rendered.views {
            let name = format!("{}-{}-{:02}.png", model.to_string_lossy(), object.id, view.view);
            std::fs::write(out.join(name), &view.image).expect("the folder can be written to");
        }
    }
}
