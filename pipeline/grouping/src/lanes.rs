//! Comparisons of 16 integers as one bit mask: the one step that compilers do not turn into vector code by themselves.
//!
//! `pulp` detects the processor when the program runs and hands out its intrinsics as safe functions. Every
//! implementation gives the same bits; the portable one serves other processors and the tests.

use pulp::{Arch, NullaryFnOnce};

/// 16 distance bit patterns.
pub(crate) type Row = [i32; WIDTH];
/// Lanes of a row.
pub(crate) const WIDTH: usize = 16;

/// What the kernels need beyond plain loops.
pub(crate) trait Lanes: Copy {
    /// Bit `i` is set where `a[i] <= b[i]`.
    fn at_most(self, a: &Row, b: &Row) -> u32;

    /// Bit `i` is set where `a[i] < b[i]`.
    #[inline(always)]
    fn below(self, a: &Row, b: &Row) -> u32 {
        !self.at_most(b, a) & 0xFFFF
    }

    /// Bit `i` is set where `a[i] == b[i]`, none of which is above the largest of `b`'s type... see callers.
    #[inline(always)]
    fn equal(self, a: &Row, b: &Row) -> u32 {
        self.at_most(a, b) & self.at_most(b, a)
    }
}

/// Any processor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl Lanes for Portable {
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
        let [a, b]: [[std::arch::x86_64::__m256i; 2]; 2] = [pulp::cast(*a), pulp::cast(*b)];
        let above = [0, 1].map(|half| {
            let greater = self.avx2._mm256_cmpgt_epi32(a[half], b[half]);
            self.avx._mm256_movemask_ps(pulp::cast(greater)) as u32
        });
        !(above[0] | above[1] << 8) & 0xFFFF
    }
}

#[cfg(target_arch = "x86_64")]
impl Lanes for pulp::x86::V4 {
    #[inline(always)]
    fn at_most(self, a: &Row, b: &Row) -> u32 {
        u32::from(self.avx512f._mm512_cmple_epi32_mask(pulp::cast(*a), pulp::cast(*b)))
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
        _ => kernel.run(Portable),
    }
}
