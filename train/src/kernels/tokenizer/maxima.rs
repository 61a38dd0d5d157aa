//! A linear layer followed by the maximum over each patch: screened in bf16 where the processor can, else in f32.

use pulp::Simd;

use super::buffer::Buffer;
use super::prepared::packed_transposed;
#[cfg(target_arch = "x86_64")]
use super::screen::{Scratch, Screened};
use super::tile::{Largest, Packed, Rows, max_over_patches};

#[cfg(target_arch = "x86_64")]
pub(super) type Room = Scratch;
#[cfg(not(target_arch = "x86_64"))]
pub(super) type Room = ();

pub(super) enum Maxima {
    Products(Packed),
    #[cfg(target_arch = "x86_64")]
    Screened(Screened),
}

impl Maxima {
    /// Of weights [columns, depth], for patches of `k` rows.
    pub(super) fn new(weights: Buffer, depth: usize, k: usize) -> Self {
        #[cfg(target_arch = "x86_64")]
        if Screened::pays(k) {
            return Self::Screened(Screened::new(weights, depth));
        }
        let _ = k;
        Self::Products(packed_transposed(&weights, depth))
    }

    #[inline(always)]
    pub(super) fn over_patches<S: Simd>(
        &self,
        simd: S,
        (rows, k): (Rows<'_>, usize),
        room: &mut Room,
        into: Largest<'_>,
    ) {
        match self {
            Self::Products(weights) => max_over_patches(simd, rows, k, weights, into),
            #[cfg(target_arch = "x86_64")]
            Self::Screened(weights) => weights.max_over_patches(rows, k, room, into),
        }
    }
}
