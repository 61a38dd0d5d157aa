//! Launches of `cuda/loss.cu`.

use candle_core::Result;

use super::device::{DeviceArray, KernelArgument, KernelDevice, LaunchShape, NumberKind};

/// How predictions and targets are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DeviceLoss {
    /// `e^2 / (2 beta)` where `|e| < beta`, `|e| - beta / 2` elsewhere; the mean over channels.
    SmoothL1 {
        /// Where the parabola ends.
        beta: f32,
    },
    /// The sum of squares over channels.
    SumSquares,
    /// Their mean.
    MeanSquares,
    /// One less the cosine.
    Cosine,
}

impl DeviceLoss {
    fn arguments<'a>(self) -> [KernelArgument<'a>; 2] {
        let (number, beta) = match self {
            Self::SmoothL1 { beta } => (0, beta),
            Self::SumSquares => (1, 1.0),
            Self::MeanSquares => (2, 1.0),
            Self::Cosine => (3, 1.0),
        };
        [KernelArgument::Count(number), KernelArgument::Float(beta)]
    }
}

/// Shares of the rows whose columns are summed.
const SHARES: usize = 128;

/// The gradient of the predictions `[n, width]`, and `[4]`: the loss, the mean standard deviations of predictions and targets,
/// the share of the targets' variance that is explained.
///
/// # Errors
/// Fails if the device does.
pub(crate) fn measure_loss(
    device: &dyn KernelDevice,
    loss: DeviceLoss,
    predictions: &DeviceArray,
    targets: &DeviceArray,
    width: usize,
) -> Result<(DeviceArray, DeviceArray)> {
    use KernelArgument::{Array, Count};
    let rows = predictions.len() / width;
    let gradient = device.allocate(NumberKind::F32, predictions.len())?;
    let losses = device.allocate(NumberKind::F32, rows)?;
    let lengths = device.allocate(NumberKind::F32, rows)?;
    #[rustfmt::skip]
    let arrays = [
        Array(predictions), Array(targets), Array(&gradient), Array(&losses), Array(&lengths), Count(rows), Count(width),
    ];
    device.launch("row_losses", LaunchShape::for_rows(rows), &[&arrays[..], &loss.arguments()].concat())?;
    let rows_each = rows.div_ceil(SHARES).max(32);
    let shares = rows.div_ceil(rows_each).max(1);
    let sums = device.allocate(NumberKind::F64, shares * 5 * width)?;
    let grid = [(width as u32).div_ceil(32), shares as u32, 1];
    let shape = LaunchShape { grid, block: [32, 8, 1], shared_bytes: 0 };
    let arrays = [Array(predictions), Array(targets), Array(&lengths), Array(&sums)];
    device.launch("loss_columns", shape, &[&arrays[..], &[rows, width, rows_each].map(Count)].concat())?;
    let record = device.allocate(NumberKind::F32, 4)?;
    let arrays = [Array(&losses), Array(&sums), Array(&record)];
    let arguments = [&arrays[..], &[rows, width, shares].map(Count)].concat();
    device.launch("loss_record", LaunchShape::for_blocks(1), &arguments)?;
    Ok((gradient, record))
}
