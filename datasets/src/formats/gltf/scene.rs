//! Gathers the primitives of all placed meshes into one mesh.

use glam::{DMat3, DMat4, DVec3};
use jepa3d_schemas::{ColorRule, Mesh, NO_INDEX, Warning, WarningKind};

use super::buffers::Buffers;
use super::document::Primitive;
use super::materials::BaseColor;
use super::nodes::{PlacedMesh, PlacedNodes};
use super::primitive::{LocalPrimitive, read_primitive};
use super::skin::{Skins, skin_vertices};
use crate::error::ParseError;
use crate::formats::parsed::Parsed;

/// Most vertices and triangles that instancing may expand a file to.
const MAX_EXPANDED: usize = 1 << 24;

/// What puts the vertices of a primitive into the world.
enum VertexTransform<'a> {
    /// One transform for all.
    Whole(DMat4),
    /// One for each vertex.
    Vertices(&'a [DMat4]),
}

impl VertexTransform<'_> {
    fn of_vertex(&self, vertex: usize) -> DMat4 {
        match self {
            Self::Whole(world) => *world,
            Self::Vertices(worlds) => worlds[vertex],
        }
    }
}

/// What was passed over or mended, by count.
#[derive(Default)]
struct SceneCounts {
    /// Primitives of points or lines.
    skipped: usize,
    /// Triangles of textured materials without (finite) texture coordinates.
    unplaced: usize,
    /// Vertices whose weights of joints did not add up to one.
    mended: usize,
    /// Primitives of a skin that name no joints.
    unskinned: usize,
    /// Primitives of a material that is not there.
    immaterial: usize,
}

impl SceneCounts {
    /// A warning for each kind that occurred.
    fn warn(&self) -> Vec<Warning> {
        let counts = [
            (self.skipped, WarningKind::PrimitivesSkipped, "primitives of points or lines were skipped"),
            (
                self.unplaced,
                WarningKind::TextureUnplaced,
                "triangles of materials with a texture have no texture coordinates; they have the colour of their material",
            ),
            (
                self.mended,
                WarningKind::SkinWeightsMended,
                "vertices had weights of joints that do not add up to one; scaled",
            ),
            (
                self.unskinned,
                WarningKind::SkinWeightsMended,
                "primitives of a skin name no joints; they lie where their node is",
            ),
            (
                self.immaterial,
                WarningKind::MaterialMissing,
                "primitives name a material that is not there; they are white",
            ),
        ];
        let occurred = counts.into_iter().filter(|(count, ..)| *count > 0);
        occurred.map(|(count, kind, text)| Warning::new(kind, format!("{count} {text}"))).collect()
    }
}

/// The mesh as it grows.
pub(super) struct SceneMesh<'a> {
    buffers: &'a Buffers<'a>,
    mesh: Mesh,
    colored: bool,
    counts: SceneCounts,
}

impl<'a> SceneMesh<'a> {
    /// No primitives yet.
    pub(super) fn new(buffers: &'a Buffers<'a>) -> Self {
        let mesh = Mesh { color_rule: ColorRule::Product, ..Mesh::default() };
        Self { buffers, mesh, colored: false, counts: SceneCounts::default() }
    }

    /// Adds the primitives of every placed mesh.
    ///
    /// # Errors
    /// Fails if an accessor is broken or of the wrong kind, an index names no vertex, a position is
    /// not finite, or there are more than 2^24 vertices or triangles.
    pub(super) fn push_all(&mut self, placed: &PlacedNodes<'_>) -> Result<(), ParseError> {
        let mut skins = Skins::default();
        for mesh in &placed.meshes {
            for primitive in &mesh.mesh.primitives {
                self.push_primitive(primitive, mesh, placed, &mut skins)?;
            }
        }
        Ok(())
    }

    /// Adds a primitive of triangles, once for each place of its mesh; others are counted.
    fn push_primitive(
        &mut self,
        primitive: &Primitive,
        placed: &PlacedMesh<'_>,
        nodes: &PlacedNodes<'_>,
        skins: &mut Skins,
    ) -> Result<(), ParseError> {
        let materials = &self.buffers.document.materials;
        let material = primitive.material.filter(|&material| material < materials.len());
        self.counts.immaterial += usize::from(material.is_none() && primitive.material.is_some());
        let base = material.map(|material| BaseColor::new(&materials[material]));
        let weights = placed.node.weights.as_ref().or(placed.mesh.weights.as_ref());
        let weights = weights.map_or(&[][..], |weights| weights);
        let Some(local) = read_primitive(self.buffers, primitive, base.as_ref(), weights)? else {
            self.counts.skipped += 1;
            return Ok(());
        };
        let material = PrimitiveMaterial { number: material.map_or(NO_INDEX, |m| m as u32), base };
        if let Some(skin) = placed.node.skin {
            let joints = skins.joints(self.buffers, &nodes.world_from_node, skin)?;
            if let Some(skinned) = skin_vertices(self.buffers, primitive, &joints, local.positions.len())? {
                self.counts.mended += skinned.mended;
                return self.push_placed(
                    &local,
                    &VertexTransform::Vertices(&skinned.world_from_vertex),
                    &material,
                );
            }
            self.counts.unskinned += 1;
        }
        for &world in &placed.world_from_mesh {
            self.push_placed(&local, &VertexTransform::Whole(world), &material)?;
        }
        Ok(())
    }

    /// Adds a primitive at one place.
    fn push_placed(
        &mut self,
        local: &LocalPrimitive,
        placement: &VertexTransform<'_>,
        material: &PrimitiveMaterial<'_>,
    ) -> Result<(), ParseError> {
        let start = PrimitiveStart { vertex: self.mesh.positions.len(), triangle: self.mesh.triangles.len() };
        self.check_size(local)?;
        self.buffers.budget.charge(local.placed_bytes(), "the vertices and triangles of a mesh")?;
        for (i, &position) in local.positions.iter().enumerate() {
            let placed = placement.of_vertex(i).transform_point3(position);
            if !placed.is_finite() {
                return Err(ParseError::file("finite positions", format!("{position:?} in vertex {i}")));
            }
            self.mesh.positions.push(placed.to_array());
        }
        let is_mirrored = match placement {
            VertexTransform::Whole(world) => Some(world.determinant() < 0.0),
            VertexTransform::Vertices(_) => None,
        };
        for &[a, b, c] in &local.triangles {
            let flip = is_mirrored.unwrap_or_else(|| placement.of_vertex(a as usize).determinant() < 0.0);
            let corners = if flip { [a, c, b] } else { [a, b, c] };
            self.mesh.triangles.push(corners.map(|i| i + start.vertex as u32));
        }
        self.push_normals(local, placement, start);
        self.push_uvs(local, material, start);
        self.push_colors(local, start);
        self.mesh.triangle_materials.resize(self.mesh.triangles.len(), material.number);
        Ok(())
    }

    /// Refuses what would expand the file too far.
    fn check_size(&self, local: &LocalPrimitive) -> Result<(), ParseError> {
        let vertices = self.mesh.positions.len() + local.positions.len();
        let largest = vertices.max(self.mesh.triangles.len() + local.triangles.len());
        if largest <= MAX_EXPANDED {
            return Ok(());
        }
        Err(ParseError::file(format!("at most {MAX_EXPANDED} vertices and triangles"), largest.to_string()))
    }

    /// Adds normals, turned by the cofactors of the transform: the direction of the inverse transpose, without dividing.
    fn push_normals(
        &mut self,
        local: &LocalPrimitive,
        placement: &VertexTransform<'_>,
        start: PrimitiveStart,
    ) {
        let Some(normals) = &local.normals else { return };
        let shift = self.mesh.normals.len() as u32;
        let whole = match placement {
            VertexTransform::Whole(world) => Some(cofactors(*world)),
            VertexTransform::Vertices(_) => None,
        };
        self.mesh.normals.extend(normals.iter().enumerate().map(|(i, &normal)| {
            let turn = whole.unwrap_or_else(|| cofactors(placement.of_vertex(i)));
            (turn * normal).normalize_or_zero().to_array().map(|x| x as f32)
        }));
        push_corners(&mut self.mesh.normal_corners, &self.mesh.triangles, start, shift);
    }

    fn push_uvs(&mut self, local: &LocalPrimitive, material: &PrimitiveMaterial<'_>, start: PrimitiveStart) {
        let is_textured = material.base.as_ref().is_some_and(BaseColor::is_textured);
        let Some(uvs) = &local.uvs else {
            self.counts.unplaced += if is_textured { local.triangles.len() } else { 0 };
            return;
        };
        let shift = self.mesh.uvs.len() as u32;
        self.mesh.uvs.extend_from_slice(uvs);
        push_corners(&mut self.mesh.uv_corners, &self.mesh.triangles, start, shift);
        if uvs.as_flattened().iter().all(|x| x.is_finite()) {
            return;
        }
        for corners in &mut self.mesh.uv_corners[start.triangle..] {
            if corners.iter().any(|&i| self.mesh.uvs[i as usize].iter().any(|x| !x.is_finite())) {
                *corners = [NO_INDEX; 3];
                self.counts.unplaced += usize::from(is_textured);
            }
        }
    }

    /// Vertex colours; primitives without them count as white, which is what the format says.
    fn push_colors(&mut self, local: &LocalPrimitive, start: PrimitiveStart) {
        if let Some(colors) = &local.colors {
            self.colored = true;
            self.mesh.vertex_colors.resize(start.vertex, [255; 3]);
            self.mesh.vertex_colors.extend_from_slice(colors);
        }
    }

    /// The mesh, and warnings about what was passed over; the materials are only numbers yet.
    pub(super) fn finish(self) -> Parsed<Mesh> {
        let mut mesh = self.mesh;
        let triangles = mesh.triangles.len();
        for table in [&mut mesh.normal_corners, &mut mesh.uv_corners] {
            if !table.is_empty() {
                table.resize(triangles, [NO_INDEX; 3]);
            }
        }
        if self.colored {
            mesh.vertex_colors.resize(mesh.positions.len(), [255; 3]);
        }
        Parsed { geometry: mesh, warnings: self.counts.warn() }
    }
}

/// The material of a primitive.
struct PrimitiveMaterial<'a> {
    /// [`NO_INDEX`] for none.
    number: u32,
    base: Option<BaseColor<'a>>,
}

/// Where the vertices and triangles of the primitive being added start.
#[derive(Clone, Copy)]
struct PrimitiveStart {
    vertex: usize,
    triangle: usize,
}

/// The cofactors of a transform's linear part, of which mirroring is taken out.
fn cofactors(world: DMat4) -> DMat3 {
    let m = DMat3::from_mat4(world);
    let sign = if m.determinant() < 0.0 { -1.0 } else { 1.0 };
    let column = |a: DVec3, b: DVec3| a.cross(b) * sign;
    DMat3::from_cols(column(m.y_axis, m.z_axis), column(m.z_axis, m.x_axis), column(m.x_axis, m.y_axis))
}

/// Fills a corner table for the triangles of the primitive that starts at `start`: its first vertex
/// uses entry `shift`, the next one the next.
fn push_corners(table: &mut Vec<[u32; 3]>, triangles: &[[u32; 3]], start: PrimitiveStart, shift: u32) {
    let first = start.vertex as u32;
    table.resize(start.triangle, [NO_INDEX; 3]);
    table.extend(triangles[start.triangle..].iter().map(|t| t.map(|i| i - first + shift)));
}
