//! The target encoder is an exponential moving average: after every update it moves a little towards what it is the copy of.

use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor, Var, bail};
use jepa3d_kernels::{move_numbers, move_on_device};
use rayon::prelude::*;

use crate::error::Result;
use crate::nn::Parameters;

/// Elements that one thread takes at a time.
const PIECE: usize = 1 << 14;

/// `copy = momentum * copy + (1 - momentum) * original`, for every parameter that has a copy.
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
    if copy.device().is_cuda() {
        return Ok(move_on_device(copy, original, 1.0 - momentum)?);
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
