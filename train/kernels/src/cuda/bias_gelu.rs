//! Launches of `cuda/bias_gelu.cu`.

use candle_core::Result;

use super::device::{DeviceArray, DeviceDrop, KernelArgument, KernelDevice, LaunchShape};
use super::partial_sums::PartialSums;

/// What a GELU between two layers is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GeluInput<'a> {
    /// `[n, width]`: the first layer's product.
    pub x: &'a DeviceArray,
    /// `[width]`.
    pub bias: &'a DeviceArray,
    pub drop: DeviceDrop,
}

/// What the second layer reads, of the kind of `x`.
///
/// # Errors
/// Fails if the device does.
pub(crate) fn bias_gelu(device: &dyn KernelDevice, input: GeluInput<'_>) -> Result<DeviceArray> {
    use KernelArgument::{Array, Count};
    let GeluInput { x, bias, drop } = input;
    let out = device.allocate(x.kind(), x.len())?;
    let arrays = [Array(x), Array(bias), Array(&out), Count(x.len()), Count(bias.len())];
    let arguments = [&arrays[..], &drop.arguments()].concat();
    device.launch(&x.kind().name_kernel("bias_gelu"), LaunchShape::for_each(x.len()), &arguments)?;
    Ok(out)
}

/// Turns the gradient of what the second layer reads into that of `x`, sums that of the bias from `column`; gives what the
/// second layer read.
///
/// # Errors
/// Fails if the device does.
pub(crate) fn bias_gelu_backward(
    device: &dyn KernelDevice,
    input: GeluInput<'_>,
    gradient: &DeviceArray,
    sums: &PartialSums,
    column: usize,
) -> Result<DeviceArray> {
    use KernelArgument::{Array, Count};
    let GeluInput { x, bias, drop } = input;
    let width = bias.len();
    let activation = device.allocate(x.kind(), x.len())?;
    #[rustfmt::skip]
    let arrays = [
        Array(x), Array(bias), Array(gradient), Array(&activation), Array(sums.array()), Count(x.len() / width), Count(width),
    ];
    let arguments = [&arrays[..], &sums.arguments(column), &drop.arguments()].concat();
    device.launch(&x.kind().name_kernel("bias_gelu_backward"), sums.tile_shape(width), &arguments)?;
    Ok(activation)
}
