//! Positions and triangles: what the rasterizer and the visibility test need to know of a mesh.

/// A triangle mesh in the frame of the stored cloud.
///
/// # Shapes
/// `positions [P,3]`, `triangles [T,3]`.
#[derive(Clone, Copy, Debug)]
pub struct TriangleMesh<'a> {
    /// Vertex positions.
    pub positions: &'a [[f32; 3]],
    /// Vertex indices of each triangle.
    pub triangles: &'a [[u32; 3]],
}
