//! A [`Stack`] of candle's tensors through the kernels of a device.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::block::DeviceBlock;
use super::computed::Computed;
use super::device::{DeviceArray, KernelDevice, NumberKind};
use super::stack::DeviceStack;
use crate::attention::Heads;
use crate::linear::Precision;
use crate::stack::Stack;
use crate::tape::Tape;

/// What activations are stored as.
pub(crate) fn kind_of_activations(precision: Precision) -> NumberKind {
    match precision {
        Precision::F32 => NumberKind::F32,
        Precision::Bf16(_) => NumberKind::Bf16,
    }
}

impl Stack {
    fn place<'a>(&self, device: &'a dyn KernelDevice, x: &Tensor) -> Result<DeviceStack<'a>> {
        let (_, tokens, width) = x.dims3()?;
        let kind = kind_of_activations(self.precision);
        let place = |block: &[Tensor; 12]| {
            let parts: Vec<DeviceArray> =
                block.iter().map(|tensor| device.borrow(tensor)).collect::<Result<_>>()?;
            let parts = parts.try_into().unwrap_or_else(|_| unreachable!("as many arrays as tensors"));
            DeviceBlock::new(device, kind, &parts)
        };
        Ok(DeviceStack {
            device,
            blocks: self.blocks.iter().map(place).collect::<Result<_>>()?,
            drops: (0..self.blocks.len()).map(|block| self.block_drop(block)).collect(),
            heads: Heads { tokens, width, heads: self.heads },
            keys: self.keys.as_ref().map(|keys| device.upload_counts(keys)).transpose()?,
        })
    }

    /// [`Stack::train`] on a device.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn train_on(
        &self,
        device: Arc<dyn KernelDevice>,
        x: &Tensor,
        positions: &Tensor,
        tape: &Tape,
    ) -> Result<Tensor> {
        let on: &dyn KernelDevice = &*device;
        let stack = self.place(on, x)?;
        let added = self.has_positions.then(|| on.borrow(positions)).transpose()?;
        let (out, saved) = stack.forward(&on.borrow(x)?, added.as_ref())?;
        let out = on.lend(&out, x)?;
        let (parts, shape, tape) = (self.clone(), x.clone(), tape.clone());
        let (blocks, drops, heads, keys) = (stack.blocks, stack.drops, stack.heads, stack.keys);
        Computed::enter("transformer-stack", [x, positions], out, move |gradient| {
            let on: &dyn KernelDevice = &*device;
            let dx = on.borrow_copy(gradient)?;
            let stack = DeviceStack { device: on, blocks, drops, heads, keys };
            let gradients = stack.backward(&dx, saved, parts.has_positions)?;
            for (tensors, found) in parts.blocks.iter().zip(&gradients.blocks) {
                for (parameter, gradient) in tensors.iter().zip(found) {
                    on.leave(&tape, parameter, gradient)?;
                }
            }
            let positions = gradients.positions.map(|positions| on.lend(&positions, &shape)).transpose()?;
            Ok((Some(on.lend(&dx, &shape)?), positions))
        })
    }

    /// [`Stack::outputs`] on a device.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn outputs_on(
        &self,
        device: &dyn KernelDevice,
        x: &Tensor,
        positions: &Tensor,
        keep: &[usize],
    ) -> Result<Vec<Tensor>> {
        let stack = self.place(device, x)?;
        let added = self.has_positions.then(|| device.borrow(positions)).transpose()?;
        let kept = stack.outputs(&device.borrow(x)?, added.as_ref(), keep)?;
        kept.iter().map(|out| device.lend(out, x)).collect()
    }
}
