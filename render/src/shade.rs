//! Colours of what a frame shows: a headlight and ambient light on the surfaces, averaged over samples.
//!
//! The light shines along the viewing direction and surfaces reflect from both sides (|n . l|), so
//! that nothing the camera sees is black. Light is added up linearly and encoded as sRGB at the end;
//! alpha is the share of a pixel's samples that hit something.

use glam::{DMat3, DVec3, Vec3};
use jepa3d_schemas::viridis;

use crate::frame_buffer::{FrameBuffer, NO_ID};
use crate::mesh_scene::{Albedo, MeshScene};
use crate::palette::Srgb;
use crate::sample_grid::SampleGrid;

/// Share of the light that comes from everywhere.
const AMBIENT: f32 = 0.12;

/// Where the rays of a camera run, in the world.
struct Rays {
    eye: DVec3,
    /// `direction = matrix * (u, v, 1)`, of z = 1 in the camera frame.
    matrix: DMat3,
    forward: Vec3,
    /// Pixels that a length of one spans at depth one.
    focal: f32,
}

impl Rays {
    /// Of the samples of `grid`, which `u` and `v` count.
    fn new(grid: SampleGrid<'_>) -> Self {
        let camera = grid.camera;
        let a = &camera.camera_from_world;
        let s = f64::from(grid.scale);
        let world_from_camera = a.matrix3.inverse();
        let (fx, fy) = (camera.fx * s, camera.fy * s);
        let camera_from_pixel = DMat3::from_cols(
            DVec3::new(1.0 / fx, 0.0, 0.0),
            DVec3::new(0.0, 1.0 / fy, 0.0),
            DVec3::new(-camera.cx * s / fx, -camera.cy * s / fy, 1.0),
        );
        Self {
            eye: -(world_from_camera * a.translation),
            matrix: world_from_camera * camera_from_pixel,
            forward: a.matrix3.row(2).normalize().as_vec3(),
            focal: (fx * fy).sqrt() as f32,
        }
    }

    fn direction(&self, sample: FrameSample) -> DVec3 {
        self.matrix * DVec3::new(sample.column as f64 + 0.5, sample.row as f64 + 0.5, 1.0)
    }
}

/// What stays the same over the samples of one triangle.
struct Face {
    id: u32,
    albedo: Albedo,
    normals: Option<[Vec3; 3]>,
    light: f32,
    corner: DVec3,
    edges: [DVec3; 2],
    /// Texels of the full texture that a length of one spans.
    texels: f32,
}

/// Colours the surfaces of a frame.
struct Shader<'a> {
    scene: &'a MeshScene<'a>,
    rays: Rays,
    srgb: Srgb,
    face: Face,
}

impl<'a> Shader<'a> {
    fn new(scene: &'a MeshScene<'a>, grid: SampleGrid<'_>) -> Self {
        let rays = Rays::new(grid);
        let face = Face {
            id: NO_ID,
            albedo: Albedo::Height,
            normals: None,
            light: 0.0,
            corner: DVec3::ZERO,
            edges: [DVec3::ZERO; 2],
            texels: 0.0,
        };
        Self { scene, rays, srgb: Srgb::new(), face }
    }

    /// Linear light of a sample that shows a triangle.
    #[inline(always)]
    fn light_sample(&mut self, sample: FrameSample) -> [f32; 3] {
        match self.scene.solid[sample.id as usize] {
            Some(color) => {
                let normal = Vec3::from_array(self.scene.face_normals[sample.id as usize]);
                let light = lambert(normal, self.rays.forward);
                color.map(|c| c * light)
            }
            None => self.light_varying(sample),
        }
    }

    fn turn_to(&mut self, id: u32) {
        let t = id as usize;
        let scene = self.scene;
        let face = &mut self.face;
        face.id = id;
        face.albedo = scene.albedo(t);
        face.normals = scene.corner_normals(t).map(|n| n.map(Vec3::from_array));
        face.light = lambert(Vec3::from_array(scene.face_normals[t]), self.rays.forward);
        let [a, b, c] = scene.corners(t).map(|p| Vec3::from_array(p).as_dvec3());
        (face.corner, face.edges) = (a, [b - a, c - a]);
        if let Albedo::Textured(pyramid, uvs) | Albedo::Tinted(pyramid, uvs, _) = face.albedo {
            let world = face.edges[0].cross(face.edges[1]).length() as f32;
            let [width, height] = scene.pyramids[pyramid as usize].size();
            let side = |i: usize| [(uvs[i][0] - uvs[0][0]) * width, (uvs[i][1] - uvs[0][1]) * height];
            let (s, t) = (side(1), side(2));
            face.texels = ((s[0] * t[1] - s[1] * t[0]).abs() / world).sqrt();
        }
    }

    /// As [`Shader::light_sample`], of a triangle over which colour or normal varies.
    #[inline(never)]
    fn light_varying(&mut self, sample: FrameSample) -> [f32; 3] {
        if sample.id != self.face.id {
            self.turn_to(sample.id);
        }
        let (face, direction) = (&self.face, self.rays.direction(sample));
        let weights = face.weights(self.rays.eye, direction);
        let light = match face.normals {
            Some(normals) => {
                let normal = normals[0] * weights[0] + normals[1] * weights[1] + normals[2] * weights[2];
                match normal.try_normalize() {
                    Some(normal) => lambert(normal, self.rays.forward),
                    None => face.light,
                }
            }
            None => face.light,
        };
        self.color(weights, sample.depth, direction).map(|c| c * light)
    }

    fn color(&self, weights: [f32; 3], depth: f32, direction: DVec3) -> [f32; 3] {
        match self.face.albedo {
            Albedo::Solid(color) => color,
            Albedo::Corners(colors) => {
                let linear = colors.map(|c| self.srgb.linear(c));
                std::array::from_fn(|i| (0..3).map(|c| linear[c][i] * weights[c]).sum())
            }
            Albedo::Textured(pyramid, uvs) => self.texture(pyramid, uvs, weights, depth),
            Albedo::Tinted(pyramid, uvs, tint) => {
                let color = self.texture(pyramid, uvs, weights, depth);
                std::array::from_fn(|i| color[i] * (0..3).map(|c| tint[c][i] * weights[c]).sum::<f32>())
            }
            Albedo::Height => {
                let [low, high] = self.scene.heights;
                let at = (self.rays.eye + direction * f64::from(depth))[self.scene.up] as f32;
                self.srgb.linear(viridis((at - low) / (high - low)))
            }
        }
    }
}

impl Shader<'_> {
    /// Linear colour of a texture at barycentric `weights` of a triangle with texture coordinates `uvs`.
    #[inline(always)]
    fn texture(&self, pyramid: u32, uvs: [[f32; 2]; 3], weights: [f32; 3], depth: f32) -> [f32; 3] {
        let uv = std::array::from_fn(|i| (0..3).map(|c| uvs[c][i] * weights[c]).sum());
        let texels = self.face.texels * depth / self.rays.focal;
        self.scene.pyramids[pyramid as usize].sample(uv, texels, self.srgb)
    }
}

impl Face {
    /// Barycentric weights where a ray meets the triangle (Moeller and Trumbore 1997), pulled inside it.
    fn weights(&self, eye: DVec3, direction: DVec3) -> [f32; 3] {
        let [e1, e2] = self.edges;
        let p = direction.cross(e2);
        let s = eye - self.corner;
        let per_determinant = 1.0 / e1.dot(p);
        let u = s.dot(p) * per_determinant;
        let v = direction.dot(s.cross(e1)) * per_determinant;
        // Not `clamp`: NaN (a triangle seen edge-on) becomes 0, the first corner.
        let share = |x: f64| if x > 0.0 { x.min(1.0) as f32 } else { 0.0 };
        let (u, v) = (share(u), share(v));
        let v = v.min(1.0 - u);
        [1.0 - u - v, u, v]
    }
}

/// Share of the light that a surface with `normal` reflects to a camera that looks along `forward`.
pub(crate) fn lambert(normal: Vec3, forward: Vec3) -> f32 {
    AMBIENT + (1.0 - AMBIENT) * normal.dot(forward).abs().min(1.0)
}

/// Colours `frame`, drawn on `grid`, into `rgba [H*W]`: sRGB, straight alpha.
pub(crate) fn shade(
    scene: &MeshScene<'_>,
    grid: SampleGrid<'_>,
    frame: &FrameBuffer,
    background: [u8; 4],
    rgba: &mut Vec<[u8; 4]>,
) {
    let mut shader = Shader::new(scene, grid);
    average_samples(frame, grid.scale, background, rgba, |sample| shader.light_sample(sample));
}

/// A sample of a frame that shows something.
#[derive(Clone, Copy)]
pub(crate) struct FrameSample {
    /// Triangle or point.
    pub(crate) id: u32,
    depth: f32,
    column: usize,
    row: usize,
}

/// Averages the linear `light` of the samples of every pixel.
///
/// # Shapes
/// `frame [H*scale, W*scale]`, `rgba [H*W]`.
pub(crate) fn average_samples(
    frame: &FrameBuffer,
    scale: u32,
    background: [u8; 4],
    rgba: &mut Vec<[u8; 4]>,
    mut light: impl FnMut(FrameSample) -> [f32; 3],
) {
    let (width, height) = (frame.width / scale as usize, frame.height / scale as usize);
    rgba.clear();
    rgba.resize(width * height, background);
    for (row, pixels) in rgba.chunks_exact_mut(width).enumerate() {
        match scale {
            1 => average_row::<1, _>(frame, row, pixels, &mut light),
            2 => average_row::<2, _>(frame, row, pixels, &mut light),
            3 => average_row::<3, _>(frame, row, pixels, &mut light),
            _ => average_row::<4, _>(frame, row, pixels, &mut light),
        }
    }
}

/// Ids looked at together in search of the ends of a row.
const BLOCK: usize = 32;

/// Where the first block with a hit begins.
fn first_hit<'a>(blocks: impl Iterator<Item = &'a [u32]>) -> Option<usize> {
    let is_empty = |ids: &[u32]| ids.iter().fold(NO_ID, |all, id| all & id) == NO_ID;
    blocks.enumerate().find(|(_, ids)| !is_empty(ids)).map(|(i, _)| i * BLOCK)
}

/// One row of pixels that hold the background; its empty ends are skipped.
fn average_row<const SCALE: usize, F: FnMut(FrameSample) -> [f32; 3]>(
    frame: &FrameBuffer,
    row: usize,
    pixels: &mut [[u8; 4]],
    light: &mut F,
) {
    let srgb = Srgb::new();
    let begin = row * SCALE * frame.width;
    let rows = || frame.id[begin..begin + SCALE * frame.width].chunks_exact(frame.width);
    let Some(first) = rows().filter_map(|ids| first_hit(ids.chunks(BLOCK))).min() else { return };
    // Counted from the right end: blocks are cut from there, too.
    let after = rows().filter_map(|ids| first_hit(ids.rchunks(BLOCK))).min().unwrap_or(0);
    let last = (frame.width - 1).saturating_sub(after);
    for column in first / SCALE..=last / SCALE {
        let (mut sum, mut hits) = ([0.0f32; 3], 0);
        for sample in 0..SCALE * SCALE {
            let (column, row) = (column * SCALE + sample % SCALE, row * SCALE + sample / SCALE);
            let i = row * frame.width + column;
            if frame.id[i] != NO_ID {
                let add = light(FrameSample { id: frame.id[i], depth: frame.depth[i], column, row });
                sum = std::array::from_fn(|c| sum[c] + add[c]);
                hits += 1;
            }
        }
        let pixel = &mut pixels[column];
        *pixel = resolve(sum, hits, (SCALE * SCALE) as u32, *pixel, srgb);
    }
}

/// A pixel of `hits` of `samples` surface samples, whose linear light sums to `light`, over the background.
#[inline(always)]
fn resolve(light: [f32; 3], hits: u32, samples: u32, background: [u8; 4], srgb: Srgb) -> [u8; 4] {
    if hits == 0 {
        return background;
    }
    let full = 1.0 / samples as f32;
    if hits == samples {
        let [r, g, b] = light.map(|c| srgb.encode(c * full));
        return [r, g, b, 255];
    }
    let cover = hits as f32 * full;
    let behind = (1.0 - cover) * f32::from(background[3]) / 255.0;
    let alpha = cover + behind;
    let back = srgb.linear([background[0], background[1], background[2]]);
    let mix = |c: usize| (light[c] * full + back[c] * behind) / alpha;
    [srgb.encode(mix(0)), srgb.encode(mix(1)), srgb.encode(mix(2)), (alpha * 255.0 + 0.5) as u8]
}
