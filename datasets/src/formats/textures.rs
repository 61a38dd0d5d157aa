//! Decodes texture images, charging their pixels before they are allocated.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use jepa3d_schemas::{Texture, TextureWrap};

use crate::budget::Budget;
use crate::error::ParseError;

/// Largest side of a texture, in pixels.
const MAX_SIDE: u32 = 16_384;
/// Most memory that decoding a texture may take, in bytes.
const MAX_TEXTURE_BYTES: u64 = 512 << 20;

/// Why an image gave no texture.
#[derive(Debug)]
pub(crate) enum TextureFault {
    /// It is broken or of a kind that is not read: a sentence without its name.
    Undecodable(String),
    /// It would take more than is left of the object's budget.
    OverBudget(ParseError),
}

impl From<image::ImageError> for TextureFault {
    fn from(error: image::ImageError) -> Self {
        Self::Undecodable(error.to_string())
    }
}

/// Decodes an image to RGB; `name` is for the budget's error.
///
/// # Errors
/// Fails if the image cannot be decoded, is wider or higher than 16,384 pixels, or exceeds the budget.
pub(crate) fn decode_texture(
    bytes: &[u8],
    wrap: [TextureWrap; 2],
    name: &str,
    budget: &Budget,
) -> Result<Texture, TextureFault> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(|e| TextureFault::Undecodable(e.to_string()))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_TEXTURE_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder()?;
    if decoder.total_bytes() > MAX_TEXTURE_BYTES {
        let reason = format!("it decodes to {} bytes, more than {MAX_TEXTURE_BYTES}", decoder.total_bytes());
        return Err(TextureFault::Undecodable(reason));
    }
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    budget
        .charge_values(pixels, 3, &format!("texture {name} of {width} x {height} pixels"))
        .map_err(TextureFault::OverBudget)?;
    let image = DynamicImage::from_decoder(decoder)?.into_rgb8();
    let rgb = image.as_raw().as_chunks::<3>().0.to_vec();
    Ok(Texture { width, height, rgb, wrap })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A PNG of rows of pixels.
    pub(crate) fn png(rows: &[&[[u8; 3]]]) -> Vec<u8> {
        let (width, height) = (rows[0].len() as u32, rows.len() as u32);
        let pixels = rows.concat().as_flattened().to_vec();
        let image = image::RgbImage::from_raw(width, height, pixels).unwrap();
        let mut bytes = Vec::new();
        image.write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png).unwrap();
        bytes
    }

    fn decode(bytes: &[u8], budget: &Budget) -> Result<Texture, TextureFault> {
        decode_texture(bytes, [TextureWrap::Clamp; 2], "\"a.png\"", budget)
    }

    #[test]
    fn pixels_come_row_by_row_from_the_top() {
        let texture = decode(&png(&[&[[1, 2, 3], [4, 5, 6]], &[[7; 3], [8; 3]]]), &Budget::default());
        let texture = texture.unwrap();
        assert_eq!((texture.width, texture.height), (2, 2));
        assert_eq!(texture.rgb, [[1, 2, 3], [4, 5, 6], [7; 3], [8; 3]]);
        assert_eq!(texture.wrap, [TextureWrap::Clamp; 2]);
    }

    #[test]
    fn broken_images_and_too_large_ones_are_errors() {
        for bytes in [&b""[..], b"\x89PNG\r\n\x1a\n"] {
            assert!(matches!(decode(bytes, &Budget::default()), Err(TextureFault::Undecodable(_))));
        }
        let Err(TextureFault::OverBudget(error)) = decode(&png(&[&[[0; 3]; 4]]), &Budget::new(11)) else {
            panic!()
        };
        let found = "found 1 MiB for texture \"a.png\" of 4 x 1 pixels after 0 MiB";
        assert!(error.to_string().ends_with(found), "{error}");
    }
}
