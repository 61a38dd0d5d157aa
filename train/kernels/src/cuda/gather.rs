//! Launches of `cuda/gather.cu`, and the inverse of an index.

use candle_core::Result;

use super::device::{DeviceArray, KernelArgument, KernelDevice, LaunchShape, NumberKind};

/// Which rows are picked, on a device, and the way back.
#[derive(Clone, Debug)]
pub(crate) struct DeviceIndex {
    /// Rows picked from.
    rows: usize,
    index: DeviceArray,
    starts: DeviceArray,
    places: DeviceArray,
}

impl DeviceIndex {
    /// Uploads an index into `rows` rows and its inverse: with the batch, once.
    ///
    /// # Errors
    /// Fails if a number is not one of a row, or there is no memory.
    pub(crate) fn new(device: &dyn KernelDevice, index: &[u32], rows: usize) -> Result<Self> {
        if let Some(beyond) = index.iter().find(|&&row| row as usize >= rows) {
            candle_core::bail!("row {beyond} was picked of {rows}");
        }
        let mut starts = vec![0u32; rows + 1];
        index.iter().for_each(|&row| starts[row as usize + 1] += 1);
        (0..rows).for_each(|row| starts[row + 1] += starts[row]);
        let (mut next, mut places) = (starts.clone(), vec![0u32; index.len()]);
        for (place, &row) in index.iter().enumerate() {
            places[next[row as usize] as usize] = place as u32;
            next[row as usize] += 1;
        }
        let [index, starts, places] = [index, &starts, &places].map(|values| device.upload_counts(values));
        Ok(Self { rows, index: index?, starts: starts?, places: places? })
    }

    /// The rows `[picked, width]` of `x [rows, width]`.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn gather(&self, device: &dyn KernelDevice, x: &DeviceArray) -> Result<DeviceArray> {
        use KernelArgument::{Array, Count};
        let width = x.len() / self.rows;
        let out = device.allocate(NumberKind::F32, self.index.len() * width)?;
        let arguments = [Array(x), Array(&self.index), Array(&out), Count(out.len()), Count(width)];
        device.launch("gather_rows", LaunchShape::for_each(out.len()), &arguments)?;
        Ok(out)
    }

    /// The gradient of `x`, given that of the picked rows.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn scatter(
        &self,
        device: &dyn KernelDevice,
        dy: &DeviceArray,
        width: usize,
    ) -> Result<DeviceArray> {
        use KernelArgument::{Array, Count};
        let dx = device.allocate(NumberKind::F32, self.rows * width)?;
        #[rustfmt::skip]
        let arguments = [
            Array(dy), Array(&self.starts), Array(&self.places), Array(&dx), Count(dx.len()), Count(width),
        ];
        device.launch("scatter_rows", LaunchShape::for_each(dx.len()), &arguments)?;
        Ok(dx)
    }
}
