//! A stack of transformer blocks as one operator of candle, with positions added before every block or not at all.
//!
//! Forward `x = block_i(x + positions)` for every block; backward runs the blocks in reverse order, and the gradient of the
//! positions is the sum of those of the blocks' inputs. Samples are cut into chunks of about [`CHUNK_ROWS`] tokens that pass through all blocks while they are warm in the
//! cache. Gradients of parameters are summed in [`LANES`] lanes of fixed chunks, then over the lanes in
//! order: the result is the same for any number of threads. They go to a [`Tape`], not through
//! candle's graph, which would add every one of them to a tensor of zeros.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::attention::Heads;
use super::block::{BlockDrop, BlockGradients, BlockShape, BlockWeights, ChunkPass, PARTS, SavedBlock};
use super::dropout::key_of;
use super::rows::add;
use super::tape::Tape;
use super::view::{CpuView, contiguous};

/// Tokens that pass through the blocks together.
const CHUNK_ROWS: usize = 384;
/// Independent sums of parameter gradients.
const LANES: usize = 8;

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
        (CHUNK_ROWS / self.tokens.max(1)).max(1)
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
    /// The shape of a block on some samples of a batch.
    fn block_shape(&self, batch: BatchShape, samples: Range<usize>) -> BlockShape<'_> {
        let heads = Heads { tokens: batch.tokens, width: batch.width, heads: self.heads };
        let hidden = self.blocks.first().map_or(0, |block| block[9].elem_count());
        let keys = self.keys.as_ref().map(|keys| &keys[samples.clone()]);
        BlockShape { heads, hidden, samples: samples.len(), first: samples.start, keys }
    }

    fn block_drop(&self, block: usize) -> BlockDrop {
        self.drop.as_ref().map_or_else(BlockDrop::default, |drop| BlockDrop {
            key: key_of(drop.key, block as u64),
            attention: drop.attention,
            hidden: drop.hidden,
            path: drop.path[block],
        })
    }

    /// The output of every block named in `keep` (ascending), `[B, T, D]` each, without gradients.
    ///
    /// # Errors
    /// Fails if a tensor is not contiguous f32 on the CPU.
    pub fn outputs(&self, x: &Tensor, positions: &Tensor, keep: &[usize]) -> Result<Vec<Tensor>> {
        let dims = x.dims3()?;
        let batch = BatchShape::new(dims);
        let (input, added) = (CpuView::new(x)?, CpuView::new(positions)?);
        let views = view_blocks(&self.blocks)?;
        let weights = slice_blocks(&views);
        let mut kept = vec![vec![0.0f32; x.elem_count()]; keep.len()];
        let chunks = split_outputs(&mut kept, batch.chunk() * batch.sample());
        chunks.into_par_iter().enumerate().for_each(|(i, mut outs)| {
            let samples = batch.samples_of_chunk(i);
            let numbers = batch.numbers(&samples);
            let shape = self.block_shape(batch, samples);
            let mut state = input.slice()[numbers.clone()].to_vec();
            let mut saved = SavedBlock::new(&shape);
            for (b, weights) in weights.iter().enumerate() {
                if self.has_positions {
                    add(&mut state, &added.slice()[numbers.clone()]);
                }
                let pass = ChunkPass { weights, shape: &shape, drop: self.block_drop(b) };
                pass.forward(&mut state, &mut saved);
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
        let mut out = x.to_vec();
        let run_chunk = |(i, state): (usize, &mut [f32])| {
            let samples = batch.samples_of_chunk(i);
            let numbers = batch.numbers(&samples);
            let shape = self.stack.block_shape(batch, samples);
            let run_block = |(b, weights): (usize, &BlockWeights<'_>)| {
                if self.stack.has_positions {
                    add(state, &positions[numbers.clone()]);
                }
                let mut saved = SavedBlock::new(&shape);
                let pass = ChunkPass { weights, shape: &shape, drop: self.stack.block_drop(b) };
                pass.forward(state, &mut saved);
                saved
            };
            weights.iter().enumerate().map(run_block).collect()
        };
        let chunks = out.par_chunks_mut(batch.chunk() * batch.sample());
        let saved: Vec<Vec<SavedBlock>> = chunks.enumerate().map(run_chunk).collect();
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = saved;
        Ok(out)
    }

    /// Turns `dx` into the gradient of the input; returns that of the positions.
    fn backward(&self, dx: &mut [f32], batch: BatchShape) -> Result<Vec<f32>> {
        let saved = std::mem::take(&mut *self.saved.lock().unwrap_or_else(PoisonError::into_inner));
        if saved.is_empty() {
            bail!("the backward of a stack of blocks runs once, after its forward");
        }
        let views = view_blocks(&self.stack.blocks)?;
        let weights = slice_blocks(&views);
        let per_lane = saved.len().div_ceil(LANES);
        let size = per_lane * batch.chunk() * batch.sample();
        let mut dpositions = vec![0.0f32; if self.stack.has_positions { dx.len() } else { 0 }];
        let positions: Vec<Option<&mut [f32]>> = match dpositions.is_empty() {
            true => (0..saved.len().div_ceil(per_lane)).map(|_| None).collect(),
            false => dpositions.chunks_mut(size).map(Some).collect(),
        };
        let lanes: Vec<Vec<f32>> = dx
            .par_chunks_mut(size)
            .zip(positions)
            .zip(saved.par_chunks(per_lane))
            .enumerate()
            .map(|(i, ((dx, dpositions), saved))| {
                let lane = GradientLane { op: self, weights: &weights, batch, first_chunk: i * per_lane };
                lane.run(dx, dpositions, saved)
            })
            .collect();
        self.hand_over(lanes);
        Ok(dpositions)
    }

    fn hand_over(&self, lanes: Vec<Vec<f32>>) {
        let mut lanes = lanes.into_iter();
        let Some(mut sum) = lanes.next() else { return };
        for lane in lanes {
            sum.par_chunks_mut(1 << 16).zip(lane.par_chunks(1 << 16)).for_each(|(sum, part)| add(sum, part));
        }
        let mut rest = sum.as_slice();
        for parameter in self.stack.blocks.iter().flatten() {
            let (own, others) = rest.split_at(parameter.elem_count());
            self.tape.add(parameter, own);
            rest = others;
        }
    }
}

/// Consecutive chunks whose gradients are summed one after the other.
struct GradientLane<'a> {
    op: &'a StackOp,
    weights: &'a [BlockWeights<'a>],
    batch: BatchShape,
    first_chunk: usize,
}

impl GradientLane<'_> {
    /// Turns `dx` into the gradient of the chunks' inputs, adds to that of their positions; returns the sums of all
    /// parameters' gradients.
    fn run(&self, dx: &mut [f32], mut dpositions: Option<&mut [f32]>, saved: &[Vec<SavedBlock>]) -> Vec<f32> {
        let mut gradients = vec![0.0f32; self.weights.iter().map(BlockWeights::len).sum()];
        let len = self.batch.chunk() * self.batch.sample();
        for (i, (dx, saved)) in dx.chunks_mut(len).zip(saved).enumerate() {
            let samples = self.batch.samples_of_chunk(self.first_chunk + i);
            let shape = self.op.stack.block_shape(self.batch, samples);
            let mut dpositions = dpositions.as_deref_mut().map(|all| &mut all[i * len..][..dx.len()]);
            let mut parts = split_gradients(&mut gradients, self.weights);
            for (b, weights) in self.weights.iter().enumerate().rev() {
                let pass = ChunkPass { weights, shape: &shape, drop: self.op.stack.block_drop(b) };
                pass.backward(dx, &mut parts[b], &saved[b]);
                if let Some(dpositions) = dpositions.as_deref_mut() {
                    add(dpositions, dx);
                }
            }
        }
        gradients
    }
}

fn split_gradients<'a>(mut all: &'a mut [f32], weights: &[BlockWeights<'_>]) -> Vec<BlockGradients<'a>> {
    weights
        .iter()
        .map(|block| {
            let (own, rest) = std::mem::take(&mut all).split_at_mut(block.len());
            all = rest;
            BlockGradients::new(own, block)
        })
        .collect()
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
        let x = contiguous(x, x_layout)?;
        let positions = contiguous(positions, positions_layout)?;
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
