//! How long do FPS and kNN-32 of its centers take, layout included, on one thread?
//!
//! `geometry CLOUD.f32 N M [REPEATS]` reads N points of three little-endian f32 and prints one
//! JSON object: medians in milliseconds. `geometry_peers.py` runs it in turns with the peers.

use std::hint::black_box;
use std::time::Instant;

use jepa3d_grouping::Cloud;

fn median_ms(repeats: usize, mut f: impl FnMut()) -> f64 {
    f();
    let mut times: Vec<f64> = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            f();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[repeats / 2]
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [path, n, m, rest @ ..] = args.as_slice() else {
        eprintln!("usage: geometry CLOUD.f32 N M [REPEATS]; `make bench-geometry` runs it against its peers");
        return;
    };
    let (n, m): (usize, usize) = (n.parse().expect("N"), m.parse().expect("M"));
    let repeats = rest.first().map_or(20, |r| r.parse().expect("REPEATS"));
    let bytes = std::fs::read(path).expect("the cloud");
    let values: Vec<f32> =
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect();
    let points: Vec<[f32; 3]> = values.chunks_exact(3).map(|p| p.try_into().expect("three")).collect();
    assert_eq!(points.len(), n, "points of {path}");
    let mut cloud = Cloud::default();
    let layout = median_ms(repeats, || cloud.rebuild(black_box(&points)).expect("a finite cloud"));
    let mut centers = Vec::new();
    let fps = median_ms(repeats, || {
        cloud.rebuild(black_box(&points)).expect("a finite cloud");
        centers = cloud.farthest_points(m, 0).expect("enough points");
    });
    let knn = median_ms(repeats, || {
        cloud.rebuild(black_box(&points)).expect("a finite cloud");
        black_box(cloud.nearest(&centers, 32).expect("enough points"));
    });
    let both = median_ms(repeats, || {
        cloud.rebuild(black_box(&points)).expect("a finite cloud");
        centers = cloud.farthest_points(m, 0).expect("enough points");
        black_box(cloud.nearest(&centers, 32).expect("enough points"));
    });
    println!(
        r#"{{"n": {n}, "m": {m}, "layout_ms": {layout}, "fps_ms": {fps}, "knn_ms": {knn}, "both_ms": {both}}}"#
    );
}
