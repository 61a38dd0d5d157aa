//! A stored view as a teacher and a predictor see it: colours over the render's background, foreground, square size.

use image::GenericImageView;
use jepa3d_schemas::{HISTOGRAM_NUMBERS, Manifest};

use crate::error::{Error, Result};
use crate::resample::{Axis, Bicubic, resample};

/// Pixels of each side of what the built-in teachers see.
pub const PICTURE_SIZE: usize = 224;

/// Bins of a channel of the colour histogram.
const BINS: usize = HISTOGRAM_NUMBERS / 3;

/// A decoded view.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    width: usize,
    height: usize,
    /// `[H * W]` red, green, blue, alpha.
    pixels: Vec<[u8; 4]>,
}

impl Picture {
    /// Decodes a PNG or JPEG file; one without alpha is all foreground.
    ///
    /// # Errors
    /// Fails if it does not decode; the error names sample and view.
    pub fn decode(id: &str, view: u16, file: &[u8]) -> Result<Self> {
        let wrong = |found: String| Error::Image { id: id.to_owned(), view, what: "image", found };
        let decoded = image::load_from_memory(file).map_err(|e| wrong(e.to_string()))?;
        let (width, height) = decoded.dimensions();
        if width == 0 || height == 0 {
            return Err(wrong(format!("{width} x {height} pixels")));
        }
        let pixels = decoded.to_rgba8().pixels().map(|pixel| pixel.0).collect();
        Ok(Self { width: width as usize, height: height as usize, pixels })
    }

    #[doc(hidden)]
    pub fn new(width: usize, pixels: Vec<[u8; 4]>) -> Self {
        Self { width, height: pixels.len() / width, pixels }
    }

    /// Colours in 0 to 1 over `background`, resized to `size` x `size`; both axes are scaled on their own, so that
    /// nothing is cut off.
    ///
    /// # Shapes
    /// `[3, size, size]`
    pub fn square(&self, background: [u8; 3], size: usize) -> Vec<f32> {
        let mut planes = Vec::with_capacity(3 * self.pixels.len());
        for channel in 0..3 {
            let behind = f32::from(background[channel]);
            planes.extend(self.pixels.iter().map(|pixel| {
                let cover = f32::from(pixel[3]) / 255.0;
                (cover * f32::from(pixel[channel]) + (1.0 - cover) * behind) / 255.0
            }));
        }
        if (self.width, self.height) == (size, size) {
            return planes;
        }
        let (y, x) = (Axis::whole(self.height, size), Axis::whole(self.width, size));
        let mut out = resample(&planes, y, x, Bicubic::Antialias);
        // The cubic overshoots at edges.
        out.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        out
    }

    /// Shares of the foreground's pixels by brightness, 16 bins of red, then green, then blue; zeros without any.
    /// Foreground is what is at least half opaque.
    pub fn histogram(&self) -> [f32; HISTOGRAM_NUMBERS] {
        let mut counts = [0u32; HISTOGRAM_NUMBERS];
        let mut total = 0u32;
        for pixel in self.pixels.iter().filter(|pixel| pixel[3] >= 128) {
            total += 1;
            for channel in 0..3 {
                counts[channel * BINS + usize::from(pixel[channel]) * BINS / 256] += 1;
            }
        }
        counts.map(|count| (f64::from(count) / f64::from(total.max(1))) as f32)
    }
}

/// The colour behind the objects of a dataset's renders; white for one without views.
pub fn background(manifest: &Manifest) -> [u8; 3] {
    manifest.views.as_ref().map_or([255; 3], |views| views.background)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transparent_pixels_show_the_background() {
        let picture = Picture::new(2, vec![[255, 0, 0, 255], [9, 9, 9, 0], [0, 255, 0, 51], [0, 0, 0, 255]]);
        let planes = picture.square([255, 255, 0], 2);
        let want = [1.0, 1.0, 0.8, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert!(planes.iter().zip(want).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6), "{planes:?}");
    }

    #[test]
    fn histograms_count_the_foreground_alone() {
        let picture =
            Picture::new(2, vec![[255, 0, 16, 255], [255, 15, 31, 128], [7, 7, 7, 127], [7, 7, 7, 0]]);
        let found = picture.histogram();
        let mut want = [0.0; HISTOGRAM_NUMBERS];
        (want[15], want[16], want[33]) = (1.0, 1.0, 1.0);
        assert_eq!(found, want);
        assert_eq!(Picture::new(1, vec![[7, 7, 7, 0]]).histogram(), [0.0; HISTOGRAM_NUMBERS]);
        let mixed = Picture::new(2, vec![[0, 0, 0, 255], [255, 0, 0, 255]]).histogram();
        assert_eq!((mixed[0], mixed[15], mixed[16]), (0.5, 0.5, 1.0));
    }

    #[test]
    fn what_is_no_image_is_refused_with_sample_and_view() {
        let error = Picture::decode("a", 3, b"no image").unwrap_err().to_string();
        assert!(error.starts_with("sample a, view 3: image: expected a PNG or JPEG file, found "), "{error}");
    }
}
