//! AdamW (Loshchilov and Hutter, arXiv 1711.05101) with decay by parameter, clipping and saved moments.
//!
//! candle-nn's optimiser has one group, no clipping, no state to save, and skips parameters without a
//! gradient silently; here such a parameter is an error.

use std::cell::RefCell;

use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Tensor, Var, bail};
use jepa3d_kernels::{
    AdamFactors, AdamNumbers, AdamTensors, CpuView, Tape, norm_on_device, update_numbers, update_on_device,
};
use rayon::prelude::*;

use crate::config::OptimConfig;
use crate::error::{Error, Result};
use crate::nn::{HostTensor, Parameter, Parameters};
use crate::schedule::{ScheduleLength, learning_rate, weight_decay};

/// Elements that one thread takes at a time.
const PIECE: usize = 1 << 14;

/// Gradients of the trained parameters, in their order; none of those that stay as they are.
#[derive(Debug)]
pub(crate) struct ParameterGradients(Vec<Option<Tensor>>);

impl ParameterGradients {
    /// Runs the backward of `loss`, and takes from the tape what kernels left there.
    ///
    /// # Errors
    /// Fails if a trained parameter has no gradient.
    pub(crate) fn backward(loss: &Tensor, tape: &Tape, parameters: &Parameters) -> Result<Self> {
        Self::backward_thawed(loss, tape, parameters, |_| false)
    }

    /// As [`ParameterGradients::backward`], for those that are not frozen.
    ///
    /// # Errors
    /// Fails if one of them has no gradient.
    pub(crate) fn backward_thawed(
        loss: &Tensor,
        tape: &Tape,
        parameters: &Parameters,
        is_frozen: impl Fn(&Parameter) -> bool,
    ) -> Result<Self> {
        let mut store = loss.backward()?;
        let take = |p: &Parameter| -> Result<Option<Tensor>> {
            let tensor = p.var.as_tensor();
            if is_frozen(p) {
                return Ok(None);
            }
            if let Some(gradient) = tape.take_tensor(tensor)? {
                return Ok(Some(gradient));
            }
            let found = store.remove(tensor);
            found.ok_or_else(|| Error::NoGradient { parameter: p.name.clone() }).map(Some)
        };
        Ok(Self(parameters.trained().map(take).collect::<Result<_>>()?))
    }

    /// Adds other gradients.
    pub(crate) fn add(&mut self, other: &Self) -> Result<()> {
        for (sum, part) in self.0.iter_mut().zip(&other.0) {
            if let (Some(sum), Some(part)) = (sum, part) {
                *sum = (&*sum + part)?;
            }
        }
        Ok(())
    }

    /// The gradients, in the order of the trained parameters.
    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = &Tensor> {
        self.0.iter().map(|gradient| gradient.as_ref().expect("nothing is frozen"))
    }

    /// L2 norm of all gradients together times `scale`.
    pub(crate) fn norm(&self, scale: f64) -> Result<f64> {
        let gradients: Vec<&Tensor> = self.0.iter().flatten().collect();
        if gradients.first().is_some_and(|gradient| gradient.device().is_cuda()) {
            return Ok(norm_on_device(&gradients)? * scale);
        }
        let mut sum = 0.0f64;
        for gradient in gradients {
            sum += match gradient.device() {
                Device::Cpu => sum_of_squares(CpuView::new(&gradient.contiguous()?)?.slice()),
                _ => f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?),
            };
        }
        Ok(sum.sqrt() * scale)
    }
}

fn sum_of_squares(values: &[f32]) -> f64 {
    let piece = |piece: &[f32]| piece.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    let parts: Vec<f64> = values.par_chunks(PIECE).map(piece).collect();
    parts.iter().sum()
}

/// Moments of one parameter as a checkpoint holds them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SavedMoments {
    /// Of the parameter.
    pub name: String,
    pub first: HostTensor,
    pub second: HostTensor,
}

/// First and second moment of one parameter: plain numbers on the CPU, tensors elsewhere.
#[derive(Debug)]
enum AdamMoments {
    Host { first: Vec<f32>, second: Vec<f32> },
    Device { first: Tensor, second: Tensor },
}

impl AdamMoments {
    fn zero(p: &Parameter) -> Result<Self> {
        let count = p.var.elem_count();
        Self::place(p, vec![0.0; count], vec![0.0; count])
    }

    /// Where the parameter is.
    fn place(p: &Parameter, first: Vec<f32>, second: Vec<f32>) -> Result<Self> {
        if p.var.device().is_cpu() {
            return Ok(Self::Host { first, second });
        }
        let tensor = |values: Vec<f32>| Tensor::from_vec(values, p.var.shape(), p.var.device());
        Ok(Self::Device { first: tensor(first)?, second: tensor(second)? })
    }

    fn save(&self, p: &Parameter) -> Result<SavedMoments> {
        let (first, second) = match self {
            Self::Host { first, second } => (first.clone(), second.clone()),
            Self::Device { first, second } => {
                (first.flatten_all()?.to_vec1()?, second.flatten_all()?.to_vec1()?)
            }
        };
        let tensor = |values| HostTensor { dims: p.var.dims().to_vec(), values };
        Ok(SavedMoments { name: p.name.clone(), first: tensor(first), second: tensor(second) })
    }
}

/// What one update is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpdateRates {
    pub learning_rate: f64,
    pub weight_decay: f64,
    /// Factor of all gradients: 1 / accumulated batches, times the clipping.
    pub gradient_scale: f64,
}

/// Where a run stands when it is updated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepPlace {
    pub length: ScheduleLength,
    /// Steps done.
    pub step: u64,
    /// Mean over the accumulated batches.
    pub loss: f64,
    /// Step of the newest checkpoint.
    pub saved: Option<u64>,
}

/// What an update was made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpdateSummary {
    pub learning_rate: f64,
    /// L2 norm of all gradients before clipping.
    pub gradient_norm: f64,
}

/// The optimiser: moments of every trained parameter, and how many updates each has had.
#[derive(Debug)]
pub(crate) struct AdamW {
    config: OptimConfig,
    moments: Vec<AdamMoments>,
    updates: Vec<u64>,
}

impl AdamW {
    /// Moments of zero.
    pub(crate) fn new(config: &OptimConfig, parameters: &Parameters) -> Result<Self> {
        let moments: Vec<AdamMoments> = parameters.trained().map(AdamMoments::zero).collect::<Result<_>>()?;
        let updates = vec![0; moments.len()];
        Ok(Self { config: config.clone(), moments, updates })
    }

    /// Moments of every trained parameter, for a checkpoint.
    pub(crate) fn save(&self, parameters: &Parameters) -> Result<Vec<SavedMoments>> {
        parameters.trained().zip(&self.moments).map(|(p, moments)| moments.save(p)).collect()
    }

    /// Takes over the moments of a checkpoint, in the order of the trained parameters; `updates` says how many each has had.
    pub(crate) fn restore(
        &mut self,
        saved: Vec<SavedMoments>,
        parameters: &Parameters,
        updates: impl Fn(&Parameter) -> u64,
    ) -> Result<()> {
        assert_eq!(saved.len(), self.moments.len(), "one pair a trained parameter");
        let pairs = parameters.trained().zip(saved);
        let place = |(p, saved): (&Parameter, SavedMoments)| {
            AdamMoments::place(p, saved.first.values, saved.second.values)
        };
        self.moments = pairs.map(place).collect::<Result<_>>()?;
        self.updates = parameters.trained().map(updates).collect();
        Ok(())
    }

    /// The step after `at.step` steps, with its rates and clipping; refuses numbers that are not finite.
    ///
    /// # Errors
    /// Fails if the loss or a gradient is not finite.
    pub(crate) fn step(
        &mut self,
        parameters: &Parameters,
        gradients: &ParameterGradients,
        at: StepPlace,
    ) -> Result<UpdateSummary> {
        let o = &self.config;
        let average = 1.0 / o.accumulate as f64;
        let norm = gradients.norm(average)?;
        for (what, found) in [("the loss", at.loss), ("the gradient norm", norm)] {
            if !found.is_finite() {
                return Err(Error::NotFinite { step: at.step + 1, what, found, last: at.saved });
            }
        }
        let clipped = if o.clip > 0.0 && norm > o.clip { o.clip / norm } else { 1.0 };
        let rates = UpdateRates {
            learning_rate: learning_rate(o, at.length, at.step),
            weight_decay: weight_decay(o, at.length, at.step),
            gradient_scale: average * clipped,
        };
        self.update(parameters, gradients, rates)?;
        Ok(UpdateSummary { learning_rate: rates.learning_rate, gradient_norm: norm })
    }

    /// One step for every trained parameter that has a gradient; the others stay, and count no update.
    pub(crate) fn update(
        &mut self,
        parameters: &Parameters,
        gradients: &ParameterGradients,
        rates: UpdateRates,
    ) -> Result<()> {
        let states = self.moments.iter_mut().zip(&mut self.updates);
        for ((p, (moments, updates)), gradient) in parameters.trained().zip(states).zip(&gradients.0) {
            let Some(gradient) = gradient else { continue };
            *updates += 1;
            let corrections = self.config.betas.map(|beta| 1.0 - beta.powi(*updates as i32));
            let decays = self.config.decay_all || p.decays;
            let rule = AdamRule {
                betas: self.config.betas,
                epsilon: self.config.epsilon,
                learning_rate: rates.learning_rate,
                keep: 1.0 - if decays { rates.learning_rate * rates.weight_decay } else { 0.0 },
                scale: rates.gradient_scale,
                corrections,
            };
            rule.apply(p.var.as_tensor(), moments, gradient)?;
        }
        Ok(())
    }
}

/// The update of one parameter, in numbers.
#[derive(Clone, Copy)]
struct AdamRule {
    betas: [f64; 2],
    epsilon: f64,
    learning_rate: f64,
    /// What weight decay leaves of a value.
    keep: f64,
    /// Factor of the gradient.
    scale: f64,
    /// `1 - beta^t`: moments begin at zero.
    corrections: [f64; 2],
}

impl AdamRule {
    fn apply(&self, p: &Tensor, moments: &mut AdamMoments, gradient: &Tensor) -> Result<()> {
        match moments {
            AdamMoments::Host { first, second } => {
                let moments = RefCell::new(HostMoments { first, second });
                Ok(p.inplace_op2(&gradient.contiguous()?, &HostUpdate { rule: *self, moments })?)
            }
            AdamMoments::Device { first, second } if p.device().is_cuda() => {
                Ok(update_on_device(AdamTensors { parameter: p, first, second }, gradient, self.numbers())?)
            }
            AdamMoments::Device { first, second } => self.compose(p, first, second, gradient),
        }
    }

    /// As the kernel of CUDA devices takes them.
    fn numbers(&self) -> AdamNumbers {
        AdamNumbers {
            betas: self.betas,
            epsilon: self.epsilon,
            rate: self.learning_rate / self.corrections[0],
            root: 1.0 / self.corrections[1].sqrt(),
            keep: self.keep,
            scale: self.scale,
        }
    }

    /// The update from candle's operators, for other devices.
    fn compose(&self, p: &Tensor, first: &mut Tensor, second: &mut Tensor, gradient: &Tensor) -> Result<()> {
        let [b1, b2] = self.betas;
        let g = (gradient * self.scale)?;
        *first = ((&*first * b1)? + (&g * (1.0 - b1))?)?.detach();
        *second = ((&*second * b2)? + (g.sqr()? * (1.0 - b2))?)?.detach();
        let root = ((second.sqrt()? / self.corrections[1].sqrt())? + self.epsilon)?;
        let step = ((&*first * (self.learning_rate / self.corrections[0]))? / root)?;
        Ok(Var::from_tensor(p)?.set(&((p * self.keep)? - step)?)?)
    }

    /// The update of a piece of a parameter on the CPU.
    fn update_piece(&self, p: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32]) {
        let factors = AdamFactors {
            gradient: self.scale as f32,
            kept: self.betas.map(|b| b as f32),
            added: self.betas.map(|b| (1.0 - b) as f32),
            parameter: self.keep as f32,
            rate: (self.learning_rate / self.corrections[0]) as f32,
            root: (1.0 / self.corrections[1].sqrt()) as f32,
            epsilon: self.epsilon as f32,
        };
        update_numbers(p, first, second, gradient, factors);
    }
}

/// Moments that an update on the CPU changes.
struct HostMoments<'a> {
    first: &'a mut [f32],
    second: &'a mut [f32],
}

/// One update on the CPU, in place: of the parameter, by its gradient.
struct HostUpdate<'a> {
    rule: AdamRule,
    /// candle lends an operation out shared.
    moments: RefCell<HostMoments<'a>>,
}

impl InplaceOp2 for HostUpdate<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        p: &mut CpuStorage,
        p_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<()> {
        let (Some((start, end)), Some((from, to))) =
            (p_layout.contiguous_offsets(), gradient_layout.contiguous_offsets())
        else {
            bail!("an update needs contiguous numbers")
        };
        let (CpuStorage::F32(p), CpuStorage::F32(gradient)) = (p, gradient) else {
            bail!("an update needs f32 numbers")
        };
        let rule = self.rule;
        let mut moments = self.moments.borrow_mut();
        let HostMoments { first, second } = &mut *moments;
        let pieces = p[start..end]
            .par_chunks_mut(PIECE)
            .zip(first.par_chunks_mut(PIECE))
            .zip(second.par_chunks_mut(PIECE))
            .zip(gradient[from..to].par_chunks(PIECE));
        pieces.for_each(|(((p, first), second), gradient)| rule.update_piece(p, first, second, gradient));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jepa3d_schemas::Draws;

    use super::*;

    fn values(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn both_forms_of_the_update_agree() {
        let mut draws = Draws::new(1, "update", "test");
        let count = 3 * PIECE / 2;
        let mut random = || -> Vec<f32> { (0..count).map(|_| draws.normal() as f32).collect() };
        let start = random();
        let var = |values: &[f32]| Var::from_slice(values, (3, count / 3), &Device::Cpu).unwrap();
        let (host, device) = (var(&start), var(&start));
        let zeros = || device.as_tensor().zeros_like().unwrap();
        let mut of_host = AdamMoments::Host { first: vec![0.0; count], second: vec![0.0; count] };
        let mut of_device = AdamMoments::Device { first: zeros(), second: zeros() };
        for t in 1..4 {
            let rule = AdamRule {
                betas: [0.9, 0.999],
                epsilon: 1e-8,
                learning_rate: 1e-2,
                keep: 0.99,
                scale: 0.5,
                corrections: [0.9, 0.999].map(|beta: f64| 1.0 - beta.powi(t)),
            };
            let gradient = Tensor::from_vec(random(), (3, count / 3), &Device::Cpu).unwrap();
            rule.apply(host.as_tensor(), &mut of_host, &gradient).unwrap();
            rule.apply(device.as_tensor(), &mut of_device, &gradient).unwrap();
            let (host, device) = (values(host.as_tensor()), values(device.as_tensor()));
            let worst = host.iter().zip(&device).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
            assert!(worst < 4e-6 && host != start, "{worst}");
        }
    }
}
