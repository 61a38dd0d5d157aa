//! stub: composite
use candle_core::{D, Tensor};
use crate::error::Result;
#[derive(Clone, Debug)]
pub(crate) struct TokenizerWeights { pub first: Tensor, pub bn1_weight: Tensor, pub bn1_bias: Tensor, pub lift: Tensor, pub lift_bias: Tensor, pub mix: Tensor, pub bn2_weight: Tensor, pub bn2_bias: Tensor, pub out: Tensor, pub out_bias: Tensor }
pub(crate) struct BatchStats { pub mean: Vec<f32>, pub unbiased_var: Vec<f32> }
pub(crate) struct RunningStats { pub mean: Vec<f32>, pub var: Vec<f32> }
pub(crate) enum Mode { Train, Eval([RunningStats; 2]) }
fn norm(x: &Tensor, w: &Tensor, b: &Tensor, running: Option<&RunningStats>) -> Result<(Tensor, Option<BatchStats>)> {
    let n = x.dim(0)? as f32;
    let (mean, var, stats) = match running {
        Some(r) => (Tensor::from_slice(&r.mean, (1, r.mean.len()), x.device())?, Tensor::from_slice(&r.var, (1, r.mean.len()), x.device())?, None),
        None => {
            let mean = x.mean_keepdim(0)?;
            let var = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)?;
            let unbiased: Vec<f32> = var.flatten_all()?.to_vec1::<f32>()?.into_iter().map(|v| v * n / (n - 1.0)).collect();
            let stats = BatchStats { mean: mean.flatten_all()?.to_vec1()?, unbiased_var: unbiased };
            (mean, var, Some(stats))
        }
    };
    let y = x.broadcast_sub(&mean)?.broadcast_div(&(var + 1e-5)?.sqrt()?)?;
    Ok((y.broadcast_mul(w)?.broadcast_add(b)?, stats))
}
fn max_pool(x: &Tensor) -> Result<Tensor> {
    let (p, _, c) = x.dims3()?;
    let at = x.detach().argmax_keepdim(1)?;
    Ok(x.gather(&at.contiguous()?, 1)?.reshape((p, c))?)
}
pub(crate) fn tokenize(patches: &Tensor, w: &TokenizerWeights, mode: &Mode) -> Result<(Tensor, Option<[BatchStats; 2]>)> {
    let (p, k, _) = patches.dims3()?;
    let run = |i: usize| match mode { Mode::Train => None, Mode::Eval(r) => Some(&r[i]) };
    let x = patches.reshape((p * k, 3))?.matmul(&w.first.t()?)?;
    let (x, s1) = norm(&x, &w.bn1_weight, &w.bn1_bias, run(0))?;
    let local = x.relu()?.matmul(&w.lift.t()?)?.broadcast_add(&w.lift_bias)?;
    let c2 = local.dim(1)?;
    let global = max_pool(&local.reshape((p, k, c2))?)?;
    let c3 = w.mix.dim(0)?;
    let wg = w.mix.narrow(1, 0, c2)?; let wl = w.mix.narrow(1, c2, c2)?;
    let mixed = local.matmul(&wl.t()?)?.reshape((p, k, c3))?;
    let mixed = mixed.broadcast_add(&global.matmul(&wg.t()?)?.unsqueeze(1)?)?.reshape((p * k, c3))?;
    let (x, s2) = norm(&mixed, &w.bn2_weight, &w.bn2_bias, run(1))?;
    let out = x.relu()?.matmul(&w.out.t()?)?.broadcast_add(&w.out_bias)?;
    let d = out.dim(D::Minus1)?;
    let tokens = max_pool(&out.reshape((p, k, d))?)?;
    Ok((tokens, s1.zip(s2).map(|(a, b)| [a, b])))
}
