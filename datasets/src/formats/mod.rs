//! File formats: one module a format, and [`read_geometry`], which chooses by the extension.
//!
//! Parsers take bytes and know no path: they can be fuzzed and reused. They never panic, never
//! allocate more than a small multiple of the input, and name the line, byte or row of an error.
//! The table of what is read and refused is in this folder's README.

pub(crate) mod ascii;
pub(crate) mod colors;
mod column_names;
mod columns;
mod companions;
pub mod gltf;
pub mod hdf5;
mod lzf;
pub mod mtl;
pub(crate) mod normals;
pub mod npy;
pub mod npz;
pub mod obj;
pub mod off;
mod parsed;
pub mod pcd;
pub mod ply;
mod polygon;
mod read_fault;
mod scalars;
pub mod stl;
pub mod text;
mod textures;
mod velodyne;

use std::path::{Path, PathBuf};

use jepa3d_schemas::{Mesh, PointCloud, Shape, Warning, source_hash};

use self::companions::Companions;
use self::normals::check_normals;
use self::parsed::Parsed;
use self::read_fault::ReadFault;

use crate::budget::Budget;
use crate::error::{Error, ParseError, Result};
use crate::files::read_file;

pub use self::column_names::ColumnSpec;

/// The geometry of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Mesh or points, in the units of the file.
    pub shape: Shape,
    /// [`source_hash`] of the bytes read: the file itself, then the material and texture files or
    /// external buffers in the order in which they were read.
    pub source_hash: String,
    /// What was odd but usable.
    pub warnings: Vec<Warning>,
}

/// How to read a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Whether to decode the textures that materials name.
    pub textures: bool,
    /// The data folder: nothing outside it is read, whatever a file names. `None`, and a folder that the file does
    /// not lie below, stand for the folder of the file itself.
    pub root: Option<PathBuf>,
}

/// Extensions that [`read_geometry`] reads, in lower case.
pub(crate) const EXTENSIONS: [&str; 14] =
    ["obj", "off", "ply", "stl", "gltf", "glb", "pcd", "npy", "npz", "xyz", "txt", "csv", "pts", "bin"];

/// Extension of a path in lower case, empty if there is none.
pub(crate) fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// Reads the geometry of a file, choosing the parser by the extension (case does not matter).
///
/// Mesh formats (OBJ, OFF, STL, glTF) must have faces. PLY and the point formats give points when
/// there are none. Text and npy columns go by [`ColumnSpec::default`]; see `read_columns`.
///
/// # Errors
/// Fails if the extension is unknown, the file cannot be read, its bytes are not what the format
/// asks for, a mesh has no faces, or there is no finite point.
pub fn read_geometry(path: &Path, options: &ReadOptions) -> Result<Loaded> {
    read_within(path, options, &Budget::default())
}

/// Reads the geometry of a file as [`read_geometry`] does, charging what it decodes to `budget`.
///
/// # Errors
/// Fails as [`read_geometry`] does, or if the budget does not suffice.
pub(crate) fn read_within(path: &Path, options: &ReadOptions, budget: &Budget) -> Result<Loaded> {
    read_columns(path, options, &ColumnSpec::default(), budget)
}

/// Reads the geometry of a file as [`read_within`] does, the columns of text tables, npy arrays and bare
/// floats named by `columns`.
///
/// # Errors
/// Fails as [`read_within`] does, or if a table has other columns than named.
pub(crate) fn read_columns(
    path: &Path,
    options: &ReadOptions,
    columns: &ColumnSpec,
    budget: &Budget,
) -> Result<Loaded> {
    let bytes = read_file(path, budget)?;
    let mut companions = Companions::new(path, options.root.as_deref(), budget);
    let parsed = match extension(path).as_str() {
        "obj" => obj_shape(&bytes, &mut companions, options.textures),
        "gltf" | "glb" => gltf_shape(&bytes, &mut companions, options.textures),
        "off" => off::parse(&bytes).and_then(|mesh| charge_surface(mesh, budget)).map_err(ReadFault::from),
        "stl" => stl::parse(&bytes).and_then(|mesh| charge_surface(mesh, budget)).map_err(ReadFault::from),
        "ply" => ply::parse_within(&bytes, budget).map_err(ReadFault::from),
        "pcd" => pcd::parse_within(&bytes, budget).map(wrap_points).map_err(ReadFault::from),
        "npy" => npy::parse_within(&bytes, columns, budget).map(wrap_points).map_err(ReadFault::from),
        "npz" => npz::parse_within(&bytes, columns, budget).map(wrap_points).map_err(ReadFault::from),
        "xyz" | "txt" | "csv" | "pts" => {
            text::parse_within(&bytes, columns, budget).map(wrap_points).map_err(ReadFault::from)
        }
        "bin" => {
            velodyne::parse_within(&bytes, path, columns, budget).map(wrap_points).map_err(ReadFault::from)
        }
        _ => return Err(unsupported(path)),
    };
    let Parsed { mut geometry, mut warnings } = parsed.map_err(|e| e.in_file(path))?;
    warnings.extend(check_normals(&mut geometry));
    let others = companions.read.iter().map(|bytes| bytes.as_slice());
    let parts: Vec<&[u8]> = std::iter::once(bytes.as_slice()).chain(others).collect();
    Ok(Loaded { shape: geometry, source_hash: source_hash(&parts), warnings })
}

/// The mesh of an OBJ file with its materials.
fn obj_shape(
    bytes: &[u8],
    companions: &mut Companions<'_>,
    textures: bool,
) -> Result<Parsed<Shape>, ReadFault> {
    let file = obj::parse_within(bytes, companions.budget)?;
    Ok(require_surface(obj::fill_materials(file, companions, textures)?)?)
}

/// The mesh of a glTF file with its materials.
fn gltf_shape(
    bytes: &[u8],
    companions: &mut Companions<'_>,
    textures: bool,
) -> Result<Parsed<Shape>, ReadFault> {
    Ok(require_surface(gltf::parse_with(bytes, textures, companions)?)?)
}

fn unsupported(path: &Path) -> Error {
    Error::Unsupported {
        path: path.to_owned(),
        what: format!("the extension {:?}", extension(path)),
        instead: format!("convert to one of {}", EXTENSIONS.join(", ")),
    }
}

/// A mesh as a shape; refuses one without faces, since there is no surface to sample.
fn require_surface(mesh: Parsed<Mesh>) -> Result<Parsed<Shape>, ParseError> {
    let Parsed { geometry: mesh, warnings } = mesh;
    if mesh.triangles.is_empty() {
        let found = format!("no faces ({} vertices)", mesh.positions.len());
        return Err(ParseError::file("a surface to sample", found));
    }
    Ok(Parsed { geometry: Shape::Mesh(mesh), warnings })
}

/// As [`require_surface`], of a mesh that takes a small multiple of its file, which is charged afterwards.
fn charge_surface(mesh: Parsed<Mesh>, budget: &Budget) -> Result<Parsed<Shape>, ParseError> {
    let (positions, triangles) = (mesh.geometry.positions.len(), mesh.geometry.triangles.len());
    budget.charge_values(positions as u64, 24, "positions")?;
    budget.charge_values(triangles as u64, 12, "triangles")?;
    require_surface(mesh)
}

/// A cloud as a shape.
fn wrap_points(cloud: Parsed<PointCloud>) -> Parsed<Shape> {
    Parsed { geometry: Shape::Points(cloud.geometry), warnings: cloud.warnings }
}

#[cfg(test)]
mod odd_files;
#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn materials_and_textures_are_read_and_hashed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("A.OBJ");
        let text =
            "mtllib a.mtl gone.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl red\nf 1 2 3\nusemtl lost\nf 3 2 1\n";
        std::fs::write(&path, text).unwrap();
        std::fs::write(dir.path().join("a.mtl"), "newmtl red\nKd 1 0 0\nmap_Kd SUB\\red.png\n").unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let image = image::RgbImage::from_fn(2, 1, |x, _| image::Rgb([x as u8, 7, 9]));
        image.save(dir.path().join("sub/red.png")).unwrap();

        let read = |textures| read_geometry(&path, &ReadOptions { textures, root: None }).unwrap();
        let (plain, textured) = (read(false), read(true));
        assert_ne!(plain.source_hash, textured.source_hash);
        let warnings = [
            "material file \"gone.mtl\" is missing",
            "1 materials are in no material file that could be read, first \"lost\"",
            "1 of 2 triangles have no material whose colour is known; they are light grey",
            "1 triangles of materials with a texture have no texture coordinates; they have the colour of their material",
        ];
        assert_eq!(textured.warnings, warnings);
        let Shape::Mesh(mesh) = textured.shape else { panic!("points") };
        assert_eq!(mesh.triangle_materials, [0, jepa3d_schemas::NO_INDEX]);
        assert_eq!(mesh.materials[0].diffuse, [1.0, 0.0, 0.0]);
        let texture = mesh.materials[0].texture.as_ref().unwrap();
        assert_eq!((texture.width, texture.height, &texture.rgb[..]), (2, 1, &[[0, 7, 9], [1, 7, 9]][..]));

        std::fs::write(dir.path().join("sub/red.png"), "no image").unwrap();
        let broken = read(true);
        assert!(
            broken.warnings[1].text.starts_with("texture \"SUB\\red.png\" cannot be read"),
            "{:?}",
            broken.warnings
        );
    }

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let error = read_geometry(&path, &ReadOptions::default()).unwrap_err().to_string();
            error.strip_prefix(&path.display().to_string()).unwrap().to_owned()
        };
        assert_eq!(
            error("a.obj", "v 0 0 0\n"),
            ": expected a surface to sample, found no faces (1 vertices)"
        );
        assert_eq!(
            error("a.off", "OFF\nx\n"),
            ", line 2: expected three counts (vertices, faces, edges), found \"x\""
        );
        assert!(
            error("a.exe", "")
                .starts_with(": the extension \"exe\" is not supported; convert to one of obj, ")
        );
        let gone = read_geometry(&dir.path().join("gone.ply"), &ReadOptions::default()).unwrap_err();
        assert!(gone.to_string().contains("gone.ply: cannot read: "), "{gone}");
    }
}
