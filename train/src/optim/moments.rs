//! The moments of AdamW: plain numbers on the CPU, two flat buffers where kernels of a device update all parameters at once.

use candle_core::Tensor;
use jepa3d_kernels::DeviceUpdater;

use crate::error::Result;
use crate::nn::{HostTensor, Parameter, Parameters};

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
pub(super) enum AdamMoments {
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

/// The moments of all trained parameters.
#[derive(Debug)]
pub(super) enum MomentStore {
    /// One by one, in their order.
    Each(Vec<AdamMoments>),
    /// Where kernels of a device update all of them at once.
    Together(Box<DeviceUpdater>),
}

impl MomentStore {
    pub(super) fn zero(parameters: &Parameters) -> Result<Self> {
        let trained: Vec<Tensor> = parameters.trained().map(|p| p.var.as_tensor().clone()).collect();
        Ok(match DeviceUpdater::new(&trained)? {
            Some(updater) => Self::Together(Box::new(updater)),
            None => Self::Each(parameters.trained().map(AdamMoments::zero).collect::<Result<_>>()?),
        })
    }

    pub(super) fn save(&self, parameters: &Parameters) -> Result<Vec<SavedMoments>> {
        match self {
            Self::Each(all) => parameters.trained().zip(all).map(|(p, moments)| moments.save(p)).collect(),
            Self::Together(updater) => {
                let save = |(p, [first, second]): (&Parameter, [Vec<f32>; 2])| {
                    let tensor = |values| HostTensor { dims: p.var.dims().to_vec(), values };
                    SavedMoments { name: p.name.clone(), first: tensor(first), second: tensor(second) }
                };
                Ok(parameters.trained().zip(updater.moments()?).map(save).collect())
            }
        }
    }

    /// Takes over the moments of a checkpoint, in the order of the trained parameters.
    pub(super) fn restore(&mut self, saved: Vec<SavedMoments>, parameters: &Parameters) -> Result<()> {
        match self {
            Self::Each(all) => {
                let place = |(p, saved): (&Parameter, SavedMoments)| {
                    AdamMoments::place(p, saved.first.values, saved.second.values)
                };
                *all = parameters.trained().zip(saved).map(place).collect::<Result<_>>()?;
            }
            Self::Together(updater) => {
                let moments: Vec<_> = saved.into_iter().map(|s| [s.first.values, s.second.values]).collect();
                updater.set_moments(&moments)?;
            }
        }
        Ok(())
    }
}
