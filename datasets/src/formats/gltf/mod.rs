//! glTF 2.0 and GLB: the triangles of the scene's nodes, placed by their transforms.
//!
//! The `gltf` crate reads the JSON; buffers are read here with bounds, since its own accessor
//! reader panics on false offsets. Read: base colour (factor, texture, vertex colours), texture
//! coordinates, normals. Refused by name: sparse accessors, required extensions (Draco,
//! meshopt). Skins and morph targets are not applied. y is up, units are metres.

mod buffers;
mod materials;
mod nodes;
mod scene;
#[cfg(test)]
pub(crate) mod tests;

use gltf::json;
use jepa3d_schemas::Mesh;

use self::buffers::{Buffers, Resolve, split_glb};
use self::materials::read_materials;
use self::nodes::place_meshes;
use self::scene::SceneMesh;
use super::parsed::Parsed;
use crate::error::ParseError;

/// Required extensions that change nothing here.
const HARMLESS: [&str; 2] = ["KHR_materials_unlit", "KHR_mesh_quantization"];

/// Reads a glTF or GLB file that needs no other file, without textures.
///
/// # Errors
/// Fails as `parse_with` does, or if a buffer is in another file.
pub fn parse(bytes: &[u8]) -> Result<Parsed<Mesh>, ParseError> {
    parse_with(bytes, false, &mut |_| None)
}

/// Reads a glTF or GLB file; `resolve` gives the bytes of other files by their relative name.
///
/// Points and lines are skipped with a warning. Linear colours are converted to sRGB.
///
/// # Errors
/// Fails if the JSON is malformed, an extension is required, a buffer is missing or shorter than
/// its accessors, an index names no vertex, a position is not finite, nodes form a cycle, or
/// instancing expands to more than 2^24 vertices or triangles.
pub(crate) fn parse_with(
    bytes: &[u8],
    textures: bool,
    resolve: &mut Resolve<'_>,
) -> Result<Parsed<Mesh>, ParseError> {
    let (text, binary) = split_glb(bytes)?;
    let root: json::Root =
        json::deserialize::from_slice(text).map_err(|e| ParseError::file("glTF JSON", e.to_string()))?;
    if let Some(name) = root.extensions_required.iter().find(|name| !HARMLESS.contains(&name.as_str())) {
        return Err(ParseError::file("no required extension", format!("{name:?}")));
    }
    let buffers = Buffers::load(&root, binary, resolve)?;
    let mut scene = SceneMesh::new(&buffers);
    for placed in place_meshes(&root)? {
        for primitive in &placed.mesh.primitives {
            scene.push_primitive(primitive, placed.world_from_mesh)?;
        }
    }
    let mut parsed = scene.finish();
    read_materials(&buffers, &mut parsed, textures.then_some(resolve));
    Ok(parsed)
}
