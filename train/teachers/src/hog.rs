//! Teacher `hog`: histograms of oriented gradients over a spatial pyramid, projected to `D_t` numbers.
//!
//! Needs no weights, so that the whole variant runs offline. Gradients as a prediction target follow MaskFeat (Wei et al.,
//! arXiv 2112.09133); the pyramid follows Lazebnik et al. 2006. Every sum is taken in f64 in a fixed order.

use jepa3d_loader::PICTURE_SIZE;

use crate::embedding::Embedding;
use crate::projection::OrthonormalMatrix;

/// Orientations, modulo a half turn.
const BINS: usize = 9;
/// Cells along each side, level by level.
const LEVELS: [usize; 4] = [1, 2, 4, 8];
/// Cells along each side of the finest level.
const FINEST: usize = 8;
/// Numbers of a descriptor: 85 cells of 9 bins.
pub(crate) const DESCRIPTOR: usize = 85 * BINS;
/// A shorter level counts as this long when it is divided by its length.
const SHORTEST: f64 = 1e-6;

/// The descriptor and its fixed projection.
#[derive(Clone, Debug)]
pub(crate) struct Hog {
    projection: OrthonormalMatrix,
}

impl Hog {
    /// A teacher of `width` numbers.
    pub(crate) fn new(width: usize) -> Self {
        Self { projection: OrthonormalMatrix::new(DESCRIPTOR, width) }
    }

    /// Hash of the projection.
    pub(crate) fn hash(&self) -> String {
        self.projection.hash()
    }

    /// The embedding; zero, and not valid, for an image without any gradient.
    ///
    /// # Shapes
    /// `image [3, 224, 224]` in 0 to 1, to `[D_t]`.
    pub(crate) fn embed(&self, image: &[f32]) -> Embedding {
        let descriptor = describe(image);
        let is_valid = descriptor.iter().any(|&x| x > 0.0);
        Embedding { values: self.projection.apply(&descriptor), is_valid }
    }
}

/// The descriptor: levels one after the other, cells row by row, bins by angle; each level and the whole of length 1.
fn describe(image: &[f32]) -> Vec<f64> {
    let finest = fill_cells(image);
    let mut out = Vec::with_capacity(DESCRIPTOR);
    for side in LEVELS {
        let mut level = vec![0.0; side * side * BINS];
        for (cell, bins) in finest.chunks_exact(BINS).enumerate() {
            let (row, column) = (cell / FINEST * side / FINEST, cell % FINEST * side / FINEST);
            let into = &mut level[(row * side + column) * BINS..][..BINS];
            into.iter_mut().zip(bins).for_each(|(sum, x)| *sum += x);
        }
        normalise(&mut level);
        out.extend(level);
    }
    normalise(&mut out);
    out
}

fn normalise(values: &mut [f64]) {
    let length = values.iter().map(|x| x * x).sum::<f64>().sqrt().max(SHORTEST);
    values.iter_mut().for_each(|x| *x /= length);
}

/// Magnitudes by orientation in each of the 8 x 8 finest cells: `[8, 8, 9]`.
fn fill_cells(image: &[f32]) -> Vec<f64> {
    let mut cells = vec![0.0; FINEST * FINEST * BINS];
    let planes: [&[f32]; 3] =
        std::array::from_fn(|c| &image[c * PICTURE_SIZE * PICTURE_SIZE..][..PICTURE_SIZE * PICTURE_SIZE]);
    for y in 0..PICTURE_SIZE {
        let row = y * FINEST / PICTURE_SIZE;
        for x in 0..PICTURE_SIZE {
            let Gradient { x: gx, y: gy } = strongest(planes, y, x);
            // Not `hypot`, whose rounding differs between C libraries.
            let magnitude = (f64::from(gx) * f64::from(gx) + f64::from(gy) * f64::from(gy)).sqrt();
            if magnitude > 0.0 {
                let cell = &mut cells[(row * FINEST + x * FINEST / PICTURE_SIZE) * BINS..][..BINS];
                let (low, share) = nearest_bins(gx, gy);
                cell[low] += magnitude * (1.0 - share);
                cell[(low + 1) % BINS] += magnitude * share;
            }
        }
    }
    cells
}

/// The bin whose centre is at or below the gradient's angle, and the share of the next one. Centres are at 10, 30, ..
/// 170 degrees.
fn nearest_bins(gx: f32, gy: f32) -> (usize, f64) {
    let turns = libm::atan2(f64::from(gy), f64::from(gx)) / std::f64::consts::PI;
    // Modulo a half turn, in bins from the centre of the first; + 2 BINS keeps it positive.
    let at = turns * BINS as f64 - 0.5 + 2.0 * BINS as f64;
    let low = at.floor();
    (low as usize % BINS, at - low)
}

/// Derivatives of brightness.
#[derive(Clone, Copy, Default)]
struct Gradient {
    x: f32,
    y: f32,
}

/// The gradient of the channel where it is largest; the first of equal ones.
fn strongest(planes: [&[f32]; 3], y: usize, x: usize) -> Gradient {
    let (ys, xs) = (neighbours(y), neighbours(x));
    let (mut best, mut largest) = (Gradient::default(), 0.0);
    for plane in planes {
        let gradient = sobel(plane, ys, xs);
        let square = gradient.x * gradient.x + gradient.y * gradient.y;
        if square > largest {
            (best, largest) = (gradient, square);
        }
    }
    best
}

/// An index with those before and after it, mirrored at the border without repeating it.
fn neighbours(i: usize) -> [usize; 3] {
    [if i == 0 { 1 } else { i - 1 }, i, if i + 1 == PICTURE_SIZE { PICTURE_SIZE - 2 } else { i + 1 }]
}

/// Sobel's derivatives in the middle of three rows and columns.
fn sobel(plane: &[f32], ys: [usize; 3], xs: [usize; 3]) -> Gradient {
    let [x0, x1, x2] = xs;
    let [a, b, c] = ys.map(|y| &plane[y * PICTURE_SIZE..][..PICTURE_SIZE]);
    let x = (a[x2] - a[x0]) + 2.0 * (b[x2] - b[x0]) + (c[x2] - c[x0]);
    let y = (c[x0] - a[x0]) + 2.0 * (c[x1] - a[x1]) + (c[x2] - a[x2]);
    Gradient { x, y }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Draws;

    /// Coarse seeded blocks, every other one with noise: edges and flat parts, but no two channels with equal gradients,
    /// between which rounding would choose.
    fn image(seed: u64) -> Vec<f32> {
        let mut draws = Draws::new(seed, "hog", "test");
        let blocks: Vec<f64> = (0..3 * 49).map(|_| draws.unit()).collect();
        let mut out = Vec::with_capacity(3 * PICTURE_SIZE * PICTURE_SIZE);
        for c in 0..3 {
            for i in 0..PICTURE_SIZE * PICTURE_SIZE {
                let (y, x) = (i / PICTURE_SIZE / 32, i % PICTURE_SIZE / 32);
                let noise = if (y + x) % 2 == 0 { 0.1 * draws.unit() } else { 0.0 };
                out.push((0.9 * blocks[c * 49 + y * 7 + x] + noise) as f32);
            }
        }
        out
    }

    /// Magnitude and angle in degrees of every pixel's strongest gradient, by correlation with the two kernels.
    fn gradients(image: &[f32]) -> Vec<(f64, f64)> {
        let pad = |i: i64| if i < 0 { -i } else { i.min(446 - i) } as usize;
        let at = |c: usize, y: i64, x: i64| f64::from(image[c * 224 * 224 + pad(y) * 224 + pad(x)]);
        let (slope, smooth) = ([-1.0, 0.0, 1.0], [1.0, 2.0, 1.0]);
        let gradient = |i: i64, c: usize| {
            let (mut gx, mut gy) = (0.0f64, 0.0f64);
            for (dy, dx) in (0..3).flat_map(|dy| (0..3).map(move |dx| (dy, dx))) {
                let v = at(c, i / 224 + dy as i64 - 1, i % 224 + dx as i64 - 1);
                gx += v * slope[dx] * smooth[dy];
                gy += v * slope[dy] * smooth[dx];
            }
            (gx.hypot(gy), gy.atan2(gx).to_degrees().rem_euclid(180.0))
        };
        let strongest =
            |i| (1..3).map(|c| gradient(i, c)).fold(gradient(i, 0), |a, b| if b.0 > a.0 { b } else { a });
        (0..224 * 224).map(strongest).collect()
    }

    /// The definition, cell by cell and bin by bin, with triangular weights.
    fn brute_force(image: &[f32]) -> Vec<f64> {
        let gradients = gradients(image);
        let mut out = Vec::new();
        for side in [1, 2, 4, 8usize] {
            let mut level = Vec::new();
            for (cell, bin) in (0..side * side).flat_map(|cell| (0..9).map(move |bin| (cell, bin))) {
                let mut sum = 0.0;
                for (i, &(size, angle)) in gradients.iter().enumerate() {
                    let of = (i / 224 * side / 224) * side + i % 224 * side / 224;
                    let off = (angle - (20.0 * f64::from(bin) + 10.0)).abs();
                    let off = off.min(180.0 - off);
                    sum += if of == cell { size * (1.0 - off / 20.0).max(0.0) } else { 0.0 };
                }
                level.push(sum);
            }
            let length = level.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-6);
            out.extend(level.into_iter().map(|x| x / length));
        }
        let length = out.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-6);
        out.into_iter().map(|x| x / length).collect()
    }

    fn near(a: &[f64], b: &[f64], tolerance: f64) {
        let off = a.iter().zip(b).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        assert!(a.len() == b.len() && off < tolerance, "off by {off}");
    }

    #[test]
    fn equals_the_definition() {
        for seed in 0..2 {
            let image = image(seed);
            let found = describe(&image);
            assert_eq!(found.len(), DESCRIPTOR);
            near(&found, &brute_force(&image), 1e-5);
        }
    }

    #[test]
    fn contrast_brightness_and_inversion_change_nothing() {
        let image = image(3);
        let changed = |f: fn(f32) -> f32| describe(&image.iter().map(|&x| f(x)).collect::<Vec<_>>());
        let found = describe(&image);
        near(&changed(|x| 0.5 * x), &found, 1e-12);
        near(&changed(|x| 0.4 * x + 0.3), &found, 1e-5);
        near(&changed(|x| 1.0 - x), &found, 1e-5);
    }

    #[test]
    fn mirroring_mirrors_cells_and_angles() {
        let image = image(4);
        let mirrored: Vec<f32> = (0..image.len())
            .map(|i| image[i / PICTURE_SIZE * PICTURE_SIZE + PICTURE_SIZE - 1 - i % PICTURE_SIZE])
            .collect();
        let (found, mirrored) = (describe(&image), describe(&mirrored));
        let mut want = Vec::new();
        let mut start = 0;
        for side in LEVELS {
            for cell in 0..side * side {
                let other = cell / side * side + side - 1 - cell % side;
                want.extend((0..BINS).map(|bin| found[start + other * BINS + BINS - 1 - bin]));
            }
            start += side * side * BINS;
        }
        near(&mirrored, &want, 1e-5);
    }

    #[test]
    fn a_ramp_has_one_orientation() {
        // Brightness grows downwards: 90 degrees, the centre of bin 4.
        let image: Vec<f32> = (0..3 * PICTURE_SIZE * PICTURE_SIZE)
            .map(|i| (i / PICTURE_SIZE % PICTURE_SIZE) as f32 / 255.0)
            .collect();
        let found = describe(&image);
        assert!(found.iter().enumerate().all(|(i, &x)| (x > 0.0) == (i % BINS == 4)), "{found:?}");
    }

    #[test]
    fn of_equal_gradients_the_first_channel_counts() {
        let ramp = |f: fn(usize, usize) -> usize| {
            (0..PICTURE_SIZE * PICTURE_SIZE)
                .map(move |i| f(i / PICTURE_SIZE, i % PICTURE_SIZE) as f32 / 256.0)
        };
        // Red to the right, green downwards, equally steep, in exact steps: red's 0 degrees, between bins 8 and 0.
        let image: Vec<f32> = ramp(|_, x| x).chain(ramp(|y, _| y)).chain(ramp(|_, _| 0)).collect();
        let bins = &describe(&image)[..BINS];
        assert!((bins[0] - bins[8]).abs() < 1e-12 && bins[0] > 50.0 * bins[4], "{bins:?}");
    }

    #[test]
    fn flat_images_are_not_valid() {
        let hog = Hog::new(16);
        let flat = hog.embed(&vec![0.7; 3 * PICTURE_SIZE * PICTURE_SIZE]);
        assert_eq!(flat, Embedding { values: vec![0.0; 16], is_valid: false });
        let found = hog.embed(&image(1));
        assert!(found.is_valid && found.values.iter().any(|&x| x != 0.0));
    }

    #[test]
    fn the_projection_never_changes() {
        assert_eq!(Hog::new(384).hash(), "b84a4228d619f9a78ba8b514e8237ae9");
        let image = image(0);
        let embedding = Hog::new(384).embed(&image);
        let bytes: Vec<u8> = embedding.values.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(jepa3d_schemas::source_hash(&[&bytes]), "4d11c99522e9e22458e09802eeaf8cfb");
    }
}
