//! Textures with a pyramid of halved levels, sampled bilinearly in linear light.
//!
//! One level is chosen a sample so that a pixel covers about one texel (Williams 1983, Pyramidal
//! parametrics): without it, a texture that is finer than the image turns to noise.

use jepa3d_schemas::{Texture, TextureWrap};

use crate::palette::Srgb;

/// A texture and its levels, each half the size of the one before.
pub(crate) struct Pyramid<'a> {
    full: &'a Texture,
    /// Levels 1, 2, ... in linear light would cost four times the memory; these are sRGB again.
    halved: Vec<Texture>,
}

impl<'a> Pyramid<'a> {
    /// `None` for a texture without pixels or with fewer than its size asks for.
    pub(crate) fn new(full: &'a Texture, srgb: Srgb) -> Option<Self> {
        let pixels = full.width as usize * full.height as usize;
        if pixels == 0 || full.rgb.len() != pixels {
            return None;
        }
        let mut halved: Vec<Texture> = Vec::new();
        loop {
            let last = halved.last().unwrap_or(full);
            if last.width.max(last.height) <= 1 {
                return Some(Self { full, halved });
            }
            let next = halve(last, srgb);
            halved.push(next);
        }
    }

    /// Texels along and across, of the full texture.
    pub(crate) fn size(&self) -> [f32; 2] {
        [self.full.width as f32, self.full.height as f32]
    }

    /// Linear colour at `uv` (origin at the lower left, wrapped as the texture says), where one pixel covers
    /// `texels` texels of the full texture along a side.
    #[inline]
    pub(crate) fn sample(&self, uv: [f32; 2], texels: f32, srgb: Srgb) -> [f32; 3] {
        // Bits of a float hold its binary logarithm: 1.41 texels and more take the next level.
        let level = ((texels * texels).max(1.0).to_bits() >> 23).saturating_sub(126) as usize / 2;
        let texture = match level.min(self.halved.len()) {
            0 => self.full,
            n => &self.halved[n - 1],
        };
        interpolate(texture, uv, srgb)
    }
}

fn interpolate(texture: &Texture, uv: [f32; 2], srgb: Srgb) -> [f32; 3] {
    let (x0, x1, tx) = find_texels(uv[0], texture.wrap[0], texture.width as usize);
    let (y0, y1, ty) = find_texels(1.0 - uv[1], texture.wrap[1], texture.height as usize);
    let texel = |x: usize, y: usize| srgb.linear(texture.rgb[y * texture.width as usize + x]);
    let (a, b, c, d) = (texel(x0, y0), texel(x1, y0), texel(x0, y1), texel(x1, y1));
    std::array::from_fn(|i| {
        let (above, below) = (a[i] + (b[i] - a[i]) * tx, c[i] + (d[i] - c[i]) * tx);
        above + (below - above) * ty
    })
}

/// The two texels around a coordinate and the weight of the second.
#[inline(always)]
fn find_texels(x: f32, wrap: TextureWrap, size: usize) -> (usize, usize, f32) {
    if wrap != TextureWrap::Repeat {
        return find_bordered_texels(x, wrap, size);
    }
    let wrapped = if x.is_finite() { x - x.floor() } else { 0.0 };
    let at = wrapped * size as f32 - 0.5;
    let low = at.floor();
    let first = if low < 0.0 { size - 1 } else { (low as usize).min(size - 1) };
    let second = if first + 1 == size { 0 } else { first + 1 };
    (first, second, at - low)
}

/// As [`find_texels`], of an image that does not go on beyond its border but ends or is mirrored there: the
/// texel beyond it is the one before it.
fn find_bordered_texels(x: f32, wrap: TextureWrap, size: usize) -> (usize, usize, f32) {
    let inside = match (x.is_finite(), wrap) {
        (false, _) => 0.0,
        (true, TextureWrap::Mirror) => 1.0 - (x.rem_euclid(2.0) - 1.0).abs(),
        (true, _) => x.clamp(0.0, 1.0),
    };
    let at = inside * size as f32 - 0.5;
    let low = at.floor();
    let first = if low < 0.0 { 0 } else { (low as usize).min(size - 1) };
    let second = if low < 0.0 { 0 } else { (first + 1).min(size - 1) };
    (first, second, at - low)
}

/// Averages two by two in linear light; an odd last row or column is averaged with itself.
fn halve(texture: &Texture, srgb: Srgb) -> Texture {
    let (w, h) = (texture.width as usize, texture.height as usize);
    let (width, height) = (w.div_ceil(2), h.div_ceil(2));
    let mut rgb = Vec::with_capacity(width * height);
    for y in 0..height {
        let rows = [2 * y, (2 * y + 1).min(h - 1)].map(|r| &texture.rgb[r * w..(r + 1) * w]);
        for x in 0..width {
            let columns = [2 * x, (2 * x + 1).min(w - 1)];
            let four = rows.map(|row| columns.map(|c| srgb.linear(row[c])));
            rgb.push(std::array::from_fn(|i| {
                srgb.encode((four[0][0][i] + four[0][1][i] + four[1][0][i] + four[1][1][i]) / 4.0)
            }));
        }
    }
    Texture { width: width as u32, height: height as u32, rgb, wrap: texture.wrap }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checker(size: u32) -> Texture {
        let at = |i: u32| if (i % size + i / size).is_multiple_of(2) { [255; 3] } else { [0; 3] };
        Texture { width: size, height: size, rgb: (0..size * size).map(at).collect(), ..Texture::default() }
    }

    #[test]
    fn texel_centres_give_texels_and_v_runs_up() {
        let rgb = vec![[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]];
        let texture = Texture { width: 2, height: 2, rgb, ..Texture::default() };
        let srgb = Srgb::new();
        let pyramid = Pyramid::new(&texture, srgb).unwrap();
        assert_eq!(pyramid.sample([0.25, 0.75], 1.0, srgb), [1.0, 0.0, 0.0]);
        assert_eq!(pyramid.sample([0.75, 0.75], 1.0, srgb), [0.0, 1.0, 0.0]);
        assert_eq!(pyramid.sample([0.25, 0.25], 1.0, srgb), [0.0, 0.0, 1.0]);
        assert_eq!(pyramid.sample([-0.75, 3.25], 1.0, srgb), [0.0, 0.0, 1.0]);
        assert_eq!(pyramid.sample([0.0, 0.75], 1.0, srgb), [0.5, 0.5, 0.0]);
    }

    #[test]
    fn beyond_the_border_is_what_the_texture_says() {
        let rgb = vec![[255, 0, 0], [0, 0, 255]];
        let srgb = Srgb::new();
        let color = |u: f32, wrap: TextureWrap| {
            let texture =
                Texture { width: 2, height: 1, rgb: rgb.clone(), wrap: [wrap, TextureWrap::Repeat] };
            Pyramid::new(&texture, srgb).unwrap().sample([u, 0.5], 1.0, srgb)
        };
        let (red, blue) = ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]);
        use TextureWrap::{Clamp, Mirror, Repeat};
        for (u, repeat, clamp, mirror) in [
            (0.25, red, red, red),
            (1.25, red, blue, blue),
            (1.75, blue, blue, red),
            (-0.25, blue, red, red),
            (2.25, red, blue, red),
        ] {
            assert_eq!([Repeat, Clamp, Mirror].map(|wrap| color(u, wrap)), [repeat, clamp, mirror], "{u}");
        }
        for wrap in [Clamp, Mirror] {
            assert_eq!([0.0, 1.0, f32::NAN].map(|u| color(u, wrap)), [red, blue, red]);
        }
    }

    #[test]
    fn a_fine_checker_is_half_the_light_from_afar() {
        let texture = checker(64);
        let srgb = Srgb::new();
        let pyramid = Pyramid::new(&texture, srgb).unwrap();
        assert_eq!(pyramid.halved.len(), 6);
        for texels in [2.0, 5.0, 64.0, 1e9] {
            assert!((pyramid.sample([0.3, 0.6], texels, srgb)[0] - 0.5).abs() < 0.01, "{texels}");
        }
        assert_eq!(pyramid.sample([0.5 / 64.0, 1.0 - 0.5 / 64.0], 1.3, srgb), [1.0; 3]);
    }

    #[test]
    fn textures_without_their_pixels_are_none() {
        let srgb = Srgb::new();
        assert!(Pyramid::new(&Texture { width: 0, height: 3, ..Texture::default() }, srgb).is_none());
        assert!(
            Pyramid::new(&Texture { width: 2, height: 2, rgb: vec![[0; 3]; 3], ..Texture::default() }, srgb)
                .is_none()
        );
        let odd = Texture { width: 3, height: 1, rgb: vec![[255; 3]; 3], ..Texture::default() };
        assert_eq!(Pyramid::new(&odd, srgb).unwrap().halved.len(), 2);
    }
}
