//! Coordinates in structure-of-arrays form, in blocks of 16 lanes, and the kernels over them.
//!
//! The kernels are plain loops over `[f32; 16]` that compilers turn into vector code; `pulp`
//! compiles them once more for AVX2 and AVX-512 and picks one when the program runs.

/// Lanes of a block.
pub(crate) const LANES: usize = 16;

/// 16 points, coordinate by coordinate.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Block {
    pub x: [f32; LANES],
    pub y: [f32; LANES],
    pub z: [f32; LANES],
}

impl Block {
    /// No points: every lane at infinity.
    pub(crate) const FAR: Self =
        Self { x: [f32::INFINITY; LANES], y: [f32::INFINITY; LANES], z: [f32::INFINITY; LANES] };

    pub(crate) fn set(&mut self, lane: usize, p: [f32; 3]) {
        self.x[lane] = p[0];
        self.y[lane] = p[1];
        self.z[lane] = p[2];
    }

    /// Squared distances of the 16 points to `q`.
    #[inline(always)]
    pub(crate) fn squared_distances(&self, q: [f32; 3]) -> [f32; LANES] {
        let mut d = [0.0; LANES];
        for i in 0..LANES {
            let (dx, dy, dz) = (self.x[i] - q[0], self.y[i] - q[1], self.z[i] - q[2]);
            d[i] = (dx * dx + dy * dy) + dz * dz;
        }
        d
    }
}

/// Boxes of 16 buckets, coordinate by coordinate.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Boxes {
    pub low: Block,
    pub high: Block,
}

impl Boxes {
    /// No boxes: farther than any reach.
    pub(crate) const FAR: Self = Self { low: Block::FAR, high: Block::FAR };

    /// Lower bounds of the squared distances between `q` and any point of each box.
    ///
    /// They are exact bounds for the *computed* distances of [`Block::squared_distances`]:
    /// rounding is monotone, and both follow the same operations in the same order.
    #[inline(always)]
    pub(crate) fn lower_bounds(&self, q: [f32; 3]) -> [f32; LANES] {
        let mut bound = [0.0; LANES];
        for (i, bound) in bound.iter_mut().enumerate() {
            let dx = greater(greater(self.low.x[i] - q[0], q[0] - self.high.x[i]), 0.0);
            let dy = greater(greater(self.low.y[i] - q[1], q[1] - self.high.y[i]), 0.0);
            let dz = greater(greater(self.low.z[i] - q[2], q[2] - self.high.z[i]), 0.0);
            *bound = (dx * dx + dy * dy) + dz * dz;
        }
        bound
    }
}

/// The larger of two numbers that are not NaN; one instruction, unlike `f32::max`.
#[inline(always)]
pub(crate) fn greater(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The smaller of two numbers that are not NaN.
#[inline(always)]
pub(crate) fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// The largest of 16 numbers.
#[inline(always)]
pub(crate) fn largest(v: [f32; LANES]) -> f32 {
    let mut best = v;
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            best[i] = greater(best[i], best[i + width]);
        }
        width /= 2;
    }
    best[0]
}

/// One bit a lane.
const BITS: [u32; LANES] = {
    let mut bits = [0; LANES];
    let mut i = 0;
    while i < LANES {
        bits[i] = 1 << i;
        i += 1;
    }
    bits
};

/// The lanes for which `test` holds of the two values, as bits.
///
/// Selecting a constant and folding by `|` is a form that compilers keep in vector registers;
/// shifting each comparison into place is not.
#[inline(always)]
pub(crate) fn lanes_where(a: &[f32; LANES], b: &[f32; LANES], test: impl Fn(f32, f32) -> bool) -> u32 {
    let mut bits = [0; LANES];
    for i in 0..LANES {
        bits[i] = if test(a[i], b[i]) { BITS[i] } else { 0 };
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            bits[i] |= bits[i + width];
        }
        width /= 2;
    }
    bits[0]
}

/// The lanes whose value is at most `limit`, as bits.
#[inline(always)]
pub(crate) fn at_most(v: &[f32; LANES], limit: f32) -> u32 {
    lanes_where(v, &[limit; LANES], |x, limit| x <= limit)
}
