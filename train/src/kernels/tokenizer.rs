//! The mini-PointNet that makes a token of each patch, forward and backward as one operation on the CPU.
//!
//! Layer by layer it is bound by memory: two activations per point and channel are written and read a dozen times, and the
//! gradients of two maxima are nearly all zeros. Here activations stay in the cache and are computed again when needed, both
//! BatchNorms' statistics follow from second moments, two linear layers in a row become one, and what is zero in backward
//! is not computed. The same mathematics in candle's operators is `tokenizer_composite`: the oracle of the tests, and what
//! other devices run.

mod backward;
mod buffer;
mod dense;
mod forward;
mod gradients;
mod parameters;
mod prepared;
mod rows;
#[cfg(test)]
mod tests;
mod tile;

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout as Strides, Result, Shape, Storage, Tensor, bail};

use self::forward::{Running, Saved, forward};
use self::gradients::backward;
use self::parameters::{Flat, Norm, Widths};
use super::tokenizer_composite::tokenize_composite;

/// Parameters of the tokenizer, linear weights as [out, in]. Official widths: C1 128, C2 256, C3 512, D 384.
#[derive(Clone, Debug)]
pub struct TokenizerWeights {
    /// `first_conv.0.weight` `[C1,3]`, without bias.
    pub first: Tensor,
    /// `first_conv.1.weight` `[C1]`.
    pub bn1_weight: Tensor,
    /// `first_conv.1.bias` `[C1]`.
    pub bn1_bias: Tensor,
    /// `first_conv.3.weight` `[C2,C1]`.
    pub lift: Tensor,
    /// `first_conv.3.bias` `[C2]`.
    pub lift_bias: Tensor,
    /// `second_conv.0.weight` [C3, 2 C2], input order [global, local], without bias.
    pub mix: Tensor,
    /// `second_conv.1.weight` `[C3]`.
    pub bn2_weight: Tensor,
    /// `second_conv.1.bias` `[C3]`.
    pub bn2_bias: Tensor,
    /// `second_conv.3.weight` `[D,C3]`.
    pub out: Tensor,
    /// `second_conv.3.bias` `[D]`.
    pub out_bias: Tensor,
}

/// Statistics of one batch, per channel, for the running ones.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStats {
    /// Mean over all points of all patches.
    pub mean: Vec<f32>,
    /// Unbiased variance.
    pub var: Vec<f32>,
}

/// Which statistics BatchNorm normalises with.
#[derive(Clone, Copy, Debug)]
pub enum Mode<'a> {
    /// Those of the batch.
    Train,
    /// Running means and variances.
    Eval {
        /// Of the first BatchNorm, `[C1]` each.
        bn1: (&'a [f32], &'a [f32]),
        /// Of the second, `[C3]` each.
        bn2: (&'a [f32], &'a [f32]),
    },
}

/// Tokens [P, D] of `patches` [P, K, 3] (points minus their center), and in [`Mode::Train`] the statistics of both
/// BatchNorms.
///
/// Patches are data: no gradient flows to them. Ties in a maximum go to the lowest point. The result does not depend on the
/// number of threads. On other devices than the CPU this is [`tokenize_composite`].
///
/// # Errors
/// Shapes that do not fit, numbers other than f32, and [`Mode::Train`] with a single point.
pub fn tokenize(
    patches: &Tensor,
    weights: &TokenizerWeights,
    mode: &Mode<'_>,
) -> Result<(Tensor, Option<[BatchStats; 2]>)> {
    weights.check(patches, mode)?;
    if !patches.device().is_cpu() {
        return tokenize_composite(patches, weights, mode);
    }
    let saved = Arc::new(OnceLock::new());
    let running = match *mode {
        Mode::Train => None,
        Mode::Eval { bn1, bn2 } => Some([bn1, bn2].map(|(mean, var)| Norm::from_f32(mean, var))),
    };
    let operation = Tokenize { widths: weights.widths()?, running, saved: saved.clone() };
    let tokens = patches.contiguous()?.apply_op2(&weights.flat()?, operation)?;
    let stats = match mode {
        Mode::Eval { .. } => None,
        Mode::Train => saved.get().map(Saved::batch_stats),
    };
    Ok((tokens, stats))
}

impl TokenizerWeights {
    fn parts(&self) -> [&Tensor; 10] {
        let Self { first, bn1_weight, bn1_bias, lift, lift_bias, mix, bn2_weight, bn2_bias, out, out_bias } =
            self;
        [first, bn1_weight, bn1_bias, lift, lift_bias, mix, bn2_weight, bn2_bias, out, out_bias]
    }

    /// One vector: a candle operation takes three arguments at most, and candle splits its gradient again.
    fn flat(&self) -> Result<Tensor> {
        let parts = self.parts().map(Tensor::flatten_all).into_iter().collect::<Result<Vec<_>>>()?;
        Tensor::cat(&parts, 0)
    }

    /// Whether everything fits together.
    pub(super) fn check(&self, patches: &Tensor, mode: &Mode<'_>) -> Result<()> {
        let (patch_count, k, axes) = patches.dims3()?;
        let Widths { c1, c2, c3, d } = self.widths()?;
        if patch_count == 0 || k == 0 || k > usize::from(u16::MAX) || axes != 3 {
            bail!(
                "tokenizer: patches: expected [P,K,3] with P, K > 0 and K < 65536, found {:?}",
                patches.dims()
            );
        }
        if matches!(mode, Mode::Train) && patch_count * k == 1 {
            bail!("tokenizer: patches: expected more than one point to take statistics of, found 1");
        }
        let shapes: [&[usize]; 10] =
            [&[c1, 3], &[c1], &[c1], &[c2, c1], &[c2], &[c3, 2 * c2], &[c3], &[c3], &[d, c3], &[d]];
        for (part, (expected, name)) in self.parts().into_iter().zip(shapes.into_iter().zip(NAMES)) {
            if part.dims() != expected {
                bail!("tokenizer: {name}: expected {expected:?}, found {:?}", part.dims());
            }
        }
        if let Mode::Eval { bn1, bn2 } = mode {
            let lengths = [bn1.0.len(), bn1.1.len(), bn2.0.len(), bn2.1.len()];
            if lengths != [c1, c1, c3, c3] {
                bail!(
                    "tokenizer: running statistics: expected lengths {:?}, found {lengths:?}",
                    [c1, c1, c3, c3]
                );
            }
        }
        Ok(())
    }

    fn widths(&self) -> Result<Widths> {
        Ok(Widths {
            c1: self.first.dim(0)?,
            c2: self.lift.dim(0)?,
            c3: self.mix.dim(0)?,
            d: self.out.dim(0)?,
        })
    }
}

/// Official names of the parts, in their order.
const NAMES: [&str; 10] = [
    "first_conv.0.weight",
    "first_conv.1.weight",
    "first_conv.1.bias",
    "first_conv.3.weight",
    "first_conv.3.bias",
    "second_conv.0.weight",
    "second_conv.1.weight",
    "second_conv.1.bias",
    "second_conv.3.weight",
    "second_conv.3.bias",
];

impl Norm {
    fn from_f32(mean: &[f32], var: &[f32]) -> Self {
        let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect();
        Self { mean: wide(mean), var: wide(var) }
    }
}

impl Saved {
    fn batch_stats(&self) -> [BatchStats; 2] {
        let n = (self.cut.patches * self.cut.k) as f64;
        self.norms.each_ref().map(|norm| BatchStats {
            mean: norm.mean.iter().map(|&m| m as f32).collect(),
            var: norm.var.iter().map(|&v| (v * n / (n - 1.0)) as f32).collect(),
        })
    }
}

/// The operation on patches `[P,K,3]` and flat parameters.
struct Tokenize {
    widths: Widths,
    running: Running,
    saved: Arc<OnceLock<Saved>>,
}

impl CustomOp2 for Tokenize {
    fn name(&self) -> &'static str {
        "tokenize"
    }

    fn cpu_fwd(
        &self,
        patches: &CpuStorage,
        strides: &Strides,
        flat: &CpuStorage,
        flat_strides: &Strides,
    ) -> Result<(CpuStorage, Shape)> {
        let (patch_count, k, _) = strides.shape().dims3()?;
        let layout = self.widths.layout();
        let flat = Flat { values: contiguous(flat, flat_strides)?, layout: &layout, widths: self.widths };
        let (tokens, saved) = forward(contiguous(patches, strides)?, k, flat, &self.running);
        if self.saved.set(saved).is_err() {
            bail!("tokenizer: an operation is run once");
        }
        Ok((CpuStorage::F32(tokens), (patch_count, self.widths.d).into()))
    }

    fn bwd(
        &self,
        patches: &Tensor,
        flat: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(saved) = self.saved.get() else {
            bail!("tokenizer: backward without forward");
        };
        let gradient = gradient.contiguous()?;
        let (patches, flat_values, gradient) =
            (patches.storage_and_layout(), flat.storage_and_layout(), gradient.storage_and_layout());
        let layout = self.widths.layout();
        let values = backward(
            of_tensor(&patches)?,
            of_tensor(&gradient)?,
            Flat { values: of_tensor(&flat_values)?, layout: &layout, widths: self.widths },
            saved,
            &self.running,
        );
        let n = values.len();
        Ok((None, Some(Tensor::from_vec(values, n, flat.device())?)))
    }
}

fn of_tensor<'a>(tensor: &'a (impl Deref<Target = Storage>, &Strides)) -> Result<&'a [f32]> {
    match &*tensor.0 {
        Storage::Cpu(storage) => contiguous(storage, tensor.1),
        _ => bail!("tokenizer: expected a tensor on the CPU"),
    }
}

fn contiguous<'a>(storage: &'a CpuStorage, strides: &Strides) -> Result<&'a [f32]> {
    let CpuStorage::F32(values) = storage else {
        bail!("tokenizer: expected {:?}, found {:?}", DType::F32, storage.dtype());
    };
    match strides.contiguous_offsets() {
        Some((from, to)) => Ok(&values[from..to]),
        None => bail!("tokenizer: expected contiguous tensors"),
    }
}
