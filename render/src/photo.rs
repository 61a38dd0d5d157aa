//! Photographs as views: the file's bytes unchanged, checked to decode and to have the calibrated size.
//!
//! Decoders fill the rest of a truncated JPEG with grey and say nothing, so its markers are walked
//! to the end-of-image first.

use image::{ImageFormat, ImageReader, Limits};
use jepa3d_schemas::{Photo, read_regular};

use crate::error::{Error, Result};

/// Pixels along a side that no camera exceeds; keeps a false header from asking for memory.
const MAX_SIDE: u32 = 16384;

/// Reads a photo's file, which must decode as the image that the calibration describes.
///
/// # Errors
/// Fails if the file cannot be read, is neither JPEG nor PNG, is truncated or does not decode, or
/// has another size than `photo.camera`; the error names file, expected and found.
pub(crate) fn read_photo(photo: &Photo) -> Result<Vec<u8>> {
    let error = |what, expected: &str, found: String| Error::Photo {
        path: photo.path.clone(),
        what,
        expected: expected.to_owned(),
        found,
    };
    let bytes =
        read_regular(&photo.path).map_err(|source| Error::PhotoFile { path: photo.path.clone(), source })?;
    let format = image::guess_format(&bytes).ok();
    let Some(format) = format.filter(|f| matches!(f, ImageFormat::Jpeg | ImageFormat::Png)) else {
        return Err(error("format", "a JPEG or PNG image", describe(&bytes)));
    };
    if format == ImageFormat::Jpeg && !has_end_of_image(&bytes) {
        let found = format!("{} bytes that stop before it", bytes.len());
        return Err(error("JPEG", "an end-of-image marker", found));
    }
    let mut reader = ImageReader::with_format(std::io::Cursor::new(&bytes), format);
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    reader.limits(limits);
    let image = reader.decode().map_err(|e| error("image", "pixels that decode", e.to_string()))?;
    let (width, height) = (photo.camera.width, photo.camera.height);
    if (image.width(), image.height()) != (width, height) {
        let expected = format!("{width} x {height} as calibrated");
        return Err(error("size", &expected, format!("{} x {}", image.width(), image.height())));
    }
    Ok(bytes)
}

/// The first bytes, for an error message.
fn describe(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "an empty file".to_owned();
    }
    let first: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("{} bytes that begin with {}", bytes.len(), first.join(" "))
}

/// Whether a JPEG's segments and scans lead to an end-of-image marker (ITU T.81, annex B).
fn has_end_of_image(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    let mut at = 2;
    let mut in_scan = false;
    while let Some(&[marker, code]) = bytes.get(at..at + 2) {
        let is_data = in_scan && (marker != 0xFF || code == 0 || (0xD0..=0xD7).contains(&code));
        if is_data || (marker, code) == (0xFF, 0xFF) {
            at += 1;
            continue;
        }
        match (marker, code) {
            (0xFF, 0xD9) => return true,
            (0xFF, _) => {
                let Some(&[high, low]) = bytes.get(at + 2..at + 4) else { return false };
                in_scan = code == START_OF_SCAN;
                at += 2 + usize::from(u16::from_be_bytes([high, low]));
            }
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Camera;
    use std::path::Path;

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let pixel = |x: u32, y: u32| image::Rgb([(x * 7) as u8, (y * 5) as u8, (x * y) as u8]);
        let mut bytes = Vec::new();
        image::RgbImage::from_fn(width, height, pixel)
            .write_to(&mut std::io::Cursor::new(&mut bytes), ImageFormat::Jpeg)
            .unwrap();
        bytes
    }

    fn photo(path: &Path) -> Photo {
        let camera = Camera {
            width: 64,
            height: 48,
            fx: 50.0,
            fy: 50.0,
            cx: 32.0,
            cy: 24.0,
            camera_from_world: glam::DAffine3::IDENTITY,
        };
        Photo { name: "CAM".to_owned(), path: path.to_owned(), camera }
    }

    fn message(folder: &tempfile::TempDir, bytes: &[u8]) -> String {
        let path = folder.path().join("p.jpg");
        std::fs::write(&path, bytes).unwrap();
        let text = read_photo(&photo(&path)).unwrap_err().to_string();
        text.strip_prefix(&path.display().to_string()).unwrap().to_owned()
    }

    #[test]
    fn good_photos_come_back_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = (folder.path().join("p.jpg"), jpeg(64, 48));
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read_photo(&photo(&path)).unwrap(), bytes);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = jpeg(64, 48);
        for length in (2..bytes.len()).step_by(23).chain([bytes.len() - 1]) {
            let text = message(&folder, &bytes[..length]);
            assert!(text.starts_with(": JPEG: ") || text.starts_with(": format: "), "{length}: {text}");
        }
        let expected =
            ": JPEG: expected an end-of-image marker, found 1000 bytes that stop before it".to_owned();
        assert_eq!(message(&folder, &bytes[..1000]), expected);
    }

    #[test]
    fn messages_name_expected_and_found() {
        let folder = tempfile::tempdir().unwrap();
        let format = ": format: expected a JPEG or PNG image, found ";
        assert_eq!(message(&folder, b""), format!("{format}an empty file"));
        assert_eq!(
            message(&folder, b"hello world"),
            format!("{format}11 bytes that begin with 68 65 6c 6c 6f 20 77 6f")
        );
        let size = ": size: expected 64 x 48 as calibrated, found 32 x 48";
        assert_eq!(message(&folder, &jpeg(32, 48)), size);
        let missing = read_photo(&photo(&folder.path().join("none.jpg"))).unwrap_err().to_string();
        assert!(missing.contains("none.jpg: file: expected a photo, found "), "{missing}");
    }
}
