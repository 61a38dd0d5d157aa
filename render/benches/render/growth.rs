//! How the time of a view grows with triangles, pixels, views and samples: a bumpy ball, one thread.

use jepa3d_render::stages::{FrameBuffer, RasterScratch, SampleGrid, Splats, rasterize};
use jepa3d_render::{ColorBy, RigConfig, ViewScratch, ViewsConfig};
use jepa3d_schemas::{Mesh, Object, PointCloud, Sample, Shape};

use crate::{BenchMesh, NEAR_PLANE, busy, rig, support};

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

fn object(shape: Shape) -> Object {
    Object::new("ball", shape)
}

/// A sample of `count` vertices of a mesh.
fn sample(mesh: &Mesh, count: usize) -> Sample {
    let points = (0..count).flat_map(|i| mesh.positions[i * 7919 % mesh.positions.len()]).map(|x| x as f32);
    Sample { sample_id: "ball".to_owned(), points: points.collect(), norm_scale: 1.0, ..Sample::default() }
}

/// Processor milliseconds for all views of a cloud: fitting its discs, whole.
fn time_cloud(count: usize, config: &ViewsConfig) -> (f64, f64) {
    let sample = sample(&ball((count as f64).sqrt() as usize), count);
    let fitting = repeat(|| {
        std::hint::black_box(Splats::new(sample.points.as_chunks().0));
    });
    let object = object(Shape::Points(PointCloud::default()));
    let (item, mut scratch) = (BenchMesh { positions: Vec::new(), object, sample }, ViewScratch::default());
    let whole = repeat(|| {
        std::hint::black_box(item.render(config, &mut scratch));
    });
    (fitting, whole)
}

/// Processor milliseconds for all views of a mesh: geometry, whole.
fn time(mesh: &Mesh, config: &ViewsConfig) -> (f64, f64) {
    let sample = sample(mesh, 8192);
    let object = object(Shape::Mesh(mesh.clone()));
    let item = BenchMesh { positions: support::positions(mesh, &sample), object, sample };
    let (mut scratch, mut raster, mut frame) =
        (ViewScratch::default(), RasterScratch::default(), FrameBuffer::default());
    let rig = rig(config, &item);
    let geometry = repeat(|| {
        for camera in &rig {
            rasterize(item.triangles(), SampleGrid { camera, scale: 1 }, NEAR_PLANE, &mut raster, &mut frame);
        }
    });
    let whole = repeat(|| {
        std::hint::black_box(item.render(config, &mut scratch));
    });
    (geometry, whole)
}

/// Processor milliseconds of one call, over at least half a second (the clock ticks in milliseconds).
fn repeat(mut work: impl FnMut()) -> f64 {
    work();
    let (start, mut calls) = (busy(), 0);
    while busy() - start < 0.5 {
        work();
        calls += 1;
    }
    (busy() - start) * 1e3 / f64::from(calls)
}

/// Prints how the time of a whole view grows, and the part of it that `geometry` or `fitting` names.
pub(crate) fn measure() {
    let base = ViewsConfig { color: ColorBy::Plain, supersample: 1, ..ViewsConfig::default() };
    let report = |case: String, mesh: &Mesh, config: &ViewsConfig, views: usize| {
        let (geometry, whole) = time(mesh, config);
        let per_view = |ms: f64| (ms / views as f64 * 1e3).round() / 1e3;
        let line = serde_json::json!({
            "case": case, "ours": per_view(whole), "peer": null, "unit": "ms/view", "ratio": null,
            "geometry": per_view(geometry),
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
    for count in [1024, 4096, 16_384, 65_536] {
        let (fitting, whole) = time_cloud(count, &base);
        let [fitting, whole] = [fitting, whole].map(|ms| (ms / 12.0 * 1e3).round() / 1e3);
        let line = serde_json::json!({
            "case": format!("{count} discs"), "ours": whole, "peer": null, "unit": "ms/view", "ratio": null,
            "fitting": fitting,
        });
        println!("{line}");
    }
}
