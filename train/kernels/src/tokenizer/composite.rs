//! The tokenizer in candle's operators: the oracle of the fused one, and what runs on other devices than the CPU.
//!
//! candle's own backward of `max` hands the full gradient to every tied element (repeated points multiply it), so maxima are
//! an argmax and a gather. The concatenation [global, local] never exists: each half of the mixing layer acts on its own.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor, bail};

use super::weights::{BatchStats, Mode, TokenizerWeights};
use crate::parts::{BatchParts, add_parts, sum_parts};

const EPS: f64 = 1e-5;

/// As [`tokenize`](super::tokenize), operator by operator, on any device; numbers may be other floats than f32.
///
/// # Errors
/// Fails if shapes do not fit, or in [`Mode::Train`] with a single point.
pub fn tokenize_composite(
    patches: &Tensor,
    weights: &TokenizerWeights,
    mode: &Mode<'_>,
) -> Result<(Tensor, Option<[BatchStats; 2]>)> {
    composite(patches, weights, mode, &Counted::default())
}

/// As [`tokenize_composite`] in training, for voxel blocks: only the first `counts[p]` points of patch `p` are counted in
/// the statistics, the rest repeats them. A maximum over repeats is that of the points, its gradient goes to the first.
///
/// # Errors
/// Fails if shapes do not fit, with a single point, or if there is not one count a patch, between 1 and `K`.
pub fn tokenize_counted(
    patches: &Tensor,
    weights: &TokenizerWeights,
    counts: &[u16],
    parts: Option<&Arc<dyn BatchParts>>,
) -> Result<(Tensor, Option<[BatchStats; 2]>)> {
    let (n, k, _) = patches.dims3()?;
    if counts.len() != n || counts.iter().any(|&count| count == 0 || usize::from(count) > k) {
        bail!("tokenizer: counts: expected {n} from 1 to {k}, found {}: {counts:?}", counts.len());
    }
    let row =
        |count: &u16| (0..k).map(|i| if i < usize::from(*count) { 1.0f32 } else { 0.0 }).collect::<Vec<_>>();
    let counted: Vec<f32> = counts.iter().flat_map(row).collect();
    let rows = Tensor::from_vec(counted, (n * k, 1), patches.device())?.to_dtype(patches.dtype())?;
    composite(patches, weights, &Mode::Train, &Counted { rows: Some(rows), parts: parts.cloned() })
}

/// As [`tokenize_composite`] in training, with the statistics of all parts of a batch.
///
/// # Errors
/// Fails if shapes do not fit, or the parts do not meet.
pub(super) fn tokenize_part(
    patches: &Tensor,
    weights: &TokenizerWeights,
    parts: &Arc<dyn BatchParts>,
) -> Result<(Tensor, [BatchStats; 2])> {
    let counted = Counted { rows: None, parts: Some(parts.clone()) };
    match composite(patches, weights, &Mode::Train, &counted)? {
        (tokens, Some(stats)) => Ok((tokens, stats)),
        (_, None) => unreachable!("statistics are taken in training"),
    }
}

/// What statistics are taken of.
#[derive(Default)]
struct Counted {
    /// `[P K, 1]`: 1 for rows that count, 0 for others; `None`: all do.
    rows: Option<Tensor>,
    /// `None`: the patches are all that there are.
    parts: Option<Arc<dyn BatchParts>>,
}

impl Counted {
    /// Rows of `x` in all parts.
    fn count(&self, x: &Tensor) -> Result<f64> {
        let own = match &self.rows {
            Some(rows) => f64::from(rows.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?),
            None => x.dim(0)? as f64,
        };
        let mut sum = [own];
        add_parts(self.parts.as_deref(), "rows that count", &mut sum)?;
        Ok(sum[0])
    }

    /// The mean over those of all parts.
    fn mean(&self, x: &Tensor, rows: f64) -> Result<Tensor> {
        let counted = match &self.rows {
            Some(counted) => counted.clone(),
            None => x.narrow(1, 0, 1)?.ones_like()?,
        };
        let sum = x.broadcast_mul(&counted)?.sum_keepdim(0)?;
        match &self.parts {
            Some(parts) => sum_parts(&sum, parts)? / rows,
            None => sum / rows,
        }
    }
}

fn composite(
    patches: &Tensor,
    weights: &TokenizerWeights,
    mode: &Mode<'_>,
    counted: &Counted,
) -> Result<(Tensor, Option<[BatchStats; 2]>)> {
    weights.check(patches, mode)?;
    let (n, k, _) = patches.dims3()?;
    let (running1, running2) = match *mode {
        Mode::Train => (None, None),
        Mode::Eval { bn1, bn2 } => (Some(bn1), Some(bn2)),
    };
    let w = weights;
    let first = linear(&patches.reshape((n * k, 3))?, &w.first)?;
    let (first, stats1) = batch_norm(&first, &w.bn1_weight, &w.bn1_bias, running1, counted)?;
    let local = linear(&first.relu()?, &w.lift)?.broadcast_add(&w.lift_bias)?;
    let c2 = w.lift.dim(0)?;
    let summary = max_over_points(&local.reshape((n, k, c2))?)?;
    let of_summary = linear(&summary, &w.mix.narrow(1, 0, c2)?)?;
    let of_local = linear(&local, &w.mix.narrow(1, c2, c2)?)?;
    let c3 = w.mix.dim(0)?;
    let mixed = of_local.reshape((n, k, c3))?.broadcast_add(&of_summary.unsqueeze(1)?)?;
    let mixed = mixed.reshape((n * k, c3))?;
    let (mixed, stats2) = batch_norm(&mixed, &w.bn2_weight, &w.bn2_bias, running2, counted)?;
    let out = linear(&mixed.relu()?, &w.out)?;
    let tokens = max_over_points(&out.reshape((n, k, w.out.dim(0)?))?)?.broadcast_add(&w.out_bias)?;
    Ok((tokens, stats1.zip(stats2).map(|(a, b)| [a, b])))
}

fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.matmul(&weight.t()?)
}

/// [P, K, C] -> [P, C]; the gradient goes to one point.
fn max_over_points(x: &Tensor) -> Result<Tensor> {
    let at = x.detach().argmax_keepdim(1)?;
    x.gather(&at.contiguous()?, 1)?.squeeze(1)
}

/// Running mean and variance.
type RunningSlices<'a> = Option<(&'a [f32], &'a [f32])>;

/// Normalises the columns of `x` [n, C]; returns the batch's statistics if it used them.
fn batch_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    running: RunningSlices<'_>,
    counted: &Counted,
) -> Result<(Tensor, Option<BatchStats>)> {
    let row = |values: &[f32]| Tensor::from_slice(values, (1, values.len()), x.device())?.to_dtype(x.dtype());
    let (centered, var, stats) = match running {
        Some((mean, var)) => (x.broadcast_sub(&row(mean)?)?, row(var)?, None),
        None => {
            let rows = counted.count(x)?;
            let mean = counted.mean(x, rows)?;
            let centered = x.broadcast_sub(&mean)?;
            let var = counted.mean(&centered.sqr()?, rows)?;
            let stats = batch_stats(&mean, &var, rows)?;
            (centered, var, Some(stats))
        }
    };
    let normalized = centered.broadcast_div(&(var + EPS)?.sqrt()?)?;
    Ok((normalized.broadcast_mul(weight)?.broadcast_add(bias)?, stats))
}

fn batch_stats(mean: &Tensor, var: &Tensor, n: f64) -> Result<BatchStats> {
    let vector = |x: &Tensor| x.detach().flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
    let unbiased = n / (n - 1.0).max(1.0);
    let var = vector(var)?.into_iter().map(|v| (f64::from(v) * unbiased) as f32).collect();
    Ok(BatchStats { mean: vector(mean)?, var })
}
