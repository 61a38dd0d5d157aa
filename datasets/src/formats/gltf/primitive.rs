//! One primitive of a glTF mesh in its own frame: positions, triangles and attributes, morph targets added.

use glam::DVec3;
use jepa3d_schemas::srgb_from_linear;

use super::buffers::Buffers;
use super::document::Primitive;
use super::extensions::check_compression;
use super::materials::BaseColor;
use crate::error::ParseError;

/// A primitive of triangles.
///
/// # Shapes
/// `positions [P]`; `normals`, `uvs`, `colors` `[P]` where there are any; `triangles [T,3]`.
pub(super) struct LocalPrimitive {
    pub(super) positions: Vec<DVec3>,
    pub(super) normals: Option<Vec<DVec3>>,
    /// Places in the base colour texture, v from the bottom.
    pub(super) uvs: Option<Vec<[f32; 2]>>,
    /// sRGB.
    pub(super) colors: Option<Vec<[u8; 3]>>,
    pub(super) triangles: Vec<[u32; 3]>,
}

impl LocalPrimitive {
    /// Bytes that it takes in a mesh, once for each place.
    pub(super) fn placed_bytes(&self) -> u64 {
        // Positions of doubles, normals, texture coordinates and a colour; three tables of corners and a material.
        (self.positions.len() * (24 + 12 + 8 + 3) + self.triangles.len() * (3 * 12 + 4)) as u64
    }
}

/// How the indices of a primitive make triangles.
#[derive(Clone, Copy)]
enum TriangleOrder {
    Separate,
    Strip,
    Fan,
}

/// Reads a primitive; `None` for points and lines.
///
/// `base` is what its material says, `weights` those of its morph targets.
///
/// # Errors
/// Fails if an accessor is broken or of the wrong kind, or an index names no vertex.
pub(super) fn read_primitive(
    buffers: &Buffers<'_>,
    primitive: &Primitive,
    base: Option<&BaseColor<'_>>,
    weights: &[f32],
) -> Result<Option<LocalPrimitive>, ParseError> {
    let order = match primitive.mode.unwrap_or(4) {
        4 => TriangleOrder::Separate,
        5 => TriangleOrder::Strip,
        6 => TriangleOrder::Fan,
        _ => return Ok(None),
    };
    let attribute = |name: &str| primitive.attributes.get(name).copied();
    let Some(accessor) = attribute("POSITION") else {
        return Err(ParseError::file("an attribute POSITION", "a primitive without one"));
    };
    check_compression(buffers.document, primitive, accessor)?;
    let positions = buffers.accessor(accessor)?.rows::<3>();
    let positions = positions
        .ok_or_else(|| ParseError::file("positions of three numbers", format!("accessor {accessor}")))?;
    let reader = VertexReader { buffers, count: positions.len() };
    let vectors = |rows: Vec<[f64; 3]>| rows.into_iter().map(DVec3::from_array).collect::<Vec<_>>();
    let mut local = LocalPrimitive {
        positions: vectors(positions),
        normals: attribute("NORMAL").map(|a| reader.rows(a).map(vectors)).transpose()?,
        uvs: None,
        colors: attribute("COLOR_0").map(|accessor| reader.colors(accessor)).transpose()?,
        triangles: reader.triangles(primitive.indices, order)?,
    };
    // Without a texture the first set is handed on: it does no harm, and says how a texture would lie.
    let set = base.map_or(0, |base| base.uv_set);
    if let Some(accessor) = attribute(&format!("TEXCOORD_{set}")) {
        let rows = reader.rows::<2>(accessor)?;
        let place = |uv: [f64; 2]| base.map_or(uv, |base| base.place(uv));
        // glTF counts v from the top, the mesh from the bottom.
        local.uvs =
            Some(rows.into_iter().map(place).map(|uv| [uv[0] as f32, (1.0 - uv[1]) as f32]).collect());
    }
    reader.add_targets(primitive, weights, &mut local)?;
    Ok(Some(local))
}

/// Reads attributes with one row for each vertex.
struct VertexReader<'a, 'b> {
    buffers: &'a Buffers<'b>,
    count: usize,
}

impl VertexReader<'_, '_> {
    /// Rows of an attribute, one for each vertex.
    fn rows<const N: usize>(&self, accessor: usize) -> Result<Vec<[f64; N]>, ParseError> {
        self.check_rows(self.buffers.accessor(accessor)?.rows::<N>(), accessor)
    }

    fn check_rows<const N: usize>(
        &self,
        rows: Option<Vec<[f64; N]>>,
        accessor: usize,
    ) -> Result<Vec<[f64; N]>, ParseError> {
        let count = self.count;
        let wrong =
            || ParseError::file(format!("{count} rows of {N} numbers"), format!("accessor {accessor}"));
        rows.filter(|rows| rows.len() == count).ok_or_else(wrong)
    }

    /// Vertex colours, linear in the file, as sRGB.
    fn colors(&self, accessor: usize) -> Result<Vec<[u8; 3]>, ParseError> {
        let rows = self.check_rows::<3>(self.buffers.shares(accessor)?.rows(), accessor)?;
        let byte = |v: f64| (srgb_from_linear(v.clamp(0.0, 1.0)) * 255.0).round() as u8;
        Ok(rows.into_iter().map(|color| color.map(byte)).collect())
    }

    /// Triangles in the vertex numbers of the primitive.
    fn triangles(&self, indices: Option<usize>, order: TriangleOrder) -> Result<Vec<[u32; 3]>, ParseError> {
        let count = self.count;
        let indices: Vec<u32> = match indices {
            None => (0..count as u32).collect(),
            Some(accessor) => {
                let values = self.buffers.accessor(accessor)?.values;
                let is_wrong = |&&v: &&f64| !(v >= 0.0 && v < count as f64 && v.fract() == 0.0);
                if let Some(bad) = values.iter().find(is_wrong) {
                    let found = format!("{bad} in accessor {accessor}");
                    return Err(ParseError::file(format!("vertex indices below {count}"), found));
                }
                values.into_iter().map(|v| v as u32).collect()
            }
        };
        Ok(match order {
            TriangleOrder::Strip => {
                let turned = |(i, w): (usize, &[u32])| {
                    if i % 2 == 0 { [w[0], w[1], w[2]] } else { [w[1], w[0], w[2]] }
                };
                indices.windows(3).enumerate().map(turned).collect()
            }
            TriangleOrder::Fan => indices.windows(2).skip(1).map(|w| [indices[0], w[0], w[1]]).collect(),
            TriangleOrder::Separate => indices.as_chunks::<3>().0.to_vec(),
        })
    }

    /// Adds the morph targets that have a weight to positions, normals, places in the texture and colours.
    fn add_targets(
        &self,
        primitive: &Primitive,
        weights: &[f32],
        local: &mut LocalPrimitive,
    ) -> Result<(), ParseError> {
        for (target, &weight) in primitive.targets.iter().zip(weights).filter(|(_, weight)| **weight != 0.0) {
            let weight = f64::from(weight);
            self.buffers.budget.charge_values(self.count as u64, 3 * 8, "a morph target")?;
            if let Some(&accessor) = target.get("POSITION") {
                self.add_rows(accessor, weight, &mut local.positions)?;
            }
            if let (Some(&accessor), Some(normals)) = (target.get("NORMAL"), &mut local.normals) {
                self.add_rows(accessor, weight, normals)?;
            }
            if let Some(other) = target.keys().find(|name| !is_of_shape(name)) {
                let expected = "morph targets of positions, normals and tangents";
                return Err(ParseError::file(expected, format!("one of {other:?} with weight {weight}")));
            }
        }
        Ok(())
    }

    fn add_rows(&self, accessor: usize, weight: f64, sums: &mut [DVec3]) -> Result<(), ParseError> {
        for (sum, row) in sums.iter_mut().zip(self.rows::<3>(accessor)?) {
            *sum += weight * DVec3::from_array(row);
        }
        Ok(())
    }
}

/// Whether a morph target's attribute moves the surface, or means nothing to it.
fn is_of_shape(name: &str) -> bool {
    matches!(name, "POSITION" | "NORMAL" | "TANGENT") || name.starts_with('_')
}
