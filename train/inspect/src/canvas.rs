//! A small picture to draw on: pictures, smooth discs, and text in one size.
//!
//! Text is drawn from `font.png`, the 95 printable ASCII characters of DejaVu Sans Mono (free to
//! embed, Bitstream Vera licence) at 13 pixels, side by side in cells of 8 x 16.

use std::sync::LazyLock;

use image::{GrayImage, Rgb, RgbImage};

use super::colors::Color;

/// Width of a character.
pub(crate) const CHARACTER: u32 = 8;
/// Height of a line of text.
pub(crate) const LINE: u32 = 16;

static FONT: LazyLock<GrayImage> = LazyLock::new(|| {
    let decoded = image::load_from_memory_with_format(include_bytes!("font.png"), image::ImageFormat::Png);
    decoded.expect("the font is a PNG file of this crate").into_luma8()
});

/// Part of a canvas, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PixelRect {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// A picture under way.
pub(crate) struct Canvas(pub(crate) RgbImage);

impl Canvas {
    pub(crate) fn new(width: u32, height: u32, background: Color) -> Self {
        Self(RgbImage::from_pixel(width, height, Rgb(background)))
    }

    pub(crate) fn fill(&mut self, tile: PixelRect, color: Color) {
        for y in tile.y..(tile.y + tile.height).min(self.0.height()) {
            for x in tile.x..(tile.x + tile.width).min(self.0.width()) {
                self.0.put_pixel(x, y, Rgb(color));
            }
        }
    }

    /// Copies a picture of the tile's size into it.
    pub(crate) fn paste(&mut self, tile: PixelRect, picture: &RgbImage) {
        image::imageops::replace(&mut self.0, picture, i64::from(tile.x), i64::from(tile.y));
    }

    /// A disc of `radius` at `center` (pixel (0,0) is the canvas's top-left corner), with smooth
    /// edge, cut at the borders of `tile`. A pixel wholly inside it has exactly `color`.
    pub(crate) fn disc(&mut self, tile: PixelRect, center: [f32; 2], radius: f32, color: Color) {
        let [x0, x1] = bounds(center[0], radius, tile.x, tile.x + tile.width);
        let [y0, y1] = bounds(center[1], radius, tile.y, tile.y + tile.height);
        for y in y0..y1 {
            for x in x0..x1 {
                let offset = [x as f32 + 0.5 - center[0], y as f32 + 0.5 - center[1]];
                let distance = (offset[0] * offset[0] + offset[1] * offset[1]).sqrt();
                self.mix(x, y, color, radius + 0.5 - distance);
            }
        }
    }

    /// Text from its top-left corner; characters outside ASCII are drawn as `?`.
    pub(crate) fn text(&mut self, at: [u32; 2], text: &str, color: Color) {
        let [left_edge, top] = at;
        for (i, character) in text.chars().enumerate() {
            let glyph = if matches!(character, ' '..='~') { character } else { '?' };
            let left = (glyph as u32 - ' ' as u32) * CHARACTER;
            for (row, column) in (0..LINE).flat_map(|row| (0..CHARACTER).map(move |column| (row, column))) {
                let coverage = f32::from(FONT.get_pixel(left + column, row)[0]) / 255.0;
                self.mix(left_edge + i as u32 * CHARACTER + column, top + row, color, coverage);
            }
        }
    }

    fn mix(&mut self, x: u32, y: u32, color: Color, coverage: f32) {
        if coverage <= 0.0 || x >= self.0.width() || y >= self.0.height() {
            return;
        }
        let coverage = coverage.min(1.0);
        let pixel = self.0.get_pixel_mut(x, y);
        for c in 0..3 {
            let (old, new) = (f32::from(pixel[c]), f32::from(color[c]));
            pixel[c] = (old + coverage * (new - old)).round() as u8;
        }
    }
}

/// Pixels that `center` +- `radius` touches, inside `low..high`.
fn bounds(center: f32, radius: f32, low: u32, high: u32) -> [u32; 2] {
    let (low, high) = (low as f32, high as f32);
    [(center - radius - 1.0).floor(), (center + radius + 1.0).ceil()].map(|x| x.clamp(low, high) as u32)
}

/// The text, cut to `width` pixels; a cut is shown by two dots in the middle, where ids differ least.
pub(crate) fn shortened(text: &str, width: u32) -> String {
    let (characters, room) = (text.chars().count(), (width / CHARACTER) as usize);
    if characters <= room || room < 4 {
        return text.chars().take(room).collect();
    }
    let (head, tail) = ((room - 2) / 2, room - 2 - (room - 2) / 2);
    let start: String = text.chars().take(head).collect();
    start + ".." + &text.chars().skip(characters - tail).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Color = [255; 3];

    #[test]
    fn a_disc_has_its_colour_inside_and_ends_at_the_tile() {
        let mut canvas = Canvas::new(20, 20, WHITE);
        let tile = PixelRect { x: 5, y: 5, width: 10, height: 10 };
        canvas.disc(tile, [6.0, 10.5], 3.0, [10, 20, 30]);
        assert_eq!(canvas.0.get_pixel(6, 10).0, [10, 20, 30]);
        assert_eq!(canvas.0.get_pixel(4, 10).0, WHITE, "left of the tile");
        assert_eq!(canvas.0.get_pixel(10, 10).0, WHITE, "outside the disc");
        canvas.disc(tile, [-1e9, f32::NAN], 3.0, [0; 3]);
    }

    #[test]
    fn text_marks_pixels_where_it_stands() {
        let mut canvas = Canvas::new(40, LINE, WHITE);
        canvas.text([8, 0], "I\u{e9} ", [0; 3]);
        let dark = |from: u32| (from..from + 8).any(|x| (0..LINE).any(|y| canvas.0.get_pixel(x, y)[0] < 100));
        assert_eq!([0, 8, 16, 24].map(dark), [false, true, true, false]);
    }

    #[test]
    fn long_ids_are_cut_in_the_middle() {
        assert_eq!(shortened("chair_0001", 80), "chair_0001");
        assert_eq!(shortened("chair/train/chair_0001", 80), "chai..0001");
        assert_eq!(shortened("abcdef", 16), "ab");
    }
}
