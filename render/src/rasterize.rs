//! The rasterizer: nearest triangle and its depth at every pixel centre.
//!
//! Edge functions (Pineda 1988) over corners on a grid of 1/65536 pixel are exact 64-bit integers,
//! and a centre exactly on an edge belongs to the triangle of which it is a top or left edge, so
//! adjoining triangles cover every centre once. Inverse depth is linear on the screen; the z-buffer
//! keeps the largest. Of equal depths (to 2.4e-7) the triangle with the lower number wins. Triangles are seen
//! from both sides. Nothing depends on threads or on what was drawn before.

use pulp::{Arch, WithSimd};

use crate::clip::clip_triangle;
use crate::frame_buffer::FrameBuffer;
use crate::sample_grid::SampleGrid;
use crate::screen::{NEEDS_CLIP, REJECT_ALL, REJECT_ANY, ScreenProjection, ScreenVertex};
use crate::triangle_mesh::TriangleMesh;
use crate::triangle_setup::{EdgeFunction, LANES, TriangleSetup};

/// How much larger an inverse depth must be to count as nearer: two steps of an f32, so that of two sheets
/// in one plane the same one is seen everywhere, not a speckle of both.
const TIE: f32 = 1.0 + 2.0 * f32::EPSILON;

/// Memory of the rasterizer.
#[derive(Clone, Debug, Default)]
pub struct RasterScratch {
    vertices: Vec<ScreenVertex>,
}

/// Draws `mesh` on the samples of `grid`; surfaces nearer to the camera than `near` are cut off.
///
/// # Shapes
/// `frame` becomes `[H*scale, W*scale]`, at most 8192 samples a side (the grid that corners are rounded to ends beyond);
/// ids are triangle numbers.
pub fn rasterize(
    mesh: TriangleMesh<'_>,
    grid: SampleGrid<'_>,
    near: f64,
    scratch: &mut RasterScratch,
    frame: &mut FrameBuffer,
) {
    let projection = ScreenProjection::new(grid, near);
    projection.project_vertices(mesh.positions, &mut scratch.vertices);
    frame.reset(grid, 0.0);
    let RasterScratch { vertices } = scratch;
    Arch::new().dispatch(RasterPass { mesh, projection, vertices, frame });
}

/// Arguments of a pass over all triangles, compiled once for each vector width that `pulp` knows; all give
/// the same bits.
struct RasterPass<'a> {
    mesh: TriangleMesh<'a>,
    projection: ScreenProjection,
    vertices: &'a [ScreenVertex],
    frame: &'a mut FrameBuffer,
}

impl WithSimd for RasterPass<'_> {
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
                let homogeneous = corners.map(|i| projection.homogeneous_from(mesh.positions[i as usize]));
                clip_triangle(&projection, homogeneous, |v| draw_clipped(frame, v, id as u32));
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
fn draw_clipped(frame: &mut FrameBuffer, v: [ScreenVertex; 3], id: u32) {
    draw(frame, v, id);
}

/// Draws one triangle whose corners the grid holds.
#[inline(always)]
fn draw(frame: &mut FrameBuffer, corners: [ScreenVertex; 3], id: u32) {
    let Some(triangle) = TriangleSetup::new(corners, id, frame) else { return };
    if triangle.blocks == 0 {
        fill_rows(frame, &triangle);
    }
    for block in 0..triangle.blocks {
        fill_block(frame, &triangle, block * LANES);
    }
}

/// Tests every pixel of a block of columns, [`LANES`] at a time.
#[inline(always)]
fn fill_block(frame: &mut FrameBuffer, triangle: &TriangleSetup, first_column: usize) {
    let TriangleSetup { window, edges, plane, id, .. } = *triangle;
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
fn fill_rows(frame: &mut FrameBuffer, triangle: &TriangleSetup) {
    let TriangleSetup { window, edges, plane, id, .. } = *triangle;
    let columns = i64::from(window.right - window.left) + 1;
    let per_step = edges.map(|e| if e.step_x == 0 { 0.0 } else { -1.0 / e.step_x as f64 });
    for row in 0..=window.bottom - window.top {
        let mut covered = ColumnRange { first: 0, last: columns - 1 };
        for (edge, per_step) in edges.iter().zip(per_step) {
            covered = covered.clip(edge, per_step, i64::from(row));
        }
        let ColumnRange { first, last } = covered;
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

/// Columns of a window's row, both ends included; empty where `first` is above `last`.
#[derive(Clone, Copy)]
struct ColumnRange {
    first: i64,
    last: i64,
}

impl ColumnRange {
    /// Those where an edge function is not negative: estimated by division, made exact by testing.
    #[inline(always)]
    fn clip(self, edge: &EdgeFunction, per_step: f64, row: i64) -> Self {
        let Self { first, last } = self;
        let start = edge.start + edge.step_y * row;
        let is_inside = |column: i64| start + edge.step_x * column >= 0;
        if edge.step_x == 0 {
            return if start >= 0 { self } else { Self { first: 0, last: -1 } };
        }
        // As in `DepthPlane`: a clamp without NaN, and a cast by 1.5 * 2^52.
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
            Self { first: from.max(first), last }
        } else {
            let mut to = crossing;
            while to < last && is_inside(to + 1) {
                to += 1;
            }
            while to >= first && !is_inside(to) {
                to -= 1;
            }
            Self { first, last: to.min(last) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame_buffer::NO_ID;
    use jepa3d_schemas::{Camera, Draws};

    #[test]
    fn the_widest_vectors_and_none_give_the_same_bits() {
        let mut draws = Draws::new(4, "bits", "test");
        let centers: Vec<[f64; 3]> = (0..900).map(|_| [0.0, 0.0, 4.0].map(|x| x + draws.normal())).collect();
        let corner =
            |i: usize| centers[i / 3].map(|x| (x + [0.02, 0.3, 3.0][i / 3 % 3] * draws.normal()) as f32);
        let positions: Vec<[f32; 3]> = (0..2700).map(corner).collect();
        let triangles: Vec<[u32; 3]> = (0..900).map(|t| [3 * t, 3 * t + 1, 3 * t + 2]).collect();
        let mesh = TriangleMesh { positions: &positions, triangles: &triangles };
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
        let (mut scratch, mut wide) = (RasterScratch::default(), FrameBuffer::default());
        let grid = SampleGrid { camera: &camera, scale: 1 };
        rasterize(mesh, grid, 1e-3, &mut scratch, &mut wide);
        let mut plain = FrameBuffer { depth: vec![0.0; 90 * 77], id: vec![NO_ID; 90 * 77], ..wide.clone() };
        let (projection, vertices) = (ScreenProjection::new(grid, 1e-3), &scratch.vertices);
        RasterPass { mesh, projection, vertices, frame: &mut plain }.with_simd(pulp::Scalar::new());
        assert!(wide.id.iter().filter(|&&id| id != NO_ID).count() > 1000);
        assert_eq!(wide, plain);
    }
}
