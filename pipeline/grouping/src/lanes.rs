//! Rows of 16 numbers, and the vector operations on them that plain loops do not compile to.
//!
//! `pulp` detects the processor when the program runs and hands out its instructions as safe functions. Every
//! implementation gives the same bits; the portable one serves other processors and the tests. Whatever runs inside
//! `dispatch` has to be inlined into it, or it is compiled for the oldest processor: hence `#[inline(always)]` on every
//! function and closure of the hot loops, and plain loops where a library would take a closure.

use pulp::{Arch, NullaryFnOnce, Scalar, Simd};

/// 16 numbers, none of them NaN.
pub(crate) type LaneRow = [f32; WIDTH];
/// LaneOps of a row.
pub(crate) const WIDTH: usize = 16;

/// Squared distances of 16 points and their indices.
#[derive(Clone, Copy)]
pub(crate) struct PointRow<'a> {
    pub(crate) distances: &'a LaneRow,
    pub(crate) ids: &'a [u32; WIDTH],
}

/// Room for a [`PointRow`].
pub(crate) struct PointRowMut<'a> {
    pub(crate) distances: &'a mut LaneRow,
    pub(crate) ids: &'a mut [u32; WIDTH],
}

/// Operations on rows.
pub(crate) trait LaneOps: Simd {
    /// Bit `i` is set where `a[i] <= b[i]`.
    fn mask_at_most(self, a: &LaneRow, b: &LaneRow) -> u32;

    /// Bit `i` is set where `a[i] < b[i]`.
    #[inline(always)]
    fn mask_below(self, a: &LaneRow, b: &LaneRow) -> u32 {
        !self.mask_at_most(b, a) & 0xFFFF
    }

    /// Bit `i` is set where `values[i]` equals `most`, the largest of all values.
    #[inline(always)]
    fn mask_equal_to_most(self, values: &LaneRow, most: f32) -> u32 {
        self.mask_at_most(&[most; WIDTH], values)
    }

    /// Moves the marked distances and their indices, in order, to the front of `room`; what follows them there is lost.
    #[inline(always)]
    fn pack(self, marked: u32, from: PointRow<'_>, room: PointRowMut<'_>) {
        let (mut marked, mut at) = (marked & 0xFFFF, 0);
        while let Some(lane) = take_bit(&mut marked) {
            (room.distances[at], room.ids[at]) = (from.distances[lane], from.ids[lane]);
            at += 1;
        }
    }

    /// For each of a row, how many of `others` are below it.
    #[inline(always)]
    fn count_below(self, row: &LaneRow, others: &[f32]) -> [u32; WIDTH] {
        let (zero, one) = (self.splat_u32s(0), self.splat_u32s(1));
        let mut counts = [0; WIDTH];
        let vectors = Self::as_mut_simd_u32s(&mut counts).0.iter_mut().zip(Self::as_simd_f32s(row).0);
        for (count, &values) in vectors {
            let mut sum = zero;
            for &other in others {
                let below = self.less_than_f32s(self.splat_f32s(other), values);
                sum = self.add_u32s(sum, self.select_u32s(below, one, zero));
            }
            *count = sum;
        }
        counts
    }

    /// `f` of the rows, lane by lane.
    #[inline(always)]
    fn map<const N: usize>(self, rows: [&LaneRow; N], f: impl Fn([Self::f32s; N]) -> Self::f32s) -> LaneRow {
        let mut result = [0.0; WIDTH];
        let vectors = Self::as_mut_simd_f32s(&mut result).0;
        for (i, vector) in vectors.iter_mut().enumerate() {
            let mut arguments = [self.splat_f32s(0.0); N];
            for (argument, row) in arguments.iter_mut().zip(rows) {
                *argument = Self::as_simd_f32s(row).0[i];
            }
            *vector = f(arguments);
        }
        result
    }

    /// `(dx dx + dy dy) + dz dz` of three rows of differences.
    #[inline(always)]
    fn squared_length(self, dx: Self::f32s, dy: Self::f32s, dz: Self::f32s) -> Self::f32s {
        let xy = self.add_f32s(self.mul_f32s(dx, dx), self.mul_f32s(dy, dy));
        self.add_f32s(xy, self.mul_f32s(dz, dz))
    }

    /// How far `x` lies outside `lo ..= hi`, 0 inside.
    #[inline(always)]
    fn gap(self, lo: Self::f32s, hi: Self::f32s, x: Self::f32s) -> Self::f32s {
        let outside = self.max_f32s(self.sub_f32s(lo, x), self.sub_f32s(x, hi));
        self.max_f32s(outside, self.splat_f32s(0.0))
    }

    /// The smaller of two rows, lane by lane.
    #[inline(always)]
    fn min_rows(self, a: &LaneRow, b: &LaneRow) -> LaneRow {
        self.map(
            [a, b],
            #[inline(always)]
            |[a, b]| self.min_f32s(a, b),
        )
    }

    /// The larger of two rows, lane by lane.
    #[inline(always)]
    fn max_rows(self, a: &LaneRow, b: &LaneRow) -> LaneRow {
        self.map(
            [a, b],
            #[inline(always)]
            |[a, b]| self.max_f32s(a, b),
        )
    }

    /// The largest of a row.
    #[inline(always)]
    fn reduce_max(self, values: &LaneRow) -> f32 {
        let rows = Self::as_simd_f32s(values).0;
        let mut most = rows[0];
        for &row in &rows[1..] {
            most = self.max_f32s(most, row);
        }
        self.reduce_max_f32s(most)
    }
}

impl LaneOps for Scalar {
    #[inline(always)]
    fn mask_at_most(self, a: &LaneRow, b: &LaneRow) -> u32 {
        let mut bits = [0; WIDTH];
        for i in 0..WIDTH {
            bits[i] = if a[i] <= b[i] { 1 << i } else { 0 };
        }
        bits.iter().fold(0, |mask, bit| mask | bit)
    }
}

#[cfg(target_arch = "x86_64")]
impl LaneOps for pulp::x86::V3 {
    #[inline(always)]
    fn mask_at_most(self, a: &LaneRow, b: &LaneRow) -> u32 {
        use std::arch::x86_64::{__m256, _CMP_LE_OQ};
        let [a, b]: [[__m256; 2]; 2] = [pulp::cast(*a), pulp::cast(*b)];
        let low = self.avx._mm256_cmp_ps::<_CMP_LE_OQ>(a[0], b[0]);
        let high = self.avx._mm256_cmp_ps::<_CMP_LE_OQ>(a[1], b[1]);
        (self.avx._mm256_movemask_ps(low) | self.avx._mm256_movemask_ps(high) << 8) as u32
    }
}

#[cfg(target_arch = "x86_64")]
impl LaneOps for pulp::x86::V4 {
    #[inline(always)]
    fn mask_at_most(self, a: &LaneRow, b: &LaneRow) -> u32 {
        u32::from(self.avx512f._mm512_cmple_ps_mask(pulp::cast(*a), pulp::cast(*b)))
    }

    #[inline(always)]
    fn pack(self, marked: u32, from: PointRow<'_>, room: PointRowMut<'_>) {
        let (marked, distances, ids) = (marked as u16, pulp::cast(*from.distances), pulp::cast(*from.ids));
        *room.distances = pulp::cast(self.avx512f._mm512_maskz_compress_ps(marked, distances));
        *room.ids = pulp::cast(self.avx512f._mm512_maskz_compress_epi32(marked, ids));
    }
}

/// Takes the lowest set bit out of `mask` and returns its position; `None` when no bit is set.
#[inline(always)]
pub(crate) fn take_bit(mask: &mut u32) -> Option<usize> {
    if *mask == 0 {
        return None;
    }
    let bit = mask.trailing_zeros() as usize;
    *mask &= *mask - 1;
    Some(bit)
}

/// Work that is compiled once for each kind of processor.
pub(crate) trait Kernel {
    /// Does the work with the instructions that `lanes` stands for.
    fn run<L: LaneOps>(self, lanes: L);
}

#[cfg(target_arch = "x86_64")]
struct BoundKernel<K, L> {
    kernel: K,
    lanes: L,
}

#[cfg(target_arch = "x86_64")]
impl<K: Kernel, L: LaneOps> NullaryFnOnce for BoundKernel<K, L> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.kernel.run(self.lanes);
    }
}

/// Runs the fastest form that this processor knows.
pub(crate) fn dispatch(arch: Arch, kernel: impl Kernel) {
    match arch {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(lanes) => lanes.vectorize(BoundKernel { kernel, lanes }),
        #[cfg(target_arch = "x86_64")]
        Arch::V3(lanes) => lanes.vectorize(BoundKernel { kernel, lanes }),
        _ => kernel.run(Scalar),
    }
}
