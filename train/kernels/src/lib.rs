//! Training kernels: what candle has no backward for, or computes more slowly than it could.
//!
//! - [`Stack`]: pre-norm transformer blocks, forward and backward as one operator of candle. The gradients of its parameters
//!   go to a [`Tape`], not through candle's graph.
//! - [`tokenize`]: the mini-PointNet that makes a token of each patch, as one operator; [`tokenize_composite`] is the same
//!   in candle's operators, the oracle of the tests.
//! - [`linear_layer`], [`normalize_rows`], [`gelu_of`], [`softmax_of`], [`smooth_l1_of`]: layers outside the blocks, one node each.
//! - [`DeviceLoss`], [`DeviceUpdater`], [`DeviceAverage`], [`PredictorTensors`], [`MlpTensors`], [`PickedRows`]: what of a step is
//!   left, on CUDA devices.
//! - [`emulate_cuda`], [`count_cuda`]: the CUDA kernels without a device, run thread by thread or only counted.
//! - [`BatchParts`]: how statistics of a batch are found that is passed in parts, by threads or processes.
//! - [`Mask`]: dropout as a pure function of a key and an element's number.
//!
//! Every kernel is an ordinary function on slices with a backward of its own; its file opens with the formulas of both. Work is
//! cut into fixed chunks of samples, so that the result does not depend on the number of threads. Errors are candle's,
//! since operators return those to it.
//!
//! ```
//! use std::sync::Arc;
//!
//! use candle_core::{Device, Tensor, Var};
//! use jepa3d_kernels::{Precision, Stack, Tape};
//!
//! # fn main() -> candle_core::Result<()> {
//! // One block of width 4 with an MLP of 8: norm1, qkv, proj, norm2, fc1, fc2, each weight then bias.
//! let shapes: [&[usize]; 12] =
//!     [&[4], &[4], &[12, 4], &[12], &[4, 4], &[4], &[4], &[4], &[8, 4], &[8], &[4, 8], &[4]];
//! let draw = |shape: &[usize]| Tensor::randn(0f32, 0.1, shape, &Device::Cpu);
//! let block = shapes.map(|shape| draw(shape).expect("a tensor"));
//! let qkv = block[2].clone();
//! let blocks = Arc::new(vec![block]);
//! let stack = Stack { blocks, heads: 2, drop: None, has_positions: false, keys: None, precision: Precision::F32 };
//!
//! // Three samples of five tokens.
//! let (x, tape) = (Var::from_tensor(&draw(&[3, 5, 4])?)?, Tape::default());
//! let gradients = stack.train(&x, &x, &tape)?.sqr()?.sum_all()?.backward()?;
//! assert!(gradients.get(&x).is_some_and(|gradient| gradient.dims() == [3, 5, 4]));
//! assert!(tape.take(&qkv).is_some_and(|gradient| gradient.len() == 12 * 4));
//! # Ok(())
//! # }
//! ```

mod affine;
mod attention;
mod block;
mod cuda;
mod dropout;
mod gelu;
mod layer_ops;
mod linear;
mod math;
mod norm;
mod parts;
mod rows;
mod softmax;
mod softmax_op;
mod stack;
mod tape;
mod tokenizer;
mod update;
mod view;

pub use cuda::{
    AdamNumbers, AdamRates, DeviceAverage, DeviceCounts, DeviceDistance, DeviceLoss, DeviceStatistics,
    DeviceUpdater, MlpTensors, PickedRows, PredictorInput, PredictorTensors, RunningTensors, count_cuda,
    emulate_cuda, free_memory, standardize_on_device,
};
pub use dropout::{Mask, key_of};
pub use jepa3d_products::{Bf16Engine, keep_freed_memory, use_candle_threads};
pub use layer_ops::{gelu_of, linear_layer, normalize_rows, smooth_l1_of};
pub use linear::Precision;
pub use norm::NORM_EPSILON;
pub use parts::{BatchParts, add_parts, gather_parts};
pub use softmax_op::softmax_of;
pub use stack::{BlockTensors, Stack, StackDrop};
pub use tape::Tape;
pub use tokenizer::{
    BatchStats, Mode, TokenizerStatistics, TokenizerWeights, tokenize, tokenize_composite, tokenize_counted,
    tokenize_in, train_tokenizer,
};
pub use update::{AdamFactors, move_numbers, update_numbers};
pub use view::{CpuView, borrow_numbers, shape_gradients};
