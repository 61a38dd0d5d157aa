//! Fills the materials of an OBJ mesh from the material files and textures beside it.
//!
//! A name of `usemtl` finds the `newmtl` with the same bytes. Nothing passes a made-up colour on: triangles of a material
//! that no file gives a colour or a texture lose it, and a mesh of which that is true everywhere has no colours.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jepa3d_schemas::{Mesh, NO_INDEX, Texture, TextureWrap, Warning, WarningKind};

use super::file::ObjFile;
use super::placement::place_textures;
use crate::error::Result;
use crate::formats::ascii::quote;
use crate::formats::companions::{Companion, Companions, Located, Unread};
use crate::formats::mtl::{self, MtlMaterial, MtlTexture, spellings};
use crate::formats::parsed::Parsed;
use crate::formats::textures::{TextureFault, decode_texture};

/// Fills the materials of the file's mesh; textures only with `textures`.
///
/// # Errors
/// Fails if the machine does, or if the textures exceed the object's budget.
pub(in crate::formats) fn fill_materials(
    file: ObjFile,
    companions: &mut Companions<'_>,
    textures: bool,
) -> Result<Parsed<Mesh>> {
    let ObjFile { mut mesh, material_names, material_libraries, warnings } = file;
    let mut libraries = Libraries {
        companions,
        textures,
        warnings,
        known: BTreeMap::new(),
        plain: BTreeMap::new(),
        decoded: Vec::new(),
    };
    libraries.read_all(&material_libraries)?;
    let materials = libraries.fill(&mut mesh, &material_names)?;
    let mut warnings = libraries.warnings;
    place_textures(&mut mesh, &materials);
    warnings.extend(drop_colorless(&mut mesh, &materials));
    warnings.extend(warn_of_unplaced(&mesh));
    Ok(Parsed { geometry: mesh, warnings })
}

/// The material files of one mesh.
struct Libraries<'a, 'c> {
    companions: &'a mut Companions<'c>,
    textures: bool,
    warnings: Vec<Warning>,
    /// Materials by name with the folder of their file; the last definition of a name counts, as in renderers.
    known: BTreeMap<Vec<u8>, (PathBuf, MtlMaterial)>,
    /// The names above by what they are without quotes and escapes.
    plain: BTreeMap<Vec<u8>, Vec<u8>>,
    decoded: Vec<DecodedTexture>,
}

/// A texture file that was read; `None` for one that cannot be decoded.
struct DecodedTexture {
    path: PathBuf,
    wrap: TextureWrap,
    image: Option<Arc<Texture>>,
}

impl Libraries<'_, '_> {
    fn read_all(&mut self, lines: &[Vec<u8>]) -> Result<()> {
        // Exporters repeat the line for each object.
        let mut seen = BTreeSet::new();
        for line in lines.iter().filter(|line| seen.insert(*line)) {
            for (name, place) in self.library_places(line)? {
                self.read_library(&name, &place)?;
            }
        }
        Ok(())
    }

    /// The files of one `mtllib` line: the whole rest as one name, else one name a word.
    fn library_places(&self, line: &[u8]) -> Result<Vec<(Vec<u8>, Located)>> {
        let whole = self.locate(self.companions.folder, line)?;
        let words = words(line);
        if matches!(whole, Located::At(_)) || words.len() < 2 {
            return Ok(vec![(line.to_vec(), whole)]);
        }
        words
            .into_iter()
            .map(|word| Ok((word.to_vec(), self.locate(self.companions.folder, word)?)))
            .collect()
    }

    /// Where the first spelling of a name that leads to a file leads, else where it leads as written.
    fn locate(&self, folder: &Path, name: &[u8]) -> Result<Located> {
        let mut first = None;
        for spelling in spellings(name) {
            match self.companions.locate(folder, &spelling)? {
                Located::At(path) => return Ok(Located::At(path)),
                // What one spelling forbids, no other may hide.
                Located::Outside => first = Some(Located::Outside),
                Located::Missing => first = first.or(Some(Located::Missing)),
            }
        }
        Ok(first.unwrap_or(Located::Missing))
    }

    fn read_library(&mut self, name: &[u8], place: &Located) -> Result<()> {
        let bytes = match self.companions.read(place)? {
            Companion::Read(bytes) => bytes,
            Companion::Unread(unread) => {
                let told = format!("material file {} {}", quote(name), unread.why);
                self.warnings.push(unread.warn(WarningKind::MaterialMissing, told));
                return Ok(());
            }
        };
        let Parsed { geometry, warnings } = mtl::parse(&bytes);
        self.warnings.extend(warnings);
        let folder = match place {
            Located::At(path) => path.parent().unwrap_or(self.companions.folder),
            _ => self.companions.folder,
        };
        for material in geometry {
            self.plain.insert(plain(&material.name), material.name.clone());
            self.known.insert(material.name.clone(), (folder.to_owned(), material));
        }
        Ok(())
    }

    /// Gives every material what its file says; returns where each one's texture lies, `None` for those without colour.
    fn fill(&mut self, mesh: &mut Mesh, names: &[Vec<u8>]) -> Result<Vec<Option<MtlTexture>>> {
        let (mut places, mut missing, mut colorless) = (Vec::new(), Vec::new(), Vec::new());
        for (material, name) in mesh.materials.iter_mut().zip(names) {
            let Some((folder, found)) = self.find(name) else {
                missing.push(name);
                places.push(None);
                continue;
            };
            if let Some(texture) = found.texture.as_ref().filter(|_| self.textures) {
                material.texture = self.texture(&folder, texture)?;
            }
            if found.diffuse.is_none() && material.texture.is_none() {
                colorless.push(name);
                places.push(None);
                continue;
            }
            material.diffuse = found.diffuse.unwrap_or([1.0; 3]);
            if material.texture.is_some() && material.diffuse == [0.0; 3] {
                material.diffuse = [1.0; 3];
                let told = format!("material {} is black, its texture is shown as it is", quote(name));
                self.warnings.push(Warning::new(WarningKind::MaterialValueChanged, told));
            }
            places.push(Some(found.texture.unwrap_or_default()));
        }
        self.warn_of_materials(&missing, "are in no material file that could be read");
        self.warn_of_materials(&colorless, "have neither a colour nor a texture that was read");
        Ok(places)
    }

    fn warn_of_materials(&mut self, names: &[&Vec<u8>], what: &str) {
        if let [first, ..] = names {
            let told = format!("{} materials {what}, first {}", names.len(), quote(first));
            self.warnings.push(Warning::new(WarningKind::MaterialMissing, told));
        }
    }

    /// The material of a name: that of the same bytes, else the one that is so but for quotes, escapes or a comment.
    fn find(&self, name: &[u8]) -> Option<(PathBuf, MtlMaterial)> {
        let uncommented = name.windows(2).position(|two| two == b" #").map_or(name, |at| &name[..at]);
        let by_plain = |name: &[u8]| self.plain.get(&plain(name)).and_then(|name| self.known.get(name));
        self.known.get(name).or_else(|| by_plain(name)).or_else(|| by_plain(uncommented)).cloned()
    }

    /// A texture of a material of a file in `folder`; one that cannot be used is a warning.
    fn texture(&mut self, folder: &Path, texture: &MtlTexture) -> Result<Option<Arc<Texture>>> {
        let mut place = self.locate(folder, &texture.name)?;
        if place == Located::Missing {
            place = self.locate(self.companions.folder, &texture.name)?;
        }
        let Located::At(path) = place.clone() else {
            if let Companion::Unread(unread) = self.companions.read(&place)? {
                let told = format!("texture {} {}", quote(&texture.name), unread.why);
                self.warnings.push(unread.warn(WarningKind::TextureMissing, told));
            }
            return Ok(None);
        };
        let known = self.decoded.iter().find(|known| known.path == path && known.wrap == texture.wrap);
        if let Some(known) = known {
            return Ok(known.image.clone());
        }
        let image = self.read_texture(&path, texture)?;
        self.decoded.push(DecodedTexture { path, wrap: texture.wrap, image: image.clone() });
        Ok(image)
    }

    fn read_texture(&mut self, path: &Path, texture: &MtlTexture) -> Result<Option<Arc<Texture>>> {
        let name = quote(&texture.name);
        let why = match self.companions.read(&Located::At(path.to_owned()))? {
            Companion::Unread(Unread { why, .. }) => why,
            Companion::Read(bytes) => {
                match decode_texture(&bytes, [texture.wrap; 2], &name, self.companions.budget) {
                    Ok(image) => return Ok(Some(Arc::new(image))),
                    Err(TextureFault::OverBudget(error)) => return Err(error.in_file(path)),
                    Err(TextureFault::Undecodable(why)) => format!("cannot be read: {why}"),
                }
            }
        };
        self.warnings.push(Warning::new(WarningKind::TextureMissing, format!("texture {name} {why}")));
        Ok(None)
    }
}

/// Takes the material off triangles that it gives no colour; a warning if others keep theirs.
fn drop_colorless(mesh: &mut Mesh, materials: &[Option<MtlTexture>]) -> Option<Warning> {
    let mut colorless = 0;
    for slot in &mut mesh.triangle_materials {
        if materials.get(*slot as usize).is_none_or(Option::is_none) {
            *slot = NO_INDEX;
            colorless += 1;
        }
    }
    let triangles = mesh.triangle_materials.len();
    if colorless == triangles {
        mesh.triangle_materials.clear();
    }
    // Where vertices have colours, those are what such triangles show.
    let are_grey = 0 < colorless && colorless < triangles && mesh.vertex_colors.is_empty();
    are_grey.then(|| {
        let told = format!(
            "{colorless} of {triangles} triangles have no material whose colour is known; they are light grey"
        );
        Warning::new(WarningKind::ColorsPartlyUnknown, told)
    })
}

/// A warning if triangles of a material with a texture lack texture coordinates.
fn warn_of_unplaced(mesh: &Mesh) -> Option<Warning> {
    let is_textured = |m: u32| mesh.materials.get(m as usize).is_some_and(|m| m.texture.is_some());
    let is_placed = |t: usize| mesh.uv_corners.get(t).is_some_and(|c| !c.contains(&NO_INDEX));
    let unplaced =
        mesh.triangle_materials.iter().enumerate().filter(|&(t, &m)| is_textured(m) && !is_placed(t));
    let count = unplaced.count();
    (count > 0).then(|| {
        let told = format!(
            "{count} triangles of materials with a texture have no texture coordinates; \
             they have the colour of their material"
        );
        Warning::new(WarningKind::TextureUnplaced, told)
    })
}

/// A name without quotes and escapes.
fn plain(name: &[u8]) -> Vec<u8> {
    spellings(name).pop().unwrap_or_default()
}

/// The words of a line, which may be quoted or hold escaped blanks.
fn words(line: &[u8]) -> Vec<&[u8]> {
    let (mut words, mut start, mut quoted) = (Vec::new(), 0, false);
    for (i, &byte) in line.iter().enumerate() {
        let is_escaped = i > 0 && line[i - 1] == b'\\';
        quoted ^= byte == b'"';
        if byte.is_ascii_whitespace() && !quoted && !is_escaped {
            words.push(&line[start..i]);
            start = i + 1;
        }
    }
    words.push(&line[start..]);
    words.retain(|word| !word.is_empty());
    words
}
