//! File formats: one module a format, and [`read_geometry`], which chooses by the extension.
//!
//! Parsers take bytes and know no path: they can be fuzzed and reused. They never panic, never
//! allocate more than a small multiple of the input, and name the line, byte or row of an error.
//! The table of what is read and refused is in this folder's README.

pub(crate) mod ascii;
mod columns;
pub(crate) mod hdf5;
mod lzf;
pub mod npy;
pub mod obj;
pub mod off;
pub mod pcd;
mod polygon;
pub mod text;

use std::path::Path;

use jepa3d_schemas::{Mesh, Shape, source_hash};

pub use columns::{ColumnSpec, Role};

use crate::error::{Error, ParseError, Place, Result, read_file};

/// What a parser hands on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed<G> {
    /// The mesh, cloud or array.
    pub geometry: G,
    /// What was odd but usable, one sentence each.
    pub warnings: Vec<String>,
}

/// The geometry of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Mesh or points, in the units of the file.
    pub shape: Shape,
    /// [`source_hash`] of the bytes read: the file itself, then the material and texture files or
    /// external buffers in the order in which they were read.
    pub source_hash: String,
    /// What was odd but usable, one sentence each.
    pub warnings: Vec<String>,
}

/// How to read a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Whether to decode the textures that materials name.
    pub textures: bool,
}

/// Extensions that [`read_geometry`] reads, in lower case.
pub const EXTENSIONS: [&str; 9] = ["obj", "off", "pcd", "npy", "npz", "xyz", "txt", "csv", "pts"];

/// Extensions of text files with columns of numbers.
pub(crate) const TEXT_EXTENSIONS: [&str; 4] = ["xyz", "txt", "csv", "pts"];

/// Extension of a path in lower case, empty if there is none.
pub(crate) fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// Reads the geometry of a file, choosing the parser by the extension (case does not matter).
///
/// Mesh formats (OBJ, OFF, STL, glTF) must have faces. PLY and the point formats give points when
/// there are none. Text and npy columns go by [`ColumnSpec::default`]; see [`read_columns`].
///
/// # Errors
/// Fails if the extension is unknown, the file cannot be read, its bytes are not what the format
/// asks for, a mesh has no faces, or there is no finite point.
pub fn read_geometry(path: &Path, options: &ReadOptions) -> Result<Loaded> {
    let _ = options;
    let bytes = read_file(path)?;
    let parsed = match extension(path).as_str() {
        "obj" => obj::parse(&bytes)
            .and_then(|file| surface(Parsed { geometry: file.mesh, warnings: file.warnings })),
        "off" => off::parse(&bytes).and_then(surface),
        "pcd" => pcd::parse(&bytes).map(points),
        "npy" => npy::parse(&bytes).map(points),
        ext if TEXT_EXTENSIONS.contains(&ext) => {
            text::parse_columns(&bytes, &ColumnSpec::default()).map(points)
        }
        _ => return Err(unsupported(path)),
    };
    let Parsed { geometry, warnings } = parsed.map_err(|e| e.in_file(path))?;
    Ok(Loaded { shape: geometry, source_hash: source_hash(&[&bytes]), warnings })
}

fn unsupported(path: &Path) -> Error {
    Error::Unsupported {
        path: path.to_owned(),
        what: format!("the extension {:?}", extension(path)),
        instead: format!("convert to one of {}", EXTENSIONS.join(", ")),
    }
}

/// A mesh as a shape; refuses one without faces, since there is no surface to sample.
fn surface(mesh: Parsed<Mesh>) -> Result<Parsed<Shape>, ParseError> {
    let Parsed { geometry: mesh, warnings } = mesh;
    if mesh.triangles.is_empty() {
        let found = format!("no faces ({} vertices)", mesh.positions.len());
        return Err(ParseError::new(Place::File, "a surface to sample", found));
    }
    Ok(Parsed { geometry: Shape::Mesh(mesh), warnings })
}

fn points(cloud: Parsed<jepa3d_schemas::PointCloud>) -> Parsed<Shape> {
    Parsed { geometry: Shape::Points(cloud.geometry), warnings: cloud.warnings }
}

/// The warning about faces that are no faces.
fn short_faces(count: usize, first_line: usize) -> String {
    format!("{count} faces with fewer than 3 corners were skipped, first on line {first_line}")
}
