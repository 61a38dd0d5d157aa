//! The tokenizer in candle's operators: the oracle of the fused one, and what runs on other devices than the CPU.
//!
//! candle's own backward of `max` hands the full gradient to every tied element (repeated points multiply it), so maxima are
//! an argmax and a gather. The concatenation [global, local] never exists: each half of the mixing layer acts on its own.

use candle_core::{DType, Result, Tensor};

use super::tokenizer::{BatchStats, Mode, TokenizerWeights};

const EPS: f64 = 1e-5;

/// As [`tokenize`](super::tokenizer::tokenize), operator by operator, on any device.
///
/// # Errors
/// As there.
pub fn tokenize_composite(
    patches: &Tensor,
    weights: &TokenizerWeights,
    mode: &Mode<'_>,
) -> Result<(Tensor, Option<[BatchStats; 2]>)> {
    weights.check(patches, mode)?;
    let (n, k, _) = patches.dims3()?;
    let (running1, running2) = match *mode {
        Mode::Train => (None, None),
        Mode::Eval { bn1, bn2 } => (Some(bn1), Some(bn2)),
    };
    let w = weights;
    let first = linear(&patches.reshape((n * k, 3))?, &w.first)?;
    let (first, stats1) = batch_norm(&first, (&w.bn1_weight, &w.bn1_bias), running1)?;
    let local = linear(&first.relu()?, &w.lift)?.broadcast_add(&w.lift_bias)?;
    let c2 = w.lift.dim(0)?;
    let summary = max_over_points(&local.reshape((n, k, c2))?)?;
    let of_summary = linear(&summary, &w.mix.narrow(1, 0, c2)?)?;
    let of_local = linear(&local, &w.mix.narrow(1, c2, c2)?)?;
    let c3 = w.mix.dim(0)?;
    let mixed = of_local.reshape((n, k, c3))?.broadcast_add(&of_summary.unsqueeze(1)?)?;
    let (mixed, stats2) = batch_norm(&mixed.reshape((n * k, c3))?, (&w.bn2_weight, &w.bn2_bias), running2)?;
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

type RunningSlices<'a> = Option<(&'a [f32], &'a [f32])>;

/// Normalises the columns of `x` [n, C]; returns the batch's statistics if it used them.
fn batch_norm(
    x: &Tensor,
    (weight, bias): (&Tensor, &Tensor),
    running: RunningSlices<'_>,
) -> Result<(Tensor, Option<BatchStats>)> {
    let of = |values: &[f32]| Tensor::from_slice(values, (1, values.len()), x.device())?.to_dtype(x.dtype());
    let (centered, var, stats) = match running {
        Some((mean, var)) => (x.broadcast_sub(&of(mean)?)?, of(var)?, None),
        None => {
            let mean = x.mean_keepdim(0)?;
            let centered = x.broadcast_sub(&mean)?;
            let var = centered.sqr()?.mean_keepdim(0)?;
            let stats = batch_stats(&mean, &var, x.dim(0)?)?;
            (centered, var, Some(stats))
        }
    };
    let normalized = centered.broadcast_div(&(var + EPS)?.sqrt()?)?;
    Ok((normalized.broadcast_mul(weight)?.broadcast_add(bias)?, stats))
}

fn batch_stats(mean: &Tensor, var: &Tensor, n: usize) -> Result<BatchStats> {
    let vector = |x: &Tensor| x.detach().flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
    let unbiased = n as f64 / (n as f64 - 1.0);
    let var = vector(var)?.into_iter().map(|v| (f64::from(v) * unbiased) as f32).collect();
    Ok(BatchStats { mean: vector(mean)?, var })
}
