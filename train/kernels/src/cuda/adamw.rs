//! Launches of `cuda/adamw.cu`: all parameters of a model as one flat buffer.

use candle_core::Result;

use super::device::{DeviceArray, KernelArgument, KernelDevice, LaunchShape, NumberKind};

/// Parameters, their moments and averages; those that decay stand first.
#[derive(Clone, Debug)]
pub(crate) struct FlatParameters {
    pub values: DeviceArray,
    pub first: DeviceArray,
    pub second: DeviceArray,
    pub decayed: usize,
    /// For every number the place of its moving average, `u32::MAX` if it has none; and the averages.
    pub twins: Option<(DeviceArray, DeviceArray)>,
    /// Copies in bf16, of the parameters and of the averages.
    pub halves: Option<(DeviceArray, Option<DeviceArray>)>,
}

/// The numbers of one update.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlatUpdate {
    pub betas: [f64; 2],
    pub epsilon: f64,
    pub learning_rate: f64,
    pub weight_decay: f64,
    /// Updates with this one.
    pub number: i32,
    /// Of the gradients: 1 / accumulated batches.
    pub scale: f64,
    /// The longest gradient; 0: any.
    pub clip: f64,
    /// What the averages keep.
    pub momentum: f64,
}

/// Blocks that sum squares.
const BLOCKS: usize = 528;

impl FlatParameters {
    /// Three launches; `[2]`: the norm of all gradients, and what they were multiplied with (0: not finite, nothing was changed).
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn update(
        &self,
        device: &dyn KernelDevice,
        gradient: &DeviceArray,
        update: FlatUpdate,
    ) -> Result<DeviceArray> {
        use KernelArgument::{Array, Count, Float, Optional};
        let count = self.values.len();
        let blocks = count.div_ceil(1024).clamp(1, BLOCKS);
        let partials = device.allocate(NumberKind::F64, blocks)?;
        let shape = LaunchShape::for_blocks(blocks as u32);
        device.launch("square_sums", shape, &[Array(gradient), Array(&partials), Count(count)])?;
        let record = device.allocate(NumberKind::F32, 2)?;
        let (scale, clip) = (Float(update.scale as f32), Float(update.clip as f32));
        let arguments = [Array(&partials), Array(&record), Count(blocks), scale, clip];
        device.launch("clip_factor", LaunchShape::for_blocks(1), &arguments)?;
        let (twins, averages) = (self.twins.as_ref().map(|t| &t.0), self.twins.as_ref().map(|t| &t.1));
        let halves = self.halves.as_ref();
        let (own, of_averages) = (halves.map(|h| &h.0), halves.and_then(|h| h.1.as_ref()));
        #[rustfmt::skip]
        let arrays = [
            Array(&self.values), Array(gradient), Array(&self.first), Array(&self.second), Optional(twins), Optional(averages),
            Optional(own), Optional(of_averages), Array(&record), Count(count), Count(self.decayed),
        ];
        let arguments = [&arrays[..], &update.numbers().map(|number| Float(number as f32))].concat();
        device.launch("adamw_update", LaunchShape::for_each(count), &arguments)?;
        Ok(record)
    }
}

impl FlatUpdate {
    /// As the kernel takes them.
    pub(crate) fn numbers(self) -> [f64; 10] {
        let [b1, b2] = self.betas;
        let [c1, c2] = self.betas.map(|beta| 1.0 - beta.powi(self.number));
        let keep = 1.0 - self.learning_rate * self.weight_decay;
        let (rate, root) = (self.learning_rate / c1, 1.0 / c2.sqrt());
        [b1, 1.0 - b1, b2, 1.0 - b2, keep, rate, root, self.epsilon, 1.0 - self.momentum, self.scale]
    }
}
