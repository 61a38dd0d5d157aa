//! Products of dense matrices that lie in slices, in `f32` or `f64`.
//!
//! [`Matrix`] says how numbers in a slice are rows and columns, transposed or apart from each other where need be;
//! [`Product`] multiplies two of them into a slice, scaled or added to what is there; [`product()`] does so on all
//! threads. Work is split over rows of the result in blocks of a fixed size, so that the bits of the result do not
//! depend on the number of threads. The multiplication is the `gemm` crate's: this crate is the only one that calls
//! it, and has nearly all `unsafe` code of the workspace: `gemm` takes pointers, the matrix unit has no functions yet, and
//! functions for wider vectors may be called only where the processor has them ([`vectorized!`]).
//!
//! [`Bf16Product`] multiplies factors that are rounded to `bf16`, on the processor's matrix unit or, to the same bits, in
//! ordinary instructions. [`Recycled`] is memory that one training step hands to the next.
//!
//! ```
//! use jepa3d_products::{Matrix, Product, product};
//!
//! let (a, b) = ([1.0, 2.0, 3.0, 4.0], [0.5, 0.0, 0.0, 2.0]);
//! let (a, b) = (Matrix::new(&a, 2), Matrix::new(&b, 2));
//! assert_eq!(product(a, b), [0.5, 4.0, 1.5, 8.0]);
//!
//! // 10 + 2 a^T b, with rows of the result three numbers apart.
//! let mut out = [10.0; 6];
//! Product { scale: 2.0, ..Product::new(a.transpose(), b) }.add_to(&mut out, 3);
//! assert_eq!(out, [11.0, 22.0, 10.0, 12.0, 26.0, 10.0]);
//! ```

mod bf16;
mod matrix;
mod process_memory;
mod process_threads;
mod product;
mod recycled;
mod vectorized;

pub use bf16::{Bf16Engine, Bf16Left, Bf16Product, Bf16Right, Tile};
pub use matrix::Matrix;
pub use process_memory::keep_freed_memory;
pub use process_threads::use_candle_threads;
pub use product::{Number, Product, product};
pub use recycled::{Pooled, Recycled};
pub use vectorized::VectorLevel;
