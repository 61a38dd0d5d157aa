//! A mesh moved to the frame of the stored cloud, and what gives its triangles their colours.

use std::sync::Arc;

use jepa3d_schemas::{ColorRule, Mesh, NO_INDEX, Texture, label_color, linear_from_srgb};

use crate::config::{ColorBy, ViewsConfig};
use crate::palette::Srgb;
use crate::subject::Subject;
use crate::texture::Pyramid;
use crate::triangle_mesh::TriangleMesh;

/// Albedo of surfaces that say nothing about their colour, sRGB; the usual light grey.
pub(crate) const GREY: [u8; 3] = [204; 3];

/// What share of each colour's light a triangle reflects, and how that varies over it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Albedo {
    /// One linear colour.
    Solid([f32; 3]),
    /// Colours of the corners, sRGB.
    Corners([[u8; 3]; 3]),
    /// Texture (an index into [`MeshScene::pyramids`]) and corners in it.
    Textured(u32, [[f32; 2]; 3]),
    /// The same, and the linear colours of the corners that it is multiplied by.
    Tinted(u32, [[f32; 2]; 3], [[f32; 3]; 3]),
    /// By height along the up axis.
    Height,
}

/// A mesh ready to be drawn.
pub(crate) struct MeshScene<'a> {
    mesh: &'a Mesh,
    /// `[P,3]` in the frame of the stored cloud.
    pub(crate) positions: Vec<[f32; 3]>,
    /// `[T,3]` unit normals by winding; zero for triangles without area.
    pub(crate) face_normals: Vec<[f32; 3]>,
    /// `[T]` linear colours of triangles over which neither colour nor normal varies.
    pub(crate) solid: Vec<Option<[f32; 3]>>,
    pub(crate) pyramids: Vec<Pyramid<'a>>,
    /// For each material its entry in `pyramids`.
    material_pyramids: Vec<Option<u32>>,
    color: ColorBy,
    is_smooth: bool,
    srgb: Srgb,
    /// Axis that points up, 0 to 2.
    pub(crate) up: usize,
    /// Lowest and highest vertex along it.
    pub(crate) heights: [f32; 2],
}

impl<'a> MeshScene<'a> {
    /// Moves `mesh` to the frame of the subject's sample: `p = (raw - center) / scale` in f64, then f32.
    pub(crate) fn new(mesh: &'a Mesh, subject: &Subject<'_>, config: &ViewsConfig) -> Self {
        let (center, scale) = (subject.sample.norm_center, subject.sample.norm_scale);
        let moved =
            |p: &[f64; 3]| -> [f32; 3] { std::array::from_fn(|a| ((p[a] - center[a]) / scale) as f32) };
        let positions: Vec<[f32; 3]> = mesh.positions.iter().map(moved).collect();
        let face_normals = mesh.triangles.iter().map(|t| face_normal(t.map(|v| mesh.positions[v as usize])));
        let up = subject.up as usize;
        let along = || mesh.triangles.iter().flatten().map(|&v| positions[v as usize][up]);
        let heights = along().fold([f32::INFINITY, f32::NEG_INFINITY], |[l, h], x| [l.min(x), h.max(x)]);
        let mut scene = Self {
            mesh,
            face_normals: face_normals.collect(),
            solid: Vec::new(),
            pyramids: Vec::new(),
            material_pyramids: Vec::new(),
            color: config.color,
            is_smooth: config.smooth && !mesh.normal_corners.is_empty(),
            srgb: Srgb::new(),
            up,
            heights,
            positions,
        };
        if config.color == ColorBy::Auto && !mesh.uv_corners.is_empty() {
            scene.build_pyramids();
        }
        scene.solid = (0..mesh.triangles.len()).map(|t| scene.solid_color(t)).collect();
        scene
    }

    /// One pyramid a texture, also where several materials share it.
    fn build_pyramids(&mut self) {
        let mut seen: Vec<(*const Texture, Option<u32>)> = Vec::new();
        for material in &self.mesh.materials {
            let texture = material.texture.as_ref();
            let at = texture.and_then(|t| {
                let known = seen.iter().find(|(p, _)| *p == Arc::as_ptr(t));
                if let Some((_, at)) = known {
                    return *at;
                }
                let at = Pyramid::new(t, self.srgb).map(|pyramid| {
                    self.pyramids.push(pyramid);
                    self.pyramids.len() as u32 - 1
                });
                seen.push((Arc::as_ptr(t), at));
                at
            });
            self.material_pyramids.push(at);
        }
    }

    /// Positions and triangles.
    pub(crate) fn triangles(&self) -> TriangleMesh<'_> {
        TriangleMesh { positions: &self.positions, triangles: &self.mesh.triangles }
    }

    /// Corners of a triangle.
    pub(crate) fn corners(&self, t: usize) -> [[f32; 3]; 3] {
        self.mesh.triangles[t].map(|v| self.positions[v as usize])
    }

    /// Normals at the corners, where the file gives all three and smooth shading is on.
    pub(crate) fn corner_normals(&self, t: usize) -> Option<[[f32; 3]; 3]> {
        if !self.is_smooth {
            return None;
        }
        let indices = self.mesh.normal_corners.get(t).filter(|c| !c.contains(&NO_INDEX))?;
        Some(indices.map(|i| self.mesh.normals[i as usize]))
    }

    fn solid_color(&self, t: usize) -> Option<[f32; 3]> {
        match self.albedo(t) {
            Albedo::Solid(color) if self.corner_normals(t).is_none() => Some(color),
            _ => None,
        }
    }

    /// What colours a triangle. `Auto` follows the rule of the mesh as the surface sampler does, so that points
    /// and pixels agree.
    pub(crate) fn albedo(&self, t: usize) -> Albedo {
        let mesh = self.mesh;
        let solid = |color: [u8; 3]| Albedo::Solid(self.srgb.linear(color));
        match self.color {
            ColorBy::Height => Albedo::Height,
            ColorBy::Label => solid(mesh.triangle_parts.get(t).map_or(GREY, |&l| label_color(l))),
            ColorBy::Auto => self.file_albedo(t),
            ColorBy::Plain | ColorBy::Intensity => solid(GREY),
        }
    }

    /// What the mesh's file says of a triangle.
    fn file_albedo(&self, t: usize) -> Albedo {
        let mesh = self.mesh;
        let is_product = mesh.color_rule == ColorRule::Product;
        let material = mesh.triangle_materials.get(t).map(|&m| m as usize);
        let diffuse = material.and_then(|m| mesh.materials.get(m)).map(|m| m.diffuse);
        let vertices = (!mesh.vertex_colors.is_empty())
            .then(|| mesh.triangles[t].map(|v| mesh.vertex_colors[v as usize]));
        let pyramid = material.and_then(|m| *self.material_pyramids.get(m)?);
        let uvs = mesh.uv_corners.get(t).filter(|c| !c.contains(&NO_INDEX));
        if let (Some(pyramid), Some(uvs)) = (pyramid, uvs) {
            let uvs = uvs.map(|i| mesh.uvs[i as usize]);
            let tint = self.tint(vertices.filter(|_| is_product), diffuse);
            return tint.map_or(Albedo::Textured(pyramid, uvs), |tint| Albedo::Tinted(pyramid, uvs, tint));
        }
        if let Some(corners) = vertices {
            let tint = if is_product { self.tint(vertices, diffuse) } else { None };
            return Albedo::Corners(tint.map_or(corners, |t| t.map(|c| c.map(|x| self.srgb.encode(x)))));
        }
        // Where others have a material, one without is white in a product.
        let unknown = if is_product && material.is_some() { [255; 3] } else { GREY };
        let bytes = diffuse.map_or(unknown, |d| d.map(|x| (x.clamp(0.0, 1.0) * 255.0).round() as u8));
        Albedo::Solid(self.srgb.linear(bytes))
    }

    /// The product of vertex colours and a diffuse colour at the corners, linear; `None` for white.
    fn tint(&self, vertices: Option<[[u8; 3]; 3]>, diffuse: Option<[f32; 3]>) -> Option<[[f32; 3]; 3]> {
        let diffuse = diffuse.filter(|d| *d != [1.0; 3]);
        if vertices.is_none() && diffuse.is_none() {
            return None;
        }
        let diffuse =
            diffuse.unwrap_or([1.0; 3]).map(|x| linear_from_srgb(f64::from(x.clamp(0.0, 1.0))) as f32);
        let corners = vertices.map_or([[1.0; 3]; 3], |corners| corners.map(|c| self.srgb.linear(c)));
        Some(corners.map(|c| std::array::from_fn(|i| c[i] * diffuse[i])))
    }
}

/// Unit normal by winding, from raw f64 corners.
fn face_normal(corners: [[f64; 3]; 3]) -> [f32; 3] {
    let [a, b, c] = corners.map(glam::DVec3::from_array);
    (b - a).cross(c - a).normalize_or_zero().as_vec3().to_array()
}
