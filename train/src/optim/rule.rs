//! One AdamW update of one parameter: its numbers for all devices, and how the CPU and candle's operators apply it.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor, Var, bail};
use jepa3d_kernels::{AdamFactors, AdamNumbers, AdamRates, update_numbers};
use rayon::prelude::*;

use super::moments::AdamMoments;
use crate::error::Result;

/// Elements that one thread takes at a time.
const PIECE: usize = 1 << 14;

/// The update of one parameter, in numbers.
#[derive(Clone, Copy)]
pub(super) struct AdamRule {
    pub betas: [f64; 2],
    pub epsilon: f64,
    pub learning_rate: f64,
    /// What weight decay leaves of a value.
    pub keep: f64,
    /// Factor of the gradient.
    pub scale: f64,
    /// `1 - beta^t`: moments begin at zero.
    pub corrections: [f64; 2],
}

impl AdamRule {
    pub(super) fn apply(&self, p: &Tensor, moments: &mut AdamMoments, gradient: &Tensor) -> Result<()> {
        match moments {
            AdamMoments::Host { first, second } => {
                let moments = RefCell::new(HostMoments { first, second });
                Ok(p.inplace_op2(&gradient.contiguous()?, &HostUpdate { rule: *self, moments })?)
            }
            AdamMoments::Device { first, second } => self.compose(p, first, second, gradient),
        }
    }

    /// What all parameters share, as the kernel of devices takes it.
    pub(super) fn shared(&self) -> AdamNumbers {
        AdamNumbers { betas: self.betas, epsilon: self.epsilon, scale: self.scale }
    }

    /// What is the parameter's own.
    pub(super) fn rates(&self) -> AdamRates {
        AdamRates {
            keep: self.keep,
            rate: self.learning_rate / self.corrections[0],
            root: 1.0 / self.corrections[1].sqrt(),
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
    use candle_core::Device;
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
