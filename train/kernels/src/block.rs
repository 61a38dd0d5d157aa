//! One pre-norm transformer block on a chunk of samples, forward and backward (ViT, arXiv 2010.11929).
//!
//! `x += drop(proj(attention(norm1 x)))`, `x += drop(fc2(gelu(fc1(norm2 x))))`. Kept between the two directions are the
//! inputs of the norms, queries, keys and values, probabilities, and what GELU was given: norms and
//! GELU are cheaper to repeat than to store.

use jepa3d_products::{Matrix, Store, product_into, scaled_product_into};

use super::attention::{Heads, attend, attend_backward};
use super::dropout::{Mask, key_of};
use super::norm::{RowStats, layer_norm, layer_norm_backward};
use super::rows::{add_column_sums, fill_rows, gelu_of, times_gelu_slope};

/// Sizes of a block and the chunk it runs on.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockShape<'a> {
    pub heads: Heads,
    pub hidden: usize,
    pub samples: usize,
    /// Number of the chunk's first sample in the batch.
    pub first: usize,
    /// Tokens of every sample of the chunk that are no padding; `None`: all.
    pub keys: Option<&'a [u32]>,
}

impl BlockShape<'_> {
    pub(super) fn rows(&self) -> usize {
        self.samples * self.heads.tokens
    }

    fn width(&self) -> usize {
        self.heads.width
    }
}

/// The parameters of a block, or their gradients, in the order of [`PARTS`].
pub(super) const PARTS: usize = 12;

/// The parameters as slices: norm1, qkv, proj, norm2, fc1, fc2, each weight then bias.
pub(super) type Weights<'a> = [&'a [f32]; PARTS];
/// Gradients in the same order.
pub(super) type Gradients<'a> = [&'a mut [f32]; PARTS];

/// Rates of one block at one step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BlockDrop {
    key: u64,
    attention: f64,
    hidden: f64,
    path: f64,
}

impl BlockDrop {
    pub(super) fn new(key: u64, (attention, hidden, path): (f64, f64, f64)) -> Self {
        Self { key, attention, hidden, path }
    }

    fn mask(&self, site: u64, rate: f64) -> Option<Mask> {
        Mask::new(key_of(self.key, site), rate)
    }

    fn attention(&self, shape: &BlockShape<'_>, sample: usize) -> Option<(Mask, usize)> {
        Some((self.mask(0, self.attention)?, (shape.first + sample) * shape.heads.squares()))
    }

    /// Dropout of a branch (`site` 1 or 3) and stochastic depth of its samples.
    fn branch(&self, branch: &mut [f32], shape: &BlockShape<'_>, site: u64) {
        let sample = shape.heads.tokens * shape.width();
        if let Some(mask) = self.mask(site, self.hidden) {
            mask.apply(branch, shape.first * sample);
        }
        if let Some(mask) = self.mask(site + 4, self.path) {
            for (i, values) in branch.chunks_exact_mut(sample).enumerate() {
                let factor = mask.factor((shape.first + i) as u32);
                values.iter_mut().for_each(|v| *v *= factor);
            }
        }
    }

    fn inner(&self, activation: &mut [f32], shape: &BlockShape<'_>) {
        if let Some(mask) = self.mask(2, self.hidden) {
            mask.apply(activation, shape.first * shape.heads.tokens * shape.hidden);
        }
    }
}

/// What the backward of a block needs of its forward.
pub(super) struct Saved {
    input: Vec<f32>,
    stats1: Vec<RowStats>,
    qkv: Vec<f32>,
    probabilities: Vec<f32>,
    attended: Vec<f32>,
    middle: Vec<f32>,
    stats2: Vec<RowStats>,
    hidden: Vec<f32>,
}

impl Saved {
    pub(super) fn new(shape: &BlockShape<'_>) -> Self {
        let (rows, width) = (shape.rows(), shape.width());
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

/// `out = x weight^T + bias`.
fn linear(out: &mut [f32], x: &[f32], weight: &[f32], bias: &[f32]) {
    let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
    fill_rows(out, bias);
    let factors = (Matrix::new(x, inputs), Matrix::new(weight, inputs).transposed());
    scaled_product_into(out, outputs, Store::Add, 1.0, factors);
}

/// Sets `dx`, adds to the gradients of weight and bias.
fn linear_backward(
    dx: &mut [f32],
    (dweight, dbias): (&mut [f32], &mut [f32]),
    x: &[f32],
    weight: &[f32],
    dy: &[f32],
) {
    let (outputs, inputs) = (dbias.len(), weight.len() / dbias.len());
    let dy_rows = Matrix::new(dy, outputs);
    add_column_sums(dbias, dy);
    scaled_product_into(dweight, inputs, Store::Add, 1.0, (dy_rows.transposed(), Matrix::new(x, inputs)));
    product_into(dx, inputs, dy_rows, Matrix::new(weight, inputs));
}

/// Runs a block on `x [samples * T, D]` in place.
pub(super) fn forward(
    x: &mut [f32],
    w: &Weights<'_>,
    saved: &mut Saved,
    shape: &BlockShape<'_>,
    drop: &BlockDrop,
) {
    let mut branch = vec![0.0f32; x.len()];
    saved.input.copy_from_slice(x);
    layer_norm(&mut branch, &mut saved.stats1, x, (w[0], w[1]));
    linear(&mut saved.qkv, &branch, w[2], w[3]);
    each_sample(saved, shape, drop);
    linear(&mut branch, &saved.attended, w[4], w[5]);
    drop.branch(&mut branch, shape, 1);
    super::rows::add(x, &branch);

    saved.middle.copy_from_slice(x);
    layer_norm(&mut branch, &mut saved.stats2, x, (w[6], w[7]));
    linear(&mut saved.hidden, &branch, w[8], w[9]);
    let mut activation = vec![0.0f32; saved.hidden.len()];
    gelu_of(&mut activation, &saved.hidden);
    drop.inner(&mut activation, shape);
    linear(&mut branch, &activation, w[10], w[11]);
    drop.branch(&mut branch, shape, 3);
    super::rows::add(x, &branch);
}

fn each_sample(saved: &mut Saved, shape: &BlockShape<'_>, drop: &BlockDrop) {
    let (heads, t) = (shape.heads, shape.heads.tokens);
    let samples = saved
        .attended
        .chunks_exact_mut(t * heads.width)
        .zip(saved.probabilities.chunks_exact_mut(heads.squares()))
        .zip(saved.qkv.chunks_exact(3 * t * heads.width));
    for (i, ((out, probabilities), qkv)) in samples.enumerate() {
        let keys = shape.keys.map_or(t, |keys| keys[i] as usize);
        attend(out, probabilities, qkv, (heads, keys), drop.attention(shape, i));
    }
}

/// Turns `dx` from the gradient of a block's output into that of its input; adds to `g`.
pub(super) fn backward(
    dx: &mut [f32],
    g: &mut Gradients<'_>,
    w: &Weights<'_>,
    saved: &Saved,
    (shape, drop): (&BlockShape<'_>, &BlockDrop),
) {
    let [g0, g1, g2, g3, g4, g5, g6, g7, g8, g9, g10, g11] = g;
    mlp_backward(dx, [g6, g7, g8, g9, g10, g11], w, saved, (shape, drop));
    attention_backward(dx, [g0, g1, g2, g3, g4, g5], w, saved, (shape, drop));
}

fn mlp_backward(
    dx: &mut [f32],
    [dnorm, dnorm_bias, dfc1, dfc1_bias, dfc2, dfc2_bias]: [&mut &mut [f32]; 6],
    w: &Weights<'_>,
    saved: &Saved,
    (shape, drop): (&BlockShape<'_>, &BlockDrop),
) {
    let mut branch = dx.to_vec();
    drop.branch(&mut branch, shape, 3);
    let mut activation = vec![0.0f32; saved.hidden.len()];
    gelu_of(&mut activation, &saved.hidden);
    drop.inner(&mut activation, shape);
    let mut dhidden = vec![0.0f32; saved.hidden.len()];
    linear_backward(&mut dhidden, (dfc2, dfc2_bias), &activation, w[10], &branch);
    drop.inner(&mut dhidden, shape);
    times_gelu_slope(&mut dhidden, &saved.hidden);
    let mut normed = vec![0.0f32; dx.len()];
    let mut stats = vec![RowStats::default(); saved.stats2.len()];
    layer_norm(&mut normed, &mut stats, &saved.middle, (w[6], w[7]));
    linear_backward(&mut branch, (dfc1, dfc1_bias), &normed, w[8], &dhidden);
    layer_norm_backward(dx, (dnorm, dnorm_bias), (&saved.middle, &saved.stats2), w[6], &branch);
}

fn attention_backward(
    dx: &mut [f32],
    [dnorm, dnorm_bias, dqkv_weight, dqkv_bias, dproj, dproj_bias]: [&mut &mut [f32]; 6],
    w: &Weights<'_>,
    saved: &Saved,
    (shape, drop): (&BlockShape<'_>, &BlockDrop),
) {
    let (heads, t) = (shape.heads, shape.heads.tokens);
    let mut branch = dx.to_vec();
    drop.branch(&mut branch, shape, 1);
    let mut dattended = vec![0.0f32; dx.len()];
    linear_backward(&mut dattended, (dproj, dproj_bias), &saved.attended, w[4], &branch);
    let mut dqkv = vec![0.0f32; saved.qkv.len()];
    let samples = dqkv
        .chunks_exact_mut(3 * t * heads.width)
        .zip(dattended.chunks_exact(t * heads.width))
        .zip(saved.probabilities.chunks_exact(heads.squares()))
        .zip(saved.qkv.chunks_exact(3 * t * heads.width));
    for (i, (((dqkv, dout), probabilities), qkv)) in samples.enumerate() {
        attend_backward(dqkv, dout, (probabilities, qkv), heads, drop.attention(shape, i));
    }
    let normed = &mut dattended;
    let mut stats = vec![RowStats::default(); saved.stats1.len()];
    layer_norm(normed, &mut stats, &saved.input, (w[0], w[1]));
    linear_backward(&mut branch, (dqkv_weight, dqkv_bias), normed, w[2], &dqkv);
    layer_norm_backward(dx, (dnorm, dnorm_bias), (&saved.input, &saved.stats1), w[0], &branch);
}
