//! The loss of predictions, its gradient and what a step is watched by, where candle's tensors are on a device.

use candle_core::{D, Result, Tensor};

use super::computed::Computed;
use super::device::{DeviceArray, KernelDevice};
use super::engine::find_kernel_device;
use super::loss::{DeviceLoss, measure_loss};

impl DeviceLoss {
    fn run(
        self,
        device: &dyn KernelDevice,
        predictions: &Tensor,
        targets: &Tensor,
    ) -> Result<[DeviceArray; 2]> {
        let width = predictions.dim(D::Minus1)?;
        let (p, t) = (device.borrow(predictions)?, device.borrow(targets)?);
        let (gradient, record) = measure_loss(device, self, &p, &t, width)?;
        Ok([gradient, record])
    }

    /// The mean distance of rows `[.., D]` with its record; `None` where the CPU's kernels are at work.
    ///
    /// # Errors
    /// Fails if the tensors are not f32 of one shape, or the device fails.
    pub fn distance(self, predictions: &Tensor, targets: &Tensor) -> Result<Option<DeviceDistance>> {
        let Some(device) = find_kernel_device(predictions)? else { return Ok(None) };
        let (predictions, targets) = (predictions.contiguous()?, targets.contiguous()?);
        let [gradient, record] = self.run(&*device, &predictions, &targets)?;
        let loss = device.lend_as(&record.part(0..1), ().into(), &predictions)?;
        let record = device.lend_as(&record, 4.into(), &predictions)?;
        let like = predictions.detach();
        let value = Computed::enter(&device, "loss", [&predictions, &targets], loss, move |on, upstream| {
            let own = on.lend(&gradient, &like)?;
            on.note("candle multiplication", 1);
            Ok((Some(own.broadcast_mul(upstream)?), None))
        })?;
        Ok(Some(DeviceDistance { value, record }))
    }

    /// Mean standard deviation of a channel of the predictions and of the targets, and the share of the targets' variance that is
    /// explained; predictions of a cosine loss in the lengths of their targets. `None` where the CPU's kernels are at work.
    ///
    /// # Errors
    /// As [`DeviceLoss::distance`].
    pub fn measure(self, predictions: &Tensor, targets: &Tensor) -> Result<Option<[f64; 3]>> {
        let Some(device) = find_kernel_device(predictions)? else { return Ok(None) };
        let [_, record] = self.run(&*device, &predictions.contiguous()?, &targets.contiguous()?)?;
        let values = device.download(&record)?;
        Ok(Some([1, 2, 3].map(|at| f64::from(values[at]))))
    }
}

/// A distance on a device, and what was measured with it.
#[derive(Clone, Debug)]
pub struct DeviceDistance {
    /// A scalar with a gradient for the predictions.
    pub value: Tensor,
    /// `[4]`: the distance, then what [`DeviceLoss::measure`] measures.
    pub record: Tensor,
}
