//! Norms of gradients, updates and moving averages of candle's tensors on a CUDA device: a launch a tensor.

use candle_core::{Result, Tensor};

use super::device::{KernelArgument, KernelDevice, LaunchShape, NumberKind};
use super::engine::find_kernel_device;

/// The numbers of one AdamW update of one tensor.
#[derive(Clone, Copy, Debug)]
pub struct AdamNumbers {
    /// What moments keep.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Learning rate over `1 - beta1^t`.
    pub rate: f64,
    /// `1 / sqrt(1 - beta2^t)`.
    pub root: f64,
    /// What weight decay leaves of a value.
    pub keep: f64,
    /// Factor of the gradient.
    pub scale: f64,
}

/// A parameter on a device with its moments.
#[derive(Clone, Copy, Debug)]
pub struct AdamTensors<'a> {
    /// The parameter.
    pub parameter: &'a Tensor,
    /// First moment.
    pub first: &'a Tensor,
    /// Second moment.
    pub second: &'a Tensor,
}

/// Changes a parameter and its moments on a CUDA device in place.
///
/// # Errors
/// Fails if a tensor is not contiguous f32, or the device fails.
pub fn update_on_device(tensors: AdamTensors<'_>, gradient: &Tensor, numbers: AdamNumbers) -> Result<()> {
    use KernelArgument::{Array, Count, Float, Optional};
    let device = find_device(gradient)?;
    let on = &*device;
    let AdamTensors { parameter, first, second } = tensors;
    let (p, m, v) = (on.borrow(parameter)?, on.borrow(first)?, on.borrow(second)?);
    let gradient = on.borrow(gradient)?;
    let [b1, b2] = numbers.betas;
    let none = Optional(None);
    #[rustfmt::skip]
    let arrays = [
        Array(&p), Array(&gradient), Array(&m), Array(&v), none, none, none, none, none, Count(p.len()), Count(p.len()),
    ];
    #[rustfmt::skip]
    let numbers = [
        b1, 1.0 - b1, b2, 1.0 - b2, numbers.keep, numbers.rate, numbers.root, numbers.epsilon, 0.0, numbers.scale,
    ];
    let arguments = [&arrays[..], &numbers.map(|number| Float(number as f32))].concat();
    on.launch("adamw_update", LaunchShape::for_each(p.len()), &arguments)
}

/// Moves a tensor on a CUDA device `share` of the way to another, in place.
///
/// # Errors
/// As [`update_on_device`].
pub fn move_on_device(copy: &Tensor, original: &Tensor, share: f64) -> Result<()> {
    use KernelArgument::{Array, Count, Float};
    let device = find_device(copy)?;
    let (copy, original) = (device.borrow(copy)?, device.borrow(original)?);
    let arguments = [Array(&copy), Array(&original), Count(copy.len()), Float(share as f32)];
    device.launch("move_towards", LaunchShape::for_each(copy.len()), &arguments)
}

/// Blocks that sum the squares of one tensor.
const BLOCKS: usize = 64;

/// The L2 norm of tensors on a CUDA device together, read back once.
///
/// # Errors
/// As [`update_on_device`].
pub fn norm_on_device(tensors: &[&Tensor]) -> Result<f64> {
    use KernelArgument::{Array, Count, Float};
    let Some(first) = tensors.first() else { return Ok(0.0) };
    let device = find_device(first)?;
    let blocks: Vec<usize> = tensors.iter().map(|t| t.elem_count().div_ceil(1024).clamp(1, BLOCKS)).collect();
    let all = blocks.iter().sum();
    let partials = device.allocate(NumberKind::F64, all)?;
    let mut start = 0;
    for (tensor, &blocks) in tensors.iter().zip(&blocks) {
        let (values, part) = (device.borrow(tensor)?, partials.part(start..start + blocks));
        let shape = LaunchShape::for_blocks(blocks as u32);
        device.launch("square_sums", shape, &[Array(&values), Array(&part), Count(values.len())])?;
        start += blocks;
    }
    let record = device.allocate(NumberKind::F32, 2)?;
    let arguments = [Array(&partials), Array(&record), Count(all), Float(1.0), Float(0.0)];
    device.launch("clip_factor", LaunchShape::for_blocks(1), &arguments)?;
    Ok(f64::from(device.download(&record)?[0]))
}

fn find_device(tensor: &Tensor) -> Result<std::sync::Arc<dyn KernelDevice>> {
    match find_kernel_device(tensor)? {
        Some(device) => Ok(device),
        None => candle_core::bail!("an update of a device was given a tensor on the CPU"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::cuda::emulate_cuda;

    #[test]
    fn the_norm_of_several_tensors_is_that_of_all_numbers() {
        let tensor = |values: &[f32]| Tensor::from_slice(values, values.len(), &Device::Cpu).unwrap();
        let (a, b) = (tensor(&[3.0, 0.0]), tensor(&vec![0.04; 10_000]));
        let Some(norm) = emulate_cuda(|| norm_on_device(&[&a, &b]).unwrap()).unwrap() else { return };
        assert!((norm - 5.0).abs() < 1e-5, "{norm}");
        assert!(norm_on_device(&[&a]).unwrap_err().to_string().contains("on the CPU"));
    }
}
