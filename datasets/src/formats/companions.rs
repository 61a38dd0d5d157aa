//! Files beside the main one: finding them as real data names them, and decoding textures.
//!
//! Names in material files were written on other systems: backslashes, other case, paths of the
//! machine of origin. Absolute paths are cut to their last part, so that a data file cannot
//! point out of its data set.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jepa3d_schemas::{Material, Mesh, NO_INDEX, Texture, Warning, WarningKind};

use super::mtl::{self, MtlMaterial};
use super::parsed::Parsed;

/// Largest side of a texture, in pixels.
const MAX_SIDE: u32 = 16_384;
/// Most memory that decoding a texture may take, in bytes.
const MAX_TEXTURE_BYTES: u64 = 512 << 20;

/// The file that `name` means, seen from the folder `folder`; `None` if there is none.
pub(crate) fn find_companion(folder: &Path, name: &str) -> Option<PathBuf> {
    let name = name.trim().replace('\\', "/");
    let last = name.rsplit('/').next().unwrap_or_default().to_owned();
    let absolute = name.starts_with('/') || name.get(1..2) == Some(":");
    let relative = (!absolute).then_some(name);
    relative.into_iter().chain([last]).find_map(|name| find_any_case(folder, &name))
}

/// Descends part by part, exactly where possible, else without regard to case.
fn find_any_case(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut path = folder.to_owned();
    for part in name.split('/').filter(|part| !part.is_empty() && *part != ".") {
        let exact = path.join(part);
        path = if exact.exists() { exact } else { entry_any_case(&path, part)? };
    }
    path.is_file().then_some(path)
}

/// The first entry (in byte order) of a folder that is `name` but for case.
fn entry_any_case(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    entries.map(|e| e.path()).filter(|p| p.file_name().is_some_and(|n| n.eq_ignore_ascii_case(name))).min()
}

/// Decodes an image to RGB; the error is a sentence without the file's name.
pub(crate) fn decode_texture(bytes: &[u8]) -> Result<Texture, String> {
    let mut reader =
        image::ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_TEXTURE_BYTES);
    reader.limits(limits);
    let image = reader.decode().map_err(|e| e.to_string())?.into_rgb8();
    let (width, height) = image.dimensions();
    Ok(Texture { width, height, rgb: image.pixels().map(|p| p.0).collect() })
}

/// Reads the material files and textures of an OBJ mesh into `mesh.materials`.
pub(crate) struct Materials<'a> {
    folder: &'a Path,
    textures: bool,
    /// Bytes of every file read, in the order of reading.
    pub(crate) read: Vec<Vec<u8>>,
    pub(crate) warnings: Vec<Warning>,
    /// Textures by path; a broken one is remembered as `None`.
    decoded: Vec<(PathBuf, Option<Arc<Texture>>)>,
}

impl<'a> Materials<'a> {
    pub(crate) fn new(folder: &'a Path, textures: bool) -> Self {
        Self { folder, textures, read: Vec::new(), warnings: Vec::new(), decoded: Vec::new() }
    }

    fn warn(&mut self, kind: WarningKind, text: String) {
        self.warnings.push(Warning::new(kind, text));
    }

    /// Fills the materials of `mesh`. Triangles whose material is in none of the files lose it
    /// (with a warning), so that nothing passes a made-up colour on.
    pub(crate) fn fill(&mut self, mesh: &mut Mesh, libraries: &[String]) {
        // The last definition of a name counts, as in renderers.
        let mut known: BTreeMap<String, (PathBuf, MtlMaterial)> = BTreeMap::new();
        // Exporters repeat the line for each object.
        let mut seen = BTreeSet::new();
        for library in libraries.iter().filter(|library| seen.insert(*library)) {
            for path in self.library_paths(library) {
                for material in self.read_library(&path) {
                    known.insert(material.name.clone(), (path.clone(), material));
                }
            }
        }
        let mut is_missing = vec![false; mesh.materials.len()];
        let mut missing = Vec::new();
        for (material, is_missing) in mesh.materials.iter_mut().zip(&mut is_missing) {
            match known.get(&material.name) {
                Some((path, found)) => self.fill_one(material, path, found),
                None => {
                    *is_missing = true;
                    missing.push(material.name.clone());
                }
            }
        }
        for slot in &mut mesh.triangle_materials {
            if is_missing.get(*slot as usize) == Some(&true) {
                *slot = NO_INDEX;
            }
        }
        // Without any `mtllib` there was never a colour to lose.
        if let [first, ..] = &missing[..]
            && !libraries.is_empty()
        {
            let text = format!(
                "{} materials are in no material file that could be read, first {first:?}",
                missing.len()
            );
            self.warn(WarningKind::MaterialMissing, text);
        }
    }

    /// The files of one `mtllib` line: the whole rest as one name, else one name a word.
    fn library_paths(&mut self, line: &str) -> Vec<PathBuf> {
        if let Some(path) = find_companion(self.folder, line) {
            return vec![path];
        }
        let mut paths = Vec::new();
        for name in line.split_whitespace() {
            match find_companion(self.folder, name) {
                Some(path) => paths.push(path),
                None => self.warn(WarningKind::MaterialMissing, format!("material file {name:?} is missing")),
            }
        }
        paths
    }

    fn read_library(&mut self, path: &Path) -> Vec<MtlMaterial> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let text = format!("material file {:?} cannot be read: {error}", file_name(path));
                self.warn(WarningKind::MaterialMissing, text);
                return Vec::new();
            }
        };
        let Parsed { geometry, warnings } = mtl::parse(&bytes);
        self.warnings.extend(warnings);
        self.read.push(bytes);
        geometry
    }

    fn fill_one(&mut self, material: &mut Material, library: &Path, found: &MtlMaterial) {
        material.diffuse = found.diffuse;
        if let Some(name) = found.texture.as_deref().filter(|_| self.textures) {
            material.texture = self.texture(library.parent().unwrap_or(self.folder), name);
        }
    }

    fn texture(&mut self, folder: &Path, name: &str) -> Option<Arc<Texture>> {
        let Some(path) = find_companion(folder, name).or_else(|| find_companion(self.folder, name)) else {
            self.warn(WarningKind::TextureMissing, format!("texture {name:?} is missing"));
            return None;
        };
        if let Some((_, texture)) = self.decoded.iter().find(|(known, _)| *known == path) {
            return texture.clone();
        }
        let texture = self.read_texture(&path);
        self.decoded.push((path, texture.clone()));
        texture
    }

    fn read_texture(&mut self, path: &Path) -> Option<Arc<Texture>> {
        let decoded = std::fs::read(path).map_err(|e| e.to_string()).and_then(|bytes| {
            let texture = decode_texture(&bytes);
            self.read.push(bytes);
            texture
        });
        match decoded {
            Ok(texture) => Some(Arc::new(texture)),
            Err(error) => {
                let text = format!("texture {:?} cannot be read: {error}", file_name(path));
                self.warn(WarningKind::TextureMissing, text);
                None
            }
        }
    }
}

fn file_name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_as_other_systems_write_them() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("models");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(dir.path().join("Images")).unwrap();
        std::fs::write(dir.path().join("Images/A.PNG"), b"").unwrap();
        std::fs::write(folder.join("m.mtl"), b"").unwrap();
        let image = Some(folder.join("../Images/A.PNG"));
        assert_eq!(find_companion(&folder, "../images/a.png"), image);
        assert_eq!(find_companion(&folder, "..\\Images\\A.PNG"), image);
        let library = Some(folder.join("m.mtl"));
        for name in ["m.mtl", "./M.MTL ", "C:\\work\\m.mtl", "/home/x/m.mtl", "gone/m.mtl"] {
            assert_eq!(find_companion(&folder, name), library, "{name}");
        }
        assert_eq!(find_companion(&folder, "n.mtl"), None);
        assert_eq!(find_companion(&folder, ""), None);
    }

    #[test]
    fn broken_images_are_errors() {
        assert!(decode_texture(b"").is_err());
        assert!(decode_texture(b"\x89PNG\r\n\x1a\n").is_err());
    }
}
