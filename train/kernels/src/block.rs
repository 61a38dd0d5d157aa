//! One pre-norm transformer block on a chunk of samples (ViT, arXiv 2010.11929).
//!
//! Forward: `x += drop(proj(attention(qkv(norm1 x))))`, then `x += drop(fc2(drop(gelu(fc1(norm2 x)))))`. Backward runs the
//! branches in reverse order; the gradient of a sum goes to both its terms, so `dx` passes a branch and gets added what comes
//! back through it. Kept between the two directions are the inputs of the norms, queries, keys and values,
//! probabilities, and what GELU was given: norms and GELU are cheaper to repeat than to store.

use super::affine::{Affine, AffineGradient};
use super::attention::{Attention, Heads, ProbabilityDrop};
use super::dropout::{Mask, key_of};
use super::gelu::{gelu, gelu_backward};
use super::linear::{linear, linear_backward};
use super::norm::{NormInput, RowStats, layer_norm, layer_norm_backward};
use super::rows::add;

/// Slices of the parameters of a block: weight and bias of two norms and four layers.
pub(crate) const PARTS: usize = 12;

/// The parameters of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockWeights<'a> {
    pub norm1: Affine<'a>,
    pub qkv: Affine<'a>,
    pub proj: Affine<'a>,
    pub norm2: Affine<'a>,
    pub fc1: Affine<'a>,
    pub fc2: Affine<'a>,
}

impl<'a> BlockWeights<'a> {
    /// Takes norm1, qkv, proj, norm2, fc1, fc2, each weight then bias.
    pub(crate) fn new(parts: [&'a [f32]; PARTS]) -> Self {
        let part = |i: usize| Affine { weight: parts[2 * i], bias: parts[2 * i + 1] };
        Self { norm1: part(0), qkv: part(1), proj: part(2), norm2: part(3), fc1: part(4), fc2: part(5) }
    }

    /// Numbers of all parameters.
    pub(crate) fn len(&self) -> usize {
        let parts = [self.norm1, self.qkv, self.proj, self.norm2, self.fc1, self.fc2];
        parts.iter().map(|part| part.weight.len() + part.bias.len()).sum()
    }
}

/// Where the gradients of a block's parameters are summed.
#[derive(Debug)]
pub(crate) struct BlockGradients<'a> {
    norm1: AffineGradient<'a>,
    qkv: AffineGradient<'a>,
    proj: AffineGradient<'a>,
    norm2: AffineGradient<'a>,
    fc1: AffineGradient<'a>,
    fc2: AffineGradient<'a>,
}

impl<'a> BlockGradients<'a> {
    /// Cuts `all`, as long as the parameters of `weights`, in the order of [`BlockWeights::new`].
    pub(crate) fn new(mut all: &'a mut [f32], weights: &BlockWeights<'_>) -> Self {
        let mut cut = |part: Affine<'_>| {
            let (weight, rest) = std::mem::take(&mut all).split_at_mut(part.weight.len());
            let (bias, rest) = rest.split_at_mut(part.bias.len());
            all = rest;
            AffineGradient { weight, bias }
        };
        Self {
            norm1: cut(weights.norm1),
            qkv: cut(weights.qkv),
            proj: cut(weights.proj),
            norm2: cut(weights.norm2),
            fc1: cut(weights.fc1),
            fc2: cut(weights.fc2),
        }
    }
}

/// Sizes of a block and the chunk it runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockShape<'a> {
    pub heads: Heads,
    pub hidden: usize,
    pub samples: usize,
    /// Number of the chunk's first sample in the batch.
    pub first: usize,
    /// Tokens of every sample of the chunk that are no padding; `None`: all.
    pub keys: Option<&'a [u32]>,
}

impl BlockShape<'_> {
    /// Tokens of the chunk.
    fn rows(&self) -> usize {
        self.samples * self.heads.tokens
    }

    /// Numbers of a sample.
    fn sample(&self) -> usize {
        self.heads.tokens * self.heads.width
    }
}

/// Rates of one block at one step; all 0: nothing is dropped.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BlockDrop {
    pub key: u64,
    pub attention: f64,
    pub hidden: f64,
    pub path: f64,
}

/// Where in a block something is dropped: part of the key, so that no two places share their draws.
#[derive(Clone, Copy)]
enum DropSite {
    Probabilities = 0,
    Attended = 1,
    Inner = 2,
    Mlp = 3,
}

/// From a branch's site to that of its stochastic depth.
const PATH: u64 = 4;

/// What the backward of a block needs of its forward.
pub(crate) struct SavedBlock {
    input: Vec<f32>,
    stats1: Vec<RowStats>,
    qkv: Vec<f32>,
    probabilities: Vec<f32>,
    attended: Vec<f32>,
    middle: Vec<f32>,
    stats2: Vec<RowStats>,
    hidden: Vec<f32>,
}

impl SavedBlock {
    pub(crate) fn new(shape: &BlockShape<'_>) -> Self {
        let (rows, width) = (shape.rows(), shape.heads.width);
        Self {
            input: vec![0.0; rows * width],
            stats1: vec![RowStats::default(); rows],
            qkv: vec![0.0; rows * 3 * width],
            probabilities: vec![0.0; shape.samples * shape.heads.squares()],
            attended: vec![0.0; rows * width],
            middle: vec![0.0; rows * width],
            stats2: vec![RowStats::default(); rows],
            hidden: vec![0.0; rows * shape.hidden],
        }
    }
}

/// A block as it is run on one chunk at one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkPass<'a> {
    pub weights: &'a BlockWeights<'a>,
    pub shape: &'a BlockShape<'a>,
    pub drop: BlockDrop,
}

impl ChunkPass<'_> {
    /// Runs on `x [samples * T, D]` in place.
    pub(crate) fn forward(&self, x: &mut [f32], saved: &mut SavedBlock) {
        let w = self.weights;
        let mut branch = vec![0.0f32; x.len()];
        saved.input.copy_from_slice(x);
        layer_norm(&mut branch, &mut saved.stats1, x, w.norm1);
        linear(&mut saved.qkv, &branch, w.qkv);
        self.attend(saved);
        linear(&mut branch, &saved.attended, w.proj);
        self.drop_branch(&mut branch, DropSite::Attended);
        add(x, &branch);

        saved.middle.copy_from_slice(x);
        layer_norm(&mut branch, &mut saved.stats2, x, w.norm2);
        linear(&mut saved.hidden, &branch, w.fc1);
        let mut activation = vec![0.0f32; saved.hidden.len()];
        gelu(&mut activation, &saved.hidden);
        self.drop_inner(&mut activation);
        linear(&mut branch, &activation, w.fc2);
        self.drop_branch(&mut branch, DropSite::Mlp);
        add(x, &branch);
    }

    /// Turns `dx` from the gradient of the output into that of the input; adds to `gradients`.
    pub(crate) fn backward(&self, dx: &mut [f32], gradients: &mut BlockGradients<'_>, saved: &SavedBlock) {
        self.mlp_backward(dx, gradients, saved);
        self.attention_backward(dx, gradients, saved);
    }

    fn mlp_backward(&self, dx: &mut [f32], gradients: &mut BlockGradients<'_>, saved: &SavedBlock) {
        let w = self.weights;
        let mut branch = dx.to_vec();
        self.drop_branch(&mut branch, DropSite::Mlp);
        let mut activation = vec![0.0f32; saved.hidden.len()];
        gelu(&mut activation, &saved.hidden);
        self.drop_inner(&mut activation);
        let mut dhidden = vec![0.0f32; saved.hidden.len()];
        linear_backward(&mut dhidden, &mut gradients.fc2, &activation, w.fc2.weight, &branch);
        self.drop_inner(&mut dhidden);
        gelu_backward(&mut dhidden, &saved.hidden);
        let mut normed = vec![0.0f32; dx.len()];
        let mut stats = vec![RowStats::default(); saved.stats2.len()];
        layer_norm(&mut normed, &mut stats, &saved.middle, w.norm2);
        linear_backward(&mut branch, &mut gradients.fc1, &normed, w.fc1.weight, &dhidden);
        let input = NormInput { rows: &saved.middle, stats: &saved.stats2 };
        layer_norm_backward(dx, &mut gradients.norm2, input, w.norm2.weight, &branch);
    }

    fn attention_backward(&self, dx: &mut [f32], gradients: &mut BlockGradients<'_>, saved: &SavedBlock) {
        let (w, sample) = (self.weights, self.shape.sample());
        let mut branch = dx.to_vec();
        self.drop_branch(&mut branch, DropSite::Attended);
        let mut dattended = vec![0.0f32; dx.len()];
        linear_backward(&mut dattended, &mut gradients.proj, &saved.attended, w.proj.weight, &branch);
        let mut dqkv = vec![0.0f32; saved.qkv.len()];
        let samples = dqkv
            .chunks_exact_mut(3 * sample)
            .zip(dattended.chunks_exact(sample))
            .zip(saved.probabilities.chunks_exact(self.shape.heads.squares()))
            .zip(saved.qkv.chunks_exact(3 * sample));
        for (i, (((dqkv, dout), probabilities), qkv)) in samples.enumerate() {
            self.attention(i).backward(dqkv, dout, probabilities, qkv);
        }
        let normed = &mut dattended;
        let mut stats = vec![RowStats::default(); saved.stats1.len()];
        layer_norm(normed, &mut stats, &saved.input, w.norm1);
        linear_backward(&mut branch, &mut gradients.qkv, normed, w.qkv.weight, &dqkv);
        let input = NormInput { rows: &saved.input, stats: &saved.stats1 };
        layer_norm_backward(dx, &mut gradients.norm1, input, w.norm1.weight, &branch);
    }

    fn attend(&self, saved: &mut SavedBlock) {
        let sample = self.shape.sample();
        let samples = saved
            .attended
            .chunks_exact_mut(sample)
            .zip(saved.probabilities.chunks_exact_mut(self.shape.heads.squares()))
            .zip(saved.qkv.chunks_exact(3 * sample));
        for (i, ((out, probabilities), qkv)) in samples.enumerate() {
            self.attention(i).forward(out, probabilities, qkv);
        }
    }

    /// How the `sample`th of the chunk attends.
    fn attention(&self, sample: usize) -> Attention {
        let BlockShape { heads, first, keys, .. } = *self.shape;
        let keys = keys.map_or(heads.tokens, |keys| keys[sample] as usize);
        let mask = self.mask(DropSite::Probabilities as u64, self.drop.attention);
        let drop = mask.map(|mask| ProbabilityDrop { mask, first: (first + sample) * heads.squares() });
        Attention { heads, keys, drop }
    }

    fn mask(&self, site: u64, rate: f64) -> Option<Mask> {
        Mask::new(key_of(self.drop.key, site), rate)
    }

    /// Dropout of a branch and stochastic depth of its samples (Huang et al., arXiv 1603.09382).
    fn drop_branch(&self, branch: &mut [f32], site: DropSite) {
        let (sample, first) = (self.shape.sample(), self.shape.first);
        if let Some(mask) = self.mask(site as u64, self.drop.hidden) {
            mask.apply(branch, first * sample);
        }
        if let Some(mask) = self.mask(site as u64 + PATH, self.drop.path) {
            for (i, values) in branch.chunks_exact_mut(sample).enumerate() {
                let factor = mask.factor((first + i) as u32);
                values.iter_mut().for_each(|v| *v *= factor);
            }
        }
    }

    /// Dropout between the two layers of the MLP.
    fn drop_inner(&self, activation: &mut [f32]) {
        if let Some(mask) = self.mask(DropSite::Inner as u64, self.drop.hidden) {
            mask.apply(activation, self.shape.first * self.shape.heads.tokens * self.shape.hidden);
        }
    }
}
