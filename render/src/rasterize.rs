//! The rasterizer: nearest triangle and its depth at every pixel centre.
//!
//! Edge functions (Pineda 1988) over corners on a grid of 1/65536 pixel are exact 64-bit integers,
//! and a centre exactly on an edge belongs to the triangle of which it is a top or left edge, so
//! adjoining triangles cover every centre once. Inverse depth is linear on the screen; the z-buffer
//! keeps the largest. Of equal depths (to 2.4e-7) the triangle with the lower number wins. Triangles are seen
//! from both sides. Nothing depends on threads or on what was drawn before.

use jepa3d_schemas::Camera;
use pulp::{Arch, WithSimd};

use crate::clip::clipped;
use crate::frame::{Frame, NO_ID};
use crate::project::{NEEDS_CLIP, PIXEL, Projection, REJECT_ALL, REJECT_ANY, SUBPIXEL_BITS, ScreenVertex};
use crate::visible::Surface;

/// How much larger an inverse depth must be to count as nearer: two steps of an f32, so that of two sheets
/// in one plane the same one is seen everywhere, not a speckle of both.
const TIE: f32 = 1.0 + 2.0 * f32::EPSILON;

/// Pixels tested at a time.
const LANES: usize = 8;
/// Boxes up to this many times [`LANES`] wide are tested pixel by pixel, wider ones row by row.
const BLOCKS: usize = 3;

/// Memory of the rasterizer.
#[derive(Clone, Debug, Default)]
pub struct RasterScratch {
    vertices: Vec<ScreenVertex>,
}

/// Draws `mesh` as `camera` sees it with `scale` x `scale` samples a pixel; surfaces nearer than `near` are cut off.
///
/// # Shapes
/// `frame` becomes `[H*scale, W*scale]`, at most 8192 samples a side (the grid that corners are rounded to ends beyond);
/// ids are triangle numbers.
pub fn rasterize(
    mesh: Surface<'_>,
    camera: &Camera,
    (scale, near): (u32, f64),
    scratch: &mut RasterScratch,
    frame: &mut Frame,
) {
    let projection = Projection::new(camera, scale, near);
    projection.vertices(mesh.positions, &mut scratch.vertices);
    (frame.width, frame.height) = ((camera.width * scale) as usize, (camera.height * scale) as usize);
    let pixels = frame.width * frame.height;
    frame.depth.clear();
    frame.depth.resize(pixels, 0.0);
    frame.id.clear();
    frame.id.resize(pixels, NO_ID);
    let RasterScratch { vertices } = scratch;
    Arch::new().dispatch(Pass { mesh, projection, vertices, frame });
}

/// Arguments of a pass over all triangles, compiled once for each vector width that `pulp` knows; all give
/// the same bits.
struct Pass<'a> {
    mesh: Surface<'a>,
    projection: Projection,
    vertices: &'a [ScreenVertex],
    frame: &'a mut Frame,
}

impl WithSimd for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { mesh, projection, vertices, frame } = self;
        for (id, corners) in mesh.triangles.iter().enumerate() {
            let v = corners.map(|i| vertices[i as usize]);
            let any = v[0].sides | v[1].sides | v[2].sides;
            if v[0].sides & v[1].sides & v[2].sides & REJECT_ALL != 0 || any & REJECT_ANY != 0 {
                continue;
            }
            if any & NEEDS_CLIP == 0 {
                draw(frame, v, id as u32);
            } else {
                let homogeneous = corners.map(|i| projection.homogeneous(mesh.positions[i as usize]));
                clipped(&projection, homogeneous, |v| draw_clipped(frame, v, id as u32));
            }
        }
        // Until here the buffer held inverse depths, 0 where nothing is: 1 / 0 is infinity.
        for depth in &mut frame.depth {
            *depth = 1.0 / *depth;
        }
    }
}

/// The rare case, kept out of the loop's code.
#[inline(never)]
fn draw_clipped(frame: &mut Frame, v: [ScreenVertex; 3], id: u32) {
    draw(frame, v, id);
}

/// The pixels whose centres lie in a triangle's bounding box, both ends included.
#[derive(Clone, Copy)]
struct Window {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
}

impl Window {
    #[inline(always)]
    fn of(v: &[ScreenVertex; 3], width: usize, height: usize) -> Self {
        const HALF: i32 = (PIXEL / 2) as i32;
        let first = |a: i32, b: i32, c: i32| ((a.min(b).min(c) + HALF - 1) >> SUBPIXEL_BITS).max(0);
        let last = |a: i32, b: i32, c: i32, size: usize| {
            ((a.max(b).max(c) - HALF) >> SUBPIXEL_BITS).min(size as i32 - 1)
        };
        Self {
            left: first(v[0].x, v[1].x, v[2].x),
            right: last(v[0].x, v[1].x, v[2].x, width),
            top: first(v[0].y, v[1].y, v[2].y),
            bottom: last(v[0].y, v[1].y, v[2].y, height),
        }
    }
}

/// An edge function along rows and columns, biased so that a centre is inside where it is not negative.
#[derive(Clone, Copy)]
struct Edge {
    /// At the centre of the window's first pixel.
    start: i64,
    /// Change from pixel to pixel.
    step_x: i64,
    /// Change from row to row.
    step_y: i64,
    /// What was taken off for edges that are neither top nor left.
    bias: i64,
}

impl Edge {
    #[inline(always)]
    fn new(a: ScreenVertex, b: ScreenVertex, x: i64, y: i64) -> Self {
        let (dx, dy) = (i64::from(b.x) - i64::from(a.x), i64::from(b.y) - i64::from(a.y));
        let is_top_left = dy < 0 || (dy == 0 && dx > 0);
        let bias = i64::from(!is_top_left);
        let start = dx * (y - i64::from(a.y)) - dy * (x - i64::from(a.x)) - bias;
        Self { start, step_x: -dy * PIXEL, step_y: dx * PIXEL, bias }
    }
}

/// Inverse depth over the window.
#[derive(Clone, Copy)]
struct Plane {
    start: f64,
    step_x: f64,
    step_y: f64,
    low: f32,
    high: f32,
}

impl Plane {
    #[inline(always)]
    fn new(v: &[ScreenVertex; 3], edges: &[Edge; 3], area: i64) -> Self {
        let d = [0, 1, 2].map(|i| v[i].inverse_depth);
        let per_area = 1.0 / area as f64;
        let along_1 = (f64::from(d[1]) - f64::from(d[0])) * per_area;
        let along_2 = (f64::from(d[2]) - f64::from(d[0])) * per_area;
        let mix = |a: i64, b: i64| a as f64 * along_1 + b as f64 * along_2;
        Self {
            start: f64::from(d[0]) + mix(edges[1].start + edges[1].bias, edges[2].start + edges[2].bias),
            step_x: mix(edges[1].step_x, edges[2].step_x),
            step_y: mix(edges[1].step_y, edges[2].step_y),
            low: d[0].min(d[1]).min(d[2]),
            high: d[0].max(d[1]).max(d[2]),
        }
    }

    /// Slivers have steep planes: a centre inside never lies beyond the corners.
    #[inline(always)]
    fn clamp(&self, depth: f64) -> f32 {
        let depth = depth as f32;
        // Spelt out: `max` and `min` would look for NaN, which a plane through finite corners has not.
        let depth = if depth > self.low { depth } else { self.low };
        if depth < self.high { depth } else { self.high }
    }
}

/// Draws one triangle whose corners the grid holds.
#[inline(always)]
fn draw(frame: &mut Frame, mut v: [ScreenVertex; 3], id: u32) {
    let mut window = Window::of(&v, frame.width, frame.height);
    if window.left > window.right || window.top > window.bottom {
        return;
    }
    let wide = |i: usize| (i64::from(v[i].x) - i64::from(v[0].x), i64::from(v[i].y) - i64::from(v[0].y));
    let ((x1, y1), (x2, y2)) = (wide(1), wide(2));
    let area = x1 * y2 - y1 * x2;
    if area == 0 {
        return;
    }
    if area < 0 {
        v.swap(1, 2);
    }
    let blocks = (window.right - window.left) as usize / LANES + 1;
    let is_small = blocks <= BLOCKS && blocks * LANES <= frame.width;
    if is_small {
        // Whole blocks that end at the image's edge at the latest; what they add is outside the triangle.
        window.left = window.left.min((frame.width - blocks * LANES) as i32);
    }
    let center = |pixel: i32| i64::from(pixel) * PIXEL + PIXEL / 2;
    let (x, y) = (center(window.left), center(window.top));
    let edges = [Edge::new(v[1], v[2], x, y), Edge::new(v[2], v[0], x, y), Edge::new(v[0], v[1], x, y)];
    let plane = Plane::new(&v, &edges, area.abs());
    if is_small {
        for block in 0..blocks {
            fill_block(frame, window, &edges, (plane, id), block * LANES);
        }
    } else {
        fill_rows(frame, window, edges, plane, id);
    }
}

/// Tests every pixel of a block of columns, [`LANES`] at a time.
#[inline(always)]
fn fill_block(
    frame: &mut Frame,
    window: Window,
    edges: &[Edge; 3],
    (plane, id): (Plane, u32),
    first_column: usize,
) {
    let column = |lane: usize| (first_column + lane) as i64;
    let along = edges.map(|e| -> [i64; LANES] { std::array::from_fn(|l| e.step_x * column(l)) });
    let deeper: [f64; LANES] = std::array::from_fn(|l| plane.step_x * column(l) as f64);
    let mut at_row = edges.map(|e| e.start);
    for row in 0..=window.bottom - window.top {
        let begin = (window.top + row) as usize * frame.width + window.left as usize + first_column;
        let depths: &mut [f32; LANES] =
            frame.depth[begin..].first_chunk_mut().expect("blocks end inside the row");
        let ids: &mut [u32; LANES] = frame.id[begin..].first_chunk_mut().expect("blocks end inside the row");
        let base = plane.start + plane.step_y * f64::from(row);
        // Whole arrays and masks, no branches: these become vector instructions.
        let outside: [i64; LANES] = std::array::from_fn(|l| {
            (at_row[0] + along[0][l]) | (at_row[1] + along[1][l]) | (at_row[2] + along[2][l])
        });
        let depth: [f32; LANES] = std::array::from_fn(|l| plane.clamp(base + deeper[l]));
        // All ones where the pixel keeps what it has.
        let kept: [u32; LANES] = std::array::from_fn(|l| {
            (outside[l] >> 63) as u32 | u32::from(depth[l] <= depths[l] * TIE).wrapping_neg()
        });
        let pick = |l: usize, new: u32, old: u32| (new & !kept[l]) | (old & kept[l]);
        *depths = std::array::from_fn(|l| f32::from_bits(pick(l, depth[l].to_bits(), depths[l].to_bits())));
        *ids = std::array::from_fn(|l| pick(l, id, ids[l]));
        for e in 0..3 {
            at_row[e] += edges[e].step_y;
        }
    }
}

/// Finds where each row enters and leaves the triangle, then tests depths only.
#[inline(always)]
fn fill_rows(frame: &mut Frame, window: Window, edges: [Edge; 3], plane: Plane, id: u32) {
    let columns = i64::from(window.right - window.left) + 1;
    let per_step = edges.map(|e| if e.step_x == 0 { 0.0 } else { -1.0 / e.step_x as f64 });
    for row in 0..=window.bottom - window.top {
        let (mut first, mut last) = (0, columns - 1);
        for (edge, per_step) in edges.iter().zip(per_step) {
            (first, last) = span(edge, per_step, i64::from(row), (first, last));
        }
        if first > last {
            continue;
        }
        let begin = (window.top + row) as usize * frame.width + window.left as usize;
        let range = begin + first as usize..=begin + last as usize;
        let base = plane.start + plane.step_y * f64::from(row);
        let pixels = frame.depth[range.clone()].iter_mut().zip(&mut frame.id[range]);
        for (column, (nearest, nearest_id)) in (first as i32..).zip(pixels) {
            let depth = plane.clamp(base + plane.step_x * f64::from(column));
            let is_nearer = depth > *nearest * TIE;
            *nearest = if is_nearer { depth } else { *nearest };
            *nearest_id = if is_nearer { id } else { *nearest_id };
        }
    }
}

/// The columns of `first..=last` where an edge function is not negative: estimated by division, made
/// exact by testing.
#[inline(always)]
fn span(edge: &Edge, per_step: f64, row: i64, (first, last): (i64, i64)) -> (i64, i64) {
    let start = edge.start + edge.step_y * row;
    let is_inside = |column: i64| start + edge.step_x * column >= 0;
    if edge.step_x == 0 {
        return if start >= 0 { (first, last) } else { (0, -1) };
    }
    // As above: a clamp without NaN, and a cast by 1.5 * 2^52.
    let crossing = start as f64 * per_step;
    let crossing = if crossing > -1.0 { crossing } else { -1.0 };
    let crossing = if crossing < 16384.0 { crossing } else { 16384.0 };
    let crossing = i64::from((crossing + 6_755_399_441_055_744.0).to_bits() as u32 as i32);
    let crossing = crossing.clamp(first - 1, last + 1);
    if edge.step_x > 0 {
        let mut from = crossing;
        while from > first && is_inside(from - 1) {
            from -= 1;
        }
        while from <= last && !is_inside(from) {
            from += 1;
        }
        (from.max(first), last)
    } else {
        let mut to = crossing;
        while to < last && is_inside(to + 1) {
            to += 1;
        }
        while to >= first && !is_inside(to) {
            to -= 1;
        }
        (first, to.min(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Draws;

    #[test]
    fn the_widest_vectors_and_none_give_the_same_bits() {
        let mut draws = Draws::new(4, "bits", "test");
        let centers: Vec<[f64; 3]> = (0..900).map(|_| [0.0, 0.0, 4.0].map(|x| x + draws.normal())).collect();
        let corner =
            |i: usize| centers[i / 3].map(|x| (x + [0.02, 0.3, 3.0][i / 3 % 3] * draws.normal()) as f32);
        let positions: Vec<[f32; 3]> = (0..2700).map(corner).collect();
        let triangles: Vec<[u32; 3]> = (0..900).map(|t| [3 * t, 3 * t + 1, 3 * t + 2]).collect();
        let mesh = Surface { positions: &positions, triangles: &triangles };
        let world = glam::DAffine3::IDENTITY;
        let camera = Camera {
            width: 90,
            height: 77,
            fx: 80.0,
            fy: 80.0,
            cx: 45.0,
            cy: 38.0,
            camera_from_world: world,
        };
        let (mut scratch, mut wide) = (RasterScratch::default(), Frame::default());
        rasterize(mesh, &camera, (1, 1e-3), &mut scratch, &mut wide);
        let mut plain = Frame { depth: vec![0.0; 90 * 77], id: vec![NO_ID; 90 * 77], ..wide.clone() };
        let (projection, vertices) = (Projection::new(&camera, 1, 1e-3), &scratch.vertices);
        Pass { mesh, projection, vertices, frame: &mut plain }.with_simd(pulp::Scalar::new());
        assert!(wide.id.iter().filter(|&&id| id != NO_ID).count() > 1000);
        assert_eq!(wide, plain);
    }
}
