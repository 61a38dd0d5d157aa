//! One pre-norm transformer block on a chunk of samples (ViT, arXiv 2010.11929).
//!
//! Forward: `x += drop(proj(attention(qkv(norm1 x))))`, then `x += drop(fc2(drop(gelu(fc1(norm2 x)))))`. Backward runs the
//! branches in reverse order; the gradient of a sum goes to both its terms, so `dx` passes a branch and gets added what comes
//! back through it. Kept between the two directions are the inputs of the norms, queries, keys and values,
//! probabilities, and what GELU was given: norms and GELU are cheaper to repeat than to store.

use jepa3d_products::{Matrix, Recycled};

use super::affine::Affine;
use super::attention::{Attention, Heads, ProbabilityDrop};
use super::dropout::{Mask, key_of};
use super::gelu::{gelu, gelu_backward};
use super::linear::{GradientFactors, LayerWidths, Precision, RightFactor};
use super::norm::{NormInput, RowStats, add_norm_gradient, layer_norm};
use super::rows::{add, add_column_sums};

/// Slices of the parameters of a block: weight and bias of two norms and four layers.
pub(crate) const PARTS: usize = 12;

/// Linear layers of a block.
pub(crate) const LAYERS: usize = 4;

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

    /// The linear layers, in the order of [`BlockWeights::new`].
    pub(crate) fn layers(&self) -> [Affine<'a>; LAYERS] {
        [self.qkv, self.proj, self.fc1, self.fc2]
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
pub(crate) enum DropSite {
    Probabilities = 0,
    Attended = 1,
    Inner = 2,
    Mlp = 3,
}

/// From a branch's site to that of its stochastic depth.
pub(crate) const PATH: u64 = 4;

/// The weights of a block's linear layers as products read them, in one direction.
#[derive(Debug)]
pub(crate) struct BlockFactors<'a> {
    qkv: RightFactor<'a>,
    proj: RightFactor<'a>,
    fc1: RightFactor<'a>,
    fc2: RightFactor<'a>,
}

impl<'a> BlockFactors<'a> {
    /// `W^T` of every layer.
    pub(crate) fn forward(weights: &BlockWeights<'a>, precision: Precision) -> Self {
        Self::new(weights, |weight| RightFactor::new(weight.transpose(), precision))
    }

    /// `W` of every layer.
    pub(crate) fn backward(weights: &BlockWeights<'a>, precision: Precision) -> Self {
        Self::new(weights, |weight| RightFactor::new(weight, precision))
    }

    fn new(weights: &BlockWeights<'a>, factor: impl Fn(Matrix<'a, f32>) -> RightFactor<'a> + Sync) -> Self {
        let make =
            |layer: Affine<'a>| factor(Matrix::new(layer.weight, layer.weight.len() / layer.bias.len()));
        let ((qkv, proj), (fc1, fc2)) = rayon::join(
            || (make(weights.qkv), make(weights.proj)),
            || (make(weights.fc1), make(weights.fc2)),
        );
        Self { qkv, proj, fc1, fc2 }
    }
}

/// What the backward of a block needs of its forward.
pub(crate) struct SavedBlock {
    input: Recycled<f32>,
    stats1: Vec<RowStats>,
    qkv: Recycled<f32>,
    probabilities: Recycled<f32>,
    attended: Recycled<f32>,
    middle: Recycled<f32>,
    stats2: Vec<RowStats>,
    hidden: Recycled<f32>,
}

impl SavedBlock {
    /// Room for everything; the numbers are arbitrary until a forward pass writes them.
    pub(crate) fn new(shape: &BlockShape<'_>) -> Self {
        let (rows, width) = (shape.rows(), shape.heads.width);
        Self {
            input: Recycled::take(rows * width),
            stats1: vec![RowStats::default(); rows],
            qkv: Recycled::take(rows * 3 * width),
            probabilities: Recycled::take(shape.samples * shape.heads.squares()),
            attended: Recycled::take(rows * width),
            middle: Recycled::take(rows * width),
            stats2: vec![RowStats::default(); rows],
            hidden: Recycled::take(rows * shape.hidden),
        }
    }
}

/// What one chunk adds to the gradients of a block: sums of norms and biases, and the factors of the weights'.
#[derive(Debug)]
pub(crate) struct ChunkGradients {
    /// Weight, then bias.
    pub norm1: [Vec<f32>; 2],
    pub norm2: [Vec<f32>; 2],
    /// By layer.
    pub biases: [Vec<f32>; LAYERS],
    pub weights: [GradientFactors; LAYERS],
}

/// What one layer's backward leaves behind.
struct LayerGradient {
    bias: Vec<f32>,
    weight: GradientFactors,
}

/// A block as it is run on one chunk at one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkPass<'a> {
    pub weights: &'a BlockWeights<'a>,
    /// Of the direction that is run.
    pub factors: &'a BlockFactors<'a>,
    pub precision: Precision,
    pub shape: &'a BlockShape<'a>,
    pub drop: BlockDrop,
}

impl ChunkPass<'_> {
    /// Runs on `x [samples * T, D]` in place.
    pub(crate) fn forward(&self, x: &mut [f32], saved: &mut SavedBlock) {
        let (w, factors) = (self.weights, self.factors);
        let (width, hidden) = (self.shape.heads.width, self.shape.hidden);
        let mut branch = Recycled::take(x.len());
        saved.input.copy_from_slice(x);
        layer_norm(&mut branch, &mut saved.stats1, x, w.norm1);
        factors.qkv.apply(&mut saved.qkv, Matrix::new(&branch, width), w.qkv.bias);
        self.attend(saved);
        factors.proj.apply(&mut branch, Matrix::new(&saved.attended, width), w.proj.bias);
        self.drop_branch(&mut branch, DropSite::Attended);
        add(x, &branch);

        saved.middle.copy_from_slice(x);
        layer_norm(&mut branch, &mut saved.stats2, x, w.norm2);
        factors.fc1.apply(&mut saved.hidden, Matrix::new(&branch, width), w.fc1.bias);
        let activation = self.activate(saved);
        factors.fc2.apply(&mut branch, Matrix::new(&activation, hidden), w.fc2.bias);
        self.drop_branch(&mut branch, DropSite::Mlp);
        add(x, &branch);
    }

    /// What the second layer of the MLP reads.
    fn activate(&self, saved: &SavedBlock) -> Recycled<f32> {
        let mut activation = Recycled::take(saved.hidden.len());
        gelu(&mut activation, &saved.hidden);
        self.drop_inner(&mut activation);
        activation
    }

    /// Turns `dx` from the gradient of the output into that of the input.
    pub(crate) fn backward(&self, dx: &mut [f32], saved: SavedBlock) -> ChunkGradients {
        let (fc1, fc2, norm2) = self.mlp_backward(dx, &saved);
        let (qkv, proj, norm1) = self.attention_backward(dx, saved);
        let (mut biases, mut weights) = (Vec::new(), Vec::new());
        for LayerGradient { bias, weight } in [qkv, proj, fc1, fc2] {
            biases.push(bias);
            weights.push(weight);
        }
        let (biases, weights) =
            (biases.try_into().expect("a layer each"), weights.try_into().expect("a layer each"));
        ChunkGradients { norm1, norm2, biases, weights }
    }

    fn mlp_backward(
        &self,
        dx: &mut [f32],
        saved: &SavedBlock,
    ) -> (LayerGradient, LayerGradient, [Vec<f32>; 2]) {
        let (w, width) = (self.weights, self.shape.heads.width);
        let mut branch = Recycled::copy_of(dx);
        self.drop_branch(&mut branch, DropSite::Mlp);
        let mut dhidden = Recycled::take(saved.hidden.len());
        self.factors.fc2.multiply(&mut dhidden, Matrix::new(&branch, width), self.shape.hidden);
        let fc2 = self.layer_gradient(branch, self.activate(saved), w.fc2);
        self.drop_inner(&mut dhidden);
        gelu_backward(&mut dhidden, &saved.hidden);
        let mut dnormed = Recycled::take(dx.len());
        self.factors.fc1.multiply(&mut dnormed, Matrix::new(&dhidden, self.shape.hidden), width);
        let input = NormInput { rows: &saved.middle, stats: &saved.stats2 };
        let fc1 = self.layer_gradient(dhidden, input.repeat(w.norm2), w.fc1);
        (fc1, fc2, add_norm_gradient(dx, input, w.norm2.weight, &dnormed))
    }

    fn attention_backward(
        &self,
        dx: &mut [f32],
        saved: SavedBlock,
    ) -> (LayerGradient, LayerGradient, [Vec<f32>; 2]) {
        let (w, width, sample) = (self.weights, self.shape.heads.width, self.shape.sample());
        let mut branch = Recycled::copy_of(dx);
        self.drop_branch(&mut branch, DropSite::Attended);
        let mut dattended = Recycled::take(dx.len());
        self.factors.proj.multiply(&mut dattended, Matrix::new(&branch, width), width);
        let proj = self.layer_gradient(branch, saved.attended, w.proj);
        let mut dqkv = Recycled::take(saved.qkv.len());
        let samples = dqkv
            .chunks_exact_mut(3 * sample)
            .zip(dattended.chunks_exact(sample))
            .zip(saved.probabilities.chunks_exact(self.shape.heads.squares()))
            .zip(saved.qkv.chunks_exact(3 * sample));
        for (i, (((dqkv, dout), probabilities), qkv)) in samples.enumerate() {
            self.attention(i).backward(dqkv, dout, probabilities, qkv);
        }
        let mut dnormed = dattended;
        self.factors.qkv.multiply(&mut dnormed, Matrix::new(&dqkv, 3 * width), width);
        let input = NormInput { rows: &saved.input, stats: &saved.stats1 };
        let qkv = self.layer_gradient(dqkv, input.repeat(w.norm1), w.qkv);
        (qkv, proj, add_norm_gradient(dx, input, w.norm1.weight, &dnormed))
    }

    /// Of a layer that was given `x` and whose output has the gradient `dy`.
    fn layer_gradient(&self, dy: Recycled<f32>, x: Recycled<f32>, layer: Affine<'_>) -> LayerGradient {
        let mut bias = vec![0.0f32; layer.bias.len()];
        add_column_sums(&mut bias, &dy);
        let widths = LayerWidths { outputs: bias.len(), inputs: layer.weight.len() / bias.len() };
        LayerGradient { bias, weight: GradientFactors::new(dy, x, widths, self.precision) }
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
