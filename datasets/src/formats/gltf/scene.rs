//! Gathers the primitives of all placed meshes into one mesh.

use glam::{DMat3, DMat4, DVec3};
use gltf::json;
use gltf::json::mesh::{Mode, Primitive, Semantic};
use gltf::json::validation::Checked;
use jepa3d_schemas::{Mesh, NO_INDEX, Warning, WarningKind};

use super::buffers::Buffers;
use super::materials::srgb_from_linear;
use crate::error::ParseError;
use crate::formats::parsed::Parsed;

/// Most vertices and triangles that instancing may expand a file to.
const MAX_EXPANDED: usize = 1 << 24;

/// Where the vertices and triangles of the primitive being added start.
#[derive(Clone, Copy)]
struct PrimitiveStart {
    vertex: usize,
    triangle: usize,
}

/// The mesh as it grows.
pub(super) struct SceneMesh<'a> {
    buffers: &'a Buffers<'a>,
    mesh: Mesh,
    colored: bool,
    /// Primitives of points or lines.
    skipped: usize,
}

impl<'a> SceneMesh<'a> {
    /// No primitives yet.
    pub(super) fn new(buffers: &'a Buffers<'a>) -> Self {
        Self { buffers, mesh: Mesh::default(), colored: false, skipped: 0 }
    }

    /// Adds a primitive of triangles, placed by `world_from_mesh`; others are counted.
    ///
    /// # Errors
    /// Fails if an accessor is broken or of the wrong kind, an index names no vertex, a position is
    /// not finite, or there are more than 2^24 vertices or triangles.
    pub(super) fn push_primitive(
        &mut self,
        primitive: &Primitive,
        world_from_mesh: DMat4,
    ) -> Result<(), ParseError> {
        let mode = match primitive.mode {
            Checked::Valid(mode @ (Mode::Triangles | Mode::TriangleStrip | Mode::TriangleFan)) => mode,
            _ => {
                self.skipped += 1;
                return Ok(());
            }
        };
        let Some(accessor) = find_attribute(primitive, Semantic::Positions) else {
            return Err(ParseError::file("an attribute POSITION", "a primitive without one"));
        };
        let start = PrimitiveStart { vertex: self.mesh.positions.len(), triangle: self.mesh.triangles.len() };
        self.push_positions(accessor, world_from_mesh)?;
        let count = self.mesh.positions.len() - start.vertex;
        let flip = world_from_mesh.determinant() < 0.0;
        for [a, b, c] in self.local_triangles(primitive, mode, count)? {
            let corners = if flip { [a, c, b] } else { [a, b, c] };
            self.mesh.triangles.push(corners.map(|i| i + start.vertex as u32));
        }
        self.check_size()?;
        self.push_normals(primitive, start, world_from_mesh)?;
        self.push_uvs(primitive, start)?;
        self.push_colors(primitive, start.vertex)?;
        let material = primitive.material.map_or(NO_INDEX, |m| m.value() as u32);
        let is_known = (material as usize) < self.buffers.root.materials.len();
        let material = if is_known { material } else { NO_INDEX };
        self.mesh.triangle_materials.resize(self.mesh.triangles.len(), material);
        Ok(())
    }

    fn check_size(&self) -> Result<(), ParseError> {
        let largest = self.mesh.positions.len().max(self.mesh.triangles.len());
        if largest <= MAX_EXPANDED {
            return Ok(());
        }
        Err(ParseError::file(format!("at most {MAX_EXPANDED} vertices and triangles"), largest.to_string()))
    }

    fn push_positions(&mut self, accessor: usize, world_from_mesh: DMat4) -> Result<(), ParseError> {
        let rows = self.buffers.accessor(accessor)?.rows::<3>();
        let rows = rows
            .ok_or_else(|| ParseError::file("positions of three numbers", format!("accessor {accessor}")))?;
        for row in rows {
            let position = world_from_mesh.transform_point3(DVec3::from_array(row));
            if !position.is_finite() {
                return Err(ParseError::file("finite positions", format!("{row:?} in accessor {accessor}")));
            }
            self.mesh.positions.push(position.to_array());
        }
        self.check_size()
    }

    /// Triangles in the vertex numbers of the primitive.
    fn local_triangles(
        &self,
        primitive: &Primitive,
        mode: Mode,
        count: usize,
    ) -> Result<Vec<[u32; 3]>, ParseError> {
        let indices: Vec<u32> = match primitive.indices {
            None => (0..count as u32).collect(),
            Some(accessor) => {
                let values = self.buffers.accessor(accessor.value())?.values;
                if let Some(bad) =
                    values.iter().find(|&&v| !(v >= 0.0 && v < count as f64 && v.fract() == 0.0))
                {
                    let found = format!("{bad} in accessor {}", accessor.value());
                    return Err(ParseError::file(format!("vertex indices below {count}"), found));
                }
                values.into_iter().map(|v| v as u32).collect()
            }
        };
        Ok(match mode {
            Mode::TriangleStrip => {
                let turned = |(i, w): (usize, &[u32])| {
                    if i % 2 == 0 { [w[0], w[1], w[2]] } else { [w[1], w[0], w[2]] }
                };
                indices.windows(3).enumerate().map(turned).collect()
            }
            Mode::TriangleFan => indices.windows(2).skip(1).map(|w| [indices[0], w[0], w[1]]).collect(),
            _ => indices.as_chunks::<3>().0.to_vec(),
        })
    }

    /// Adds normals, turned by the cofactors of the transform: the direction of the inverse transpose, without dividing.
    fn push_normals(
        &mut self,
        primitive: &Primitive,
        start: PrimitiveStart,
        world_from_mesh: DMat4,
    ) -> Result<(), ParseError> {
        let Some(accessor) = find_attribute(primitive, Semantic::Normals) else { return Ok(()) };
        let m = DMat3::from_mat4(world_from_mesh);
        let sign = if m.determinant() < 0.0 { -1.0 } else { 1.0 };
        let cofactors = DMat3::from_cols(
            m.y_axis.cross(m.z_axis) * sign,
            m.z_axis.cross(m.x_axis) * sign,
            m.x_axis.cross(m.y_axis) * sign,
        );
        let rows = self.vertex_rows::<3>(accessor, start.vertex)?;
        let shift = self.mesh.normals.len() as u32;
        let normals = rows.into_iter().map(|n| (cofactors * DVec3::from_array(n)).normalize_or_zero());
        self.mesh.normals.extend(normals.map(|n| n.to_array().map(|x| x as f32)));
        push_corners(&mut self.mesh.normal_corners, &self.mesh.triangles, start, shift);
        Ok(())
    }

    fn push_uvs(&mut self, primitive: &Primitive, start: PrimitiveStart) -> Result<(), ParseError> {
        let texture = primitive.material.and_then(|m| self.buffers.root.materials.get(m.value()));
        let texture = texture.and_then(|m| m.pbr_metallic_roughness.base_color_texture.as_ref());
        let set = texture.map_or(0, |t| t.tex_coord);
        let Some(accessor) = find_attribute(primitive, Semantic::TexCoords(set)) else { return Ok(()) };
        let rows = self.vertex_rows::<2>(accessor, start.vertex)?;
        let shift = self.mesh.uvs.len() as u32;
        // glTF counts v from the top, the mesh from the bottom.
        self.mesh.uvs.extend(rows.into_iter().map(|uv| [uv[0] as f32, (1.0 - uv[1]) as f32]));
        push_corners(&mut self.mesh.uv_corners, &self.mesh.triangles, start, shift);
        Ok(())
    }

    /// Vertex colours; primitives without them count as white, which is what the format says.
    fn push_colors(&mut self, primitive: &Primitive, first: usize) -> Result<(), ParseError> {
        self.mesh.vertex_colors.resize(first, [255; 3]);
        if let Some(accessor) = find_attribute(primitive, Semantic::Colors(0)) {
            self.colored = true;
            let rows = self.vertex_rows::<3>(accessor, first)?;
            self.mesh
                .vertex_colors
                .extend(rows.into_iter().map(|c| c.map(|v| (srgb_from_linear(v) * 255.0).round() as u8)));
        }
        self.mesh.vertex_colors.resize(self.mesh.positions.len(), [255; 3]);
        Ok(())
    }

    /// Rows of an attribute, one for each vertex from `first` on.
    fn vertex_rows<const N: usize>(
        &self,
        accessor: usize,
        first: usize,
    ) -> Result<Vec<[f64; N]>, ParseError> {
        let count = self.mesh.positions.len() - first;
        let rows = self.buffers.accessor(accessor)?.rows::<N>();
        let wrong =
            || ParseError::file(format!("{count} rows of {N} numbers"), format!("accessor {accessor}"));
        rows.filter(|rows| rows.len() == count).ok_or_else(wrong)
    }

    /// The mesh, and a warning if primitives were skipped; the materials are only numbers yet.
    pub(super) fn finish(self) -> Parsed<Mesh> {
        let mut mesh = self.mesh;
        let triangles = mesh.triangles.len();
        for table in [&mut mesh.normal_corners, &mut mesh.uv_corners] {
            if !table.is_empty() {
                table.resize(triangles, [NO_INDEX; 3]);
            }
        }
        if !self.colored {
            mesh.vertex_colors.clear();
        }
        let skipped = self.skipped;
        let warning = (skipped > 0).then(|| {
            let text = format!("{skipped} primitives of points or lines were skipped");
            Warning::new(WarningKind::PrimitivesSkipped, text)
        });
        Parsed { geometry: mesh, warnings: warning.into_iter().collect() }
    }
}

/// The accessor of an attribute.
fn find_attribute(primitive: &Primitive, semantic: Semantic) -> Option<usize> {
    primitive.attributes.get(&Checked::Valid(semantic)).map(json::Index::value)
}

/// Fills a corner table for the triangles of the primitive that starts at `start`: its first vertex
/// uses entry `shift`, the next one the next.
fn push_corners(table: &mut Vec<[u32; 3]>, triangles: &[[u32; 3]], start: PrimitiveStart, shift: u32) {
    let first = start.vertex as u32;
    table.resize(start.triangle, [NO_INDEX; 3]);
    table.extend(triangles[start.triangle..].iter().map(|t| t.map(|i| i - first + shift)));
}
