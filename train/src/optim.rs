//! AdamW (Loshchilov and Hutter, arXiv 1711.05101) with groups, clipping and saved moments, and the EMA of the target
//! encoder in the same pass.
//!
//! candle's optimiser has one group, no clipping, no state to save, and skips parameters without a
//! gradient silently; here such a parameter is an error.

use std::cell::RefCell;

use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Tensor, Var, bail};
use jepa3d_kernels::Tape;
use pulp::Arch;
use rayon::prelude::*;

use crate::config::OptimConfig;
use crate::error::{Error, Result};
use crate::nn::{Parameter, Parameters, Role};

/// Elements that one thread takes at a time.
const PIECE: usize = 1 << 14;

/// Gradients of the trained parameters, in their order.
#[derive(Debug)]
pub(crate) struct Gradients(Vec<Tensor>);

impl Gradients {
    /// Runs the backward of `loss`, and takes from the tape what kernels left there.
    ///
    /// # Errors
    /// Fails if a trained parameter has no gradient.
    pub(crate) fn of(loss: &Tensor, tape: &Tape, parameters: &Parameters) -> Result<Self> {
        let mut store = loss.backward()?;
        let take = |p: &Parameter| -> Result<Tensor> {
            let tensor = p.var.as_tensor();
            if let Some(values) = tape.take(tensor) {
                return Ok(Tensor::from_vec(values, tensor.shape(), tensor.device())?);
            }
            store.remove(tensor).ok_or_else(|| Error::NoGradient { parameter: p.name.clone() })
        };
        let mut take = take;
        Ok(Self(parameters.of(Role::Trained).map(&mut take).collect::<Result<_>>()?))
    }

    /// Adds other gradients.
    pub(crate) fn add(&mut self, other: &Self) -> Result<()> {
        for (sum, part) in self.0.iter_mut().zip(&other.0) {
            *sum = (&*sum + part)?;
        }
        Ok(())
    }

    /// The gradients, in the order of the trained parameters.
    #[cfg(test)]
    pub(crate) fn all(&self) -> &[Tensor] {
        &self.0
    }

    /// L2 norm of all gradients together times `scale`.
    pub(crate) fn norm(&self, scale: f64) -> Result<f64> {
        let mut sum = 0.0f64;
        for gradient in &self.0 {
            sum += match gradient.device() {
                Device::Cpu => squares(&gradient.flatten_all()?.to_vec1()?),
                _ => f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?),
            };
        }
        Ok(sum.sqrt() * scale)
    }
}

fn squares(values: &[f32]) -> f64 {
    let piece = |piece: &[f32]| piece.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    let parts: Vec<f64> = values.par_chunks(PIECE).map(piece).collect();
    parts.iter().sum()
}

/// First and second moment of one parameter.
#[derive(Clone, Debug)]
struct Moments {
    first: Tensor,
    second: Tensor,
}

/// What one update is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update {
    pub learning_rate: f64,
    pub weight_decay: f64,
    /// Factor of all gradients: 1 / accumulated batches, times the clipping.
    pub gradient_scale: f64,
    /// Momentum of the target encoder.
    pub momentum: f64,
}

/// The optimiser: moments of every trained parameter, and how many updates there were.
#[derive(Debug)]
pub(crate) struct AdamW {
    betas: [f64; 2],
    epsilon: f64,
    decay_all: bool,
    moments: Vec<Moments>,
    updates: u64,
}

impl AdamW {
    /// Moments of zero.
    pub(crate) fn new(config: &OptimConfig, parameters: &Parameters) -> Result<Self> {
        let zero = |p: &Parameter| -> Result<Tensor> {
            Ok(Var::zeros(p.var.shape(), p.var.dtype(), p.var.device())?.into_inner())
        };
        let moments = parameters
            .of(Role::Trained)
            .map(|p| Ok(Moments { first: zero(p)?, second: zero(p)? }))
            .collect::<Result<_>>()?;
        let (betas, epsilon) = (config.betas, config.epsilon);
        Ok(Self { betas, epsilon, decay_all: config.decay_all, moments, updates: 0 })
    }

    /// Moments by name of the parameter, for a checkpoint: `(name, first, second)`.
    pub(crate) fn state<'a>(
        &'a self,
        parameters: &'a Parameters,
    ) -> impl Iterator<Item = (&'a str, &'a Tensor, &'a Tensor)> {
        let named = parameters.of(Role::Trained).zip(&self.moments);
        named.map(|(p, m)| (p.name.as_str(), &m.first, &m.second))
    }

    /// Takes over the moments of a checkpoint, in the order of [`AdamW::state`].
    pub(crate) fn restore(&mut self, moments: Vec<(Tensor, Tensor)>, updates: u64) {
        assert_eq!(moments.len(), self.moments.len(), "one pair a trained parameter");
        self.moments = moments.into_iter().map(|(first, second)| Moments { first, second }).collect();
        self.updates = updates;
    }

    /// One step for every trained parameter, then the EMA of those that the target encoder follows.
    pub(crate) fn update(
        &mut self,
        parameters: &Parameters,
        gradients: &Gradients,
        update: &Update,
    ) -> Result<()> {
        self.updates += 1;
        let t = self.updates as i32;
        let corrections = self.betas.map(|beta| 1.0 - beta.powi(t));
        for ((p, moments), gradient) in parameters.of(Role::Trained).zip(&mut self.moments).zip(&gradients.0)
        {
            let decays = self.decay_all || decays(p);
            let step = Step {
                betas: self.betas,
                epsilon: self.epsilon,
                learning_rate: update.learning_rate,
                keep: 1.0 - if decays { update.learning_rate * update.weight_decay } else { 0.0 },
                scale: update.gradient_scale,
                corrections,
            };
            step.apply(p.var.as_tensor(), moments, gradient)?;
            if let Some(target) = target_of(parameters, &p.name) {
                follow(target.var.as_tensor(), p.var.as_tensor(), update.momentum)?;
            }
        }
        for p in parameters.of(Role::Statistic) {
            if let Some(target) = target_of(parameters, &p.name) {
                follow(target.var.as_tensor(), p.var.as_tensor(), update.momentum)?;
            }
        }
        Ok(())
    }
}

/// Weights decay; biases, norms and tokens do not (unless the config says all do).
fn decays(p: &Parameter) -> bool {
    p.var.dims().len() > 1 && !p.name.ends_with("mask_token") && !p.name.ends_with("modality")
}

fn target_of<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a Parameter> {
    let target = match name.strip_prefix("student.") {
        Some(rest) => format!("teacher.ema_model.{rest}"),
        None => format!("teacher.{name}"),
    };
    parameters.get(&target).filter(|p| p.role == Role::Target)
}

#[derive(Clone, Copy)]
struct Step {
    betas: [f64; 2],
    epsilon: f64,
    learning_rate: f64,
    keep: f64,
    scale: f64,
    corrections: [f64; 2],
}

impl Step {
    fn apply(&self, p: &Tensor, moments: &mut Moments, gradient: &Tensor) -> Result<()> {
        if !p.device().is_cpu() {
            return self.compose(p, moments, gradient);
        }
        let gradient = gradient.contiguous()?;
        // The three tensors live in storages of their own, so they can be borrowed one inside the other.
        let outer = Borrow::new(|first: &mut [f32]| {
            let inner = Borrow::new(|second: &mut [f32]| {
                let view = jepa3d_kernels::CpuView::new(&gradient)?;
                p.inplace_op1(&Borrow::new(|p: &mut [f32]| {
                    self.slices(p, first, second, view.slice());
                    Ok(())
                }))
            });
            moments.second.inplace_op1(&inner)
        });
        moments.first.inplace_op1(&outer)?;
        Ok(())
    }

    fn slices(&self, p: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32]) {
        let pieces = p
            .par_chunks_mut(PIECE)
            .zip(first.par_chunks_mut(PIECE))
            .zip(second.par_chunks_mut(PIECE))
            .zip(gradient.par_chunks(PIECE));
        pieces.for_each(|(((p, first), second), gradient)| self.piece(p, first, second, gradient));
    }

    fn piece(&self, p: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32]) {
        let [b1, b2] = self.betas.map(|b| b as f32);
        let [c1, c2] = self.betas.map(|b| (1.0 - b) as f32);
        let (scale, keep, epsilon) = (self.scale as f32, self.keep as f32, self.epsilon as f32);
        let rate = (self.learning_rate / self.corrections[0]) as f32;
        let root = (1.0 / self.corrections[1].sqrt()) as f32;
        Arch::new().dispatch(
            #[inline(always)]
            || {
                let all = p.iter_mut().zip(first).zip(second).zip(gradient);
                for (((p, m), v), &g) in all {
                    let g = g * scale;
                    *m = b1 * *m + c1 * g;
                    *v = b2 * *v + c2 * g * g;
                    *p = *p * keep - rate * *m / (v.sqrt() * root + epsilon);
                }
            },
        );
    }

    /// The same from candle's operators, for other devices.
    fn compose(&self, p: &Tensor, moments: &mut Moments, gradient: &Tensor) -> Result<()> {
        let [b1, b2] = self.betas;
        let g = (gradient * self.scale)?;
        // Detached: moments begin as variables, and the graph would grow with every step.
        moments.first = ((&moments.first * b1)? + (&g * (1.0 - b1))?)?.detach();
        moments.second = ((&moments.second * b2)? + (g.sqr()? * (1.0 - b2))?)?.detach();
        let root = ((moments.second.sqrt()? / self.corrections[1].sqrt())? + self.epsilon)?;
        let step = ((&moments.first * (self.learning_rate / self.corrections[0]))? / root)?;
        Ok(Var::from_tensor(p)?.set(&((p * self.keep)? - step)?)?)
    }
}

/// `target = momentum * target + (1 - momentum) * source`.
fn follow(target: &Tensor, source: &Tensor, momentum: f64) -> Result<()> {
    if !target.device().is_cpu() {
        let moved = ((target * momentum)? + (source * (1.0 - momentum))?)?;
        return Ok(Var::from_tensor(target)?.set(&moved)?);
    }
    let view = jepa3d_kernels::CpuView::new(source)?;
    let share = (1.0 - momentum) as f32;
    let op = Borrow::new(|target: &mut [f32]| {
        let pieces = target.par_chunks_mut(PIECE).zip(view.slice().par_chunks(PIECE));
        pieces.for_each(|(target, source)| {
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for (t, &s) in target.iter_mut().zip(source) {
                        *t += share * (s - *t);
                    }
                },
            );
        });
        Ok(())
    });
    Ok(target.inplace_op1(&op)?)
}

/// Runs a function once on the numbers of a CPU tensor.
struct Borrow<F>(RefCell<Option<F>>);

impl<F: FnOnce(&mut [f32]) -> candle_core::Result<()>> Borrow<F> {
    fn new(f: F) -> Self {
        Self(RefCell::new(Some(f)))
    }
}

impl<F: FnOnce(&mut [f32]) -> candle_core::Result<()>> InplaceOp1 for Borrow<F> {
    fn name(&self) -> &'static str {
        "update"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (CpuStorage::F32(values), Some((start, end)), Some(f)) =
            (storage, layout.contiguous_offsets(), self.0.borrow_mut().take())
        else {
            bail!("an update needs contiguous f32 numbers, once")
        };
        f(&mut values[start..end])
    }
}
