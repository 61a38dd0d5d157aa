//! How long do FPS and kNN-32 of its centers take, layout included, on one thread?
//!
//! `geometry CLOUD.f32 N M [REPEATS]` reads N points of three little-endian f32 and prints one
//! JSON object: medians in milliseconds, those of kNN-32 by kiddo among them. `geometry_peers.py`
//! runs it in turns with the other peers.

use std::hint::black_box;
use std::num::NonZero;
use std::time::Instant;

use jepa3d_grouping::{IndexedCloud, NeighborRows, NeighborSearch};
use kiddo::{ImmutableKdTree, SquaredEuclidean};

/// Points of a patch.
const NEIGHBORS: usize = 32;

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
    let mut cloud = IndexedCloud::default();
    let layout = median_ms(repeats, || cloud.rebuild(black_box(&points)).expect("a finite cloud"));
    let mut centers = Vec::new();
    let fps = median_ms(repeats, || {
        cloud.rebuild(black_box(&points)).expect("a finite cloud");
        centers = cloud.farthest_points(m, 0).expect("enough points");
    });
    let knn = median_ms(repeats, || {
        cloud.rebuild(black_box(&points)).expect("a finite cloud");
        black_box(cloud.nearest(&centers, NEIGHBORS).expect("enough points"));
    });
    let places: Vec<[f32; 3]> = centers.iter().map(|&center| points[center as usize]).collect();
    let mut search = NeighborSearch::default();
    let (mut distances, mut indices) = (vec![0.0; m * NEIGHBORS], vec![0; m * NEIGHBORS]);
    let of_places = median_ms(repeats, || {
        search.rebuild(black_box(&points), m).expect("a finite cloud");
        let rows = NeighborRows { distances: &mut distances, indices: &mut indices };
        search.write_nearest(black_box(&places), NEIGHBORS, rows).expect("room for all");
    });
    let both = median_ms(repeats, || {
        cloud.rebuild(black_box(&points)).expect("a finite cloud");
        centers = cloud.farthest_points(m, 0).expect("enough points");
        black_box(cloud.nearest(&centers, NEIGHBORS).expect("enough points"));
    });
    let kiddo = median_ms(repeats, || search_with_kiddo(black_box(&points), &centers));
    println!(
        r#"{{"n": {n}, "m": {m}, "layout_ms": {layout}, "fps_ms": {fps}, "knn_ms": {knn}, "places_ms": {of_places}, "both_ms": {both}, "kiddo_knn_ms": {kiddo}}}"#
    );
}

/// The peer's way to the same patches: its tree for clouds that do not change, one query a center, sorted.
fn search_with_kiddo(points: &[[f32; 3]], centers: &[u32]) {
    let tree: ImmutableKdTree<f32, 3> =
        ImmutableKdTree::new_from_slice(points).expect("a cloud of 2^32 points at most");
    let count = NonZero::new(NEIGHBORS).expect("not zero");
    for &center in centers {
        let query = &points[center as usize];
        black_box(tree.query(query).nearest_n::<SquaredEuclidean<f32>>(count).execute());
    }
}
