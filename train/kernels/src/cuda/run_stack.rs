//! A [`Stack`] of candle's tensors through the kernels of a device.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::attention::fits_shared_memory;
use super::block::{DeviceBlock, SavedDeviceBlock};
use super::computed::Computed;
use super::device::{DeviceArray, KernelDevice, NumberKind};
use super::engine::{find_kernel_device, runs_on_kernel_device};
use super::layer_norm::{DeviceAffine, NormGradients, NormedRows, layer_norm, layer_norm_backward};
use super::partial_sums::PartialSums;
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

/// A stack as a device runs it once, and whose parameters it has.
pub(crate) struct StackRun {
    stack: Stack,
    blocks: Vec<DeviceBlock>,
    heads: Heads,
    keys: Option<DeviceArray>,
}

impl StackRun {
    /// For sequences of `tokens`, each of `width`.
    ///
    /// # Errors
    /// Fails if a parameter is not f32, or the device fails.
    pub(crate) fn new(device: &dyn KernelDevice, stack: &Stack, tokens: usize, width: usize) -> Result<Self> {
        let kind = kind_of_activations(stack.precision);
        let place = |block: &[Tensor; 12]| {
            let parts: Vec<DeviceArray> =
                block.iter().map(|tensor| device.borrow(tensor)).collect::<Result<_>>()?;
            let parts = parts.try_into().unwrap_or_else(|_| unreachable!("as many arrays as tensors"));
            match device.halves().find([&block[2], &block[4], &block[8], &block[10]]) {
                Some(halves) if kind == NumberKind::Bf16 => Ok(DeviceBlock::with_weights(&parts, halves)),
                _ => DeviceBlock::new(device, kind, &parts),
            }
        };
        Ok(Self {
            stack: stack.clone(),
            blocks: stack.blocks.iter().map(place).collect::<Result<_>>()?,
            heads: Heads { tokens, width, heads: stack.heads },
            keys: stack.keys.as_ref().map(|keys| device.upload_counts(keys)).transpose()?,
        })
    }

    /// On its device.
    pub(crate) fn on<'a>(&self, device: &'a dyn KernelDevice) -> DeviceStack<'a> {
        DeviceStack {
            device,
            blocks: self.blocks.clone(),
            drops: (0..self.blocks.len()).map(|block| self.stack.block_drop(block)).collect(),
            heads: self.heads,
            keys: self.keys.clone(),
        }
    }

    /// Turns `dx` from the gradient of the output into that of the input; gives that of the positions, leaves those of the parameters.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn backward(
        &self,
        device: &dyn KernelDevice,
        dx: &DeviceArray,
        saved: Vec<SavedDeviceBlock>,
        tape: &Tape,
    ) -> Result<Option<DeviceArray>> {
        let gradients = self.on(device).backward(dx, saved, self.stack.has_positions)?;
        for (tensors, found) in self.stack.blocks.iter().zip(&gradients.blocks) {
            for (parameter, gradient) in tensors.iter().zip(found) {
                device.leave(tape, parameter, gradient)?;
            }
        }
        Ok(gradients.positions)
    }
}

/// A norm's weight and bias, and what its backward needs.
pub(crate) struct NormRun {
    tensors: [Tensor; 2],
    affine: DeviceAffine,
    rows: NormedRows,
}

impl NormRun {
    /// Norms rows; the result, f32.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn forward(
        device: &dyn KernelDevice,
        x: &DeviceArray,
        tensors: &[Tensor; 2],
    ) -> Result<(Self, DeviceArray)> {
        let [weight, bias] = tensors.each_ref().map(|tensor| device.borrow(tensor));
        let affine = DeviceAffine { weight: weight?, bias: bias? };
        let (rows, out) = layer_norm(device, NumberKind::F32, x, None, &affine)?;
        Ok((Self { tensors: tensors.clone(), affine, rows }, out))
    }

    /// The gradient of the rows; those of weight and bias are summed into `2 width` columns from `column`.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn backward(
        &self,
        device: &dyn KernelDevice,
        dy: &DeviceArray,
        sums: &PartialSums,
        column: usize,
    ) -> Result<DeviceArray> {
        let dx = device.allocate(NumberKind::F32, dy.len())?;
        device.clear(&dx)?;
        let gradients = NormGradients { dy, dx: &dx, total: None, sums, column };
        layer_norm_backward(device, &self.rows, &self.affine.weight, gradients)?;
        Ok(dx)
    }

    /// Leaves the gradients of weight and bias, `sums [2 width]`.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn leave(&self, device: &dyn KernelDevice, sums: &DeviceArray, tape: &Tape) -> Result<()> {
        let width = self.affine.weight.len();
        device.leave(tape, &self.tensors[0], &sums.part(0..width))?;
        device.leave(tape, &self.tensors[1], &sums.part(width..2 * width))
    }
}

impl Stack {
    /// Whether the kernels of a device run sequences of this length that come from where `x` is.
    ///
    /// # Errors
    /// Fails if they cannot be compiled for it.
    pub fn is_for_device(&self, x: &Tensor, tokens: usize, width: usize) -> Result<bool> {
        Ok(runs_on_kernel_device(x)? && fits_shared_memory(Heads { tokens, width, heads: self.heads }))
    }

    /// [`Stack::train`] with a norm (weight and bias) behind the last block, in one node: for sequences that
    /// [`Stack::is_for_device`].
    ///
    /// # Errors
    /// Fails if they are not, or the device fails.
    pub fn train_normed(
        &self,
        x: &Tensor,
        positions: &Tensor,
        norm: &[Tensor; 2],
        tape: &Tape,
    ) -> Result<Tensor> {
        match find_kernel_device(x)? {
            Some(device) => {
                self.train_on(&device, &x.contiguous()?, &positions.contiguous()?, Some(norm), tape)
            }
            None => bail!("a stack with a norm behind it is for kernels of devices"),
        }
    }

    /// [`Stack::train`] on a device, with a norm behind the last block or none.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn train_on(
        &self,
        device: &Arc<dyn KernelDevice>,
        x: &Tensor,
        positions: &Tensor,
        norm: Option<&[Tensor; 2]>,
        tape: &Tape,
    ) -> Result<Tensor> {
        let on: &dyn KernelDevice = &**device;
        let (_, tokens, width) = x.dims3()?;
        let run = StackRun::new(on, self, tokens, width)?;
        let added = self.has_positions.then(|| on.borrow(positions)).transpose()?;
        let (out, saved) = run.on(on).forward(&on.borrow(x)?, added.as_ref())?;
        let (norm, out) = match norm {
            Some(tensors) => {
                let (norm, out) = NormRun::forward(on, &out, tensors)?;
                (Some(norm), out)
            }
            None => (None, out),
        };
        let out = on.lend(&out, x)?;
        let (shape, tape) = (x.clone(), tape.clone());
        Computed::enter(device, "transformer-stack", [x, positions], out, move |on, gradient| {
            let dx = match norm {
                Some(norm) => pass_norm(on, &norm, gradient, &tape)?,
                None => {
                    on.note("candle copy", 1);
                    on.borrow_copy(gradient)?
                }
            };
            let positions = run.backward(on, &dx, saved, &tape)?;
            let positions = positions.map(|positions| on.lend(&positions, &shape)).transpose()?;
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
        let (_, tokens, width) = x.dims3()?;
        let run = StackRun::new(device, self, tokens, width)?;
        let added = self.has_positions.then(|| device.borrow(positions)).transpose()?;
        let kept = run.on(device).outputs(&device.borrow(x)?, added.as_ref(), keep)?;
        kept.iter().map(|out| device.lend(out, x)).collect()
    }
}

fn pass_norm(device: &dyn KernelDevice, norm: &NormRun, dy: &Tensor, tape: &Tape) -> Result<DeviceArray> {
    let width = norm.affine.weight.len();
    let dy = device.borrow(dy)?;
    let sums = PartialSums::new(device, dy.len() / width, 2 * width)?;
    let dx = norm.backward(device, &dy, &sums, 0)?;
    norm.leave(device, &sums.finish(device)?, tape)?;
    Ok(dx)
}
