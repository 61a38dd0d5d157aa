//! Products of `bf16` factors, summed in `f32`.
//!
//! Both factors lie in tiles of 16 rows and 32 inner elements, the shape that Intel's AMX multiplies. What comes out is defined
//! by that unit, and the same bits on every engine. Of a tile, the products of even and of odd inner elements are summed
//! apart from zero, each by fused multiply-adds in their order; both sums are added, then added to the result; tiles follow
//! one another along the inner size. Denormal numbers count as zero on the way in and out.

mod amx;
mod emulated;
mod engine;
mod multiply;
mod pack;
mod wide;

pub use engine::Bf16Engine;
pub use multiply::Bf16Product;
#[cfg(test)]
pub(crate) use pack::round_to_bf16;
pub use pack::{Bf16Left, Bf16Right};

use crate::recycled::{MemoryPool, Pooled};

/// Rows of a tile.
pub(crate) const ROWS: usize = 16;
/// Inner elements of a tile.
pub(crate) const INNER: usize = 32;
/// Rows and columns of the result that are computed together.
pub(crate) const BLOCK: usize = 2 * ROWS;

/// 16 x 32 elements as pairs along the inner size, the element of lower index in the lower half; of a left factor
/// `[row][pair]`, of a right one `[pair][column]`.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tile(pub(crate) [[u32; INNER / 2]; ROWS]);

impl Pooled for Tile {
    fn pool() -> &'static std::sync::Mutex<MemoryPool<Self>> {
        static POOL: std::sync::Mutex<MemoryPool<Tile>> = std::sync::Mutex::new(MemoryPool::new());
        &POOL
    }
}
