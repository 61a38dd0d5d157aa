//! Fill rule, clipping and odd triangles: every pixel centre is covered as often as geometry says.

mod support;

use glam::{DAffine3, DVec3};
use jepa3d_render::stages::{FrameBuffer, NO_ID, RasterScratch, SampleGrid, TriangleMesh, rasterize};
use jepa3d_schemas::{Camera, Draws};
use support::{Caster, ray};

/// Nothing nearer is drawn.
const NEAR_PLANE: f64 = 1e-3;

/// A camera at the origin that looks along z; at depth 1 a unit is a pixel and (0,0) a corner.
fn flat(size: u32) -> Camera {
    Camera {
        width: size,
        height: size,
        fx: 1.0,
        fy: 1.0,
        cx: 0.0,
        cy: 0.0,
        camera_from_world: DAffine3::IDENTITY,
    }
}

fn draw(camera: &Camera, positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> FrameBuffer {
    let (mut scratch, mut frame) = (RasterScratch::default(), FrameBuffer::default());
    let mesh = TriangleMesh { positions, triangles };
    rasterize(mesh, SampleGrid { camera, scale: 1 }, NEAR_PLANE, &mut scratch, &mut frame);
    frame
}

/// How many triangles cover each pixel.
fn coverage(camera: &Camera, positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> Vec<u32> {
    let mut counts = vec![0; (camera.width * camera.height) as usize];
    for triangle in triangles {
        let frame = draw(camera, positions, &[*triangle]);
        for (count, id) in counts.iter_mut().zip(frame.id) {
            *count += u32::from(id != NO_ID);
        }
    }
    counts
}

/// A grid of `n` x `n` quads over `[low, high]`, inner vertices moved at random, every second one to a
/// pixel centre or edge, triangles in random winding.
fn tessellation(n: usize, low: f32, high: f32, draws: &mut Draws) -> (Vec<[f32; 3]>, Vec<[u32; 3]>) {
    let step = (high - low) / n as f32;
    let vertex = |i: usize| {
        let (x, y) = (i % (n + 1), i / (n + 1));
        let is_border = x == 0 || y == 0 || x == n || y == n;
        let mut at = [x, y].map(|c| low + c as f32 * step);
        if !is_border {
            at = at.map(|c| c + draws.range(-0.15, 0.15) as f32 * step);
            // Where quads are large enough not to fold.
            match draws.index(4) {
                0 if step > 5.0 => at = at.map(|c| c.floor() + 0.5),
                1 if step > 5.0 => at = at.map(f32::round),
                _ => {}
            }
        }
        [at[0], at[1], 1.0]
    };
    let positions = (0..(n + 1) * (n + 1)).map(vertex).collect();
    let mut triangles = Vec::new();
    for i in 0..n * n {
        let a = (i / n * (n + 1) + i % n) as u32;
        let (b, c, d) = (a + 1, a + n as u32 + 1, a + n as u32 + 2);
        triangles.extend(if i % 2 == 0 { [[a, b, c], [b, c, d]] } else { [[a, b, d], [d, a, c]] });
    }
    (positions, triangles)
}

#[test]
fn a_tessellated_quad_covers_every_centre_once() {
    for seed in 0..30 {
        let mut draws = Draws::new(seed, "quad", "test");
        // Borders through pixel centres: the top and left ones count, the bottom and right ones do not.
        let n = 2 + draws.index(40);
        let (positions, triangles) = tessellation(n, 2.5, 61.5, &mut draws);
        let counts = coverage(&flat(64), &positions, &triangles);
        for (i, count) in counts.into_iter().enumerate() {
            let is_inside = [i % 64, i / 64].iter().all(|c| (2..61).contains(c));
            assert_eq!(count, u32::from(is_inside), "seed {seed} pixel {} {}", i % 64, i / 64);
        }
    }
}

#[test]
fn a_closed_fan_covers_its_hub_once() {
    for seed in 0..50 {
        let mut draws = Draws::new(seed, "fan", "test");
        let spokes = 3 + draws.index(40);
        let hub = [16.5, 16.5, 1.0];
        let mut positions = vec![hub];
        positions.extend((0..spokes).map(|i| {
            let angle = std::f64::consts::TAU * (i as f64 + draws.range(0.0, 0.9)) / spokes as f64;
            [(16.5 + 14.0 * libm::cos(angle)) as f32, (16.5 + 14.0 * libm::sin(angle)) as f32, 1.0]
        }));
        let next = |i: u32| i % spokes as u32 + 1;
        let triangles: Vec<[u32; 3]> = (1..=spokes as u32).map(|i| [0, i, next(i)]).collect();
        let counts = coverage(&flat(33), &positions, &triangles);
        assert!(counts.iter().all(|&c| c <= 1), "seed {seed}: {:?}", counts.iter().max());
        let surrounds = (1..=spokes).all(|i| {
            let [a, b] = [positions[i], positions[next(i as u32) as usize]];
            (a[0] - 16.5) * (b[1] - 16.5) - (a[1] - 16.5) * (b[0] - 16.5) > 0.0
        });
        assert!(!surrounds || counts[16 * 33 + 16] == 1, "seed {seed}");
    }
}

#[test]
fn a_floor_that_runs_behind_the_camera_has_no_gaps() {
    let mut draws = Draws::new(3, "floor", "test");
    let (mut positions, triangles) = tessellation(24, -3000.0, 3000.0, &mut draws);
    for p in &mut positions {
        *p = [p[0], 1.0, p[1]];
    }
    let camera = Camera { fx: 40.0, fy: 40.0, cx: 32.0, cy: 20.0, ..flat(64) };
    let counts = coverage(&camera, &positions, &triangles);
    for (i, count) in counts.into_iter().enumerate() {
        // Row 20 looks (0.5 pixel) below the horizon to 80 units, every row below nearer.
        assert_eq!(count, u32::from(i / 64 >= 20), "pixel {} {}", i % 64, i / 64);
    }
}

/// Rays hit and miss as the frame says, but for rays through edges.
fn agrees(camera: &Camera, positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> (usize, usize, f64) {
    let frame = draw(camera, positions, triangles);
    let caster = Caster::new(positions, triangles);
    let (mut hits, mut different, mut worst) = (0, 0, 0.0f64);
    for i in 0..frame.id.len() {
        let (eye, direction) = ray(camera, (i % frame.width) as f64 + 0.5, (i / frame.width) as f64 + 0.5);
        match caster.cast(eye, direction, NEAR_PLANE) {
            Some((z, id)) if id == frame.id[i] => {
                hits += 1;
                worst = worst.max((f64::from(frame.depth[i]) - z).abs() / z);
            }
            None if frame.id[i] == NO_ID => assert_eq!(frame.depth[i], f32::INFINITY),
            _ => different += 1,
        }
    }
    (hits, different, worst)
}

#[test]
fn random_triangles_around_the_camera_agree_with_rays() {
    for seed in 0..20 {
        let mut draws = Draws::new(seed, "soup", "test");
        let spread = [1.0, 30.0, 1e4][seed as usize % 3];
        let mut point = || std::array::from_fn(|_| (spread * draws.normal()) as f32);
        let positions: Vec<[f32; 3]> = (0..180).map(|_| point()).collect();
        let triangles: Vec<[u32; 3]> = (0..60).map(|i| [3 * i, 3 * i + 1, 3 * i + 2]).collect();
        let camera = Camera { fx: 60.0, fy: 50.0, cx: 30.0, cy: 35.0, ..flat(64) };
        let (hits, different, worst) = agrees(&camera, &positions, &triangles);
        assert!(hits > 2000 && different <= 8, "seed {seed}: {hits} agree, {different} do not");
        assert!(worst < 1e-3, "seed {seed}: {worst}");
    }
}

#[test]
fn inside_a_box_every_pixel_shows_a_wall() {
    let corner = |i: u32| [0, 1, 2].map(|a| if i >> a & 1 == 1 { 1.0f32 } else { -1.0 });
    let positions: Vec<[f32; 3]> = (0..8).map(corner).collect();
    let quads = [[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]];
    let triangles: Vec<[u32; 3]> =
        quads.iter().flat_map(|q| [[q[0], q[1], q[2]], [q[0], q[2], q[3]]]).collect();
    let camera = Camera { fx: 20.0, fy: 20.0, cx: 31.7, cy: 32.2, ..flat(64) };
    let (hits, different, worst) = agrees(&camera, &positions, &triangles);
    assert_eq!(hits + different, 64 * 64);
    assert!(different <= 2 && worst < 1e-5, "{different} differ, {worst}");
    assert!(coverage(&camera, &positions, &triangles).iter().all(|&c| c == 1));
}

#[test]
fn degenerate_and_non_finite_triangles_draw_nothing() {
    let inf = f32::INFINITY;
    let positions = [
        [1.0, 1.0, 1.0],
        [30.0, 30.0, 1.0],
        [15.5, 15.5, 1.0],
        [f32::NAN, 1.0, 1.0],
        [inf, 3.0, 1.0],
        [9.0, 20.0, -1.0],
        [3.0, 9.0, 0.0],
    ];
    let none = [[0, 1, 2], [0, 0, 1], [2, 2, 2], [0, 1, 3], [4, 1, 0], [5, 5, 5], [6, 6, 5]];
    for triangle in none {
        let frame = draw(&flat(32), &positions, &[triangle]);
        assert!(frame.id.iter().all(|&id| id == NO_ID), "{triangle:?}");
        assert!(frame.depth.iter().all(|&d| d == inf), "{triangle:?}");
    }
}

#[test]
fn of_equal_depths_the_lower_triangle_wins_and_of_others_the_nearer() {
    let at = |z: f32| [[0.0, 0.0, z], [40.0 * z, 0.0, z], [0.0, 40.0 * z, z]];
    let positions: Vec<[f32; 3]> = [at(2.0), at(2.0), at(1.5)].concat();
    let frame = draw(&flat(16), &positions, &[[0, 1, 2], [3, 4, 5]]);
    assert!(frame.id.iter().all(|&id| id == 0));
    let frame = draw(&flat(16), &positions, &[[0, 1, 2], [6, 8, 7], [3, 4, 5]]);
    assert!(frame.id.iter().all(|&id| id == 1));
    assert!(frame.depth.iter().all(|&d| (d - 1.5).abs() < 1e-6));
}

#[test]
fn memory_that_is_used_again_changes_nothing() {
    let mut draws = Draws::new(9, "again", "test");
    let (mut scratch, mut frame) = (RasterScratch::default(), FrameBuffer::default());
    for n in [30, 3, 17] {
        let (positions, triangles) = tessellation(n, -5.0, 50.0, &mut draws);
        let mesh = TriangleMesh { positions: &positions, triangles: &triangles };
        let grid = SampleGrid { camera: &flat(40), scale: 2 };
        rasterize(mesh, grid, NEAR_PLANE, &mut scratch, &mut frame);
        let (mut other, mut fresh) = (RasterScratch::default(), FrameBuffer::default());
        rasterize(mesh, grid, NEAR_PLANE, &mut other, &mut fresh);
        assert_eq!((frame.width, frame.height), (80, 80));
        assert_eq!(frame, fresh);
    }
}

#[test]
fn depth_is_perspective_correct_on_a_slanted_plane() {
    // z = 2 + x / 4 in the camera frame, seen under 40 pixels a unit.
    let positions = [[-4.0, -9.0, 1.0], [12.0, -9.0, 5.0], [-4.0, 30.0, 1.0], [12.0, 30.0, 5.0]];
    let camera = Camera { fx: 40.0, fy: 40.0, cx: 32.0, cy: 32.0, ..flat(64) };
    let frame = draw(&camera, &positions, &[[0, 1, 2], [1, 2, 3]]);
    for (i, depth) in frame.depth.iter().enumerate() {
        let slope = DVec3::new(((i % 64) as f64 + 0.5 - 32.0) / 40.0, 0.0, 1.0);
        let expected = 2.0 / (1.0 - slope.x / 4.0);
        assert!((f64::from(*depth) - expected).abs() < 1e-5, "{depth} at {i}, expected {expected}");
    }
}
