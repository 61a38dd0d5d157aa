//! The materials of a glTF file: base colours made sRGB, and textures.

use std::sync::Arc;

use jepa3d_schemas::{Material, Mesh, NO_INDEX, Texture, Warning, WarningKind};

use super::buffers::{Buffers, Resolve, bytes_of_uri};
use crate::formats::companions::decode_texture;
use crate::formats::parsed::Parsed;

/// Most pixels of all textures: a file may name one large image many times.
const MAX_PIXELS: usize = 1 << 28;

/// sRGB value of linear light; what lies outside 0 to 1 is clamped.
pub(super) fn srgb_from_linear(linear: f64) -> f64 {
    jepa3d_schemas::srgb_from_linear(linear.clamp(0.0, 1.0))
}

/// Adds every material of the file in its order, if a triangle has one; textures only with `resolve`.
pub(super) fn read_materials(
    buffers: &Buffers<'_>,
    parsed: &mut Parsed<Mesh>,
    mut resolve: Option<&mut Resolve<'_>>,
) {
    let Parsed { geometry: mesh, warnings } = parsed;
    if mesh.triangle_materials.iter().all(|&m| m == NO_INDEX) {
        mesh.triangle_materials.clear();
        return;
    }
    let mut images = Images { buffers, decoded: Vec::new(), pixels_left: MAX_PIXELS };
    for (number, material) in buffers.root.materials.iter().enumerate() {
        let pbr = &material.pbr_metallic_roughness;
        let [r, g, b, _] = pbr.base_color_factor.0;
        let name = material.name.clone().unwrap_or_else(|| format!("material {number}"));
        let texture =
            pbr.base_color_texture.as_ref().and_then(|t| buffers.root.textures.get(t.index.value()));
        let mut image = None;
        if let (Some(texture), Some(resolve)) = (texture, resolve.as_deref_mut()) {
            image = images.texture(texture.source.value(), resolve, warnings);
        }
        let diffuse = [r, g, b].map(|c| srgb_from_linear(f64::from(c)) as f32);
        mesh.materials.push(Material { name, diffuse, texture: image });
    }
}

/// The images of a file, each decoded once.
struct Images<'a> {
    buffers: &'a Buffers<'a>,
    /// By number; a broken one is remembered as `None`.
    decoded: Vec<(usize, Option<Arc<Texture>>)>,
    pixels_left: usize,
}

impl Images<'_> {
    /// An image as a texture; one that cannot be read is a warning.
    fn texture(
        &mut self,
        image: usize,
        resolve: &mut Resolve<'_>,
        warnings: &mut Vec<Warning>,
    ) -> Option<Arc<Texture>> {
        if let Some((_, known)) = self.decoded.iter().find(|(number, _)| *number == image) {
            return known.clone();
        }
        let texture = match self.decode(image, resolve) {
            Ok(texture) => Some(Arc::new(texture)),
            Err(e) => {
                warnings.push(Warning::new(
                    WarningKind::TextureMissing,
                    format!("image {image} cannot be read: {e}"),
                ));
                None
            }
        };
        self.decoded.push((image, texture.clone()));
        texture
    }

    fn decode(&mut self, image: usize, resolve: &mut Resolve<'_>) -> Result<Texture, String> {
        let texture = read_image(self.buffers, image, resolve)?;
        let left = self.pixels_left.checked_sub(texture.rgb.len());
        self.pixels_left = left.ok_or_else(|| format!("more than {MAX_PIXELS} pixels in one file"))?;
        Ok(texture)
    }
}

fn read_image(buffers: &Buffers<'_>, index: usize, resolve: &mut Resolve<'_>) -> Result<Texture, String> {
    let image = buffers.root.images.get(index).ok_or("no such image")?;
    match (&image.buffer_view, &image.uri) {
        (Some(view), _) => decode_texture(buffers.view(view.value()).map_err(|e| e.to_string())?),
        (None, Some(uri)) => decode_texture(&bytes_of_uri(uri, resolve).ok_or("the file is missing")?),
        (None, None) => Err("it has neither data nor a file".into()),
    }
}
