//! The target encoder is an exponential moving average: after every update it moves a little towards what it is the copy of.

use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor, Var, bail};
use jepa3d_kernels::{DeviceAverage, move_numbers};
use rayon::prelude::*;

use crate::error::Result;
use crate::nn::{Parameter, Parameters};
use crate::optim::AdamW;
use crate::precision::PassPrecision;

/// Elements that one thread takes at a time.
const PIECE: usize = 1 << 14;

/// The average of a run, where kernels of a device move all of it at once, or not.
#[derive(Debug)]
pub(crate) struct MovingAverage(Option<DeviceAverage>);

impl MovingAverage {
    /// Of every parameter that has a copy.
    pub(crate) fn new(parameters: &Parameters) -> Result<Self> {
        let tensor = |p: &Parameter| p.var.as_tensor().clone();
        let pairs: Vec<_> =
            parameters.twins().map(|(original, copy)| (tensor(copy), tensor(original))).collect();
        Ok(Self(DeviceAverage::new(&pairs)?))
    }

    /// As [`MovingAverage::new`], of parameters that are as they will be trained: where products are in bf16, weights are kept
    /// so from here on.
    pub(crate) fn start(
        parameters: &Parameters,
        optimizer: &mut AdamW,
        precision: PassPrecision,
    ) -> Result<Self> {
        let mut average = Self::new(parameters)?;
        if precision.is_bf16 {
            optimizer.keep_halves()?;
            average.keep_halves()?;
        }
        Ok(average)
    }

    /// Keeps copies of the weights in bf16 for the kernels of a device; elsewhere nothing is to be done.
    pub(crate) fn keep_halves(&mut self) -> Result<()> {
        Ok(self.0.as_mut().map_or(Ok(()), DeviceAverage::keep_halves)?)
    }

    /// `copy = momentum * copy + (1 - momentum) * original`, for every parameter that has a copy.
    pub(crate) fn update(&self, parameters: &Parameters, momentum: f64) -> Result<()> {
        match &self.0 {
            Some(average) => Ok(average.update(1.0 - momentum)?),
            None => update_target_encoder(parameters, momentum),
        }
    }
}

/// As [`MovingAverage::update`], a parameter after the other.
pub(crate) fn update_target_encoder(parameters: &Parameters, momentum: f64) -> Result<()> {
    for (original, copy) in parameters.twins() {
        move_towards(copy.var.as_tensor(), original.var.as_tensor(), momentum)?;
    }
    Ok(())
}

fn move_towards(copy: &Tensor, original: &Tensor, momentum: f64) -> Result<()> {
    if copy.device().is_cpu() {
        return Ok(copy.inplace_op2(original, &MoveTowards { share: (1.0 - momentum) as f32 })?);
    }
    let moved = ((copy * momentum)? + (original * (1.0 - momentum))?)?;
    Ok(Var::from_tensor(copy)?.set(&moved)?)
}

/// The average on the CPU, in place.
struct MoveTowards {
    /// How much of the way.
    share: f32,
}

impl InplaceOp2 for MoveTowards {
    fn name(&self) -> &'static str {
        "move-towards"
    }

    fn cpu_fwd(
        &self,
        copy: &mut CpuStorage,
        copy_layout: &Layout,
        original: &CpuStorage,
        original_layout: &Layout,
    ) -> candle_core::Result<()> {
        let (Some((start, end)), Some((from, to))) =
            (copy_layout.contiguous_offsets(), original_layout.contiguous_offsets())
        else {
            bail!("an average needs contiguous numbers")
        };
        let (CpuStorage::F32(copy), CpuStorage::F32(original)) = (copy, original) else {
            bail!("an average needs f32 numbers")
        };
        let pieces = copy[start..end].par_chunks_mut(PIECE).zip(original[from..to].par_chunks(PIECE));
        pieces.for_each(|(copy, original)| move_numbers(copy, original, self.share));
        Ok(())
    }
}
