//! What is read of an OBJ file.

use jepa3d_schemas::{Mesh, Warning};

/// An OBJ file: its mesh, and the material files it names (not read here).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjFile {
    /// The mesh. `materials` has one entry for each `usemtl` name in order of appearance, without a colour of its own;
    /// [`read_geometry`](crate::formats::read_geometry) fills them from the material files.
    pub mesh: Mesh,
    /// The names of `mesh.materials` as written: bytes of an encoding that nobody declares.
    pub material_names: Vec<Vec<u8>>,
    /// The rest of each `mtllib` line: one file name, or several separated by blanks.
    pub material_libraries: Vec<Vec<u8>>,
    /// What was odd.
    pub warnings: Vec<Warning>,
}
