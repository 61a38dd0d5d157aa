//! Vertices on the screen: pixel position on a fine grid, inverse depth, and which sides they are beyond.
//!
//! Positions are rounded to 1/65536 pixel, so that edge functions are exact integers and a shared
//! edge decides every pixel once. Vertices that such a grid cannot hold go through `clip`.

use glam::DVec3;

use crate::sample_grid::SampleGrid;

/// Bits behind the point of a pixel coordinate.
pub(crate) const SUBPIXEL_BITS: u32 = 16;
/// One pixel on the grid.
pub(crate) const PIXEL: i64 = 1 << SUBPIXEL_BITS;
/// Pixels left of and above the image that the grid still holds.
pub(crate) const GUARD_LOW: f64 = -8192.0;
/// Pixels from the image's left or top edge that the grid still holds.
pub(crate) const GUARD_HIGH: f64 = 16384.0;

/// Beyond the left edge of the image.
const LEFT: u32 = 1;
const RIGHT: u32 = 2;
const ABOVE: u32 = 4;
const BELOW: u32 = 8;
/// Nearer than the near plane.
const NEARER: u32 = 16;
/// Outside what the grid holds.
const UNGUARDED: u32 = 32;
/// Not finite: the triangle cannot be drawn.
const UNUSABLE: u32 = 64;

/// Three vertices that share one of these bits show nothing.
pub(crate) const REJECT_ALL: u32 = LEFT | RIGHT | ABOVE | BELOW | NEARER | UNUSABLE;
/// One vertex with one of these bits needs clipping.
pub(crate) const NEEDS_CLIP: u32 = NEARER | UNGUARDED;
/// One vertex with one of these bits and the triangle is left out.
pub(crate) const REJECT_ANY: u32 = UNUSABLE;

/// A vertex on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ScreenVertex {
    /// Pixel x in 1/65536, meaningless with [`NEEDS_CLIP`].
    pub(crate) x: i32,
    /// Pixel y in 1/65536.
    pub(crate) y: i32,
    /// 1 / z in the camera frame.
    pub(crate) inverse_depth: f32,
    /// Sides it is beyond.
    pub(crate) sides: u32,
}

/// A camera made ready for projecting: rows scaled so that `u = row0 / row2`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScreenProjection {
    rows: [[f64; 4]; 3],
    width: f64,
    height: f64,
    near: f64,
}

impl ScreenProjection {
    /// Onto the samples of `grid`; nothing nearer than `near` is drawn.
    pub(crate) fn new(grid: SampleGrid<'_>, near: f64) -> Self {
        let camera = grid.camera;
        let [a, b, c, d, e, f, g, h, i, j, k, l] = camera.rows();
        let scale = f64::from(grid.scale);
        let mix = |x: [f64; 4], z: [f64; 4], focal: f64, center: f64| {
            std::array::from_fn(|n| scale * (focal * x[n] + center * z[n]))
        };
        let z = [i, j, k, l];
        let rows =
            [mix([a, b, c, d], z, camera.fx, camera.cx), mix([e, f, g, h], z, camera.fy, camera.cy), z];
        let (width, height) = (f64::from(camera.width) * scale, f64::from(camera.height) * scale);
        Self { rows, width, height, near }
    }

    /// `[u z, v z, z]` of a world point.
    #[inline(always)]
    pub(crate) fn homogeneous_from(&self, p: [f32; 3]) -> DVec3 {
        let [x, y, z] = p.map(f64::from);
        let dot = |r: &[f64; 4]| (r[0] * x + r[1] * y) + (r[2] * z + r[3]);
        DVec3::new(dot(&self.rows[0]), dot(&self.rows[1]), dot(&self.rows[2]))
    }

    /// A homogeneous point on the grid.
    #[inline(always)]
    pub(crate) fn screen_from(&self, h: DVec3) -> ScreenVertex {
        let inverse = 1.0 / h.z;
        let (u, v) = (h.x * inverse, h.y * inverse);
        let side = |is_beyond: bool, bit: u32| if is_beyond { bit } else { 0 };
        let guarded = [u, v].iter().all(|x| (GUARD_LOW..=GUARD_HIGH).contains(x));
        let sides = side(h.x < 0.0, LEFT)
            | side(h.x > self.width * h.z, RIGHT)
            | side(h.y < 0.0, ABOVE)
            | side(h.y > self.height * h.z, BELOW)
            | side(h.z < self.near, NEARER)
            | side(!guarded, UNGUARDED)
            | side(!(h.x + h.y + h.z).is_finite(), UNUSABLE);
        ScreenVertex { x: snap(u), y: snap(v), inverse_depth: inverse as f32, sides }
    }

    /// Projects `positions` into `out`.
    pub(crate) fn project_vertices(&self, positions: &[[f32; 3]], out: &mut Vec<ScreenVertex>) {
        out.clear();
        out.extend(positions.iter().map(|&p| self.screen_from(self.homogeneous_from(p))));
    }

    /// The near plane's depth.
    pub(crate) fn near(&self) -> f64 {
        self.near
    }
}

/// A pixel coordinate in 1/65536, ties to even; any value for coordinates off the guard band.
///
/// Adding 1.5 * 2^52 leaves the rounded integer in the low bits: no call, no branch.
#[inline(always)]
fn snap(pixels: f64) -> i32 {
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    (pixels * PIXEL as f64 + MAGIC).to_bits() as u32 as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_rounds_to_nearest() {
        for (pixels, expected) in [(0.0, 0), (0.5, 32768), (-1.0, -65536), (223.999_999, 14_680_064)] {
            assert_eq!(snap(pixels), expected, "{pixels}");
        }
        assert_eq!(snap(GUARD_HIGH), 1 << 30);
        assert_eq!(snap(GUARD_LOW), -(1 << 29));
    }
}
