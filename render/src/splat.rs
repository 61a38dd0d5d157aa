//! Splats: a cloud drawn as discs that lie in its surface (surfels, Pfister et al. 2000), with depth and point ids.
//!
//! A disc's plane is fitted to the nearest neighbours, its radius reaches the fourth: of points
//! spread at random over a surface, a spot then lies under no disc with probability exp(-4).
//! Discs in the surface close it without swelling its outline, as discs that face the camera do;
//! seen edge-on they would vanish, so they are turned towards the camera until at least a third of
//! their width shows.
//!
//! A point is hidden by the disc that is seen at its pixel if it lies behind the plane of that disc by
//! more than [`THICKNESS`] of the larger of both radii, measured at the point's own spot and
//! perpendicular to the disc: slope does not enter, curvature up to the disc's own size does not hide.
//! What a cloud cannot tell stays visible: sheets nearer to each other than that.

use glam::Vec3;
use jepa3d_schemas::{Camera, Correspondences};
use pulp::{Arch, NullaryFnOnce};

use crate::correspond::{is_inside, project};
use crate::frame::{Frame, NO_ID};
use crate::neighbors::{Neighbor, Tree};

/// Neighbours that decide plane and radius.
const NEIGHBORS: usize = 16;

/// The neighbour that a disc reaches, counted from 0.
const REACHED: usize = 3;

/// Largest radius in medians of the radii around it.
const TAMED: f32 = 1.25;

/// Largest radius in medians of all radii: in a lidar sweep far points stand metres apart.
const WIDEST: f32 = 4.0;

/// How far behind a disc a point may lie and still count as the same surface, in radii.
const THICKNESS: f32 = 0.4;

/// Smallest cosine between a disc's normal and the line of sight.
const MIN_FACING: f32 = 0.35;

/// Smallest radius of a disc in pixels: it shows at one pixel centre at least.
const MIN_PIXELS: f32 = 0.75;

/// A cloud's discs.
///
/// # Shapes
/// All `[S]`, in the cloud's frame.
#[derive(Clone, Debug, Default)]
pub struct Splats {
    /// The points.
    pub centers: Vec<[f32; 3]>,
    /// Unit normals; their sign means nothing.
    pub normals: Vec<[f32; 3]>,
    /// Radii in the cloud's units, above 0.
    pub radii: Vec<f32>,
}

impl Splats {
    /// Fits a disc to every point of a cloud `[S,3]`.
    pub fn new(cloud: &[[f32; 3]]) -> Self {
        let tree = Tree::new(cloud);
        let mut found = Vec::new();
        let mut splats = Self { centers: cloud.to_vec(), ..Self::default() };
        let mut neighbors: Vec<u32> = Vec::with_capacity(cloud.len() * NEIGHBORS);
        for i in 0..cloud.len() {
            tree.nearest(i, NEIGHBORS, &mut found);
            splats.normals.push(plane_normal(cloud, i, &found));
            splats.radii.push(reach(&found));
            neighbors.extend((0..NEIGHBORS).map(|n| found.get(n).map_or(i as u32, |f| f.1)));
        }
        splats.radii = tamed(&splats.radii, &neighbors);
        splats
    }
}

/// Distance of the neighbour that the disc reaches; 0 where there is none.
fn reach(found: &[Neighbor]) -> f32 {
    found.get(REACHED.min(found.len().saturating_sub(1))).map_or(0.0, |f| f.0.sqrt())
}

/// Radii, none above [`TAMED`] medians of its neighbours' or [`WIDEST`] medians of all (stray points), none of 0.
fn tamed(radii: &[f32], neighbors: &[u32]) -> Vec<f32> {
    let (rows, _) = neighbors.as_chunks::<NEIGHBORS>();
    let mut sorted = radii.to_vec();
    sorted.sort_by(f32::total_cmp);
    let widest = WIDEST * sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    let cap = |(radius, row): (&f32, &[u32; NEIGHBORS])| {
        let mut around = row.map(|j| radii[j as usize]);
        around.sort_by(f32::total_cmp);
        radius.min(TAMED * around[NEIGHBORS / 2]).min(widest)
    };
    let positive = |radius: f32| if radius > 0.0 { radius } else { 0.05 };
    radii.iter().zip(rows).map(cap).map(positive).collect()
}

/// Normal of the plane through a point's neighbourhood: the direction in which it spreads least.
fn plane_normal(cloud: &[[f32; 3]], i: usize, found: &[Neighbor]) -> [f32; 3] {
    let around = || std::iter::once(i as u32).chain(found.iter().map(|f| f.1));
    let at = |j: u32| glam::DVec3::from_array(cloud[j as usize].map(f64::from));
    let mean = around().map(at).sum::<glam::DVec3>() / (found.len() + 1) as f64;
    let mut spread = [[0.0; 3]; 3];
    for j in around() {
        let d = (at(j) - mean).to_array();
        for row in 0..3 {
            for column in 0..3 {
                spread[row][column] += d[row] * d[column];
            }
        }
    }
    least_axis(spread)
}

/// Eigenvector of the smallest eigenvalue of a symmetric matrix (Jacobi, fixed sweeps).
fn least_axis(mut a: [[f64; 3]; 3]) -> [f32; 3] {
    let mut axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    for _ in 0..8 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            rotate(&mut a, &mut axes, p, q);
        }
    }
    let least = (0..3).fold(0, |best, i| if a[i][i] < a[best][best] { i } else { best });
    let axis = glam::DVec3::new(axes[0][least], axes[1][least], axes[2][least]).normalize_or(glam::DVec3::Z);
    axis.as_vec3().to_array()
}

/// One Jacobi rotation that clears entry (p, q).
fn rotate(a: &mut [[f64; 3]; 3], axes: &mut [[f64; 3]; 3], p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for row in &mut *a {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
    for column in 0..3 {
        (a[p][column], a[q][column]) =
            (c * a[p][column] - s * a[q][column], s * a[p][column] + c * a[q][column]);
    }
    for row in axes {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
}

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
        if center.z <= crate::correspond::NEAR {
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
    fn depth(&self, sight: Vec3) -> (f32, f32) {
        let along = self.normal.dot(sight);
        (self.normal.dot(self.center) / along, along)
    }
}

/// The rows or columns of pixels that a disc may touch.
fn pixels(at: f32, reach: f32, size: usize) -> std::ops::Range<usize> {
    let low = (at - reach - 0.5).ceil().clamp(0.0, size as f32) as usize;
    let high = (at + reach - 0.5).floor() + 1.0;
    low..(high.clamp(0.0, size as f32) as usize).max(low)
}

impl Splats {
    /// Draws the discs with `scale` x `scale` samples a pixel; `frame.id` becomes the number of the point. Of
    /// equal depths the lower number stays.
    ///
    /// # Shapes
    /// `frame` becomes `[H*scale, W*scale]`.
    pub fn draw(&self, camera: &Camera, scale: u32, frame: &mut Frame) {
        Arch::new().dispatch(Draw { splats: self, camera, scale, frame });
    }
}

/// Arguments of one drawing, compiled once for each vector width that `pulp` knows; all give the same bits.
struct Draw<'a> {
    splats: &'a Splats,
    camera: &'a Camera,
    scale: u32,
    frame: &'a mut Frame,
}

impl NullaryFnOnce for Draw<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { splats, camera, scale, frame } = self;
        frame.clear((camera.width * scale) as usize, (camera.height * scale) as usize);
        let s = scale as f32;
        let grid = [camera.fx, camera.fy, camera.cx, camera.cy].map(|x| x as f32 * s);
        for i in 0..splats.centers.len() {
            if let Some(disc) = Disc::new(splats, i, camera) {
                draw_disc(&disc, i as u32, grid, frame);
            }
        }
    }
}

/// Draws a disc on a grid of samples with focal lengths and principal point `[fx, fy, cx, cy]`.
#[inline(always)]
fn draw_disc(disc: &Disc, id: u32, [fx, fy, cx, cy]: [f32; 4], frame: &mut Frame) {
    let (c, n, r) = (disc.center, disc.normal, disc.radius);
    let (offset, square) = (n.dot(c), r * r);
    // The ball around the disc spans r (1 + |x/z|) / (z - r) of the image plane at most.
    let reach_u = fx * r * (1.0 + (c.x / c.z).abs()) / (c.z - r);
    let reach_v = fy * r * (1.0 + (c.y / c.z).abs()) / (c.z - r);
    let columns = pixels(fx * c.x / c.z + cx, reach_u, frame.width);
    for row in pixels(fy * c.y / c.z + cy, reach_v, frame.height) {
        let y = (row as f32 + 0.5 - cy) / fy;
        let run = row * frame.width + columns.start..row * frame.width + columns.end;
        let (depths, ids) = (&mut frame.depth[run.clone()], &mut frame.id[run]);
        let (first, along_row) = (columns.start as f32 + 0.5 - cx, n.y * y + n.z);
        for (i, (depth, nearest)) in depths.iter_mut().zip(ids).enumerate() {
            // As `Disc::depth`, without branches.
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
pub fn correspond_splats(splats: &Splats, camera: &Camera, frame: &Frame) -> Correspondences {
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
    let (z, along) = disc.depth(point.center / point.center.z);
    i != j && (point.center.z - z) * along > THICKNESS * point.radius.max(disc.radius)
}
