//! Launches of `cuda/copies.cu`, and products between arrays.

use candle_core::Result;

use super::device::{
    DeviceArray, DeviceFactor, DeviceProduct, KernelArgument, KernelDevice, LaunchShape, NumberKind,
};

/// The numbers of an `f32` array as this kind: the same array where that is `f32`.
///
/// # Errors
/// Fails if the device does.
pub(crate) fn copy_as(device: &dyn KernelDevice, kind: NumberKind, x: &DeviceArray) -> Result<DeviceArray> {
    use KernelArgument::{Array, Count};
    if x.kind() == kind {
        return Ok(x.clone());
    }
    let out = device.allocate(kind, x.len())?;
    let shape = LaunchShape::for_each(x.len());
    device.launch(&kind.name_kernel("narrow"), shape, &[Array(x), Array(&out), Count(x.len())])?;
    Ok(out)
}

/// Four `f32` arrays as this kind, in one launch: the same arrays where that is `f32`.
///
/// # Errors
/// Fails if the device does.
pub(crate) fn copy_four_as(
    device: &dyn KernelDevice,
    kind: NumberKind,
    arrays: [&DeviceArray; 4],
) -> Result<[DeviceArray; 4]> {
    use KernelArgument::{Array, Count};
    if kind == NumberKind::F32 {
        return Ok(arrays.map(DeviceArray::clone));
    }
    let [a, b, c, d] = arrays.map(|array| device.allocate(kind, array.len()));
    let outs = [a?, b?, c?, d?];
    let longest = arrays.iter().map(|array| array.len()).max().unwrap_or(0);
    let mut shape = LaunchShape::for_each(longest);
    shape.grid[1] = 4;
    let counts = arrays.map(|array| Count(array.len()));
    let arguments = [arrays.map(Array), outs.each_ref().map(Array), counts].concat();
    device.launch(&kind.name_kernel("narrow_four"), shape, &arguments)?;
    Ok(outs)
}

/// Rows of numbers: a matrix without a column step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceMatrix<'a> {
    pub array: &'a DeviceArray,
    pub rows: usize,
    pub columns: usize,
    /// Numbers from a row to the next.
    pub step: usize,
}

impl<'a> DeviceMatrix<'a> {
    /// All of an array, by rows of `columns`.
    pub(crate) fn new(array: &'a DeviceArray, columns: usize) -> Self {
        Self { array, rows: array.len() / columns, columns, step: columns }
    }

    /// Rows of `columns` that lie `step` apart.
    pub(crate) fn with_step(array: &'a DeviceArray, columns: usize, step: usize) -> Self {
        let rows = (array.len() + step - columns) / step;
        Self { array, rows, columns, step }
    }

    fn plain(self) -> DeviceFactor<'a> {
        DeviceFactor::new(self.array, self.step)
    }

    fn transpose(self) -> DeviceFactor<'a> {
        DeviceFactor::transposed(self.array, self.step)
    }

    /// `out = self right`, not run yet.
    fn product(self, right: Self, out: Self) -> DeviceProduct<'a> {
        DeviceProduct {
            left: self.plain(),
            right: right.plain(),
            out: out.plain(),
            rows: self.rows,
            columns: right.columns,
            depth: right.rows,
            adds: false,
        }
    }

    /// `out = self right`.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn times(self, device: &dyn KernelDevice, right: Self, out: Self) -> Result<()> {
        device.multiply(DeviceProduct { adds: false, ..self.product(right, out) })
    }

    /// `out += self right`.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn add_times(self, device: &dyn KernelDevice, right: Self, out: Self) -> Result<()> {
        device.multiply(DeviceProduct { adds: true, ..self.product(right, out) })
    }

    /// `out = self right^T`: a layer's product, `right` its weight.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn times_transposed(self, device: &dyn KernelDevice, right: Self, out: Self) -> Result<()> {
        device.multiply(DeviceProduct {
            left: self.plain(),
            right: right.transpose(),
            out: out.plain(),
            rows: self.rows,
            columns: right.rows,
            depth: right.columns,
            adds: false,
        })
    }

    /// `out = self^T right`, or what is there plus that: a weight's gradient.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn transposed_times(
        self,
        device: &dyn KernelDevice,
        right: Self,
        out: Self,
        adds: bool,
    ) -> Result<()> {
        device.multiply(DeviceProduct {
            left: self.transpose(),
            right: right.plain(),
            out: out.plain(),
            rows: self.columns,
            columns: right.columns,
            depth: self.rows,
            adds,
        })
    }
}
