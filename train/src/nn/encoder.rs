//! The transformer of the backbone: pre-norm blocks, positions before every block or once, a final norm.
//!
//! On the CPU a fused kernel runs the blocks; elsewhere, and as the kernel's oracle, the same from
//! candle's operators.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use jepa3d_kernels::{BlockTensors, Mask, Stack, StackDrop, key_of};

use super::attention::{attend, softmax, split_heads};
use super::linear::{LayerNorm, Linear};
use super::parameters::{Parameters, Role};
use super::pass::{Pass, Rates};
use crate::config::PredictorConfig;
use crate::error::Result;

/// Ratio of the MLP's hidden width.
pub(super) const MLP_RATIO: usize = 4;

/// One block as layers.
#[derive(Clone, Debug)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl Block {
    fn new(p: &mut Parameters, name: &str, width: usize) -> Result<Self> {
        let at = |part: &str| format!("{name}.{part}");
        Ok(Self {
            norm1: LayerNorm::new(p, &at("norm1"), width)?,
            qkv: Linear::new(p, &at("attn.qkv"), width, 3 * width)?,
            proj: Linear::new(p, &at("attn.proj"), width, width)?,
            norm2: LayerNorm::new(p, &at("norm2"), width)?,
            fc1: Linear::new(p, &at("mlp.fc1"), width, MLP_RATIO * width)?,
            fc2: Linear::new(p, &at("mlp.fc2"), MLP_RATIO * width, width)?,
        })
    }

    fn parts(&self) -> BlockTensors {
        let norms = |n: &LayerNorm| [n.weight.clone(), n.bias.clone()];
        let linears = |l: &Linear| [l.weight.clone(), l.bias.clone()];
        let ([a, b], [c, d], [e, f]) = (norms(&self.norm1), linears(&self.qkv), linears(&self.proj));
        let ([g, h], [i, j], [k, l]) = (norms(&self.norm2), linears(&self.fc1), linears(&self.fc2));
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    /// The first token's output `[B, 1, D]` alone: it looks at all of `x [B, T, D]`, and nothing is computed for the others.
    fn first_row(&self, x: &Tensor, heads: usize, is_half: bool) -> Result<Tensor> {
        let width = x.dim(2)?;
        let (first, normed) = (x.narrow(1, 0, 1)?.contiguous()?, self.norm1.forward(x)?);
        let part = |from: usize, count: usize| -> Result<Linear> {
            let rows = |of: &Tensor| of.narrow(0, from * width, count * width);
            Ok(Linear { weight: rows(&self.qkv.weight)?, bias: rows(&self.qkv.bias)? })
        };
        let q = part(0, 1)?.forward_in(&normed.narrow(1, 0, 1)?.contiguous()?, is_half)?;
        let kv = part(1, 2)?.forward_in(&normed, is_half)?;
        let of = |i: usize| split_heads(&kv.narrow(2, i * width, width)?, heads);
        let seen = attend(&split_heads(&q, heads)?, &of(0)?, &of(1)?)?;
        let x = (first + self.proj.forward_in(&seen, is_half)?)?;
        let hidden = self.fc1.forward_in(&self.norm2.forward(&x)?, is_half)?.gelu_erf()?;
        Ok((&x + self.fc2.forward_in(&hidden, is_half)?)?)
    }

    fn copy(&self, p: &mut Parameters, name: &str) -> Result<Self> {
        let at = |part: &str| format!("{name}.{part}");
        let mut linear = |part: &str, l: &Linear| -> Result<Linear> {
            let weight = p.copy_of(&at(&format!("{part}.weight")), &l.weight, Role::Target)?;
            let bias = p.copy_of(&at(&format!("{part}.bias")), &l.bias, Role::Target)?;
            Ok(Linear { weight, bias })
        };
        let norm = |l: Linear| LayerNorm { weight: l.weight, bias: l.bias };
        let as_linear = |n: &LayerNorm| Linear { weight: n.weight.clone(), bias: n.bias.clone() };
        Ok(Self {
            norm1: norm(linear("norm1", &as_linear(&self.norm1))?),
            qkv: linear("attn.qkv", &self.qkv)?,
            proj: linear("attn.proj", &self.proj)?,
            norm2: norm(linear("norm2", &as_linear(&self.norm2))?),
            fc1: linear("mlp.fc1", &self.fc1)?,
            fc2: linear("mlp.fc2", &self.fc2)?,
        })
    }
}

/// Blocks and final norm.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    blocks: Vec<Block>,
    parts: Arc<Vec<BlockTensors>>,
    norm: LayerNorm,
    heads: usize,
    rates: Rates,
    every_block: bool,
}

/// Sizes of a stack of blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncoderSize {
    pub width: usize,
    pub depth: usize,
    pub heads: usize,
}

impl Encoder {
    /// `every_block`: positions are added before every block; else once at the input.
    pub(crate) fn new(
        p: &mut Parameters,
        name: &str,
        size: EncoderSize,
        rates: Rates,
        every_block: bool,
    ) -> Result<Self> {
        let block = |i: usize, p: &mut Parameters| Block::new(p, &format!("{name}.blocks.{i}"), size.width);
        let blocks = (0..size.depth).map(|i| block(i, p)).collect::<Result<Vec<_>>>()?;
        let norm = LayerNorm::new(p, &format!("{name}.norm"), size.width)?;
        Ok(Self::from_blocks(blocks, norm, size.heads, rates, every_block))
    }

    /// The blocks of a predictor: positions once at the input, the same stochastic depth in every block.
    pub(super) fn of_predictor(p: &mut Parameters, name: &str, config: &PredictorConfig) -> Result<Self> {
        let size = EncoderSize { width: config.width, depth: config.depth, heads: config.heads };
        let rates = Rates {
            hidden: config.dropout,
            attention: config.attention_dropout,
            path: vec![config.drop_path; config.depth],
        };
        Self::new(p, name, size, rates, false)
    }

    fn from_blocks(
        blocks: Vec<Block>,
        norm: LayerNorm,
        heads: usize,
        rates: Rates,
        every_block: bool,
    ) -> Self {
        let parts = Arc::new(blocks.iter().map(Block::parts).collect());
        Self { blocks, parts, norm, heads, rates, every_block }
    }

    /// A copy with the same values that follows, never learns.
    pub(crate) fn target_copy(&self, p: &mut Parameters, name: &str) -> Result<Self> {
        let copy = |(i, b): (usize, &Block), p: &mut Parameters| b.copy(p, &format!("{name}.blocks.{i}"));
        let blocks = self.blocks.iter().enumerate().map(|b| copy(b, p)).collect::<Result<Vec<_>>>()?;
        let weight = p.copy_of(&format!("{name}.norm.weight"), &self.norm.weight, Role::Target)?;
        let bias = p.copy_of(&format!("{name}.norm.bias"), &self.norm.bias, Role::Target)?;
        let norm = LayerNorm { weight, bias };
        Ok(Self::from_blocks(blocks, norm, self.heads, Rates::default(), self.every_block))
    }

    /// Blocks.
    pub(crate) fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// The output after the final norm, in training.
    ///
    /// # Shapes
    /// `tokens`, `positions` `[B, T, D]` to `[B, T, D]`.
    pub(crate) fn train(&self, tokens: &Tensor, positions: Option<&Tensor>, pass: &Pass) -> Result<Tensor> {
        self.train_padded(tokens, positions, None, pass)
    }

    /// The same, of samples of which only the first `keys [B]` tokens (at least 1) are looked at; the rest is padding.
    pub(crate) fn train_padded(
        &self,
        tokens: &Tensor,
        positions: Option<&Tensor>,
        keys: Option<Arc<Vec<u32>>>,
        pass: &Pass,
    ) -> Result<Tensor> {
        let (x, added) = self.input(tokens, positions)?;
        let key = pass.next_key();
        let x = match x.device() {
            Device::Cpu => {
                let stack = Stack { keys, ..self.stack(Some(key), added.is_some()) };
                stack.train(&x, added.as_ref().unwrap_or(&x), &pass.tape)?
            }
            _ => {
                let bias = keys.map(|keys| key_bias(&keys, &x)).transpose()?;
                let training = Training { key, pass, bias: bias.as_ref() };
                self.compose(&x, added.as_ref(), Some(training), &[])?.0
            }
        };
        self.norm.forward(&x)
    }

    /// The same for the first token alone, `[B, 1, D]`: where nothing is dropped, the last block does no work for the others.
    pub(crate) fn train_first(&self, tokens: &Tensor, pass: &Pass) -> Result<Tensor> {
        let Some((last, before)) = self.blocks.split_last() else { return self.norm.forward(tokens) };
        if !self.rates.is_none() || !tokens.device().is_cpu() {
            return Ok(self.train(tokens, None, pass)?.narrow(1, 0, 1)?.contiguous()?);
        }
        let mut x = tokens.clone();
        if !before.is_empty() {
            let blocks = Arc::new(self.parts[..before.len()].to_vec());
            x = Stack { blocks, ..self.stack(None, false) }.train(&x, &x, &pass.tape)?;
        }
        self.norm.forward(&last.first_row(&x, self.heads, pass.is_half)?)
    }

    /// The outputs of the named blocks (ascending) before the final norm, without gradient or dropout.
    pub(crate) fn outputs(
        &self,
        tokens: &Tensor,
        positions: Option<&Tensor>,
        keep: &[usize],
    ) -> Result<Vec<Tensor>> {
        let (tokens, positions) = (tokens.detach(), positions.map(Tensor::detach));
        let (x, added) = self.input(&tokens, positions.as_ref())?;
        match x.device() {
            Device::Cpu => {
                let stack = self.stack(None, added.is_some());
                let x = x.contiguous()?;
                let added = added.as_ref().unwrap_or(&x).contiguous()?;
                Ok(stack.outputs(&x, &added, keep)?)
            }
            _ => Ok(self.compose(&x, added.as_ref(), None, keep)?.1),
        }
    }

    /// The features of all tokens: after the final norm, without gradient or dropout.
    pub(crate) fn features(&self, tokens: &Tensor, positions: Option<&Tensor>) -> Result<Tensor> {
        let last = self.outputs(tokens, positions, &[self.depth() - 1])?;
        Ok(self.norm.forward(&last[0])?.detach())
    }

    /// The final norm alone.
    pub(crate) fn final_norm(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.forward(x)
    }

    fn input(&self, tokens: &Tensor, positions: Option<&Tensor>) -> Result<(Tensor, Option<Tensor>)> {
        Ok(match positions {
            None => (tokens.clone(), None),
            Some(positions) if self.every_block => (tokens.clone(), Some(positions.clone())),
            Some(positions) => ((tokens + positions)?, None),
        })
    }

    fn stack(&self, key: Option<u64>, has_positions: bool) -> Stack {
        let drop = key.filter(|_| !self.rates.is_none()).map(|key| StackDrop {
            key,
            attention: self.rates.attention,
            hidden: self.rates.hidden,
            path: self.rates.path.clone(),
        });
        Stack { blocks: self.parts.clone(), heads: self.heads, drop, has_positions, keys: None }
    }

    /// The blocks from candle's operators: last output, and those named in `keep`.
    pub(crate) fn compose(
        &self,
        x: &Tensor,
        added: Option<&Tensor>,
        training: Option<Training<'_>>,
        keep: &[usize],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let (mut x, mut kept) = (x.clone(), Vec::new());
        for (b, block) in self.blocks.iter().enumerate() {
            if let Some(added) = added {
                x = (x + added)?;
            }
            let training = training.map(|t| Training { key: key_of(t.key, b as u64), ..t });
            x = self.compose_block(block, &x, training, b)?;
            if keep.binary_search(&b).is_ok() {
                kept.push(x.clone());
            }
        }
        Ok((x, kept))
    }

    fn compose_block(&self, w: &Block, x: &Tensor, how: Option<Training<'_>>, b: usize) -> Result<Tensor> {
        let is_half = how.is_some_and(|how| how.pass.is_half);
        let drop = |x: Tensor, site: u64, rate: f64, per_sample: bool| match how {
            Some(Training { key, .. }) => dropped(&x, Mask::new(key_of(key, site), rate), per_sample),
            None => Ok(x),
        };
        let path = self.rates.path.get(b).copied().unwrap_or(0.0);
        let hidden = self.rates.hidden;
        let (batch, t, d) = x.dims3()?;
        let qkv = w.qkv.forward_in(&w.norm1.forward(x)?, is_half)?;
        let qkv = qkv.reshape((batch, t, 3, self.heads, d / self.heads))?.permute((2, 0, 3, 1, 4))?;
        let part = |i: usize| -> Result<Tensor> { Ok(qkv.get(i)?.contiguous()?) };
        let scale = 1.0 / ((d / self.heads) as f64).sqrt();
        let scores = (part(0)?.matmul(&part(1)?.transpose(2, 3)?)? * scale)?;
        let scores = match how.and_then(|how| how.bias) {
            Some(bias) => scores.broadcast_add(bias)?,
            None => scores,
        };
        let p = drop(softmax(&scores)?, 0, self.rates.attention, false)?;
        let attended = p.matmul(&part(2)?)?.transpose(1, 2)?.reshape((batch, t, d))?;
        let branch = drop(w.proj.forward_in(&attended, is_half)?, 1, hidden, false)?;
        let x = (x + drop(branch, 5, path, true)?)?;
        let h = w.fc1.forward_in(&w.norm2.forward(&x)?, is_half)?.gelu_erf()?;
        let h = drop(h, 2, hidden, false)?;
        let branch = drop(w.fc2.forward_in(&h, is_half)?, 3, hidden, false)?;
        Ok((x + drop(branch, 7, path, true)?)?)
    }
}

/// What a pass in training adds to the blocks.
#[derive(Clone, Copy)]
pub(crate) struct Training<'a> {
    /// Key of its dropout.
    pub key: u64,
    pub pass: &'a Pass,
    /// `[B, 1, 1, T]`: added to the scores of every key.
    pub bias: Option<&'a Tensor>,
}

/// 0 for the first `keys [B]` tokens of `x [B, T, D]`, minus infinity for padding.
pub(super) fn key_bias(keys: &[u32], x: &Tensor) -> Result<Tensor> {
    let t = x.dim(1)?;
    let row = |&keys: &u32| (0..t).map(move |at| if at < keys as usize { 0.0 } else { f32::NEG_INFINITY });
    let values: Vec<f32> = keys.iter().flat_map(row).collect();
    Ok(Tensor::from_vec(values, (keys.len(), 1, 1, t), x.device())?)
}

fn dropped(x: &Tensor, mask: Option<Mask>, per_sample: bool) -> Result<Tensor> {
    let Some(mask) = mask else { return Ok(x.clone()) };
    let (count, shape) = match per_sample {
        true => (x.dim(0)?, vec![x.dim(0)?, 1, 1]),
        false => (x.elem_count(), x.dims().to_vec()),
    };
    let factors: Vec<f32> = (0..count as u32).map(|i| mask.factor(i)).collect();
    Ok(x.broadcast_mul(&Tensor::from_vec(factors, shape, x.device())?)?)
}
