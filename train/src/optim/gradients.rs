//! The gradients of a model's parameters: from candle's graph and from the tape of the kernels.

use candle_core::{Device, Tensor};
use jepa3d_kernels::{CpuView, Tape};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::nn::{Parameter, Parameters};

/// Elements that one thread takes at a time.
const PIECE: usize = 1 << 14;

/// Gradients of the trained parameters, in their order; none of those that stay as they are.
#[derive(Debug)]
pub(crate) struct ParameterGradients(pub(super) Vec<Option<Tensor>>);

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

    /// All that are not frozen, one behind the other, off any device.
    pub(crate) fn flatten(self) -> Result<Vec<f32>> {
        let mut flat = Vec::new();
        for gradient in self.0.into_iter().flatten() {
            let gradient = gradient.flatten_all()?.contiguous()?;
            match gradient.device() {
                Device::Cpu => flat.extend_from_slice(CpuView::new(&gradient)?.slice()),
                _ => flat.extend(gradient.to_vec1::<f32>()?),
            }
        }
        Ok(flat)
    }

    /// From [`ParameterGradients::flatten`], of those that are not frozen.
    pub(crate) fn unflatten(
        flat: &[f32],
        parameters: &Parameters,
        is_frozen: impl Fn(&Parameter) -> bool,
    ) -> Result<Self> {
        let mut rest = flat;
        let take = |p: &Parameter| -> Result<Option<Tensor>> {
            if is_frozen(p) {
                return Ok(None);
            }
            let (own, behind) = rest.split_at(p.var.elem_count());
            rest = behind;
            Ok(Some(Tensor::from_slice(own, p.var.shape(), p.var.device())?))
        };
        Ok(Self(parameters.trained().map(take).collect::<Result<_>>()?))
    }

    /// As [`ParameterGradients::flatten`], where they are: `[n]`.
    pub(crate) fn flatten_in_place(&self) -> Result<Tensor> {
        let flat = self.0.iter().flatten().map(Tensor::flatten_all);
        Ok(Tensor::cat(&flat.collect::<candle_core::Result<Vec<_>>>()?, 0)?)
    }

    /// From [`ParameterGradients::flatten_in_place`], of those that are not frozen.
    pub(crate) fn cut(
        flat: &Tensor,
        parameters: &Parameters,
        is_frozen: impl Fn(&Parameter) -> bool,
    ) -> Result<Self> {
        let mut start = 0;
        let take = |p: &Parameter| -> Result<Option<Tensor>> {
            if is_frozen(p) {
                return Ok(None);
            }
            let own = flat.narrow(0, start, p.var.elem_count())?;
            start += p.var.elem_count();
            Ok(Some(own.reshape(p.var.shape())?.contiguous()?))
        };
        Ok(Self(parameters.trained().map(take).collect::<Result<_>>()?))
    }

    /// Adds other gradients.
    pub(super) fn add(&mut self, other: &Self) -> Result<()> {
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

    pub(super) fn borrow(&self) -> Vec<Option<&Tensor>> {
        self.0.iter().map(Option::as_ref).collect()
    }

    /// L2 norm of all gradients together.
    pub(crate) fn norm(&self) -> Result<f64> {
        let mut sum = 0.0f64;
        for gradient in self.0.iter().flatten() {
            sum += match gradient.device() {
                Device::Cpu => sum_of_squares(CpuView::new(&gradient.contiguous()?)?.slice()),
                _ => f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?),
            };
        }
        Ok(sum.sqrt())
    }
}

fn sum_of_squares(values: &[f32]) -> f64 {
    let piece = |piece: &[f32]| piece.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    let parts: Vec<f64> = values.par_chunks(PIECE).map(piece).collect();
    parts.iter().sum()
}
