//! Layers outside the blocks where candle's tensors are on a device: rows that are picked, an MLP on positions, a norm without parameters.

use std::sync::Arc;

use candle_core::{D, Result, Tensor};

use super::computed::Computed;
use super::device::{DeviceArray, KernelArgument, KernelDevice, LaunchShape};
use super::device_mlp::DeviceMlp;
use super::engine::{find_kernel_device, runs_on_kernel_device};
use super::gather::DeviceIndex;
use super::layer_norm::{DeviceAffine, standardize_rows};
use super::partial_sums::PartialSums;
use crate::tape::Tape;

/// Which rows of a matrix are picked, on a device, with the way back.
#[derive(Clone)]
pub struct PickedRows {
    device: Arc<dyn KernelDevice>,
    index: DeviceIndex,
    picked: usize,
}

impl PickedRows {
    /// Of `rows` rows, on the device of `beside`; `None` where the CPU's kernels are at work.
    ///
    /// # Errors
    /// Fails if a number is not one of a row.
    pub fn new(index: &[u32], rows: usize, beside: &Tensor) -> Result<Option<Self>> {
        if !runs_on_kernel_device(beside)? {
            return Ok(None);
        }
        let Some(device) = find_kernel_device(beside)? else { return Ok(None) };
        let (picked, index) = (index.len(), DeviceIndex::new(&*device, index, rows)?);
        Ok(Some(Self { device, index, picked }))
    }

    /// `x [rows, width]` to `[picked, width]`; the gradient goes back by the inverse index.
    ///
    /// # Errors
    /// Fails if the device does.
    pub fn pick(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        let on: &dyn KernelDevice = &*self.device;
        let out = self.index.gather(on, &on.borrow(x)?)?;
        let out = on.lend_as(&out, (self.picked, width).into(), x)?;
        if !x.track_op() {
            return Ok(out);
        }
        let (index, like) = (self.index.clone(), x.detach());
        Computed::enter(&self.device, "pick-rows", [x, &like.clone()], out, move |on, gradient| {
            let dx = index.scatter(on, &on.borrow(gradient)?, width)?;
            Ok((Some(on.lend_as(&dx, (rows, width).into(), &like)?), None))
        })
    }
}

/// The parameters of an MLP, each weight then bias.
#[derive(Clone, Debug)]
pub struct MlpTensors {
    /// Of the first layer.
    pub first: [Tensor; 2],
    /// Of the second.
    pub second: [Tensor; 2],
}

impl MlpTensors {
    pub(crate) fn place(&self, device: &dyn KernelDevice) -> Result<DeviceMlp> {
        Ok(DeviceMlp {
            first: place_affine(device, &self.first)?,
            second: place_affine(device, &self.second)?,
        })
    }

    /// `second gelu(first x)` of rows `x [.., inputs]` that have no gradient; those of the parameters go to `tape`. `None` where the
    /// CPU's kernels are at work.
    ///
    /// # Errors
    /// Fails if the device does.
    pub fn train(&self, x: &Tensor, tape: &Tape) -> Result<Option<Tensor>> {
        if x.track_op() || !runs_on_kernel_device(x)? {
            return Ok(None);
        }
        let Some(device) = find_kernel_device(x)? else { return Ok(None) };
        let on: &dyn KernelDevice = &*device;
        let mlp = self.place(on)?;
        let (out, saved) = mlp.forward(on, vec![on.borrow(x)?])?;
        add_bias(on, &out, &mlp.second.bias)?;
        let mut dims = x.dims().to_vec();
        dims[x.rank() - 1] = mlp.second.bias.len();
        let out = on.lend_as(&out, dims.into(), x)?;
        let (tensors, tape) = (self.clone(), tape.clone());
        let node = Computed::enter(&device, "mlp", [x, &self.first[0]], out, move |on, gradient| {
            let (dy, width) = (on.borrow(gradient)?, mlp.second.bias.len());
            let sums = PartialSums::new(on, dy.len() / width, width + mlp.hidden())?;
            sums.add_columns(on, &dy, width, 0)?;
            let weights = mlp.backward(on, &dy, &saved, &sums, width)?;
            let sums = sums.finish(on)?;
            let biases = [sums.part(width..sums.len()), sums.part(0..width)];
            tensors.leave(on, weights, biases, &tape)?;
            Ok((None, None))
        });
        node.map(Some)
    }

    /// Leaves the gradients of the weights and the biases of both layers.
    pub(crate) fn leave(
        &self,
        device: &dyn KernelDevice,
        weights: [DeviceArray; 2],
        biases: [DeviceArray; 2],
        tape: &Tape,
    ) -> Result<()> {
        for (tensors, (weight, bias)) in [&self.first, &self.second].iter().zip(weights.iter().zip(&biases)) {
            device.leave(tape, &tensors[0], weight)?;
            device.leave(tape, &tensors[1], bias)?;
        }
        Ok(())
    }
}

/// Weight and bias as arrays.
pub(crate) fn place_affine(device: &dyn KernelDevice, tensors: &[Tensor; 2]) -> Result<DeviceAffine> {
    Ok(DeviceAffine { weight: device.borrow(&tensors[0])?, bias: device.borrow(&tensors[1])? })
}

/// Adds a bias to rows in place.
pub(crate) fn add_bias(device: &dyn KernelDevice, x: &DeviceArray, bias: &DeviceArray) -> Result<()> {
    use KernelArgument::{Array, Count};
    let arguments = [Array(x), Array(bias), Count(x.len()), Count(bias.len())];
    device.launch("add_bias", LaunchShape::for_each(x.len()), &arguments)
}

/// Rows `x [.., width]` without a gradient, each brought to mean 0 and variance 1. `None` where the CPU's kernels are at work, or `x` has a
/// gradient.
///
/// # Errors
/// Fails if the device does.
pub fn standardize_on_device(x: &Tensor) -> Result<Option<Tensor>> {
    if x.track_op() || !runs_on_kernel_device(x)? {
        return Ok(None);
    }
    let Some(device) = find_kernel_device(x)? else { return Ok(None) };
    let out = standardize_rows(&*device, &device.borrow(x)?, x.dim(D::Minus1)?)?;
    device.lend(&out, x).map(Some)
}
