//! Launches of `cuda/attention.cu`.

use candle_core::{Result, bail};

use super::device::{DeviceArray, DeviceDrop, KernelArgument, KernelDevice, LaunchShape, NumberKind};
use crate::attention::Heads;

/// The most tokens of a sample, and the widest head: their rows stay in shared memory.
pub(crate) const MOST_TOKENS: usize = 100;
pub(crate) const WIDEST_HEAD: usize = 64;
/// Threads of a block: four warps.
const THREADS: usize = 128;

/// What attends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionInput<'a> {
    pub heads: Heads,
    /// `[samples, T, 3 D]`: the layer's product.
    pub qkv: &'a DeviceArray,
    /// `[3 D]`.
    pub bias: &'a DeviceArray,
    /// `[samples]`: tokens that are looked at; `None`: all.
    pub keys: Option<&'a DeviceArray>,
    pub drop: DeviceDrop,
}

impl AttentionInput<'_> {
    fn samples(&self) -> usize {
        self.qkv.len() / (3 * self.heads.width * self.heads.tokens).max(1)
    }

    fn shape(&self, matrices: usize, rest: usize) -> LaunchShape {
        let Heads { tokens, width, heads } = self.heads;
        let shared_bytes = 4 * (matrices * tokens * (width / heads + 1) + rest);
        let grid = [heads as u32, self.samples() as u32, 1];
        LaunchShape { grid, block: [THREADS as u32, 1, 1], shared_bytes }
    }

    fn check(&self) -> Result<()> {
        let Heads { tokens, width, heads } = self.heads;
        if !fits_shared_memory(self.heads) || width % heads != 0 || self.samples() > 65535 {
            bail!(
                "attention of {} samples of {tokens} tokens in {heads} heads of {width} is not for this kernel",
                self.samples()
            );
        }
        Ok(())
    }
}

/// Whether the kernel takes sequences of this kind.
pub(crate) fn fits_shared_memory(heads: Heads) -> bool {
    heads.tokens <= MOST_TOKENS && heads.width / heads.heads <= WIDEST_HEAD
}

/// `[samples, T, D]` of the kind of `qkv`, and the statistics of the rows of scores, `[samples, heads, T, 2]`.
///
/// # Errors
/// Fails if there are more tokens or wider heads than fit, or the device does.
pub(crate) fn attention(
    device: &dyn KernelDevice,
    input: AttentionInput<'_>,
) -> Result<(DeviceArray, DeviceArray)> {
    use KernelArgument::{Array, Count, Optional};
    input.check()?;
    let Heads { tokens, width, heads } = input.heads;
    let (kind, samples) = (input.qkv.kind(), input.samples());
    let out = device.allocate(kind, samples * tokens * width)?;
    let row_stats = device.allocate(NumberKind::F32, 2 * samples * heads * tokens)?;
    if samples > 0 {
        #[rustfmt::skip]
        let arrays = [
            Array(input.qkv), Array(input.bias), Optional(input.keys), Array(&out), Array(&row_stats), Count(tokens), Count(width),
        ];
        let arguments = [&arrays[..], &input.drop.arguments()].concat();
        device.launch(&kind.name_kernel("attention"), input.shape(3, THREADS / 32 * tokens), &arguments)?;
    }
    Ok((out, row_stats))
}

/// The gradient of `qkv`, given that of the output.
///
/// # Errors
/// As [`attention`].
pub(crate) fn attention_backward(
    device: &dyn KernelDevice,
    input: AttentionInput<'_>,
    row_stats: &DeviceArray,
    dout: &DeviceArray,
) -> Result<DeviceArray> {
    use KernelArgument::{Array, Count, Optional};
    input.check()?;
    let Heads { tokens, width, .. } = input.heads;
    let dqkv = device.allocate(input.qkv.kind(), input.qkv.len())?;
    if input.samples() > 0 {
        #[rustfmt::skip]
        let arrays = [
            Array(input.qkv), Array(input.bias), Optional(input.keys), Array(row_stats), Array(dout), Array(&dqkv), Count(tokens),
            Count(width),
        ];
        let arguments = [&arrays[..], &input.drop.arguments()].concat();
        let kernel = input.qkv.kind().name_kernel("attention_backward");
        device.launch(&kernel, input.shape(4, tokens * tokens), &arguments)?;
    }
    Ok(dqkv)
}
