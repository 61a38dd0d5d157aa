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
mod rows;
mod stack;
mod tape;
mod tokenizer;
mod view;

pub use dropout::{Mask, key_of};
pub use norm::EPSILON as NORM_EPSILON;
pub use stack::{BlockTensors, Stack, StackDrop};
pub use tape::Tape;
pub use tokenizer::{BatchStats, Mode, TokenizerWeights, tokenize, tokenize_composite, tokenize_counted};
pub use view::CpuView;
