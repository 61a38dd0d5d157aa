//! Meshes and point clouds as the readers hand them on: raw units, f64 positions.
//!
//! Positions stay f64 until normalisation because real files sit far from the origin: at a
//! distance of 4.5e8 one f32 step is 32 units, larger than the details of the shape.

use std::sync::Arc;

/// Marks "no attribute here" in the corner index tables of a [`Mesh`].
pub const NO_INDEX: u32 = u32::MAX;

/// A triangle mesh with optional normals, texture coordinates, colours, materials and parts.
///
/// Attributes that OBJ indexes separately keep their own index table, one entry a triangle
/// corner; an entry of [`NO_INDEX`] means that this corner has none. An empty table means
/// that no corner has any.
///
/// # Shapes
/// `positions [P,3]`, `triangles [T,3]`, `normal_corners`, `uv_corners` `[T,3]` or empty,
/// `vertex_colors [P,3]` or empty, `triangle_materials`, `triangle_parts` `[T]` or empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mesh {
    /// Vertex positions in the units of the source.
    pub positions: Vec<[f64; 3]>,
    /// Vertex indices of each triangle.
    pub triangles: Vec<[u32; 3]>,
    /// Normals as stored in the file (not necessarily of unit length).
    pub normals: Vec<[f32; 3]>,
    /// Index into `normals` for each triangle corner.
    pub normal_corners: Vec<[u32; 3]>,
    /// Texture coordinates, origin at the lower left as in OBJ; may lie outside `[0,1]`.
    pub uvs: Vec<[f32; 2]>,
    /// Index into `uvs` for each triangle corner.
    pub uv_corners: Vec<[u32; 3]>,
    /// sRGB colour of each vertex.
    pub vertex_colors: Vec<[u8; 3]>,
    /// Materials that `triangle_materials` refers to.
    pub materials: Vec<Material>,
    /// Index into `materials` for each triangle, [`NO_INDEX`] for none.
    pub triangle_materials: Vec<u32>,
    /// Part label of each triangle.
    pub triangle_parts: Vec<i16>,
    /// What the colours above make together.
    pub color_rule: ColorRule,
}

/// What texture, vertex colours and material of a triangle make together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorRule {
    /// The texture times the colour of its material (linear light) where there is one, else the vertex colours
    /// (blended as they are stored), else the colour of the material.
    #[default]
    First,
    /// The product of all that are there as linear light, in which vertex colours are blended, too; a triangle
    /// with none of them is white. This is what glTF asks for.
    Product,
}

/// The surface colour of a group of triangles.
#[derive(Clone, Debug, PartialEq)]
pub struct Material {
    /// Name as the file gives it.
    pub name: String,
    /// Diffuse colour, RGB in `[0,1]`, sRGB as authored.
    pub diffuse: [f32; 3],
    /// Decoded diffuse texture, when the file names one, it could be read and textures were asked for;
    /// what it shows is multiplied by `diffuse`.
    pub texture: Option<Arc<Texture>>,
}

/// A decoded texture image.
///
/// # Shapes
/// `rgb` holds `height * width` pixels, row by row from the top.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Texture {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Pixels, top row first, sRGB.
    pub rgb: Vec<[u8; 3]>,
    /// What it shows outside `[0,1]`, along u and along v.
    pub wrap: [TextureWrap; 2],
}

/// What a texture shows outside `[0,1]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextureWrap {
    /// The image again.
    #[default]
    Repeat,
    /// The nearest texel of its border.
    Clamp,
    /// The image again, every other time mirrored.
    Mirror,
}

/// A cloud of points with optional attributes.
///
/// # Shapes
/// `positions [P,3]`; every attribute that is present has one entry a point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PointCloud {
    /// Point positions in the units of the source.
    pub positions: Vec<[f64; 3]>,
    /// Normals.
    pub normals: Option<Vec<[f32; 3]>>,
    /// sRGB colours.
    pub colors: Option<Vec<[u8; 3]>>,
    /// Return intensity, as the sensor gives it.
    pub intensity: Option<Vec<f32>>,
    /// Part or semantic label of each point.
    pub point_labels: Option<Vec<i16>>,
}

impl PointCloud {
    /// A cloud without attributes.
    pub fn from_positions(positions: Vec<[f64; 3]>) -> Self {
        Self { positions, ..Self::default() }
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// The points at `indices`, in that order, with every attribute.
    pub fn select(&self, indices: &[u32]) -> Self {
        fn pick<T: Copy>(from: &[T], indices: &[u32]) -> Vec<T> {
            indices.iter().map(|&i| from[i as usize]).collect()
        }
        Self {
            positions: pick(&self.positions, indices),
            normals: self.normals.as_deref().map(|v| pick(v, indices)),
            colors: self.colors.as_deref().map(|v| pick(v, indices)),
            intensity: self.intensity.as_deref().map(|v| pick(v, indices)),
            point_labels: self.point_labels.as_deref().map(|v| pick(v, indices)),
        }
    }

    /// Drops points with a NaN or infinite coordinate and says how many were dropped.
    pub fn drop_non_finite(&mut self) -> usize {
        // Nearly always there is none: told by one pass without a list of those to keep.
        if self.positions.as_flattened().iter().fold(true, |finite, x| finite & x.is_finite()) {
            return 0;
        }
        let kept: Vec<u32> = (0..self.len() as u32)
            .filter(|&i| self.positions[i as usize].iter().all(|x| x.is_finite()))
            .collect();
        let dropped = self.len() - kept.len();
        *self = self.select(&kept);
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_non_finite_points_keeps_attributes_aligned() {
        let mut cloud = PointCloud {
            positions: vec![[0.0; 3], [f64::NAN, 0.0, 0.0], [1.0; 3], [0.0, f64::INFINITY, 0.0]],
            intensity: Some(vec![0.0, 1.0, 2.0, 3.0]),
            point_labels: Some(vec![5, 6, 7, 8]),
            ..PointCloud::default()
        };
        assert_eq!(cloud.drop_non_finite(), 2);
        assert_eq!(cloud.positions, vec![[0.0; 3], [1.0; 3]]);
        assert_eq!(cloud.intensity, Some(vec![0.0, 2.0]));
        assert_eq!(cloud.point_labels, Some(vec![5, 7]));
        assert_eq!(cloud.drop_non_finite(), 0);
    }
}
