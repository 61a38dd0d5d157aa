//! Extensions of glTF: which are read, which change nothing here, and which are refused by name.

use jepa3d_schemas::{Warning, WarningKind};

use super::document::{Document, Primitive};
use crate::error::ParseError;

/// What errors call data compressed by meshoptimizer.
pub(super) const MESHOPT: &str = "data compressed by EXT_meshopt_compression (meshopt), which is not read";

/// Whether some data of a document may be compressed by meshoptimizer.
pub(super) fn uses_meshopt(document: &Document) -> bool {
    document.extensions_used.iter().any(|name| name.ends_with("_meshopt_compression"))
}

/// Extensions that are read.
const READ: [&str; 5] = [
    "EXT_mesh_gpu_instancing",
    "KHR_materials_pbrSpecularGlossiness",
    "KHR_mesh_quantization",
    "KHR_node_visibility",
    "KHR_texture_transform",
];

/// Starts of the names of extensions that change neither the geometry nor the base colour of what is at rest.
const HARMLESS: [&str; 12] = [
    "KHR_materials_",
    "EXT_materials_",
    "KHR_lights_",
    "EXT_lights_",
    "KHR_animation_",
    "KHR_xmp",
    "EXT_structural_metadata",
    "EXT_mesh_features",
    "EXT_instance_features",
    "KHR_audio",
    "KHR_physics",
    "MSFT_lod",
];

/// Extensions that stand in for data, and are looked at where that data is missing.
const ALTERNATIVES: [&str; 7] = [
    "KHR_draco_mesh_compression",
    "EXT_meshopt_compression",
    "KHR_meshopt_compression",
    "KHR_texture_basisu",
    "EXT_texture_webp",
    "EXT_texture_avif",
    "MSFT_texture_dds",
];

fn is_read_or_harmless(name: &str) -> bool {
    READ.contains(&name) || HARMLESS.iter().any(|start| name.starts_with(start))
}

/// Refuses a document that requires an extension which is not read; warnings for those that it merely uses.
///
/// # Errors
/// Fails with the name of the first such extension.
pub(super) fn check_extensions(document: &Document) -> Result<Vec<Warning>, ParseError> {
    if let Some(name) = document.extensions_required.iter().find(|name| !is_read_or_harmless(name)) {
        let known = match name.as_str() {
            "KHR_draco_mesh_compression" => " (Draco)",
            "EXT_meshopt_compression" | "KHR_meshopt_compression" => " (meshopt)",
            _ => "",
        };
        let expected = "required extensions that are read here";
        return Err(ParseError::file(expected, format!("{name:?}{known}")));
    }
    let unread = |name: &&String| !is_read_or_harmless(name) && !ALTERNATIVES.contains(&name.as_str());
    let warn = |name: &String| {
        Warning::new(WarningKind::ExtensionUnread, format!("the extension {name:?} is not read"))
    };
    Ok(document.extensions_used.iter().filter(unread).map(warn).collect())
}

/// Refuses a primitive whose positions are nowhere but in compressed data.
///
/// # Errors
/// Fails if it is compressed by Draco and accessor `positions` has no data of its own.
pub(super) fn check_compression(
    document: &Document,
    primitive: &Primitive,
    positions: usize,
) -> Result<(), ParseError> {
    let accessor = document.accessors.get(positions);
    let is_empty = accessor.is_some_and(|a| a.buffer_view.is_none() && a.sparse.is_none());
    if primitive.extensions.draco.is_some() && is_empty {
        let found = "a primitive compressed by KHR_draco_mesh_compression (Draco), which is not read";
        return Err(ParseError::file("positions", found));
    }
    Ok(())
}
