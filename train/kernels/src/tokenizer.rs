//! The mini-PointNet that makes a token of each patch, forward and backward as one operation on the CPU.
//!
//! Forward, for a patch of points `x_k`: `h_k = relu(norm1(W1 x_k))`, `l_k = W2 h_k + b2`, `s = max_k l_k`,
//! `m_k = W3 [s, l_k]`, token `= max_k W4 relu(norm2(m_k)) + b4` (PointNet, arXiv 1612.00593, as in Point-MAE). Backward: a
//! maximum hands its gradient to the point that has it, and the norm of a batch passes on
//! `dy = w (dz - mean(dz) - n mean(dz n)) / std` for its input `y`, normed `n` and output `z`. How both are found without an
//! activation a point stands in `forward.rs`, `sparse.rs` and `dense.rs`.
//!
//! Layer by layer it is bound by memory: two activations per point and channel are written and read a dozen times, and the
//! gradients of two maxima are nearly all zeros. Here activations stay in the cache and are computed again when needed, both
//! BatchNorms' statistics follow from second moments, two linear layers in a row become one, and what is zero in backward
//! is not computed. The same mathematics in candle's operators is `composite.rs`: the oracle of the tests, and what
//! other devices run.

mod activations;
mod aligned;
mod backward;
mod bf16_passes;
mod composite;
mod cut;
mod dense;
mod first_pass;
#[cfg(test)]
pub(crate) mod fixture;
mod flat;
mod forward;
mod mixed_statistics;
mod prepared;
mod sparse;
mod sparse_products;
#[cfg(test)]
mod tests;
mod tile;
mod weights;

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use self::backward::{BackwardPass, backward};
pub(crate) use self::flat::FlatRanges;
pub(crate) use self::flat::Widths;
use self::flat::{ChannelMoments, FlatWeights};
use self::forward::{ForwardPlan, Running, SavedPasses, forward};
use super::cuda::{DeviceStatistics, TokenizerInput, find_kernel_device, tokenize_on};
use super::linear::Precision;
use super::parts::BatchParts;
use super::tape::Tape;
use super::view::{CpuView, borrow_numbers};

use self::composite::tokenize_part;
pub use composite::{tokenize_composite, tokenize_counted};
pub(crate) use weights::NAMES;
pub use weights::{BatchStats, Mode, TokenizerWeights};

/// Tokens [P, D] of `patches` [P, K, 3] (points minus their center), and in [`Mode::Train`] the statistics of both
/// BatchNorms.
///
/// Patches are data: no gradient flows to them. Ties in a maximum go to the lowest point. The result does not depend on the
/// number of threads. On a CUDA device its kernels run.
///
/// # Errors
/// Fails if shapes do not fit, numbers are not f32, or in [`Mode::Train`] with a single point.
pub fn tokenize(
    patches: &Tensor,
    weights: &TokenizerWeights,
    mode: &Mode<'_>,
) -> Result<(Tensor, Option<[BatchStats; 2]>)> {
    tokenize_in(Precision::F32, patches, weights, mode)
}

/// What both batch norms saw in a batch, where it was computed.
pub enum TokenizerStatistics {
    /// As numbers.
    Host([BatchStats; 2]),
    /// On a device.
    Device(DeviceStatistics),
}

/// [`tokenize_in`] in training. On a device the gradients of parameters go to `tape`, and nothing is read back. Where the patches
/// are of a part of a batch, statistics are those of all parts, and gradients this part's share; on a device
/// candle's operators find them.
///
/// # Errors
/// As [`tokenize`], and if the parts do not meet.
pub fn train_tokenizer(
    precision: Precision,
    patches: &Tensor,
    weights: &TokenizerWeights,
    tape: &Tape,
    parts: Option<&Arc<dyn BatchParts>>,
) -> Result<(Tensor, TokenizerStatistics)> {
    if let Some(device) = find_kernel_device(patches)? {
        if let Some(parts) = parts {
            let (tokens, stats) = tokenize_part(patches, weights, parts)?;
            return Ok((tokens, TokenizerStatistics::Host(stats)));
        }
        weights.check(patches, &Mode::Train)?;
        let input = TokenizerInput { precision, patches, weights, mode: &Mode::Train };
        let (tokens, statistics) = tokenize_on(device, input, tape)?;
        return Ok((tokens, TokenizerStatistics::Device(statistics)));
    }
    weights.check(patches, &Mode::Train)?;
    match tokenize_here(precision, patches, weights, &Mode::Train, parts)? {
        (tokens, Some(stats)) => Ok((tokens, TokenizerStatistics::Host(stats))),
        (_, None) => unreachable!("statistics are taken in training"),
    }
}

/// [`tokenize`] with products of this precision: of the layers that run on every point in the forward direction, and of what
/// the last maximum sends back through the mixing layer. Statistics, and BatchNorm's share in every row, stay in `f32`.
///
/// # Errors
/// As [`tokenize`].
pub fn tokenize_in(
    precision: Precision,
    patches: &Tensor,
    weights: &TokenizerWeights,
    mode: &Mode<'_>,
) -> Result<(Tensor, Option<[BatchStats; 2]>)> {
    weights.check(patches, mode)?;
    if let Some(device) = find_kernel_device(patches)? {
        let input = TokenizerInput { precision, patches, weights, mode };
        let (tokens, stats) = tokenize_on(device, input, &Tape::default())?;
        return Ok((tokens, matches!(mode, Mode::Train).then(|| stats.read()).transpose()?));
    }
    tokenize_here(precision, patches, weights, mode, None)
}

/// [`tokenize_in`] on the CPU.
fn tokenize_here(
    precision: Precision,
    patches: &Tensor,
    weights: &TokenizerWeights,
    mode: &Mode<'_>,
    parts: Option<&Arc<dyn BatchParts>>,
) -> Result<(Tensor, Option<[BatchStats; 2]>)> {
    let saved = Arc::new(OnceLock::new());
    let parts = parts.cloned();
    let running = match *mode {
        Mode::Train => None,
        Mode::Eval { bn1, bn2 } => Some([bn1, bn2].map(|(mean, var)| ChannelMoments::new(mean, var))),
    };
    let operation = Tokenize { widths: weights.widths()?, running, precision, parts, saved: saved.clone() };
    let tokens = patches.contiguous()?.apply_op2(&weights.flat()?, operation)?;
    let stats = match mode {
        Mode::Eval { .. } => None,
        Mode::Train => saved.get().map(SavedPasses::batch_stats),
    };
    Ok((tokens, stats))
}

impl ChannelMoments {
    fn new(mean: &[f32], var: &[f32]) -> Self {
        let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect();
        Self { mean: wide(mean), var: wide(var) }
    }
}

impl SavedPasses {
    fn batch_stats(&self) -> [BatchStats; 2] {
        let n = self.rows;
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
    precision: Precision,
    parts: Option<Arc<dyn BatchParts>>,
    saved: Arc<OnceLock<SavedPasses>>,
}

impl CustomOp2 for Tokenize {
    fn name(&self) -> &'static str {
        "tokenize"
    }

    fn cpu_fwd(
        &self,
        patches: &CpuStorage,
        layout: &Layout,
        flat: &CpuStorage,
        flat_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (patch_count, k, _) = layout.shape().dims3()?;
        let ranges = self.widths.ranges();
        let flat =
            FlatWeights { values: borrow_numbers(flat, flat_layout)?, ranges: &ranges, widths: self.widths };
        let plan =
            ForwardPlan { running: &self.running, precision: self.precision, parts: self.parts.as_deref() };
        let (tokens, saved) = forward(borrow_numbers(patches, layout)?, k, flat, plan)?;
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
        let (patches, values, gradient) =
            (CpuView::new(patches)?, CpuView::new(flat)?, CpuView::new(&gradient)?);
        let ranges = self.widths.ranges();
        let weights = FlatWeights { values: values.slice(), ranges: &ranges, widths: self.widths };
        let pass = BackwardPass { saved, is_training: self.running.is_none(), parts: self.parts.as_deref() };
        let values = backward(patches.slice(), gradient.slice(), weights, pass)?;
        let n = values.len();
        Ok((None, Some(Tensor::from_vec(values, n, flat.device())?)))
    }
}
