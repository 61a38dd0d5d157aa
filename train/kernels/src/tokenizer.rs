//! The mini-PointNet that makes a token of each patch, forward and backward as one operation on the CPU.
//!
//! Layer by layer it is bound by memory: two activations per point and channel are written and read a dozen times, and the
//! gradients of two maxima are nearly all zeros. Here activations stay in the cache and are computed again when needed, both
//! BatchNorms' statistics follow from second moments, two linear layers in a row become one, and what is zero in backward
//! is not computed. The same mathematics in candle's operators is `composite.rs`: the oracle of the tests, and what
//! other devices run.

mod backward;
mod buffer;
mod composite;
mod dense;
mod forward;
mod gradients;
mod parameters;
mod prepared;
mod rows;
#[cfg(test)]
mod tests;
mod tile;
mod weights;

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout as Strides, Result, Shape, Storage, Tensor, bail};

use self::forward::{Running, Saved, forward};
use self::gradients::backward;
use self::parameters::{Flat, Norm, Widths};

pub use composite::{tokenize_composite, tokenize_counted};
pub use weights::{BatchStats, Mode, TokenizerWeights};

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
