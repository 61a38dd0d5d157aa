//! A stack of transformer blocks on a device, as `crate::stack` runs it on the CPU.

use candle_core::Result;

use super::block::{DeviceBlock, DeviceBlockPass, SavedDeviceBlock};
use super::device::{DeviceArray, KernelDevice, NumberKind};
use super::layer_norm::RunningTotal;
use crate::attention::Heads;
use crate::block::{BlockDrop, PARTS};

/// Blocks on a device, and how they are run.
pub(crate) struct DeviceStack<'a> {
    pub device: &'a dyn KernelDevice,
    pub blocks: Vec<DeviceBlock>,
    /// Of every block.
    pub drops: Vec<BlockDrop>,
    pub heads: Heads,
    pub keys: Option<DeviceArray>,
}

/// Gradients of all but the input of a stack.
pub(crate) struct StackGradients {
    /// Of the positions, if there are some.
    pub positions: Option<DeviceArray>,
    /// Of the parameters, by block.
    pub blocks: Vec<[DeviceArray; PARTS]>,
}

impl DeviceStack<'_> {
    fn pass(&self, block: usize) -> DeviceBlockPass<'_> {
        let (keys, drop) = (self.keys.as_ref(), self.drops[block]);
        DeviceBlockPass { device: self.device, block: &self.blocks[block], heads: self.heads, keys, drop }
    }

    /// The output of the last block for `x [B * T, D]`, and what the backward needs.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn forward(
        &self,
        x: &DeviceArray,
        positions: Option<&DeviceArray>,
    ) -> Result<(DeviceArray, Vec<SavedDeviceBlock>)> {
        let (mut state, mut all) = (x.clone(), Vec::new());
        for block in 0..self.blocks.len() {
            let (out, saved) = self.pass(block).forward(&state, positions)?;
            state = out;
            all.push(saved);
        }
        Ok((state, all))
    }

    /// The outputs of the named blocks (ascending); nothing is kept for a backward.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn outputs(
        &self,
        x: &DeviceArray,
        positions: Option<&DeviceArray>,
        keep: &[usize],
    ) -> Result<Vec<DeviceArray>> {
        let (mut state, mut kept) = (x.clone(), Vec::new());
        for block in 0..self.blocks.len() {
            state = self.pass(block).forward(&state, positions)?.0;
            if keep.binary_search(&block).is_ok() {
                kept.push(state.clone());
            }
        }
        Ok(kept)
    }

    /// Turns `dx` from the gradient of the output into that of the input.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn backward(
        &self,
        dx: &DeviceArray,
        saved: Vec<SavedDeviceBlock>,
        has_positions: bool,
    ) -> Result<StackGradients> {
        let positions = match has_positions {
            true => Some(self.device.allocate(NumberKind::F32, dx.len())?),
            false => None,
        };
        let depth = self.blocks.len();
        if depth == 0 {
            positions.as_ref().map_or(Ok(()), |positions| self.device.clear(positions))?;
            return Ok(StackGradients { positions, blocks: Vec::new() });
        }
        let sums = self.pass(0).make_sums(dx.len() / self.heads.width, depth)?;
        let mut weights = Vec::new();
        for (block, saved) in saved.into_iter().enumerate().rev() {
            let total = positions.as_ref().map(|array| RunningTotal { array, is_first: block + 1 == depth });
            weights.push(self.pass(block).backward(dx, saved, sums.block(block), total)?);
        }
        let ordered = weights.into_iter().rev().zip(sums.finish(self.device)?).enumerate();
        let blocks = ordered.map(|(b, (weights, sums))| self.pass(b).order_gradients(weights, &sums));
        Ok(StackGradients { positions, blocks: blocks.collect() })
    }
}
