//! A stack of transformer blocks as one operator of candle, with positions added before every block or not at all.
//!
//! Samples are cut into chunks of about [`CHUNK_ROWS`] tokens that pass through all blocks while they are warm in the
//! cache. Gradients of parameters are summed in [`LANES`] lanes of fixed chunks, then over the lanes in
//! order: the result is the same for any number of threads. They go to a [`Tape`], not through
//! candle's graph, which would add every one of them to a tensor of zeros.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::attention::Heads;
use super::block::{self, BlockDrop, BlockShape, PARTS, Saved, Weights};
use super::dropout::key_of;
use super::rows;
use super::tape::Tape;
use super::view::CpuView;

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

impl Stack {
    fn shape(&self, dims: (usize, usize, usize), samples: std::ops::Range<usize>) -> BlockShape<'_> {
        let heads = Heads { tokens: dims.1, width: dims.2, heads: self.heads };
        let hidden = self.blocks.first().map_or(0, |block| block[9].elem_count());
        let keys = self.keys.as_ref().map(|keys| &keys[samples.clone()]);
        BlockShape { heads, hidden, samples: samples.len(), first: samples.start, keys }
    }

    fn drop_of(&self, block: usize) -> BlockDrop {
        self.drop.as_ref().map_or_else(BlockDrop::default, |drop| {
            let rates = (drop.attention, drop.hidden, drop.path[block]);
            BlockDrop::new(key_of(drop.key, block as u64), rates)
        })
    }

    /// The output of every block named in `keep` (ascending), `[B, T, D]` each, without gradients.
    ///
    /// # Errors
    /// Fails if a tensor is not contiguous f32 on the CPU.
    pub fn outputs(&self, x: &Tensor, positions: &Tensor, keep: &[usize]) -> Result<Vec<Tensor>> {
        let dims = x.dims3()?;
        let (input, added) = (CpuView::new(x)?, CpuView::new(positions)?);
        let views = views(&self.blocks)?;
        let weights = slices(&views);
        let sample = dims.1 * dims.2;
        let chunk = chunk_samples(dims);
        let mut kept = vec![vec![0.0f32; x.elem_count()]; keep.len()];
        let mut parts: Vec<Vec<&mut [f32]>> = Vec::new();
        for out in &mut kept {
            for (i, part) in out.chunks_mut(chunk * sample).enumerate() {
                if parts.len() <= i {
                    parts.push(Vec::new());
                }
                parts[i].push(part);
            }
        }
        parts.into_par_iter().enumerate().for_each(|(i, mut outs)| {
            let (from, to) = (i * chunk, ((i + 1) * chunk).min(dims.0));
            let shape = self.shape(dims, from..to);
            let mut state = input.slice()[from * sample..to * sample].to_vec();
            let added = &added.slice()[from * sample..to * sample];
            let mut saved = Saved::new(&shape);
            for (b, w) in weights.iter().enumerate() {
                if self.has_positions {
                    rows::add(&mut state, added);
                }
                block::forward(&mut state, w, &mut saved, &shape, &self.drop_of(b));
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

fn chunk_samples((_, tokens, _): (usize, usize, usize)) -> usize {
    (CHUNK_ROWS / tokens.max(1)).max(1)
}

fn views(blocks: &[BlockTensors]) -> Result<Vec<[CpuView<'_>; PARTS]>> {
    blocks
        .iter()
        .map(|block| {
            let views = block.iter().map(CpuView::new).collect::<Result<Vec<_>>>()?;
            Ok(views.try_into().unwrap_or_else(|_| unreachable!("as many views as parts")))
        })
        .collect()
}

fn slices<'a>(views: &'a [[CpuView<'_>; PARTS]]) -> Vec<Weights<'a>> {
    views.iter().map(|block| std::array::from_fn(|i| block[i].slice())).collect()
}

struct StackOp {
    stack: Stack,
    tape: Tape,
    /// By chunk, then by block.
    saved: Mutex<Vec<Vec<Saved>>>,
}

impl StackOp {
    fn forward(&self, x: &[f32], positions: &[f32], dims: (usize, usize, usize)) -> Result<Vec<f32>> {
        let views = views(&self.stack.blocks)?;
        let weights = slices(&views);
        let (sample, chunk) = (dims.1 * dims.2, chunk_samples(dims));
        let mut out = x.to_vec();
        let saved: Vec<Vec<Saved>> = out
            .par_chunks_mut(chunk * sample)
            .enumerate()
            .map(|(i, state)| {
                let (from, to) = (i * chunk, ((i + 1) * chunk).min(dims.0));
                let shape = self.stack.shape(dims, from..to);
                let run = |(b, w): (usize, &Weights<'_>)| {
                    if self.stack.has_positions {
                        rows::add(state, &positions[from * sample..to * sample]);
                    }
                    let mut saved = Saved::new(&shape);
                    block::forward(state, w, &mut saved, &shape, &self.stack.drop_of(b));
                    saved
                };
                weights.iter().enumerate().map(run).collect()
            })
            .collect();
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = saved;
        Ok(out)
    }

    /// Turns `dx` into the gradient of the input; returns that of the positions.
    fn backward(&self, dx: &mut [f32], dims: (usize, usize, usize)) -> Result<Vec<f32>> {
        let saved = std::mem::take(&mut *self.saved.lock().unwrap_or_else(PoisonError::into_inner));
        if saved.is_empty() {
            bail!("the backward of a stack of blocks runs once, after its forward");
        }
        let views = views(&self.stack.blocks)?;
        let weights = slices(&views);
        let sample = dims.1 * dims.2;
        let per_chunk = chunk_samples(dims);
        let per_lane = saved.len().div_ceil(LANES);
        let mut dpositions = vec![0.0f32; if self.stack.has_positions { dx.len() } else { 0 }];
        let size = per_lane * per_chunk * sample;
        let positions: Vec<Option<&mut [f32]>> = match dpositions.is_empty() {
            true => (0..saved.len().div_ceil(per_lane)).map(|_| None).collect(),
            false => dpositions.chunks_mut(size).map(Some).collect(),
        };
        let lanes: Vec<Vec<f32>> = dx
            .par_chunks_mut(size)
            .zip(positions)
            .zip(saved.par_chunks(per_lane))
            .enumerate()
            .map(|(i, ((dx, dp), saved))| {
                let first = i * per_lane * per_chunk;
                Lane { op: self, weights: &weights, dims, first }.run(dx, dp, saved)
            })
            .collect();
        self.hand_over(lanes);
        Ok(dpositions)
    }

    fn hand_over(&self, lanes: Vec<Vec<f32>>) {
        let mut lanes = lanes.into_iter();
        let Some(mut sum) = lanes.next() else { return };
        for lane in lanes {
            sum.par_chunks_mut(1 << 16)
                .zip(lane.par_chunks(1 << 16))
                .for_each(|(sum, part)| rows::add(sum, part));
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
struct Lane<'a> {
    op: &'a StackOp,
    weights: &'a [Weights<'a>],
    dims: (usize, usize, usize),
    first: usize,
}

impl Lane<'_> {
    fn run(&self, dx: &mut [f32], mut dp: Option<&mut [f32]>, saved: &[Vec<Saved>]) -> Vec<f32> {
        let size: usize = self.weights.iter().flatten().map(|part| part.len()).sum();
        let mut gradients = vec![0.0f32; size];
        let per_chunk = chunk_samples(self.dims) * self.dims.1 * self.dims.2;
        let sample = self.dims.1 * self.dims.2;
        for (i, (dx, saved)) in dx.chunks_mut(per_chunk).zip(saved).enumerate() {
            let from = self.first + i * per_chunk / sample;
            let shape = self.op.stack.shape(self.dims, from..from + dx.len() / sample);
            let mut dp = dp.as_deref_mut().map(|dp| &mut dp[i * per_chunk..][..dx.len()]);
            let mut parts = split(&mut gradients, self.weights);
            for (b, w) in self.weights.iter().enumerate().rev() {
                let drop = self.op.stack.drop_of(b);
                block::backward(dx, &mut parts[b], w, &saved[b], (&shape, &drop));
                if let Some(dp) = dp.as_deref_mut() {
                    rows::add(dp, dx);
                }
            }
        }
        gradients
    }
}

fn split<'a>(mut all: &'a mut [f32], weights: &[Weights<'_>]) -> Vec<block::Gradients<'a>> {
    weights
        .iter()
        .map(|block| {
            std::array::from_fn(|i| {
                let (own, rest) = std::mem::take(&mut all).split_at_mut(block[i].len());
                all = rest;
                own
            })
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
        let dims = x_layout.shape().dims3()?;
        let x = contiguous(x, x_layout)?;
        let positions = contiguous(positions, positions_layout)?;
        let out = self.forward(x, positions, dims)?;
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
        let dpositions = self.backward(&mut dx, x.dims3()?)?;
        let dx = Tensor::from_vec(dx, x.shape(), x.device())?;
        let dpositions = match self.stack.has_positions {
            true => Some(Tensor::from_vec(dpositions, positions.shape(), x.device())?),
            false => None,
        };
        Ok((Some(dx), dpositions))
    }
}

pub(super) fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a kernel was given an argument that is not contiguous"),
    }
}
