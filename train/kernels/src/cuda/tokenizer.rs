//! The mini-PointNet on a device: the launches of its forward; letters as in `cuda/tokenizer_forward.cu`.
//!
//! Patches pass in chunks, whose activations are the workspace: it does not grow with the batch.
//! Where one chunk holds all, what a pass needs of the one before is kept instead of being computed again.

use candle_core::Result;

use super::copies::{DeviceMatrix, copy_as};
use super::device::{DeviceArray, KernelArgument, KernelDevice, LaunchShape, NumberKind};
use super::device_tokenizer::{DeviceTokenizer, PatchArray, TokenizerArrays, TokenizerFactors};
use super::point_chunks::{PointChunk, PointChunks};
use crate::tokenizer::Widths;

/// Blocks that sum the moments of points.
const MOMENT_BLOCKS: usize = 256;

/// What the backward needs of a forward, besides its arguments.
#[derive(Debug)]
pub(crate) struct SavedDevicePasses {
    pub factors: TokenizerFactors,
    /// `[9]` f64: mean and covariance of the points.
    pub moments: DeviceArray,
    /// `[2, c1]` and `[2, c3]` f64: mean and variance.
    pub statistics: [DeviceArray; 2],
    /// `[4, c1]` and `[4, c3]`: the norms in this step's form.
    pub folded: [DeviceArray; 2],
    /// `[P, c2]`: the first maximum, of the kind of activations, and the points that have it.
    pub summary: DeviceArray,
    pub summary_at: DeviceArray,
    /// `[P, c3]`: `u` without `W3l b2`.
    pub offsets: DeviceArray,
    /// `[P, d]`: points that have the last maximum.
    pub token_at: DeviceArray,
}

/// Values and places of a maximum over points.
pub(crate) struct DeviceMaxima {
    pub values: DeviceArray,
    pub copy: Option<DeviceArray>,
    pub at: DeviceArray,
}

impl DeviceMaxima {
    fn new(device: &dyn KernelDevice, count: usize, copied: Option<NumberKind>) -> Result<Self> {
        let copy = copied.map(|kind| device.allocate(kind, count)).transpose()?;
        Ok(Self {
            values: device.allocate(NumberKind::F32, count)?,
            copy,
            at: device.allocate(NumberKind::U32, count)?,
        })
    }
}

impl DeviceTokenizer<'_> {
    fn prepare(&self) -> Result<TokenizerFactors> {
        let (Widths { c1, c2, c3, .. }, device) = (self.widths, self.device);
        let (lift, mix) = (self.parameters.lift.clone(), self.parameters.mix.clone());
        let local = mix.part(c2..mix.len());
        let local = DeviceMatrix::with_step(&local, c2, 2 * c2);
        let wide = device.allocate(NumberKind::F32, c3 * c1)?;
        local.times(device, DeviceMatrix::new(&lift, c1), DeviceMatrix::new(&wide, c1))?;
        let merged_bias = device.allocate(NumberKind::F32, c3)?;
        let lift_bias = self.parameters.lift_bias.clone();
        local.times(device, DeviceMatrix::new(&lift_bias, 1), DeviceMatrix::new(&merged_bias, 1))?;
        let [lift, mix, out] = match (&self.parameters.halves, self.kind) {
            (Some(halves), NumberKind::Bf16) => halves.clone(),
            _ => {
                let copy = |array| copy_as(device, self.kind, array);
                [copy(&lift)?, copy(&mix)?, copy(&self.parameters.out)?]
            }
        };
        Ok(TokenizerFactors { lift, mix, out, merged: copy_as(device, self.kind, &wide)?, merged_bias })
    }

    /// Moments of the points, statistics of the first layer's output, and that layer with its norm as one map.
    fn fold_first(&self, patches: PatchArray<'_>) -> Result<[DeviceArray; 3]> {
        use KernelArgument::{Array, Count, Optional};
        let (device, c1, rows) = (self.device, self.widths.c1, patches.rows());
        let blocks = rows.div_ceil(256).clamp(1, MOMENT_BLOCKS);
        let partials = device.allocate(NumberKind::F64, 9 * blocks)?;
        let shape = LaunchShape::for_blocks(blocks as u32);
        device.launch("point_moments", shape, &[Array(patches.points), Array(&partials), Count(rows)])?;
        let moments = device.allocate(NumberKind::F64, 9)?;
        let statistics = device.allocate(NumberKind::F64, 2 * c1)?;
        let folded = device.allocate(NumberKind::F32, 4 * c1)?;
        let TokenizerArrays { first, bn1_weight: weight, bn1_bias: bias, .. } = self.parameters;
        let running = self.running.as_ref().map(|running| &running.bn1);
        #[rustfmt::skip]
        let arguments = [
            Array(&partials), Array(first), Array(weight), Array(bias), Optional(running), Array(&moments), Array(&statistics),
            Array(&folded), Count(blocks), Count(rows), Count(c1),
        ];
        device.launch("fold_first", LaunchShape::for_blocks(1), &arguments)?;
        Ok([moments, statistics, folded])
    }

    /// The largest over points of `x [p, K, width]` f32, into the part of `maxima` that belongs to a chunk.
    fn find_maxima(
        &self,
        x: &DeviceArray,
        bias: &DeviceArray,
        maxima: &DeviceMaxima,
        chunk: &PointChunk,
    ) -> Result<()> {
        use KernelArgument::{Array, Count, Optional};
        let width = bias.len();
        let range = chunk.patches.start * width..chunk.patches.end * width;
        let (values, at) = (maxima.values.part(range.clone()), maxima.at.part(range.clone()));
        let copy = maxima.copy.as_ref().map(|copy| copy.part(range));
        #[rustfmt::skip]
        let arguments = [
            Array(x), Array(bias), Array(&values), Optional(copy.as_ref()), Array(&at), Count(values.len()), Count(chunk.k), Count(width),
        ];
        self.device.launch(
            &self.kind.name_kernel("patch_maxima"),
            LaunchShape::for_each(values.len()),
            &arguments,
        )
    }

    /// The first maximum of every patch.
    fn summarize(
        &self,
        chunks: &mut PointChunks<'_>,
        factors: &TokenizerFactors,
        patches: PatchArray<'_>,
    ) -> Result<DeviceMaxima> {
        let (device, Widths { c1, c2, .. }) = (self.device, self.widths);
        let maxima = DeviceMaxima::new(device, patches.patches() * c2, self.copied())?;
        let bias = self.parameters.lift_bias.clone();
        for chunk in chunks.all() {
            let h = chunks.first_layer(&chunk)?;
            let local = device.allocate(NumberKind::F32, chunk.rows() * c2)?;
            let weight = DeviceMatrix::new(&factors.lift, c1);
            DeviceMatrix::new(&h, c1).times_transposed(device, weight, DeviceMatrix::new(&local, c2))?;
            self.find_maxima(&local, &bias, &maxima, &chunk)?;
        }
        Ok(maxima)
    }

    /// `u` of every patch without its constant part, `[P, c3]`.
    fn find_offsets(&self, factors: &TokenizerFactors, summary: &DeviceArray) -> Result<DeviceArray> {
        let Widths { c2, c3, .. } = self.widths;
        let offsets = self.device.allocate(NumberKind::F32, summary.len() / c2 * c3)?;
        let global = DeviceMatrix { array: &factors.mix, rows: c3, columns: c2, step: 2 * c2 };
        let out = DeviceMatrix::new(&offsets, c3);
        DeviceMatrix::new(summary, c2).times_transposed(self.device, global, out)?;
        Ok(offsets)
    }

    /// Statistics of `y` and the second norm in this step's form.
    fn fold_mixed(
        &self,
        chunks: &mut PointChunks<'_>,
        offsets: &DeviceArray,
        rows: usize,
    ) -> Result<[DeviceArray; 2]> {
        use KernelArgument::{Array, Count, Optional};
        let (device, c3) = (self.device, self.widths.c3);
        let running = self.running.as_ref().map(|running| &running.bn2);
        let (sums, shares) = match running {
            Some(_) => (device.allocate(NumberKind::F64, 0)?, 0),
            None => chunks.sum_mixed(offsets)?,
        };
        let statistics = device.allocate(NumberKind::F64, 2 * c3)?;
        let folded = device.allocate(NumberKind::F32, 4 * c3)?;
        let TokenizerArrays { bn2_weight: weight, bn2_bias: bias, .. } = self.parameters;
        #[rustfmt::skip]
        let arguments = [
            Array(&sums), Array(weight), Array(bias), Optional(running), Array(&statistics), Array(&folded), Count(shares), Count(rows),
            Count(c3),
        ];
        device.launch("fold_mixed", LaunchShape::for_each(c3), &arguments)?;
        Ok([statistics, folded])
    }

    /// Tokens `[P, d]`, and what the backward needs.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn forward(&self, patches: PatchArray<'_>) -> Result<(DeviceArray, SavedDevicePasses)> {
        let (device, Widths { c3, d, .. }) = (self.device, self.widths);
        let factors = self.prepare()?;
        let [moments, first_statistics, folded] = self.fold_first(patches)?;
        let mut chunks = PointChunks::new(self, patches, &factors, &folded);
        let maxima = self.summarize(&mut chunks, &factors, patches)?;
        let summary = maxima.copy.unwrap_or(maxima.values);
        let offsets = self.find_offsets(&factors, &summary)?;
        let [statistics, second] = self.fold_mixed(&mut chunks, &offsets, patches.rows())?;
        let tokens = DeviceMaxima::new(device, patches.patches() * d, None)?;
        let bias = self.parameters.out_bias.clone();
        for chunk in chunks.all() {
            let z = chunks.activate_mixed(&chunk, &offsets, &second)?;
            let out = device.allocate(NumberKind::F32, chunk.rows() * d)?;
            let weight = DeviceMatrix::new(&factors.out, c3);
            DeviceMatrix::new(&z, c3).times_transposed(device, weight, DeviceMatrix::new(&out, d))?;
            self.find_maxima(&out, &bias, &tokens, &chunk)?;
        }
        drop(chunks);
        let saved = SavedDevicePasses {
            factors,
            moments,
            statistics: [first_statistics, statistics],
            folded: [folded, second],
            summary,
            summary_at: maxima.at,
            offsets,
            token_at: tokens.at,
        };
        Ok((tokens.values, saved))
    }
}
