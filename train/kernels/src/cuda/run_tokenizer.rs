//! The tokenizer of candle's tensors through the kernels of a device.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::computed::Computed;
use super::device::{DeviceArray, KernelDevice};
use super::device_tokenizer::{CHUNK_ROWS, DeviceTokenizer, PatchArray, RunningArrays};
use super::run_stack::kind_of_activations;
use crate::linear::Precision;
use crate::tokenizer::{BatchStats, Mode, TokenizerWeights};

/// [`tokenize_in`](crate::tokenize_in) on a device.
///
/// # Errors
/// Fails if the device does.
pub(crate) fn tokenize_on(
    device: Arc<dyn KernelDevice>,
    precision: Precision,
    patches: &Tensor,
    weights: &TokenizerWeights,
    mode: &Mode<'_>,
) -> Result<(Tensor, Option<[BatchStats; 2]>)> {
    let on: &dyn KernelDevice = &*device;
    let (patches, flat) = (patches.contiguous()?, weights.flat()?);
    let (count, k, _) = patches.dims3()?;
    let running = upload_running(on, mode)?;
    let (kind, widths) = (kind_of_activations(precision), weights.widths()?);
    let (points, values) = (on.borrow(&patches)?, on.borrow(&flat)?);
    let tokenizer = DeviceTokenizer {
        device: on,
        kind,
        widths,
        flat: &values,
        running: running.clone(),
        chunk_rows: CHUNK_ROWS,
    };
    let (tokens, saved) = tokenizer.forward(PatchArray { points: &points, k })?;
    let stats = match mode {
        Mode::Train => Some(read_statistics(on, &saved.statistics, count * k)?),
        Mode::Eval { .. } => None,
    };
    let out = on.lend_as(&tokens, (count, widths.d).into(), &patches)?;
    let (like, owner) = (flat.clone(), device.clone());
    let tokens = Computed::enter("tokenize", [&patches, &flat], out, move |gradient| {
        let on: &dyn KernelDevice = &*owner;
        let tokenizer =
            DeviceTokenizer { device: on, kind, widths, flat: &values, running, chunk_rows: CHUNK_ROWS };
        let gradient = on.borrow(gradient)?;
        let found = tokenizer.backward(PatchArray { points: &points, k }, &gradient, &saved)?;
        Ok((None, Some(on.lend(&found, &like)?)))
    })?;
    Ok((tokens, stats))
}

fn upload_running(device: &dyn KernelDevice, mode: &Mode<'_>) -> Result<Option<RunningArrays>> {
    let upload = |(mean, var): (&[f32], &[f32])| device.upload(&[mean, var].concat());
    match *mode {
        Mode::Train => Ok(None),
        Mode::Eval { bn1, bn2 } => Ok(Some(RunningArrays { bn1: upload(bn1)?, bn2: upload(bn2)? })),
    }
}

/// Means and unbiased variances of `rows`, for the running statistics.
fn read_statistics(
    device: &dyn KernelDevice,
    statistics: &[DeviceArray; 2],
    rows: usize,
) -> Result<[BatchStats; 2]> {
    let unbiased = rows as f64 / (rows as f64 - 1.0);
    let read = |statistics: &DeviceArray| -> Result<BatchStats> {
        let values = device.download(statistics)?;
        let (mean, var) = values.split_at(values.len() / 2);
        let var = var.iter().map(|&var| (f64::from(var) * unbiased) as f32).collect();
        Ok(BatchStats { mean: mean.to_vec(), var })
    };
    let [first, second] = statistics;
    Ok([read(first)?, read(second)?])
}
