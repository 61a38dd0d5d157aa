//! Launches of `cuda/branch.cu`.

use candle_core::Result;

use super::device::{DeviceArray, DeviceDrop, KernelArgument, KernelDevice, LaunchShape, NumberKind};
use super::partial_sums::PartialSums;

/// What is dropped of a branch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BranchDrop {
    pub elements: DeviceDrop,
    pub samples: DeviceDrop,
    /// Tokens of a sample.
    pub tokens: usize,
}

impl BranchDrop {
    /// Of the elements, then of the samples.
    pub(crate) fn arguments<'a>(self) -> [KernelArgument<'a>; 6] {
        let ([a, b, c], [d, e, f]) = (self.elements.arguments(), self.samples.arguments());
        [a, b, c, d, e, f]
    }
}

/// `x + drop(y + bias)`: `x [n, width]`, and `y` like it.
///
/// # Errors
/// Fails if the device does.
pub(crate) fn add_branch(
    device: &dyn KernelDevice,
    x: &DeviceArray,
    y: &DeviceArray,
    bias: &DeviceArray,
    drop: BranchDrop,
) -> Result<DeviceArray> {
    use KernelArgument::{Array, Count};
    let out = device.allocate(NumberKind::F32, x.len())?;
    #[rustfmt::skip]
    let arrays = [
        Array(x), Array(y), Array(bias), Array(&out), Count(x.len()), Count(bias.len()), Count(drop.tokens),
    ];
    let arguments = [&arrays[..], &drop.arguments()].concat();
    device.launch(&y.kind().name_kernel("branch"), LaunchShape::for_each(x.len()), &arguments)?;
    Ok(out)
}

/// Gradients at the end of a branch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BranchGradients<'a> {
    /// `[n, width]`: of the sum.
    pub dout: &'a DeviceArray,
    pub width: usize,
    /// Of the bias: `width` columns from `column`.
    pub sums: &'a PartialSums,
    pub column: usize,
}

/// The gradient of `y`, of `kind`.
///
/// # Errors
/// Fails if the device does.
pub(crate) fn branch_backward(
    device: &dyn KernelDevice,
    kind: NumberKind,
    gradients: BranchGradients<'_>,
    drop: BranchDrop,
) -> Result<DeviceArray> {
    use KernelArgument::{Array, Count};
    let BranchGradients { dout, width, sums, column } = gradients;
    let dy = device.allocate(kind, dout.len())?;
    #[rustfmt::skip]
    let arrays = [
        Array(dout), Array(&dy), Array(sums.array()), Count(dout.len() / width), Count(width), Count(drop.tokens),
    ];
    let arguments = [&arrays[..], &sums.arguments(column), &drop.arguments()].concat();
    device.launch(&kind.name_kernel("branch_backward"), sums.tile_shape(width), &arguments)?;
    Ok(dy)
}
