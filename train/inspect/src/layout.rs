//! Where things stand in the strip of one sample: its cloud on the left, its views beside it.
//!
//! ```text
//! | heading                                     |
//! | cloud, two | image | image | image | image  |
//! | tiles high | dots  | dots  | dots  | dots   |
//! ```
//!
//! Wide images (photos) stand in two such bands beside a cloud that is four tiles high.

use super::canvas::{LINE, PixelRect};

/// Width of a sheet.
pub(crate) const WIDTH: u32 = 1400;
/// Between tiles, and around the sheet.
pub(crate) const GAP: u32 = 6;
/// Height of a heading.
pub(crate) const HEADING: u32 = LINE + GAP;

/// Most square images in a strip; wide ones (photos) get one more, so that a car's six fit.
const IMAGES: usize = 5;
/// Images wider than this, relative to their height, are wide.
const WIDE: f32 = 1.3;
/// No image is shown higher than this.
const TALLEST: f32 = 240.0;

/// The tiles of a strip, from its own top-left corner.
#[derive(Debug)]
pub(crate) struct Strip {
    /// The cloud.
    pub cloud: PixelRect,
    /// Which views are shown, ascending.
    pub views: Vec<usize>,
    /// Their images.
    pub images: Vec<PixelRect>,
    /// The same images with correspondences.
    pub dots: Vec<PixelRect>,
    /// Height with heading.
    pub height: u32,
}

impl Strip {
    /// The strip of a sample with these image sizes (width, height), one a view.
    pub(crate) fn new(sizes: &[(u32, u32)]) -> Self {
        let aspects: Vec<f32> = sizes.iter().map(|&(w, h)| w.max(1) as f32 / h.max(1) as f32).collect();
        let widest = aspects.iter().copied().fold(1.0, f32::max);
        let (most, bands) = if widest > WIDE { (IMAGES + 1, 2) } else { (IMAGES, 1) };
        let shown = sizes.len().min(most);
        let bands = if shown > 3 { bands } else { 1 };
        let views: Vec<usize> = (0..shown).map(|i| i * sizes.len() / shown).collect();
        let columns = shown.div_ceil(bands).max(1);
        let total = views.chunks(columns).map(|band| band.iter().map(|&i| aspects[i]).sum());
        // The cloud is as wide as it is high, two tiles and a gap a band.
        let room = (WIDTH - GAP * (columns + 2 * bands + 1) as u32) as f32;
        let row = (room / (total.fold(0.0, f32::max) + 2.0 * bands as f32)).min(TALLEST) as u32;
        let side = bands as u32 * 2 * (row + GAP) - GAP;
        let cloud = PixelRect { x: GAP, y: HEADING, width: side, height: side };
        let (mut images, mut dots) = (Vec::new(), Vec::new());
        for (band, views) in views.chunks(columns).enumerate() {
            let (mut x, y) = (cloud.x + side + GAP, HEADING + band as u32 * 2 * (row + GAP));
            for &view in views {
                let width = (row as f32 * aspects[view]) as u32;
                images.push(PixelRect { x, y, width, height: row });
                dots.push(PixelRect { x, y: y + row + GAP, width, height: row });
                x += width + GAP;
            }
        }
        Self { cloud, views, images, dots, height: HEADING + side + 2 * GAP }
    }
}

/// Clouds of samples without views in a row.
pub(crate) const CLOUDS: u32 = 6;

/// Width and height of the cloud tile of a sample without views.
pub(crate) fn cloud_side() -> u32 {
    (WIDTH - GAP * (CLOUDS + 1)) / CLOUDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fill_the_width_without_overlap() {
        let cases: [&[(u32, u32)]; 6] =
            [&[(224, 224); 12], &[(1600, 900); 6], &[(64, 64); 1], &[], &[(32, 64); 3], &[(900, 300); 9]];
        for sizes in cases {
            let strip = Strip::new(sizes);
            let tiles: Vec<PixelRect> =
                [strip.cloud].iter().chain(&strip.images).chain(&strip.dots).copied().collect();
            for (i, a) in tiles.iter().enumerate() {
                assert!(a.x + a.width + GAP <= WIDTH && a.y + a.height < strip.height, "{strip:?}");
                let is_apart = |b: &PixelRect| {
                    let after = |a: u32, size: u32, b: u32| a + size + GAP <= b;
                    after(a.x, a.width, b.x) || after(b.x, b.width, a.x) || after(a.y, a.height, b.y)
                };
                assert!(
                    tiles[i + 1..].iter().all(|b| is_apart(b) || b.y + b.height + GAP <= a.y),
                    "{strip:?}"
                );
            }
            for (image, dots) in strip.images.iter().zip(&strip.dots) {
                assert_eq!((image.x, image.width, image.height), (dots.x, dots.width, dots.height));
            }
        }
        assert_eq!(Strip::new(&[(224, 224); 12]).views, [0, 2, 4, 7, 9]);
        assert_eq!(Strip::new(&[(1600, 900); 6]).views, [0, 1, 2, 3, 4, 5]);
    }
}
