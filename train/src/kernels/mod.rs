//! Training kernels: what candle has no backward for, or computes more slowly than it could.
//!
//! Every kernel is an ordinary function on slices with a backward of its own, run over fixed chunks of samples, so
//! that the result does not depend on the number of threads. On other devices than the CPU, and as
//! the oracle of the tests, the same mathematics stands in `nn` as compositions of candle's operators.

mod attention;
mod block;
mod dropout;
mod math;
mod norm;
pub(crate) mod products;
mod rows;
mod stack;
mod tape;
pub mod tokenizer;
pub mod tokenizer_composite;
mod view;

pub(crate) use dropout::{Mask, key_of};
pub(crate) use norm::EPSILON as NORM_EPSILON;
pub(crate) use stack::{BlockTensors, Stack, StackDrop};
pub(crate) use tape::Tape;
pub(crate) use view::CpuView;
