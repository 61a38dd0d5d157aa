//! A stack of transformer blocks as one operator of candle, with positions added before every block or not at all.
//!
//! Forward `x = block_i(x + positions)` for every block; backward runs the blocks in reverse order, and the gradient of the
//! positions is the sum of those of the blocks' inputs. Samples are cut into chunks of at most about
//! [`CHUNK_ROWS`] tokens, which pass forward through all blocks while they are warm in the cache, and backward through one
//! block after the other: when all chunks have passed one, the gradients of its parameters are summed over them in their
//! order, by rows of the weights. So the result is the same for any number of threads. Those gradients go to a [`Tape`], not
//! through candle's graph, which would add every one of them to a tensor of zeros.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::attention::Heads;
use super::block::{
    BlockDrop, BlockFactors, BlockShape, BlockWeights, ChunkGradients, ChunkPass, PARTS, SavedBlock,
};
use super::cuda::{find_kernel_device, fits_shared_memory};
use super::dropout::key_of;
use super::linear::{GradientFactors, LayerWidths, Precision};
use super::rows::add;
use super::tape::Tape;
use super::view::{CpuView, borrow_numbers};

/// The most tokens that pass through the blocks together, if a sample has no more.
const CHUNK_ROWS: usize = 384;
/// Chunks are a multiple of this in number, where there are samples enough: that many threads get equal shares.
const SHARES: usize = 4;

/// Parameters of a block: norm1, qkv, proj, norm2, fc1, fc2, each weight then bias.
pub type BlockTensors = [Tensor; PARTS];

/// Rates of a stack in training; every block has its own rate of stochastic depth.
#[derive(Clone, Debug)]
pub struct StackDrop {
    /// Key of the step and of this use of the stack.
    pub key: u64,
    /// Rate on attention probabilities.
    pub attention: f64,
    /// Rate after the projection and both layers of the MLP.
    pub hidden: f64,
    /// Rate of stochastic depth of each block.
    pub path: Vec<f64>,
}

/// Blocks and how they are run.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Parameters of every block.
    pub blocks: Arc<Vec<BlockTensors>>,
    /// Attention heads.
    pub heads: usize,
    /// `None`: nothing is dropped.
    pub drop: Option<StackDrop>,
    /// Whether the second argument is added before every block.
    pub has_positions: bool,
    /// Tokens of every sample that are no padding (their keys are looked at), at least 1; `None`: all.
    pub keys: Option<Arc<Vec<u32>>>,
    /// Of the products of linear layers.
    pub precision: Precision,
}

/// Sizes of what passes through a stack.
#[derive(Clone, Copy)]
struct BatchShape {
    samples: usize,
    tokens: usize,
    width: usize,
}

impl BatchShape {
    fn new(dims: (usize, usize, usize)) -> Self {
        Self { samples: dims.0, tokens: dims.1, width: dims.2 }
    }

    /// Numbers of a sample.
    fn sample(self) -> usize {
        self.tokens * self.width
    }

    /// Samples of a chunk.
    fn chunk(self) -> usize {
        let chunks = (self.samples * self.tokens).div_ceil(CHUNK_ROWS).next_multiple_of(SHARES);
        self.samples.div_ceil(chunks.max(1)).max(1)
    }

    /// The samples of the chunk `number`.
    fn samples_of_chunk(self, number: usize) -> Range<usize> {
        let start = number * self.chunk();
        start..(start + self.chunk()).min(self.samples)
    }

    /// Where some samples lie among the numbers of all.
    fn numbers(self, samples: &Range<usize>) -> Range<usize> {
        samples.start * self.sample()..samples.end * self.sample()
    }
}

impl Stack {
    /// Whether kernels take sequences `x [B, T, D]` where they are; else blocks are to be composed of candle's operators.
    pub fn takes(&self, x: &Tensor) -> bool {
        let fits = |(_, tokens, width)| fits_shared_memory(Heads { tokens, width, heads: self.heads });
        match x.device() {
            Device::Cpu => true,
            Device::Cuda(_) => x.dims3().is_ok_and(fits),
            _ => false,
        }
    }

    /// The shape of a block on some samples of a batch.
    fn block_shape(&self, batch: BatchShape, samples: Range<usize>) -> BlockShape<'_> {
        let heads = Heads { tokens: batch.tokens, width: batch.width, heads: self.heads };
        let hidden = self.blocks.first().map_or(0, |block| block[9].elem_count());
        let keys = self.keys.as_ref().map(|keys| &keys[samples.clone()]);
        BlockShape { heads, hidden, samples: samples.len(), first: samples.start, keys }
    }

    pub(crate) fn block_drop(&self, block: usize) -> BlockDrop {
        self.drop.as_ref().map_or_else(BlockDrop::default, |drop| BlockDrop {
            key: key_of(drop.key, block as u64),
            attention: drop.attention,
            hidden: drop.hidden,
            path: drop.path[block],
        })
    }

    /// How a block is run on a chunk.
    fn pass<'a>(
        &self,
        block: usize,
        weights: &'a BlockWeights<'a>,
        factors: &'a BlockFactors<'a>,
        shape: &'a BlockShape<'a>,
    ) -> ChunkPass<'a> {
        ChunkPass { weights, factors, precision: self.precision, shape, drop: self.block_drop(block) }
    }

    /// Weights as the forward products read them.
    fn factors<'a>(&self, weights: &[BlockWeights<'a>]) -> Vec<BlockFactors<'a>> {
        weights.par_iter().map(|weights| BlockFactors::forward(weights, self.precision)).collect()
    }

    /// The output of every block named in `keep` (ascending), `[B, T, D]` each, without gradients.
    ///
    /// # Errors
    /// Fails if a tensor is not contiguous f32 on the CPU.
    pub fn outputs(&self, x: &Tensor, positions: &Tensor, keep: &[usize]) -> Result<Vec<Tensor>> {
        let dims = x.dims3()?;
        if let Some(device) = find_kernel_device(x)? {
            return self.outputs_on(&*device, x, positions, keep);
        }
        let batch = BatchShape::new(dims);
        let (input, added) = (CpuView::new(x)?, CpuView::new(positions)?);
        let views = view_blocks(&self.blocks)?;
        let weights = slice_blocks(&views);
        let factors = self.factors(&weights);
        let mut kept = vec![vec![0.0f32; x.elem_count()]; keep.len()];
        let chunks = split_outputs(&mut kept, batch.chunk() * batch.sample());
        chunks.into_par_iter().enumerate().for_each(|(i, mut outs)| {
            let samples = batch.samples_of_chunk(i);
            let numbers = batch.numbers(&samples);
            let shape = self.block_shape(batch, samples);
            let mut state = input.slice()[numbers.clone()].to_vec();
            let mut saved = SavedBlock::new(&shape);
            for (b, (weights, factors)) in weights.iter().zip(&factors).enumerate() {
                if self.has_positions {
                    add(&mut state, &added.slice()[numbers.clone()]);
                }
                self.pass(b, weights, factors, &shape).forward(&mut state, &mut saved);
                if let Ok(slot) = keep.binary_search(&b) {
                    outs[slot].copy_from_slice(&state);
                }
            }
        });
        kept.into_iter().map(|out| Tensor::from_vec(out, dims, x.device())).collect()
    }

    /// The output of the last block as a node of candle's graph; gradients of parameters go to `tape`.
    ///
    /// # Errors
    /// Fails if a tensor is not f32 on the CPU.
    pub fn train(&self, x: &Tensor, positions: &Tensor, tape: &Tape) -> Result<Tensor> {
        if let Some(device) = find_kernel_device(x)? {
            return self.train_on(&device, &x.contiguous()?, &positions.contiguous()?, None, tape);
        }
        let op = StackOp { stack: self.clone(), tape: tape.clone(), saved: Mutex::new(Vec::new()) };
        x.contiguous()?.apply_op2(&positions.contiguous()?, op)
    }
}

/// By chunk of `len` numbers, the part of every output.
fn split_outputs(outputs: &mut [Vec<f32>], len: usize) -> Vec<Vec<&mut [f32]>> {
    let mut chunks: Vec<Vec<&mut [f32]>> = Vec::new();
    for output in outputs {
        for (i, part) in output.chunks_mut(len).enumerate() {
            if chunks.len() <= i {
                chunks.push(Vec::new());
            }
            chunks[i].push(part);
        }
    }
    chunks
}

fn view_blocks(blocks: &[BlockTensors]) -> Result<Vec<[CpuView<'_>; PARTS]>> {
    blocks
        .iter()
        .map(|block| {
            let views = block.iter().map(CpuView::new).collect::<Result<Vec<_>>>()?;
            Ok(views.try_into().unwrap_or_else(|_| unreachable!("as many views as parts")))
        })
        .collect()
}

fn slice_blocks<'a>(views: &'a [[CpuView<'_>; PARTS]]) -> Vec<BlockWeights<'a>> {
    views.iter().map(|block| BlockWeights::new(std::array::from_fn(|i| block[i].slice()))).collect()
}

struct StackOp {
    stack: Stack,
    tape: Tape,
    /// By chunk, then by block.
    saved: Mutex<Vec<Vec<SavedBlock>>>,
}

impl StackOp {
    fn forward(&self, x: &[f32], positions: &[f32], batch: BatchShape) -> Result<Vec<f32>> {
        let views = view_blocks(&self.stack.blocks)?;
        let weights = slice_blocks(&views);
        let factors = self.stack.factors(&weights);
        let mut out = x.to_vec();
        let run_chunk = |(i, state): (usize, &mut [f32])| {
            let samples = batch.samples_of_chunk(i);
            let numbers = batch.numbers(&samples);
            let shape = self.stack.block_shape(batch, samples);
            let run_block = |(b, (weights, factors)): (usize, (&BlockWeights<'_>, &BlockFactors<'_>))| {
                if self.stack.has_positions {
                    add(state, &positions[numbers.clone()]);
                }
                let mut saved = SavedBlock::new(&shape);
                self.stack.pass(b, weights, factors, &shape).forward(state, &mut saved);
                saved
            };
            weights.iter().zip(&factors).enumerate().map(run_block).collect()
        };
        let chunks = out.par_chunks_mut(batch.chunk() * batch.sample());
        let saved: Vec<Vec<SavedBlock>> = chunks.enumerate().map(run_chunk).collect();
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = saved;
        Ok(out)
    }

    /// Turns `dx` into the gradient of the input; returns that of the positions.
    fn backward(&self, dx: &mut [f32], batch: BatchShape) -> Result<Vec<f32>> {
        let mut saved = std::mem::take(&mut *self.saved.lock().unwrap_or_else(PoisonError::into_inner));
        if saved.is_empty() {
            bail!("the backward of a stack of blocks runs once, after its forward");
        }
        let views = view_blocks(&self.stack.blocks)?;
        let weights = slice_blocks(&views);
        let len = batch.chunk() * batch.sample();
        let mut dpositions = vec![0.0f32; if self.stack.has_positions { dx.len() } else { 0 }];
        for (b, weights) in weights.iter().enumerate().rev() {
            let factors = BlockFactors::backward(weights, self.stack.precision);
            let run_chunk = |(i, (dx, saved)): (usize, (&mut [f32], &mut Vec<SavedBlock>))| {
                let saved = saved.pop().expect("a block was saved for each that is run back");
                let shape = self.stack.block_shape(batch, batch.samples_of_chunk(i));
                self.stack.pass(b, weights, &factors, &shape).backward(dx, saved)
            };
            let chunks = dx.par_chunks_mut(len).zip(saved.par_iter_mut());
            let chunks: Vec<ChunkGradients> = chunks.enumerate().map(run_chunk).collect();
            dpositions.par_chunks_mut(len).zip(dx.par_chunks(len)).for_each(|(sum, dx)| add(sum, dx));
            self.hand_over(b, sum_chunks(weights, &chunks));
        }
        Ok(dpositions)
    }

    fn hand_over(&self, block: usize, gradients: [Vec<f32>; PARTS]) {
        for (parameter, gradient) in self.stack.blocks[block].iter().zip(gradients) {
            self.tape.put(parameter, gradient);
        }
    }
}

/// The gradients of a block's parameters: those of all chunks, added in their order.
fn sum_chunks(weights: &BlockWeights<'_>, chunks: &[ChunkGradients]) -> [Vec<f32>; PARTS] {
    let layers = weights.layers();
    let mut sums = layers.map(|layer| vec![0.0f32; layer.weight.len()]);
    let mut tasks = Vec::new();
    for (number, (layer, sum)) in layers.iter().zip(&mut sums).enumerate() {
        let widths = LayerWidths { outputs: layer.bias.len(), inputs: layer.weight.len() / layer.bias.len() };
        let parts = sum.chunks_mut(GradientFactors::ROWS * widths.inputs).enumerate();
        tasks.extend(parts.map(|(i, part)| (number, widths, i * GradientFactors::ROWS, part)));
    }
    tasks.into_par_iter().for_each(|(layer, widths, first, part)| {
        chunks.iter().for_each(|chunk| chunk.weights[layer].add_rows_to(part, first, widths));
    });
    let total = |part: &dyn Fn(&ChunkGradients) -> &[f32]| {
        let mut sum = part(&chunks[0]).to_vec();
        chunks[1..].iter().for_each(|chunk| add(&mut sum, part(chunk)));
        sum
    };
    let bias = |layer: usize| total(&|chunk| &chunk.biases[layer]);
    let norm1 = |i: usize| total(&|chunk| &chunk.norm1[i]);
    let norm2 = |i: usize| total(&|chunk| &chunk.norm2[i]);
    let [qkv, proj, fc1, fc2] = sums;
    [norm1(0), norm1(1), qkv, bias(0), proj, bias(1), norm2(0), norm2(1), fc1, bias(2), fc2, bias(3)]
}

impl CustomOp2 for StackOp {
    fn name(&self) -> &'static str {
        "transformer-stack"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        positions: &CpuStorage,
        positions_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let batch = BatchShape::new(x_layout.shape().dims3()?);
        let x = borrow_numbers(x, x_layout)?;
        let positions = borrow_numbers(positions, positions_layout)?;
        let out = self.forward(x, positions, batch)?;
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        positions: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let mut dx = CpuView::new(&gradient)?.slice().to_vec();
        let dpositions = self.backward(&mut dx, BatchShape::new(x.dims3()?))?;
        let dx = Tensor::from_vec(dx, x.shape(), x.device())?;
        let dpositions = match self.stack.has_positions {
            true => Some(Tensor::from_vec(dpositions, positions.shape(), x.device())?),
            false => None,
        };
        Ok((Some(dx), dpositions))
    }
}
