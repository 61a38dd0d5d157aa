//! What is read of an OBJ file.

use jepa3d_schemas::{Mesh, Warning};

/// An OBJ file: its mesh, and the material files it names (not read here).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjFile {
    /// The mesh. `materials` has one entry for each `usemtl` name in order of appearance, with
    /// the default colour; [`read_geometry`](crate::formats::read_geometry) fills them from the material files.
    pub mesh: Mesh,
    /// The rest of each `mtllib` line: one file name, or several separated by blanks.
    pub material_libraries: Vec<String>,
    /// What was odd, one sentence each.
    pub warnings: Vec<Warning>,
}
