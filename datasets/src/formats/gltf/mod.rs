//! glTF 2.0 and GLB: the triangles of the default scene's nodes, placed by their transforms, joints and morph targets.
//!
//! y is up, units are metres. The base colour of a triangle is the product of its material's factor, texture and
//! vertex colours (`ColorRule::Product`): factors and vertex colours are linear in the file and stored as sRGB,
//! textures are sRGB. Refused by name: geometry compressed by Draco or meshopt, and required extensions that are not
//! read. Animations and cameras are not looked at: they change nothing about what is at rest.

mod accessors;
mod buffers;
mod container;
mod document;
mod extensions;
mod materials;
mod nodes;
mod primitive;
mod scene;
mod skin;
#[cfg(test)]
pub(crate) mod tests;

use jepa3d_schemas::Mesh;

use self::buffers::{Buffers, Resolver};
use self::container::open_container;
use self::document::read_document;
use self::extensions::check_extensions;
use self::materials::read_materials;
use self::nodes::place_meshes;
use self::scene::SceneMesh;
use super::companions::{Companion, Companions, Unread};
use super::parsed::Parsed;
use super::read_fault::ReadFault;
use crate::budget::Budget;
use crate::error::ParseError;

/// Bytes that an object of the JSON may take, with what is made of it: a node is the largest.
const BYTES_OF_OBJECT: usize = 512;

/// Reads a glTF or GLB file that needs no other file, without textures.
///
/// # Errors
/// Fails if the JSON is malformed, a required extension is not read, a buffer is missing (or in another file) or
/// shorter than its accessors, an index names no vertex, a position is not finite, nodes form a cycle, or
/// instancing expands to more than 2^24 vertices or triangles.
pub fn parse(bytes: &[u8]) -> Result<Parsed<Mesh>, ParseError> {
    read_scene(bytes, false, &mut NoFiles, &Budget::default()).map_err(|fault| match fault {
        ReadFault::Parse(error) => error,
        ReadFault::Named(error) => ParseError::file("a file that needs no other", error.to_string()),
    })
}

/// Reads a glTF or GLB file; `companions` gives the bytes of other files.
///
/// # Errors
/// Fails as [`parse`] does, or if the object's budget is exceeded, or the machine fails.
pub(crate) fn parse_with(
    bytes: &[u8],
    textures: bool,
    companions: &mut Companions<'_>,
) -> Result<Parsed<Mesh>, ReadFault> {
    let budget = companions.budget;
    read_scene(bytes, textures, companions, budget)
}

fn read_scene(
    bytes: &[u8],
    textures: bool,
    resolver: &mut dyn Resolver,
    budget: &Budget,
) -> Result<Parsed<Mesh>, ReadFault> {
    let container = open_container(bytes)?;
    // Every object of the JSON becomes one of ours, which a few bytes may ask for.
    let objects = memchr::memchr_iter(b'{', &container.text).count() as u64;
    budget.charge_values(objects, BYTES_OF_OBJECT, "the objects of the JSON")?;
    let document = read_document(&container.text)?;
    let mut warnings = container.warnings;
    warnings.extend(check_extensions(&document)?);
    let buffers = Buffers::load(&document, container.binary, resolver, budget)?;
    let mut placed = place_meshes(&buffers)?;
    warnings.append(&mut placed.warnings);
    let mut scene = SceneMesh::new(&buffers);
    scene.push_all(&placed)?;
    let mut parsed = scene.finish();
    read_materials(&buffers, &mut parsed, textures.then_some(resolver))?;
    warnings.append(&mut parsed.warnings);
    Ok(Parsed { geometry: parsed.geometry, warnings })
}

impl Resolver for Companions<'_> {
    fn resolve(&mut self, name: &[u8]) -> Result<Companion, ReadFault> {
        let place = self.locate(self.folder, name)?;
        Ok(self.read(&place)?)
    }
}

/// Where there are no other files.
struct NoFiles;

impl Resolver for NoFiles {
    fn resolve(&mut self, _name: &[u8]) -> Result<Companion, ReadFault> {
        Ok(Unread::new("is in another file").into())
    }
}
