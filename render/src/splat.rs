//! Splats: a cloud drawn as discs that lie in its surface (surfels, Pfister et al. 2000), with depth and point ids.
//!
//! A disc's plane is fitted to the nearest neighbours, its radius reaches the fifth: of points
//! spread at random over a surface, a spot then lies under no disc with probability exp(-5).
//! Discs in the surface close it without swelling its outline, as discs that face the camera do;
//! seen edge-on they would vanish, so they are turned towards the camera until at least a third of
//! their width shows.
//!
//! A point is hidden by the disc that is seen at its pixel if the two lie on different surfaces: the
//! point behind the plane of that disc, measured at the point's own spot and perpendicular to the
//! disc, and the disc's centre off the point's plane, both by more than [`THICKNESS`] of the larger
//! radius. Slope does not enter, curvature up to the disc's own size does not hide. What a cloud
//! cannot tell stays visible: sheets nearer to each other than that.

use glam::Vec3;
use jepa3d_schemas::{Camera, Correspondences};
use pulp::{Arch, NullaryFnOnce};

use crate::frame_buffer::{FrameBuffer, NO_ID};
use crate::project::{LEAST_DEPTH, is_inside, project};
use crate::sample_grid::SampleGrid;
use crate::splat_fit::Splats;

/// How far behind a disc a point may lie and still count as the same surface, in radii.
const THICKNESS: f32 = 0.3;

/// Smallest cosine between a disc's normal and the line of sight.
const MIN_FACING: f32 = 0.35;

/// Smallest radius of a disc in pixels: it shows at one pixel centre at least.
const MIN_PIXELS: f32 = 0.75;

/// A disc in the camera frame.
#[derive(Clone, Copy)]
struct Disc {
    center: Vec3,
    normal: Vec3,
    radius: f32,
}

impl Disc {
    /// Disc `i`, turned towards the camera where it is seen edge-on; `None` behind the camera.
    fn new(splats: &Splats, i: usize, camera: &Camera) -> Option<Self> {
        let a = &camera.camera_from_world;
        let at = glam::DVec3::from_array(splats.centers[i].map(f64::from));
        let center = a.transform_point3(at).as_vec3();
        let normal = glam::DVec3::from_array(splats.normals[i].map(f64::from));
        let normal = (a.matrix3 * normal).as_vec3();
        if center.z <= LEAST_DEPTH {
            return None;
        }
        let sight = center.normalize();
        let facing = normal.dot(sight);
        let normal = if facing < 0.0 { -normal } else { normal };
        let facing = facing.abs();
        let normal = if facing >= MIN_FACING {
            normal
        } else {
            let across = (normal - sight * facing).normalize_or_zero();
            (sight * MIN_FACING + across * (1.0 - MIN_FACING * MIN_FACING).sqrt()).normalize()
        };
        let least = MIN_PIXELS * center.z / (camera.fx.min(camera.fy) as f32);
        // A disc as near as it is wide would fill the image.
        let radius = splats.radii[i].max(least).min(0.5 * center.z);
        Some(Self { center, normal, radius })
    }

    /// z where the disc's plane is crossed by the line of sight with direction `(x, y, 1)`, and the
    /// cosine-like factor that turns a distance along z into one perpendicular to the plane.
    fn cross(&self, sight: Vec3) -> (f32, f32) {
        let along = self.normal.dot(sight);
        (self.normal.dot(self.center) / along, along)
    }
}

/// The rows or columns of pixels that a disc may touch.
fn pixel_range(at: f32, reach: f32, size: usize) -> std::ops::Range<usize> {
    let low = (at - reach - 0.5).ceil().clamp(0.0, size as f32) as usize;
    let high = (at + reach - 0.5).floor() + 1.0;
    low..(high.clamp(0.0, size as f32) as usize).max(low)
}

impl Splats {
    /// Draws the discs on the samples of `grid`; `frame.id` becomes the number of the point. Of equal depths the
    /// lower number stays.
    ///
    /// # Shapes
    /// `frame` becomes `[H*scale, W*scale]`.
    pub fn draw(&self, grid: SampleGrid<'_>, frame: &mut FrameBuffer) {
        Arch::new().dispatch(SplatPass { splats: self, grid, frame });
    }
}

/// Arguments of one drawing, compiled once for each vector width that `pulp` knows; all give the same bits.
struct SplatPass<'a> {
    splats: &'a Splats,
    grid: SampleGrid<'a>,
    frame: &'a mut FrameBuffer,
}

impl NullaryFnOnce for SplatPass<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { splats, grid, frame } = self;
        frame.reset(grid, f32::INFINITY);
        let intrinsics = SampleIntrinsics::new(grid);
        for i in 0..splats.centers.len() {
            if let Some(disc) = Disc::new(splats, i, grid.camera) {
                draw_disc(&disc, i as u32, intrinsics, frame);
            }
        }
    }
}

/// Focal lengths and principal point, counted in samples.
#[derive(Clone, Copy)]
struct SampleIntrinsics {
    fx: f32,
    fy: f32,
    cx: f32,
    cy: f32,
}

impl SampleIntrinsics {
    fn new(grid: SampleGrid<'_>) -> Self {
        let in_samples = |x: f64| x as f32 * grid.scale as f32;
        let Camera { fx, fy, cx, cy, .. } = *grid.camera;
        Self { fx: in_samples(fx), fy: in_samples(fy), cx: in_samples(cx), cy: in_samples(cy) }
    }
}

/// Draws a disc where it is nearer than what the frame shows.
#[inline(always)]
fn draw_disc(disc: &Disc, id: u32, intrinsics: SampleIntrinsics, frame: &mut FrameBuffer) {
    let SampleIntrinsics { fx, fy, cx, cy } = intrinsics;
    let (c, n, r) = (disc.center, disc.normal, disc.radius);
    let (offset, square) = (n.dot(c), r * r);
    // The ball around the disc spans r (1 + |x/z|) / (z - r) of the image plane at most.
    let reach_u = fx * r * (1.0 + (c.x / c.z).abs()) / (c.z - r);
    let reach_v = fy * r * (1.0 + (c.y / c.z).abs()) / (c.z - r);
    let columns = pixel_range(fx * c.x / c.z + cx, reach_u, frame.width);
    for row in pixel_range(fy * c.y / c.z + cy, reach_v, frame.height) {
        let y = (row as f32 + 0.5 - cy) / fy;
        let run = row * frame.width + columns.start..row * frame.width + columns.end;
        let (depths, ids) = (&mut frame.depth[run.clone()], &mut frame.id[run]);
        let (first, along_row) = (columns.start as f32 + 0.5 - cx, n.y * y + n.z);
        for (i, (depth, nearest)) in depths.iter_mut().zip(ids).enumerate() {
            // As `Disc::cross`, without branches.
            let x = (i as f32 + first) / fx;
            let z = offset / (n.x * x + along_row);
            let q = [z * x - c.x, z * y - c.y, z - c.z];
            let is_hit = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] <= square;
            let is_nearer = is_hit & (z > 0.0) & (z < *depth);
            *depth = if is_nearer { z } else { *depth };
            *nearest = if is_nearer { id } else { *nearest };
        }
    }
}

/// Which points of a splatted cloud a view shows.
///
/// `frame` is what [`Splats::draw`] left for the same camera, with any number of samples a pixel.
pub fn correspond_splats(splats: &Splats, camera: &Camera, frame: &FrameBuffer) -> Correspondences {
    let mut found = Correspondences::default();
    let mut projected = Vec::with_capacity(splats.centers.len());
    project(&splats.centers, camera, &mut projected);
    let scale = frame.width as f32 / camera.width as f32;
    for (i, pixel) in projected.into_iter().enumerate() {
        if !is_inside(pixel, camera) {
            continue;
        }
        let [column, row] = [pixel[0] * scale, pixel[1] * scale].map(|x| x as usize);
        let at = row.min(frame.height - 1) * frame.width + column.min(frame.width - 1);
        let hider = frame.id[at];
        if hider == NO_ID || !is_behind(splats, i, hider as usize, camera) {
            found.push(i as u32, pixel);
        }
    }
    found
}

/// Whether point `i` lies behind disc `j` by more than the thickness of one surface.
fn is_behind(splats: &Splats, i: usize, j: usize, camera: &Camera) -> bool {
    let (Some(point), Some(disc)) = (Disc::new(splats, i, camera), Disc::new(splats, j, camera)) else {
        return false;
    };
    let (z, along) = disc.cross(point.center / point.center.z);
    let thickness = THICKNESS * point.radius.max(disc.radius);
    let is_off_plane = point.normal.dot(disc.center - point.center).abs() > thickness;
    i != j && (point.center.z - z) * along > thickness && is_off_plane
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Draws;

    fn camera() -> Camera {
        let camera_from_world = glam::DAffine3::from_translation(glam::DVec3::Z * 3.0);
        Camera { width: 120, height: 100, fx: 130.0, fy: 130.0, cx: 60.0, cy: 50.0, camera_from_world }
    }

    /// Points spread over the unit sphere's surface.
    fn ball(count: usize) -> Vec<[f32; 3]> {
        let mut draws = Draws::new(1, "x", "ball");
        let mut some = || glam::DVec3::new(draws.normal(), draws.normal(), draws.normal()).normalize();
        (0..count).map(|_| some().as_vec3().to_array()).collect()
    }

    #[test]
    fn every_vector_width_gives_the_same_bits() {
        let (splats, camera) = (Splats::new(&ball(500)), camera());
        let (mut expected, mut frame) = (FrameBuffer::default(), FrameBuffer::default());
        let grid = SampleGrid { camera: &camera, scale: 2 };
        Arch::Scalar.dispatch(SplatPass { splats: &splats, grid, frame: &mut expected });
        splats.draw(grid, &mut frame);
        assert_eq!(frame, expected);
    }

    #[test]
    fn a_ball_has_no_holes_and_hides_its_back() {
        let (splats, camera) = (Splats::new(&ball(1000)), camera());
        let mut frame = FrameBuffer::default();
        splats.draw(SampleGrid { camera: &camera, scale: 1 }, &mut frame);
        let (mut inside, mut holes) = (0, 0);
        for (i, &depth) in frame.depth.iter().enumerate() {
            let (u, v) = ((i % 120) as f64 + 0.5 - 60.0, (i / 120) as f64 + 0.5 - 50.0);
            // The outline of the ball: 130 / sqrt(3 * 3 - 1) pixels; its plane is 2.67 deep.
            let distance = (u * u + v * v).sqrt() / 45.96;
            assert!(depth.is_infinite() || distance < 1.15, "bloated at {u}, {v}");
            inside += usize::from(distance < 0.95);
            holes += usize::from(distance < 0.95 && depth > 3.0);
        }
        eprintln!("{holes} holes of {inside}");
        assert!(holes * 200 < inside, "{holes} of {inside} pixels show the back");
        let shown = correspond_splats(&splats, &camera, &frame);
        for (i, center) in splats.centers.iter().enumerate() {
            // The plane of the outline stands 1/3 before the centre.
            let is_shown = shown.point.binary_search(&(i as u32)).is_ok();
            assert!(is_shown || center[2] > -0.55, "front point {i} hidden");
            assert!(!is_shown || center[2] < 0.1, "back point {i} shown");
        }
    }
}
