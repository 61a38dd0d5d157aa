//! The tokenizer of candle's tensors through the kernels of a device.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::computed::Computed;
use super::device::{DeviceArray, KernelArgument, KernelDevice, LaunchShape};
use super::device_tokenizer::{CHUNK_ROWS, DeviceTokenizer, PatchArray, RunningArrays, TokenizerArrays};
use super::run_stack::kind_of_activations;
use crate::linear::Precision;
use crate::tape::Tape;
use crate::tokenizer::{BatchStats, Mode, NAMES, TokenizerWeights, Widths};

/// What both batch norms of a device's tokenizer saw in a batch; it stays there.
pub struct DeviceStatistics {
    device: Arc<dyn KernelDevice>,
    statistics: [DeviceArray; 2],
    rows: usize,
}

/// Running mean and variance of a batch norm, `[C]` each.
#[derive(Clone, Copy, Debug)]
pub struct RunningTensors<'a> {
    /// Means.
    pub mean: &'a Tensor,
    /// Variances.
    pub variance: &'a Tensor,
}

impl DeviceStatistics {
    /// Moves the running statistics of both norms by `share` of the way, in place.
    ///
    /// # Errors
    /// Fails if they are not f32 or the device fails.
    pub fn lead(&self, running: [RunningTensors<'_>; 2], share: f64) -> Result<()> {
        use KernelArgument::{Array, Count, Float};
        let on: &dyn KernelDevice = &*self.device;
        for (statistics, RunningTensors { mean, variance }) in self.statistics.iter().zip(running) {
            let (means, variances) = (on.borrow(mean)?, on.borrow(variance)?);
            let (unbiased, share) = (Float(self.unbiased() as f32), Float(share as f32));
            let arguments =
                [Array(statistics), Array(&means), Array(&variances), Count(means.len()), unbiased, share];
            on.launch("follow_statistics", LaunchShape::for_each(means.len()), &arguments)?;
            on.give_back(&means, mean)?;
            on.give_back(&variances, variance)?;
        }
        Ok(())
    }

    /// What makes of a batch's variance an estimate of that of all points.
    fn unbiased(&self) -> f64 {
        self.rows as f64 / (self.rows as f64 - 1.0)
    }

    /// Means and unbiased variances, read back.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn read(&self) -> Result<[BatchStats; 2]> {
        let read = |statistics: &DeviceArray| -> Result<BatchStats> {
            let values = self.device.download(statistics)?;
            let (mean, var) = values.split_at(values.len() / 2);
            let var = var.iter().map(|&var| (f64::from(var) * self.unbiased()) as f32).collect();
            Ok(BatchStats { mean: mean.to_vec(), var })
        };
        let [first, second] = &self.statistics;
        Ok([read(first)?, read(second)?])
    }
}

/// A tokenizer as a device runs it: what stays from its forward to its backward.
struct TokenizerRun {
    precision: Precision,
    widths: Widths,
    arrays: TokenizerArrays,
    running: Option<RunningArrays>,
    points: DeviceArray,
    k: usize,
}

impl TokenizerRun {
    fn new(
        device: &dyn KernelDevice,
        precision: Precision,
        patches: &Tensor,
        weights: &TokenizerWeights,
        mode: &Mode<'_>,
    ) -> Result<Self> {
        let parts =
            weights.parts().map(|part| device.borrow(part)).into_iter().collect::<Result<Vec<_>>>()?;
        let parts: [DeviceArray; NAMES.len()] =
            parts.try_into().unwrap_or_else(|_| unreachable!("as many arrays as parts"));
        let halves = device.halves().find([&weights.lift, &weights.mix, &weights.out]);
        Ok(Self {
            precision,
            widths: weights.widths()?,
            arrays: TokenizerArrays::new(parts, halves),
            running: upload_running(device, mode)?,
            points: device.borrow(patches)?,
            k: patches.dim(1)?,
        })
    }

    fn on<'a>(&'a self, device: &'a dyn KernelDevice) -> (DeviceTokenizer<'a>, PatchArray<'a>) {
        let (kind, running) = (kind_of_activations(self.precision), self.running.clone());
        let (widths, parameters) = (self.widths, &self.arrays);
        let tokenizer = DeviceTokenizer { device, kind, widths, parameters, running, chunk_rows: CHUNK_ROWS };
        (tokenizer, PatchArray { points: &self.points, k: self.k })
    }
}

/// [`tokenize_in`](crate::tokenize_in) on a device, with what the batch norms saw; gradients of parameters go to `tape`.
///
/// # Errors
/// Fails if the device does.
pub(crate) fn tokenize_on(
    device: Arc<dyn KernelDevice>,
    run: TokenizerInput<'_>,
    tape: &Tape,
) -> Result<(Tensor, DeviceStatistics)> {
    let TokenizerInput { precision, patches, weights, mode } = run;
    let on: &dyn KernelDevice = &*device;
    let patches = patches.contiguous()?;
    let run = TokenizerRun::new(on, precision, &patches, weights, mode)?;
    let (tokenizer, array) = run.on(on);
    let (tokens, saved) = tokenizer.forward(array)?;
    let statistics = saved.statistics.clone();
    let (rows, count) = (array.rows(), array.patches());
    let out = on.lend_as(&tokens, (count, run.widths.d).into(), &patches)?;
    drop(tokenizer);
    let (parameters, tape) = (weights.parts().map(Tensor::clone), tape.clone());
    let arguments = [&patches, &weights.first];
    let tokens = Computed::enter(&device, "tokenize", arguments, out, move |on, gradient| {
        let (tokenizer, array) = run.on(on);
        let found = tokenizer.backward(array, &on.borrow(gradient)?, &saved)?;
        let mut start = 0;
        for parameter in &parameters {
            let end = start + parameter.elem_count();
            on.leave(&tape, parameter, &found.part(start..end))?;
            start = end;
        }
        Ok((None, None))
    })?;
    Ok((tokens, DeviceStatistics { device, statistics, rows }))
}

/// What a tokenizer is run on, and how.
#[derive(Clone, Copy)]
pub(crate) struct TokenizerInput<'a> {
    pub precision: Precision,
    /// `[P, K, 3]`.
    pub patches: &'a Tensor,
    pub weights: &'a TokenizerWeights,
    pub mode: &'a Mode<'a>,
}

fn upload_running(device: &dyn KernelDevice, mode: &Mode<'_>) -> Result<Option<RunningArrays>> {
    let upload = |(mean, var): (&[f32], &[f32])| device.upload(&[mean, var].concat());
    match *mode {
        Mode::Train => Ok(None),
        Mode::Eval { bn1, bn2 } => Ok(Some(RunningArrays { bn1: upload(bn1)?, bn2: upload(bn2)? })),
    }
}
