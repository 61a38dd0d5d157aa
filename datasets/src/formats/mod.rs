//! File formats: one module a format, and [`read_geometry`], which chooses by the extension.
//!
//! Parsers take bytes and know no path: they can be fuzzed and reused. They never panic, never
//! allocate more than a small multiple of the input, and name the line, byte or row of an error.
//! The table of what is read and refused is in this folder's README.

pub(crate) mod ascii;
mod columns;
mod companions;
pub mod gltf;
pub mod hdf5;
mod lzf;
pub mod mtl;
pub mod npy;
pub mod npz;
pub mod obj;
pub mod off;
mod parsed;
pub mod pcd;
pub mod ply;
mod polygon;
pub mod stl;
pub mod text;

use std::path::Path;

use jepa3d_schemas::{Mesh, PointCloud, Shape, Warning, source_hash};

use self::parsed::Parsed;

use crate::budget::Budget;
use crate::error::{Error, ParseError, Result};
use crate::files::read_file;

pub use self::columns::ColumnSpec;

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
}

/// Extensions that [`read_geometry`] reads, in lower case.
pub(crate) const EXTENSIONS: [&str; 13] =
    ["obj", "off", "ply", "stl", "gltf", "glb", "pcd", "npy", "npz", "xyz", "txt", "csv", "pts"];

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

/// Reads the geometry of a file as [`read_within`] does, the columns of text tables and npy arrays
/// named by `columns`.
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
    let folder = path.parent().unwrap_or(Path::new(""));
    // Files beside the main one, for the source hash.
    let mut others: Vec<Vec<u8>> = Vec::new();
    let parsed = match extension(path).as_str() {
        "obj" => obj::parse(&bytes).and_then(|file| obj_shape(file, folder, options, &mut others)),
        "off" => off::parse(&bytes).and_then(require_surface),
        "ply" => ply::parse(&bytes),
        "stl" => stl::parse(&bytes).and_then(require_surface),
        "gltf" | "glb" => {
            let mut resolve = |name: &str| {
                let bytes = std::fs::read(companions::find_companion(folder, name)?).ok()?;
                others.push(bytes.clone());
                Some(bytes)
            };
            gltf::parse_with(&bytes, options.textures, &mut resolve).and_then(require_surface)
        }
        "pcd" => pcd::parse(&bytes).map(wrap_points),
        "npy" => npy::parse_columns(&bytes, columns).map(wrap_points),
        "npz" => npz::parse_columns(&bytes, columns).map(wrap_points),
        "xyz" | "txt" | "csv" | "pts" => text::parse_columns(&bytes, columns).map(wrap_points),
        _ => return Err(unsupported(path)),
    };
    let Parsed { geometry, warnings } = parsed.map_err(|e| e.in_file(path))?;
    let parts: Vec<&[u8]> = std::iter::once(&bytes).chain(&others).map(Vec::as_slice).collect();
    Ok(Loaded { shape: geometry, source_hash: source_hash(&parts), warnings })
}

/// The mesh of an OBJ file with its materials.
fn obj_shape(
    file: obj::ObjFile,
    folder: &Path,
    options: &ReadOptions,
    others: &mut Vec<Vec<u8>>,
) -> Result<Parsed<Shape>, ParseError> {
    let obj::ObjFile { mut mesh, material_libraries, mut warnings } = file;
    let mut materials = companions::Materials::new(folder, options.textures);
    materials.fill(&mut mesh, &material_libraries);
    warnings.append(&mut materials.warnings);
    others.append(&mut materials.read);
    require_surface(Parsed { geometry: mesh, warnings })
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

        let read = |textures| read_geometry(&path, &ReadOptions { textures }).unwrap();
        let (plain, textured) = (read(false), read(true));
        assert_ne!(plain.source_hash, textured.source_hash);
        let warnings = [
            "material file \"gone.mtl\" is missing",
            "1 materials are in no material file that could be read, first \"lost\"",
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
            broken.warnings[1].text.starts_with("texture \"red.png\" cannot be read"),
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
