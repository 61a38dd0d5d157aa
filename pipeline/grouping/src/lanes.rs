//! Rows of 16 numbers, and the vector operations on them that plain loops do not compile to.
//!
//! `pulp` detects the processor when the program runs and hands out its instructions as safe functions. Every
//! implementation gives the same bits; the portable one serves other processors and the tests. Whatever runs inside
//! `dispatch` has to be inlined into it, or it is compiled for the oldest processor: hence `#[inline(always)]` on every
//! function and closure of the hot loops, and plain loops where a library would take a closure.

use pulp::{Arch, NullaryFnOnce, Scalar, Simd};

use crate::kernels::take_bit;

/// 16 numbers, none of them NaN.
pub(crate) type Row = [f32; WIDTH];
/// Lanes of a row.
pub(crate) const WIDTH: usize = 16;

/// Operations on rows.
pub(crate) trait Lanes: Simd {
    /// Bit `i` is set where `a[i] <= b[i]`.
    fn at_most(self, a: &Row, b: &Row) -> u32;

    /// Bit `i` is set where `a[i] < b[i]`.
    #[inline(always)]
    fn below(self, a: &Row, b: &Row) -> u32 {
        !self.at_most(b, a) & 0xFFFF
    }

    /// Bit `i` is set where `values[i]` equals `most`, the largest of all values.
    #[inline(always)]
    fn equal_to_most(self, values: &Row, most: f32) -> u32 {
        self.at_most(&[most; WIDTH], values)
    }

    /// Moves the marked distances and their indices, in order, to the front of `room`; what follows them there is lost.
    #[inline(always)]
    fn pack(self, marked: u32, from: (&Row, &[u32; WIDTH]), room: (&mut Row, &mut [u32; WIDTH])) {
        let (mut marked, mut at) = (marked & 0xFFFF, 0);
        while let Some(lane) = take_bit(&mut marked) {
            (room.0[at], room.1[at]) = (from.0[lane], from.1[lane]);
            at += 1;
        }
    }

    /// For each of a row, how many of `others` are below it.
    #[inline(always)]
    fn count_below(self, row: &Row, others: &[f32]) -> [u32; WIDTH] {
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
    fn map<const N: usize>(self, rows: [&Row; N], f: impl Fn([Self::f32s; N]) -> Self::f32s) -> Row {
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
    fn square(self, [dx, dy, dz]: [Self::f32s; 3]) -> Self::f32s {
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
    fn smaller(self, a: &Row, b: &Row) -> Row {
        self.map(
            [a, b],
            #[inline(always)]
            |[a, b]| self.min_f32s(a, b),
        )
    }

    /// The larger of two rows, lane by lane.
    #[inline(always)]
    fn larger(self, a: &Row, b: &Row) -> Row {
        self.map(
            [a, b],
            #[inline(always)]
            |[a, b]| self.max_f32s(a, b),
        )
    }

    /// The largest of a row.
    #[inline(always)]
    fn largest(self, values: &Row) -> f32 {
        let rows = Self::as_simd_f32s(values).0;
        let mut most = rows[0];
        for &row in &rows[1..] {
            most = self.max_f32s(most, row);
        }
        self.reduce_max_f32s(most)
    }
}

impl Lanes for Scalar {
    #[inline(always)]
    fn at_most(self, a: &Row, b: &Row) -> u32 {
        let mut bits = [0; WIDTH];
        for i in 0..WIDTH {
            bits[i] = if a[i] <= b[i] { 1 << i } else { 0 };
        }
        bits.iter().fold(0, |mask, bit| mask | bit)
    }
}

#[cfg(target_arch = "x86_64")]
impl Lanes for pulp::x86::V3 {
    #[inline(always)]
    fn at_most(self, a: &Row, b: &Row) -> u32 {
        use std::arch::x86_64::{__m256, _CMP_LE_OQ};
        let [a, b]: [[__m256; 2]; 2] = [pulp::cast(*a), pulp::cast(*b)];
        let low = self.avx._mm256_cmp_ps::<_CMP_LE_OQ>(a[0], b[0]);
        let high = self.avx._mm256_cmp_ps::<_CMP_LE_OQ>(a[1], b[1]);
        (self.avx._mm256_movemask_ps(low) | self.avx._mm256_movemask_ps(high) << 8) as u32
    }
}

#[cfg(target_arch = "x86_64")]
impl Lanes for pulp::x86::V4 {
    #[inline(always)]
    fn at_most(self, a: &Row, b: &Row) -> u32 {
        u32::from(self.avx512f._mm512_cmple_ps_mask(pulp::cast(*a), pulp::cast(*b)))
    }

    #[inline(always)]
    fn pack(self, marked: u32, from: (&Row, &[u32; WIDTH]), room: (&mut Row, &mut [u32; WIDTH])) {
        let marked = marked as u16;
        *room.0 = pulp::cast(self.avx512f._mm512_maskz_compress_ps(marked, pulp::cast(*from.0)));
        *room.1 = pulp::cast(self.avx512f._mm512_maskz_compress_epi32(marked, pulp::cast(*from.1)));
    }
}

/// Work that is compiled once for each kind of processor.
pub(crate) trait Kernel {
    fn run<L: Lanes>(self, lanes: L);
}

struct Bound<K, L> {
    kernel: K,
    lanes: L,
}

impl<K: Kernel, L: Lanes> NullaryFnOnce for Bound<K, L> {
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
        Arch::V4(lanes) => lanes.vectorize(Bound { kernel, lanes }),
        #[cfg(target_arch = "x86_64")]
        Arch::V3(lanes) => lanes.vectorize(Bound { kernel, lanes }),
        _ => kernel.run(Scalar),
    }
}
