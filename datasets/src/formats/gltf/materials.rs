//! The materials of a glTF file: base colours made sRGB, where their textures lie, and the textures.

use std::sync::Arc;

use jepa3d_schemas::{
    Material, Mesh, NO_INDEX, Texture, TextureWrap, Warning, WarningKind, srgb_from_linear,
};

use super::buffers::{Buffers, Resolver, bytes_of_uri};
use super::document::{Document, GltfMaterial, TextureInfo, TextureTransform};
use crate::formats::companions::{Companion, Unread};
use crate::formats::parsed::Parsed;
use crate::formats::read_fault::ReadFault;
use crate::formats::textures::{TextureFault, decode_texture};

/// What a material says of the base colour: of its diffuse part where it is one of specular and glossiness.
pub(super) struct BaseColor<'a> {
    /// Linear.
    factor: [f32; 3],
    texture: Option<&'a TextureInfo>,
    /// Number of the set of texture coordinates.
    pub(super) uv_set: u32,
}

impl<'a> BaseColor<'a> {
    /// Of a material.
    pub(super) fn new(material: &'a GltfMaterial) -> Self {
        let pbr = &material.pbr_metallic_roughness;
        let (factor, texture) = match &material.extensions.specular_glossiness {
            Some(other) => (other.diffuse_factor, &other.diffuse_texture),
            None => (pbr.base_color_factor, &pbr.base_color_texture),
        };
        let [r, g, b, _] = factor.unwrap_or([1.0; 4]);
        let texture = texture.as_ref();
        let moved = texture.and_then(|texture| texture.extensions.transform.as_ref()?.tex_coord);
        let uv_set = moved.or(texture.map(|texture| texture.tex_coord)).unwrap_or(0);
        Self { factor: [r, g, b], texture, uv_set }
    }

    /// Whether it has a texture, so that primitives need texture coordinates.
    pub(super) fn is_textured(&self) -> bool {
        self.texture.is_some()
    }

    /// Where in the image a texture coordinate lies (`KHR_texture_transform`), v from the top.
    pub(super) fn place(&self, uv: [f64; 2]) -> [f64; 2] {
        let transform = self.texture.and_then(|texture| texture.extensions.transform.as_ref());
        transform.map_or(uv, |transform| place_in_texture(transform, uv))
    }
}

/// `offset + rotation * scale * uv`; the rotation is counter-clockwise as seen with v running up.
fn place_in_texture(transform: &TextureTransform, uv: [f64; 2]) -> [f64; 2] {
    let [x, y] = transform.offset.unwrap_or([0.0; 2]).map(f64::from);
    let scale = transform.scale.unwrap_or([1.0; 2]).map(f64::from);
    let (u, v) = (uv[0] * scale[0], uv[1] * scale[1]);
    let angle = f64::from(transform.rotation.unwrap_or(0.0));
    // `libm`, so that a texture does not move with the C library.
    let (sin, cos) = (libm::sin(angle), libm::cos(angle));
    [cos * u + sin * v + x, cos * v - sin * u + y]
}

/// Adds every material of the file in its order, if a triangle has one; textures only with `resolver`.
///
/// # Errors
/// Fails if the machine does, or if the textures exceed the object's budget.
pub(super) fn read_materials(
    buffers: &Buffers<'_>,
    parsed: &mut Parsed<Mesh>,
    resolver: Option<&mut dyn Resolver>,
) -> Result<(), ReadFault> {
    let Parsed { geometry: mesh, warnings } = parsed;
    if mesh.triangle_materials.iter().all(|&m| m == NO_INDEX) {
        mesh.triangle_materials.clear();
        return Ok(());
    }
    let mut images = resolver.map(|resolver| Images { buffers, resolver, decoded: Vec::new() });
    for (number, material) in buffers.document.materials.iter().enumerate() {
        let base = BaseColor::new(material);
        let name = material.name.clone().unwrap_or_else(|| format!("material {number}"));
        let texture = match (base.texture, &mut images) {
            (Some(info), Some(images)) => images.texture(info.index, warnings)?,
            _ => None,
        };
        let diffuse = base.factor.map(|c| srgb_from_linear(f64::from(c).clamp(0.0, 1.0)) as f32);
        mesh.materials.push(Material { name, diffuse, texture });
    }
    Ok(())
}

/// The images of a file.
struct Images<'a, 'r> {
    buffers: &'a Buffers<'a>,
    resolver: &'r mut dyn Resolver,
    decoded: Vec<DecodedImage>,
}

/// An image that was asked for, with one way to wrap it.
struct DecodedImage {
    number: usize,
    wrap: [TextureWrap; 2],
    /// `None` for a broken one.
    texture: Option<Arc<Texture>>,
}

impl Images<'_, '_> {
    /// A texture by its number; one that cannot be read is a warning.
    fn texture(
        &mut self,
        number: usize,
        warnings: &mut Vec<Warning>,
    ) -> Result<Option<Arc<Texture>>, ReadFault> {
        let document = self.buffers.document;
        let missing = |why: &str| {
            Warning::new(WarningKind::TextureMissing, format!("texture {number} cannot be read: {why}"))
        };
        let Some(texture) = document.textures.get(number) else {
            warnings.push(missing("there is none of this number"));
            return Ok(None);
        };
        let Some(image) = texture.source else {
            warnings.push(missing("its image is of a kind that is not read"));
            return Ok(None);
        };
        let wrap = wrap_of(document, texture.sampler);
        if let Some(known) = self.decoded.iter().find(|known| known.number == image && known.wrap == wrap) {
            return Ok(known.texture.clone());
        }
        let texture = match self.decode(image, wrap)? {
            Ok(texture) => Some(Arc::new(texture)),
            Err(unread) => {
                let told = format!("image {image} cannot be read: {}", unread.why);
                warnings.push(unread.warn(WarningKind::TextureMissing, told));
                None
            }
        };
        self.decoded.push(DecodedImage { number: image, wrap, texture: texture.clone() });
        Ok(texture)
    }

    /// Decodes an image, or says why it cannot be used.
    fn decode(
        &mut self,
        number: usize,
        wrap: [TextureWrap; 2],
    ) -> Result<Result<Texture, Unread>, ReadFault> {
        let Some(image) = self.buffers.document.images.get(number) else {
            return Ok(Err(Unread::new("no such image")));
        };
        let budget = self.buffers.budget;
        let decode = |bytes: &[u8]| match decode_texture(bytes, wrap, &format!("of image {number}"), budget) {
            Ok(texture) => Ok(Ok(texture)),
            Err(TextureFault::Undecodable(why)) => Ok(Err(Unread::new(why))),
            Err(TextureFault::OverBudget(error)) => Err(error.into()),
        };
        match (image.buffer_view, &image.uri) {
            (Some(view), _) => match self.buffers.view(view) {
                Ok(bytes) => decode(bytes),
                Err(error) => Ok(Err(Unread::new(error.to_string()))),
            },
            (None, Some(uri)) => match bytes_of_uri(uri, self.resolver, budget)? {
                Companion::Read(bytes) => decode(&bytes),
                Companion::Unread(mut unread) => {
                    unread.why = format!("{:?} {}", shortened(uri), unread.why);
                    Ok(Err(unread))
                }
            },
            (None, None) => Ok(Err(Unread::new("it has neither data nor a file"))),
        }
    }
}

/// The start of a URI, which may hold a whole image.
fn shortened(uri: &str) -> String {
    uri.chars().take(80).collect()
}

/// How a texture is wrapped; what no sampler says is repeated.
fn wrap_of(document: &Document, sampler: Option<usize>) -> [TextureWrap; 2] {
    let sampler = sampler.and_then(|number| document.samplers.get(number));
    let wrap = |code: Option<u32>| match code {
        Some(33_071) => TextureWrap::Clamp,
        Some(33_648) => TextureWrap::Mirror,
        _ => TextureWrap::Repeat,
    };
    sampler.map_or([TextureWrap::Repeat; 2], |sampler| [wrap(sampler.wrap_s), wrap(sampler.wrap_t)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn textures_are_offset_turned_and_scaled_as_the_extension_says() {
        let transform = |offset, rotation, scale| TextureTransform {
            offset: Some(offset),
            rotation: Some(rotation),
            scale: Some(scale),
            tex_coord: None,
        };
        let near = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).abs() < 1e-6 && (a[1] - b[1]).abs() < 1e-6;
        // The example of the extension: the lower left quarter of the image, turned clockwise.
        let quarter = transform([0.0, 1.0], std::f32::consts::FRAC_PI_2, [0.5, 0.5]);
        for (uv, place) in [([0.0, 0.0], [0.0, 1.0]), ([1.0, 0.0], [0.0, 0.5]), ([1.0, 1.0], [0.5, 0.5])] {
            assert!(near(place_in_texture(&quarter, uv), place), "{uv:?}");
        }
        assert!(near(place_in_texture(&transform([0.0, 1.0], 0.0, [1.0, -1.0]), [0.25, 0.25]), [0.25, 0.75]));
        assert_eq!(place_in_texture(&TextureTransform::default(), [0.3, 0.7]), [0.3, 0.7]);
    }
}
