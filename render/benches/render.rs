//! How long views of meshes take: the same work as `render_peers.py` asks of its peer, and how time grows.
//!
//! `render peers FOLDER [LIMIT] [SUPERSAMPLE] [PASSES]` prints one JSON object: milliseconds a mesh, on two
//! threads: `*_ms` of processor time, `*_wall_ms` as a clock sees them inside one thread. `render growth` prints one JSON object a
//! line: milliseconds a view of a bumpy ball by triangles, pixels, views and samples, on one thread.

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use jepa3d_render::{
    ColorBy, Frame, Placement, RasterScratch, RigConfig, Scratch, Sphere, Subject, Surface, ViewsConfig,
    VisibilityScratch, cameras, correspond_mesh, rasterize, render_views,
};
use jepa3d_schemas::{Camera, Draws, Mesh, Object, Sample, Shape, UpAxis};

const THREADS: usize = 2;
const NEAR: f64 = 1e-3;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let number = |i: usize, default: usize| args.get(i).map_or(default, |a| a.parse().expect("a number"));
    match args.first().map(String::as_str) {
        Some("peers") => peers(Path::new(&args[1]), number(2, 128), number(3, 1) as u32, number(4, 3)),
        Some("pictures") => pictures(Path::new(&args[1]), Path::new(&args[2]), number(3, 2) as u32),
        Some("png") => png_settings(Path::new(&args[1]), number(2, 32), number(3, 2) as u32),
        _ => growth(),
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

struct Item {
    object: Object,
    sample: Sample,
    positions: Vec<[f32; 3]>,
}

fn mesh(object: &Object) -> &Mesh {
    let Shape::Mesh(mesh) = &object.shape else { unreachable!("the bench reads meshes") };
    mesh
}

impl Item {
    fn read(path: &Path) -> Option<Self> {
        let (object, sample) = support::subject(path, 8192, false)?;
        let positions = support::positions(mesh(&object), &sample);
        Some(Self { positions, object, sample })
    }

    fn surface(&self) -> Surface<'_> {
        Surface { positions: &self.positions, triangles: &mesh(&self.object).triangles }
    }
}

/// Seconds that this thread has been running on a core (Linux; zero elsewhere).
fn busy() -> f64 {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    schedule.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// Runs `work` on every item, spread over the threads: wall and processor milliseconds an item.
fn spread<S: Default>(items: &[Item], work: impl Fn(&Item, &mut S) + Sync) -> (f64, f64) {
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

fn rig(config: &ViewsConfig, item: &Item) -> Vec<Camera> {
    let mut draws = Draws::new(0, &item.sample.sample_id, "views");
    let sphere = Sphere::around(&item.sample.points);
    cameras(config, UpAxis::Y, sphere, &mut draws).into_iter().map(|(_, camera)| camera).collect()
}

fn peers(folder: &Path, limit: usize, supersample: u32, passes: usize) {
    let all = support::objs(folder);
    let step = (all.len() / limit).max(1);
    let paths: Vec<PathBuf> = all.into_iter().step_by(step).take(limit).collect();
    let items: Vec<Item> = paths.iter().filter_map(|p| Item::read(p)).collect();
    let config = peer_config(supersample);
    let geometry = |item: &Item, (raster, frame): &mut (RasterScratch, Frame)| {
        for camera in rig(&config, item) {
            rasterize(item.surface(), &camera, (1, NEAR), raster, frame);
        }
    };
    let visible = |item: &Item, scratch: &mut VisibilityScratch| {
        let (points, _) = item.sample.points.as_chunks::<3>();
        for camera in rig(&config, item) {
            std::hint::black_box(correspond_mesh(points, &camera, item.surface(), scratch));
        }
    };
    let bytes = AtomicUsize::new(0);
    let pairs = AtomicUsize::new(0);
    let whole = |config: &ViewsConfig, item: &Item, scratch: &mut Scratch| {
        let subject = Subject { object: &item.object, sample: &item.sample, up: UpAxis::Y, seed: 0 };
        let rendered = render_views(&subject, config, scratch).expect("the config is in range");
        bytes.fetch_add(rendered.views.iter().map(|v| v.image.len()).sum(), Ordering::Relaxed);
        pairs.fetch_add(rendered.views.iter().map(|v| v.correspondences.len()).sum(), Ordering::Relaxed);
    };
    let mut times: [Vec<f64>; 7] = Default::default();
    for pass in 0..=passes {
        bytes.store(0, Ordering::Relaxed);
        pairs.store(0, Ordering::Relaxed);
        // Wall time that two threads spend on a mesh is twice that of the pool.
        let ((g_wall, g), (v_wall, v)) = (spread(&items, geometry), spread(&items, visible));
        let (wall, inside) = spread(&items, |item, scratch| whole(&config, item, scratch));
        let found = (bytes.load(Ordering::Relaxed), pairs.load(Ordering::Relaxed));
        let with_depth = ViewsConfig { depth: true, ..config.clone() };
        let (wall_depth, _) = spread(&items, |item, scratch| whole(&with_depth, item, scratch));
        bytes.store(found.0, Ordering::Relaxed);
        pairs.store(found.1, Ordering::Relaxed);
        // The first pass warms caches and memory.
        if pass > 0 {
            for (list, value) in times.iter_mut().zip([g, v, wall, inside, wall_depth, g_wall, v_wall]) {
                list.push(value);
            }
        }
    }
    let [geometry, visible, wall, inside, wall_depth, geometry_wall, visible_wall] = times.map(median);
    let (views, triangles) =
        (items.len() * 12, items.iter().map(|i| mesh(&i.object).triangles.len()).sum::<usize>());
    println!(
        "{}",
        serde_json::json!({
            "meshes": items.len(), "mean_triangles": triangles / items.len(), "supersample": supersample,
            "geometry_ms": geometry, "visibility_ms": visible, "whole_ms": inside,
            "geometry_wall_ms": geometry_wall * THREADS as f64, "visibility_wall_ms": visible_wall * THREADS as f64,
            "shade_and_png_ms": inside - geometry - visible,
            "wall_ms_per_mesh": wall, "wall_ms_per_mesh_with_depth_png": wall_depth,
            "png_bytes_per_view": bytes.into_inner() / views, "pairs_per_mesh": pairs.into_inner() / items.len(),
        })
    );
}

/// Writes the twelve default views of every `*.obj` of a folder, to be looked at.
fn pictures(folder: &Path, out: &Path, supersample: u32) {
    let config = ViewsConfig { supersample, ..ViewsConfig::default() };
    for path in support::objs(folder) {
        let Some((object, sample)) = support::subject(&path, 8192, true) else { continue };
        let subject = Subject { object: &object, sample: &sample, up: UpAxis::Y, seed: 0 };
        let rendered =
            render_views(&subject, &config, &mut Scratch::default()).expect("the config is in range");
        let model = path.parent().and_then(Path::parent).and_then(Path::file_name).unwrap_or_default();
        for view in rendered.views {
            let name = format!("{}-{}-{:02}.png", model.to_string_lossy(), object.id, view.view);
            std::fs::write(out.join(name), &view.image).expect("the folder can be written to");
        }
    }
}

/// Size and time of PNG settings on the views of every `objects / limit`-th mesh.
fn png_settings(folder: &Path, limit: usize, supersample: u32) {
    let all = support::objs(folder);
    let step = (all.len() / limit).max(1);
    let config = ViewsConfig { depth: true, supersample, color: ColorBy::Auto, ..peer_config(supersample) };
    let mut files = [Vec::new(), Vec::new()];
    for item in all.iter().step_by(step).take(limit).filter_map(|p| Item::read(p)) {
        let subject = Subject { object: &item.object, sample: &item.sample, up: UpAxis::Y, seed: 0 };
        let rendered =
            render_views(&subject, &config, &mut Scratch::default()).expect("the config is in range");
        for view in rendered.views {
            files[0].push(view.image);
            files[1].extend(view.depth);
        }
    }
    for (what, files) in ["image", "depth"].into_iter().zip(&files) {
        let pictures: Vec<(png::OutputInfo, Vec<u8>)> = files.iter().map(|f| decode(f)).collect();
        for filter in [
            png::Filter::NoFilter,
            png::Filter::Sub,
            png::Filter::Up,
            png::Filter::Paeth,
            png::Filter::Adaptive,
        ] {
            for compression in ["fdeflate", "1", "2", "4", "6"] {
                let (mut bytes, start) = (0, busy());
                for (info, pixels) in &pictures {
                    bytes += encode(info, pixels, filter, compression).len();
                }
                let per_view = 1.0 / files.len() as f64;
                println!(
                    "{}",
                    serde_json::json!({
                        "case": format!("{what} {filter:?} {compression}"),
                        "bytes_per_view": (bytes as f64 * per_view).round(),
                        "ms_per_view": ((busy() - start) * 1e6 * per_view).round() / 1e3,
                    })
                );
            }
        }
    }
}

fn decode(file: &[u8]) -> (png::OutputInfo, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("own files decode");
    let mut bytes = vec![0; reader.output_buffer_size().expect("small images")];
    let info = reader.next_frame(&mut bytes).expect("own files decode");
    (info, bytes)
}

fn encode(info: &png::OutputInfo, pixels: &[u8], filter: png::Filter, compression: &str) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, info.width, info.height);
    encoder.set_color(info.color_type);
    encoder.set_depth(info.bit_depth);
    match compression.parse() {
        Ok(level) => encoder.set_deflate_compression(png::DeflateCompression::Level(level)),
        Err(_) => encoder.set_deflate_compression(png::DeflateCompression::FdeflateUltraFast),
    }
    encoder.set_filter(filter);
    let mut writer = encoder.write_header().expect("legal sizes");
    writer.write_image_data(pixels).expect("memory takes it");
    drop(writer);
    file
}

/// A ball with bumps of `2 * rings * rings` triangles.
fn ball(rings: usize) -> Mesh {
    let vertex = |i: usize| {
        let (row, column) = (i / (rings + 1), i % (rings + 1));
        let (a, e) = (
            column as f64 / rings as f64 * std::f64::consts::TAU,
            row as f64 / rings as f64 * std::f64::consts::PI,
        );
        let r = 0.8 + 0.2 * (7.0 * a).sin() * (5.0 * e).sin();
        [r * e.sin() * a.cos(), r * e.cos(), r * e.sin() * a.sin()]
    };
    let quad = |i: usize| {
        let at = (i / rings * (rings + 1) + i % rings) as u32;
        let below = at + rings as u32 + 1;
        [[at, below, at + 1], [at + 1, below, below + 1]]
    };
    Mesh {
        positions: (0..(rings + 1) * (rings + 1)).map(vertex).collect(),
        triangles: (0..rings * rings).flat_map(quad).collect(),
        ..Mesh::default()
    }
}

/// Milliseconds for all views, the median of three after one that warms.
fn time(mesh: &Mesh, config: &ViewsConfig) -> (f64, f64) {
    let object = Object {
        id: "ball".to_owned(),
        category: None,
        label: None,
        shape: Shape::Mesh(mesh.clone()),
        photos: Vec::new(),
        boxes: Vec::new(),
        source_hash: String::new(),
        warnings: Vec::new(),
    };
    let points: Vec<f32> =
        (0..8192).flat_map(|i| mesh.positions[i * 7919 % mesh.positions.len()]).map(|x| x as f32).collect();
    let sample = Sample { sample_id: "ball".to_owned(), points, norm_scale: 1.0, ..Sample::default() };
    let item = Item { positions: support::positions(mesh, &sample), object, sample };
    let subject = Subject { object: &item.object, sample: &item.sample, up: UpAxis::Y, seed: 0 };
    let (mut scratch, mut raster, mut frame) =
        (Scratch::default(), RasterScratch::default(), Frame::default());
    let rig = rig(config, &item);
    let mut passes = [Vec::new(), Vec::new()];
    for _ in 0..4 {
        let start = Instant::now();
        for camera in &rig {
            rasterize(item.surface(), camera, (1, NEAR), &mut raster, &mut frame);
        }
        let geometry = start.elapsed().as_secs_f64() * 1e3;
        let start = Instant::now();
        std::hint::black_box(render_views(&subject, config, &mut scratch).expect("the config is in range"));
        let whole = start.elapsed().as_secs_f64() * 1e3;
        passes[0].push(geometry);
        passes[1].push(whole);
    }
    let [geometry, whole] = passes.map(|p| median(p[1..].to_vec()));
    (geometry, whole)
}

fn growth() {
    let base = ViewsConfig { color: ColorBy::Plain, supersample: 1, ..ViewsConfig::default() };
    let report = |case: String, mesh: &Mesh, config: &ViewsConfig, views: usize| {
        let (geometry, whole) = time(mesh, config);
        let per_view = |ms: f64| (ms / views as f64 * 1e3).round() / 1e3;
        let line = serde_json::json!({
            "case": case, "geometry": per_view(geometry), "whole": per_view(whole), "unit": "ms/view",
        });
        println!("{line}");
    };
    for rings in [7, 22, 71, 224, 707] {
        report(format!("{} triangles", 2 * rings * rings), &ball(rings), &base, 12);
    }
    let mesh = ball(49);
    for size in [112, 224, 448, 896] {
        report(format!("{size} x {size} pixels"), &mesh, &ViewsConfig { size, ..base.clone() }, 12);
    }
    for views in [1, 12, 48] {
        let rig = RigConfig::Fibonacci { views };
        report(format!("{views} views"), &mesh, &ViewsConfig { rig, ..base.clone() }, views);
    }
    for supersample in 1..=4 {
        report(format!("supersample {supersample}"), &mesh, &ViewsConfig { supersample, ..base.clone() }, 12);
    }
}
