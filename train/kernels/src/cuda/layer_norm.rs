//! Launches of `cuda/layer_norm.cu`.

use candle_core::Result;

use super::branch::BranchDrop;
use super::device::{DeviceArray, KernelArgument, KernelDevice, LaunchShape, NumberKind};
use super::partial_sums::PartialSums;

/// Weight and bias of a norm or a layer on a device.
#[derive(Clone, Debug)]
pub(crate) struct DeviceAffine {
    pub weight: DeviceArray,
    pub bias: DeviceArray,
}

/// Rows that were normed, as the backward needs them.
#[derive(Clone, Debug)]
pub(crate) struct NormedRows {
    /// `[n, width]`: what was normed.
    pub state: DeviceArray,
    /// `[n, 2]`: mean and 1 / standard deviation.
    pub stats: DeviceArray,
}

/// Norms the rows of `x [n, width]` plus `added`, if there is any; the rows as they were normed, and the result of `kind`.
///
/// # Errors
/// Fails if the device does.
pub(crate) fn layer_norm(
    device: &dyn KernelDevice,
    kind: NumberKind,
    x: &DeviceArray,
    added: Option<&DeviceArray>,
    norm: &DeviceAffine,
) -> Result<(NormedRows, DeviceArray)> {
    use KernelArgument::{Array, Count, Optional};
    let width = norm.weight.len();
    let rows = x.len() / width;
    let state = match added {
        Some(_) => device.allocate(NumberKind::F32, x.len())?,
        None => x.clone(),
    };
    let stats = device.allocate(NumberKind::F32, 2 * rows)?;
    let out = device.allocate(kind, x.len())?;
    let target = added.map(|_| &state);
    let (weight, bias) = (&norm.weight, &norm.bias);
    #[rustfmt::skip]
    let arguments = [
        Array(x), Optional(added), Optional(target), Array(weight), Array(bias), Array(&out), Array(&stats), Count(rows), Count(width),
    ];
    device.launch(&kind.name_kernel("layer_norm"), LaunchShape::for_rows(rows), &arguments)?;
    Ok((NormedRows { state, stats }, out))
}

/// The end of a branch: what is added to the rows that come in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BranchEnd<'a> {
    /// `[n, width]`: the branch's product.
    pub y: &'a DeviceArray,
    /// `[width]`.
    pub bias: &'a DeviceArray,
    pub drop: BranchDrop,
}

/// Adds a branch to the rows of `x [n, width]`, and norms them: as `add_branch` and [`layer_norm`], in one pass.
///
/// # Errors
/// Fails if the device does.
pub(crate) fn branch_norm(
    device: &dyn KernelDevice,
    x: &DeviceArray,
    branch: BranchEnd<'_>,
    norm: &DeviceAffine,
) -> Result<(NormedRows, DeviceArray)> {
    use KernelArgument::{Array, Count};
    let (width, kind) = (norm.weight.len(), branch.y.kind());
    let rows = x.len() / width;
    let state = device.allocate(NumberKind::F32, x.len())?;
    let stats = device.allocate(NumberKind::F32, 2 * rows)?;
    let out = device.allocate(kind, x.len())?;
    #[rustfmt::skip]
    let arrays = [
        Array(x), Array(branch.y), Array(branch.bias), Array(&state), Array(&norm.weight), Array(&norm.bias), Array(&out), Array(&stats),
        Count(rows), Count(width), Count(branch.drop.tokens),
    ];
    let arguments = [&arrays[..], &branch.drop.arguments()].concat();
    device.launch(&kind.name_kernel("branch_norm"), LaunchShape::for_rows(rows), &arguments)?;
    Ok((NormedRows { state, stats }, out))
}

/// Norms rows of `width` without weight and bias.
///
/// # Errors
/// Fails if the device does.
pub(crate) fn standardize_rows(
    device: &dyn KernelDevice,
    x: &DeviceArray,
    width: usize,
) -> Result<DeviceArray> {
    use KernelArgument::{Array, Count, Optional};
    let (rows, none) = (x.len() / width, Optional(None));
    let stats = device.allocate(NumberKind::F32, 2 * rows)?;
    let out = device.allocate(NumberKind::F32, x.len())?;
    #[rustfmt::skip]
    let arguments = [Array(x), none, none, none, none, Array(&out), Array(&stats), Count(rows), Count(width)];
    device.launch("layer_norm_f32", LaunchShape::for_rows(rows), &arguments)?;
    Ok(out)
}

/// Gradients that pass a norm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormGradients<'a> {
    /// Of the norm's output.
    pub dy: &'a DeviceArray,
    /// Of its input: it is added to.
    pub dx: &'a DeviceArray,
    /// Sums up what comes of `dx`, if there is one.
    pub total: Option<RunningTotal<'a>>,
    /// Of weight and bias: `2 width` columns from `column`.
    pub sums: &'a PartialSums,
    pub column: usize,
}

/// A sum over several norms: of what was added to the rows of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunningTotal<'a> {
    pub array: &'a DeviceArray,
    /// Whether nothing is in it yet.
    pub is_first: bool,
}

/// Passes gradients back.
///
/// # Errors
/// Fails if the device does.
pub(crate) fn layer_norm_backward(
    device: &dyn KernelDevice,
    input: &NormedRows,
    weight: &DeviceArray,
    gradients: NormGradients<'_>,
) -> Result<()> {
    use KernelArgument::{Array, Count, Optional};
    let NormGradients { dy, dx, total, sums, column } = gradients;
    let width = weight.len();
    #[rustfmt::skip]
    let arrays = [
        Array(&input.state), Array(&input.stats), Array(weight), Array(dy), Array(dx),
        Optional(total.map(|total| total.array)), Array(sums.array()), Count(dx.len() / width), Count(width),
        Count(usize::from(total.is_some_and(|total| total.is_first))),
    ];
    let arguments = [&arrays[..], &sums.arguments(column)].concat();
    let shape = sums.row_shape(LaunchShape::ROWS as usize * 2 * width * 4);
    device.launch(&dy.kind().name_kernel("layer_norm_backward"), shape, &arguments)
}
