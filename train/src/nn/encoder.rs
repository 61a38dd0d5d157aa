//! The transformer of the backbone: pre-norm blocks, positions before every block or once, a final norm.
//!
//! Fused kernels run the blocks, on the CPU and on CUDA devices; sequences too long for those of a device, and the oracle of the
//! tests, are made of candle's operators.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;
use jepa3d_kernels::{BlockTensors, Precision, Stack, StackDrop, key_of};

use super::attention::SelfAttention;
use super::block_pass::{BlockDropout, BlockPass, DropRates};
use super::feed_forward::FeedForward;
use super::forward_pass::ForwardPass;
use super::layer_norm::LayerNorm;
use super::parameter_builder::ParameterBuilder;
use crate::config::{ModelConfig, PredictorConfig};
use crate::error::Result;

/// Parameters of a block in the kernel's order.
const KERNEL_ORDER: [&str; 12] = [
    "norm1.weight",
    "norm1.bias",
    "attn.qkv.weight",
    "attn.qkv.bias",
    "attn.proj.weight",
    "attn.proj.bias",
    "norm2.weight",
    "norm2.bias",
    "mlp.fc1.weight",
    "mlp.fc1.bias",
    "mlp.fc2.weight",
    "mlp.fc2.bias",
];

/// Attention, then feed-forward, each added to what it reads.
#[derive(Clone, Debug)]
struct EncoderBlock {
    attention: SelfAttention,
    feed_forward: FeedForward,
}

impl EncoderBlock {
    fn new(width: usize, heads: usize, vb: &ParameterBuilder<'_>) -> Result<Self> {
        Ok(Self {
            attention: SelfAttention::new(width, heads, "attn", vb)?,
            feed_forward: FeedForward::new(width, "norm2", vb)?,
        })
    }

    fn forward(&self, x: &Tensor, how: BlockPass<'_>) -> Result<Tensor> {
        let x = (x + self.attention.branch(x, x.dim(1)?, how)?)?;
        Ok((&x + self.feed_forward.branch(&x, how)?)?)
    }

    /// The first token's output `[B, 1, D]` alone.
    fn first_row(&self, x: &Tensor, is_bf16: bool) -> Result<Tensor> {
        let first = x.narrow(1, 0, 1)?.contiguous()?;
        let x = (first + self.attention.first_branch(x, is_bf16)?)?;
        Ok((&x + self.feed_forward.branch(&x, BlockPass::plain(is_bf16))?)?)
    }
}

/// Sizes of a stack of blocks, and what is dropped in it.
#[derive(Clone, Debug)]
pub(crate) struct EncoderConfig {
    pub width: usize,
    pub depth: usize,
    pub heads: usize,
    pub rates: DropRates,
    /// Positions are added before every block; else once at the input.
    pub positions_every_block: bool,
}

impl EncoderConfig {
    /// The backbone's: stochastic depth grows linearly from 0 at the first block.
    pub(crate) fn for_backbone(m: &ModelConfig) -> Self {
        let last = (m.depth.max(2) - 1) as f64;
        let path = (0..m.depth).map(|i| m.drop_path * i as f64 / last).collect();
        let rates = DropRates { hidden: m.dropout, attention: m.attention_dropout, path };
        let ModelConfig { width, depth, heads, positions_every_block, .. } = *m;
        Self { width, depth, heads, rates, positions_every_block }
    }

    /// A predictor's: positions once at the input, the same stochastic depth in every block.
    pub(super) fn for_predictor(p: &PredictorConfig) -> Self {
        let path = vec![p.drop_path; p.depth];
        let rates = DropRates { hidden: p.dropout, attention: p.attention_dropout, path };
        Self { width: p.width, depth: p.depth, heads: p.heads, rates, positions_every_block: false }
    }
}

/// Tokens on their way into the blocks, in training.
#[derive(Clone)]
pub(crate) struct EncoderInput<'a> {
    /// `[B, T, D]`.
    pub tokens: &'a Tensor,
    /// Like the tokens.
    pub positions: Option<&'a Tensor>,
    /// `[B]`: how many tokens of each sample are looked at (at least 1), the rest is padding; `None`: all.
    pub keys: Option<Arc<Vec<u32>>>,
}

/// Blocks and final norm.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    blocks: Vec<EncoderBlock>,
    tensors: Arc<Vec<BlockTensors>>,
    norm: LayerNorm,
    config: EncoderConfig,
}

impl Encoder {
    pub(crate) fn new(config: EncoderConfig, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let mut blocks = Vec::new();
        let mut tensors = Vec::new();
        for i in 0..config.depth {
            let vb = vb.pp("blocks").pp(i);
            blocks.push(EncoderBlock::new(config.width, config.heads, &vb)?);
            tensors.push(block_tensors(&vb)?);
        }
        let norm = LayerNorm::new(config.width, &vb.pp("norm"))?;
        Ok(Self { blocks, tensors: Arc::new(tensors), norm, config })
    }

    /// Blocks.
    pub(crate) fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// The output `[B, T, D]` after the final norm, in training.
    pub(crate) fn train(&self, input: EncoderInput<'_>, pass: &ForwardPass) -> Result<Tensor> {
        if self.is_for_device(input.tokens, input.tokens.dim(1)?)? {
            let (x, added) = self.place(input.tokens, input.positions)?;
            let stack = Stack { keys: input.keys, ..self.training_stack(pass, added.is_some()) };
            let positions = added.as_ref().unwrap_or(&x);
            return Ok(stack.train_normed(&x, positions, &self.norm.tensors(), &pass.tape)?);
        }
        self.norm.forward(&self.train_outputs(input, pass, &[self.depth() - 1])?[0])
    }

    /// All blocks with the dropout that is next in a pass.
    pub(super) fn training_stack(&self, pass: &ForwardPass, has_positions: bool) -> Stack {
        Stack { precision: pass.precision, ..self.stack(Some(pass.next_key()), has_positions) }
    }

    /// Weight and bias of the final norm.
    pub(super) fn norm_tensors(&self) -> [Tensor; 2] {
        self.norm.tensors()
    }

    /// Whether kernels of a device run the blocks on sequences of this length that come from where `x` is.
    pub(super) fn is_for_device(&self, x: &Tensor, tokens: usize) -> Result<bool> {
        Ok(self.stack(None, false).is_for_device(x, tokens, self.config.width)?)
    }

    /// The outputs of the named blocks (ascending) before the final norm, in training.
    pub(crate) fn train_outputs(
        &self,
        input: EncoderInput<'_>,
        pass: &ForwardPass,
        keep: &[usize],
    ) -> Result<Vec<Tensor>> {
        let EncoderInput { tokens, positions, keys } = input;
        let (mut x, added) = self.place(tokens, positions)?;
        let mut kept = Vec::new();
        let mut first = 0;
        for &last in keep {
            let part = first..last + 1;
            let key = pass.next_key();
            let stack = Stack {
                keys: keys.clone(),
                precision: pass.precision,
                ..self.part_of_stack(part.clone(), Some(key), added.is_some())
            };
            x = if stack.takes(&x) {
                stack.train(&x, added.as_ref().unwrap_or(&x), &pass.tape)?
            } else {
                let bias = keys.as_ref().map(|keys| key_bias(keys, &x)).transpose()?;
                let training = ComposedPass { key, is_bf16: pass.is_bf16, key_bias: bias.as_ref() };
                self.compose_part(part, &x, added.as_ref(), Some(training))?
            };
            kept.push(x.clone());
            first = last + 1;
        }
        Ok(kept)
    }

    /// Of [`Encoder::train`] the first token alone, `[B, 1, D]`: where nothing is dropped, the last block does no work for
    /// the others.
    pub(crate) fn train_first(&self, tokens: &Tensor, pass: &ForwardPass) -> Result<Tensor> {
        let Some((last, before)) = self.blocks.split_last() else { return self.norm.forward(tokens) };
        if !self.config.rates.is_none() || !tokens.device().is_cpu() {
            let all = self.train(EncoderInput { tokens, positions: None, keys: None }, pass)?;
            return Ok(all.narrow(1, 0, 1)?.contiguous()?);
        }
        let mut x = tokens.clone();
        if !before.is_empty() {
            let blocks = Arc::new(self.tensors[..before.len()].to_vec());
            x = Stack { blocks, precision: pass.precision, ..self.stack(None, false) }
                .train(&x, &x, &pass.tape)?;
        }
        self.norm.forward(&last.first_row(&x, pass.is_bf16)?)
    }

    /// The outputs of the named blocks (ascending) before the final norm, without gradient or dropout.
    pub(crate) fn outputs(
        &self,
        tokens: &Tensor,
        positions: &Tensor,
        keep: &[usize],
        precision: Precision,
    ) -> Result<Vec<Tensor>> {
        let (x, added) = self.place(&tokens.detach(), Some(&positions.detach()))?;
        let stack = Stack { precision, ..self.stack(None, added.is_some()) };
        if !stack.takes(&x) {
            return Ok(self.compose(&x, added.as_ref(), None, keep)?.1);
        }
        let x = x.contiguous()?;
        let added = added.as_ref().unwrap_or(&x).contiguous()?;
        Ok(stack.outputs(&x, &added, keep)?)
    }

    /// The final norm alone.
    pub(crate) fn final_norm(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.forward(x)
    }

    /// What enters the first block, and what is added before every block.
    fn place(&self, tokens: &Tensor, positions: Option<&Tensor>) -> Result<(Tensor, Option<Tensor>)> {
        Ok(match positions {
            None => (tokens.clone(), None),
            Some(positions) if self.config.positions_every_block => (tokens.clone(), Some(positions.clone())),
            Some(positions) => ((tokens + positions)?, None),
        })
    }

    /// Some blocks as a stack of their own: their dropout is counted from the first of them.
    fn part_of_stack(&self, part: Range<usize>, key: Option<u64>, has_positions: bool) -> Stack {
        let mut stack = self.stack(key, has_positions);
        stack.blocks = Arc::new(self.tensors[part.clone()].to_vec());
        if let Some(drop) = &mut stack.drop {
            drop.path = drop.path[part].to_vec();
        }
        stack
    }

    /// Some blocks from candle's operators.
    fn compose_part(
        &self,
        part: Range<usize>,
        x: &Tensor,
        added: Option<&Tensor>,
        training: Option<ComposedPass<'_>>,
    ) -> Result<Tensor> {
        let mut config = self.config.clone();
        config.rates.path = config.rates.path.get(part.clone()).unwrap_or_default().to_vec();
        let blocks = self.blocks[part].to_vec();
        let part = Self { blocks, tensors: Arc::default(), norm: self.norm.clone(), config };
        Ok(part.compose(x, added, training, &[])?.0)
    }

    fn stack(&self, key: Option<u64>, has_positions: bool) -> Stack {
        let rates = &self.config.rates;
        let drop = key.filter(|_| !rates.is_none()).map(|key| StackDrop {
            key,
            attention: rates.attention,
            hidden: rates.hidden,
            path: rates.path.clone(),
        });
        let (blocks, heads) = (self.tensors.clone(), self.config.heads);
        Stack { blocks, heads, drop, has_positions, keys: None, precision: Precision::F32 }
    }

    /// The blocks from candle's operators: last output, and those named in `keep`.
    pub(super) fn compose(
        &self,
        x: &Tensor,
        added: Option<&Tensor>,
        training: Option<ComposedPass<'_>>,
        keep: &[usize],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let mut x = x.clone();
        let mut kept = Vec::new();
        for (b, block) in self.blocks.iter().enumerate() {
            if let Some(added) = added {
                x = (x + added)?;
            }
            let how = training.map_or(BlockPass::plain(false), |training| self.block_pass(training, b));
            x = block.forward(&x, how)?;
            if keep.binary_search(&b).is_ok() {
                kept.push(x.clone());
            }
        }
        Ok((x, kept))
    }

    fn block_pass<'a>(&self, training: ComposedPass<'a>, b: usize) -> BlockPass<'a> {
        let rates = &self.config.rates;
        let dropout = BlockDropout {
            key: key_of(training.key, b as u64),
            hidden: rates.hidden,
            attention: rates.attention,
            path: rates.path.get(b).copied().unwrap_or(0.0),
        };
        BlockPass { is_bf16: training.is_bf16, dropout: Some(dropout), key_bias: training.key_bias }
    }
}

fn block_tensors(vb: &ParameterBuilder<'_>) -> Result<BlockTensors> {
    let tensors = KERNEL_ORDER.iter().map(|name| vb.get_unchecked(name));
    let tensors = tensors.collect::<candle_core::Result<Vec<_>>>()?;
    Ok(tensors.try_into().unwrap_or_else(|_| unreachable!("as many tensors as names")))
}

/// What a pass in training adds to blocks of candle's operators.
#[derive(Clone, Copy)]
pub(super) struct ComposedPass<'a> {
    /// Key of the stack's dropout.
    pub key: u64,
    pub is_bf16: bool,
    /// `[B, 1, 1, T]`: added to the scores of every key.
    pub key_bias: Option<&'a Tensor>,
}

/// 0 for the first `keys [B]` tokens of `x [B, T, D]`, minus infinity for padding.
pub(super) fn key_bias(keys: &[u32], x: &Tensor) -> Result<Tensor> {
    let t = x.dim(1)?;
    let row = |&keys: &u32| (0..t).map(move |at| if at < keys as usize { 0.0 } else { f32::NEG_INFINITY });
    let values: Vec<f32> = keys.iter().flat_map(row).collect();
    Ok(Tensor::from_vec(values, (keys.len(), 1, 1, t), x.device())?)
}
