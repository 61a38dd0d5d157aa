//! The mini-PointNet's backward on a device; formulas in `cuda/tokenizer_backward.cu`.

use candle_core::Result;

use super::copies::DeviceMatrix;
use super::device::{DeviceArray, KernelArgument, KernelDevice, LaunchShape, NumberKind};
use super::device_tokenizer::{DeviceTokenizer, PatchArray};
use super::partial_sums::PartialSums;
use super::point_chunks::{PointChunk, PointChunks};
use super::tokenizer::SavedDevicePasses;
use crate::tokenizer::Widths;

/// A backward in the making.
struct TokenizerBackward<'a> {
    tokenizer: &'a DeviceTokenizer<'a>,
    saved: &'a SavedDevicePasses,
    patches: PatchArray<'a>,
    /// `[P, d]` f32.
    dtokens: &'a DeviceArray,
    /// Like the parameters.
    gradient: DeviceArray,
    /// `dz` of the only chunk.
    mixed_gradient: Option<DeviceArray>,
}

/// What the second pass leaves: f32.
struct PatchSums {
    /// `[P, c3]`: `du`.
    offsets: DeviceArray,
    /// `[P, c2]`: `ds`.
    summary: DeviceArray,
    /// `[c3, c1]`: `dM`.
    merged: DeviceArray,
}

impl DeviceTokenizer<'_> {
    /// The gradient of the flat parameters, given that of the tokens `[P, d]`.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn backward(
        &self,
        patches: PatchArray<'_>,
        dtokens: &DeviceArray,
        saved: &SavedDevicePasses,
    ) -> Result<DeviceArray> {
        let gradient = self.device.allocate(NumberKind::F32, self.ranges().len())?;
        self.device.clear(&gradient)?;
        let mut pass =
            TokenizerBackward { tokenizer: self, saved, patches, dtokens, gradient, mixed_gradient: None };
        let mut chunks = PointChunks::new(self, patches, &saved.factors, &saved.folded[0]);
        pass.sum_columns(dtokens, &pass.part(self.ranges().out_bias))?;
        let means = pass.last_layer(&mut chunks)?;
        let sums = pass.mixing_layer(&mut chunks, &means)?;
        pass.shared_layers(&sums)?;
        Ok(pass.gradient)
    }
}

impl TokenizerBackward<'_> {
    fn device(&self) -> &dyn KernelDevice {
        self.tokenizer.device
    }

    fn kind(&self) -> NumberKind {
        self.tokenizer.kind
    }

    fn part(&self, range: std::ops::Range<usize>) -> DeviceArray {
        self.gradient.part(range)
    }

    /// Sums over rows of `x`, whose width is that of `out`.
    fn sum_columns(&self, x: &DeviceArray, out: &DeviceArray) -> Result<()> {
        let sums = PartialSums::new(self.device(), x.len() / out.len(), out.len())?;
        sums.add_columns(self.device(), x, out.len(), 0)?;
        sums.finish_into(self.device(), out)
    }

    /// `gradient [p, width]` of a maximum in the rows that have it, `[rows, width]`.
    fn spread(&self, gradient: &DeviceArray, at: &DeviceArray, chunk: &PointChunk) -> Result<DeviceArray> {
        use KernelArgument::{Array, Count};
        let width = gradient.len() / chunk.patches.len();
        let out = self.device().allocate(self.kind(), chunk.rows() * width)?;
        let arguments =
            [Array(gradient), Array(at), Array(&out), Count(out.len()), Count(chunk.k), Count(width)];
        let shape = LaunchShape::for_each(out.len());
        self.device().launch(&self.kind().name_kernel("spread_maxima"), shape, &arguments)?;
        Ok(out)
    }

    /// `G` of a chunk, and `dz [rows, c3]`.
    fn gradient_of_mixed(&mut self, chunk: &PointChunk) -> Result<(DeviceArray, DeviceArray)> {
        let Widths { c3, d, .. } = self.tokenizer.widths;
        let (dtokens, at) = (chunk.part(self.dtokens, d), chunk.part(&self.saved.token_at, d));
        let g = self.spread(&dtokens, &at, chunk)?;
        let dz = self.device().allocate(self.kind(), chunk.rows() * c3)?;
        let weight = DeviceMatrix::new(&self.saved.factors.out, c3);
        DeviceMatrix::new(&g, d).times(self.device(), weight, DeviceMatrix::new(&dz, c3))?;
        Ok((g, dz))
    }

    /// First pass: the last layer's gradient, and that of the second norm; the means that norm passes on.
    fn last_layer(&mut self, chunks: &mut PointChunks<'_>) -> Result<DeviceArray> {
        use KernelArgument::{Array, Count};
        let (Widths { c3, d, .. }, kind, at) = (self.tokenizer.widths, self.kind(), self.tokenizer.ranges());
        let shares = chunks.shares();
        let sums = self.device().allocate(NumberKind::F64, shares.all * 2 * c3)?;
        let (saved, of_out, all) = (self.saved, self.part(at.out), chunks.all());
        for (number, chunk) in all.iter().enumerate() {
            let (g, dz) = self.gradient_of_mixed(chunk)?;
            let z = chunks.activate_mixed(chunk, &saved.offsets, &saved.folded[1])?;
            let (g, z) = (DeviceMatrix::new(&g, d), DeviceMatrix::new(&z, c3));
            g.transposed_times(self.device(), z, DeviceMatrix::new(&of_out, c3), number > 0)?;
            let (m, u) = (chunks.mixing_layer(chunk)?, chunk.part(&saved.offsets, c3));
            let (into, (shape, rows_each)) = (shares.part(&sums, number, 2 * c3), shares.shape(c3));
            #[rustfmt::skip]
            let arguments = [
                Array(&dz), Array(&m), Array(&u), Array(&saved.factors.merged_bias), Array(&saved.folded[1]), Array(&into),
                Count(chunk.rows()), Count(c3), Count(chunk.k), Count(rows_each),
            ];
            self.device().launch(&kind.name_kernel("mixed_gradient_sums"), shape, &arguments)?;
            self.mixed_gradient = (all.len() == 1).then_some(dz);
        }
        let means = self.device().allocate(NumberKind::F32, 2 * c3)?;
        let of_norm = self.part(at.bn2_weight.start..at.bn2_bias.end);
        let is_training = usize::from(self.tokenizer.running.is_none());
        let sizes = [shares.all, self.patches.rows(), c3, is_training].map(Count);
        let arguments = [&[Array(&sums), Array(&of_norm), Array(&means)][..], &sizes].concat();
        self.device().launch("finish_mixed_gradient", LaunchShape::for_each(c3), &arguments)?;
        Ok(means)
    }

    /// Second pass: everything below the second norm that needs points.
    fn mixing_layer(&mut self, chunks: &mut PointChunks<'_>, means: &DeviceArray) -> Result<PatchSums> {
        let (Widths { c1, c2, c3, .. }, patches) = (self.tokenizer.widths, self.patches.patches());
        let wide = |len: usize| self.tokenizer.device.allocate(NumberKind::F32, len);
        let sums =
            PatchSums { offsets: wide(patches * c3)?, summary: wide(patches * c2)?, merged: wide(c3 * c1)? };
        let (shares, of_lift) = (chunks.shares(), self.part(self.tokenizer.ranges().lift));
        let of_first = self.device().allocate(NumberKind::F64, shares.all * 4 * c1)?;
        for (number, chunk) in chunks.all().iter().enumerate() {
            let (h, dy) = (chunks.first_layer(chunk)?, self.norm_gradient(chunks, chunk, means, &sums)?);
            let (rows, first) = (DeviceMatrix::new(&dy, c3), DeviceMatrix::new(&h, c1));
            let merged = DeviceMatrix::new(&sums.merged, c1);
            rows.transposed_times(self.device(), first, merged, number > 0)?;
            let dh = self.device().allocate(NumberKind::F32, chunk.rows() * c1)?;
            let into = DeviceMatrix::new(&dh, c1);
            rows.times(self.device(), DeviceMatrix::new(&self.saved.factors.merged, c1), into)?;
            let (ds, at) = (chunk.part(&sums.summary, c2), chunk.part(&self.saved.summary_at, c2));
            let g = self.spread(&ds, &at, chunk)?;
            let g = DeviceMatrix::new(&g, c2);
            g.transposed_times(self.device(), first, DeviceMatrix::new(&of_lift, c1), number > 0)?;
            g.add_times(self.device(), DeviceMatrix::new(&self.saved.factors.lift, c1), into)?;
            let place = shares.part(&of_first, number, 4 * c1);
            let (shape, rows_each) = shares.shape(c1);
            self.sum_first([&dh, &h, &chunks.points(chunk), &place], shape, [chunk.rows(), c1, rows_each])?;
        }
        self.finish_first(&of_first, shares.all)?;
        Ok(sums)
    }

    fn sum_first(&self, arrays: [&DeviceArray; 4], shape: LaunchShape, sizes: [usize; 3]) -> Result<()> {
        let arrays = arrays.map(KernelArgument::Array);
        let arguments = [&arrays[..], &sizes.map(KernelArgument::Count)].concat();
        self.device().launch(&self.kind().name_kernel("first_gradient_sums"), shape, &arguments)
    }

    /// `dy [rows, c3]` of a chunk; also what its patches get: `du`, `ds`, and the global part of the mixing layer.
    fn norm_gradient(
        &mut self,
        chunks: &mut PointChunks<'_>,
        chunk: &PointChunk,
        means: &DeviceArray,
        sums: &PatchSums,
    ) -> Result<DeviceArray> {
        use KernelArgument::{Array, Count, Optional};
        let (Widths { c2, c3, .. }, kind, saved) = (self.tokenizer.widths, self.kind(), self.saved);
        let dz = match self.mixed_gradient.take() {
            Some(dz) => dz,
            None => self.gradient_of_mixed(chunk)?.1,
        };
        let (m, u) = (chunks.mixing_layer(chunk)?, chunk.part(&saved.offsets, c3));
        let du = chunk.part(&sums.offsets, c3);
        let copy = match kind {
            NumberKind::F32 => None,
            _ => Some(self.device().allocate(kind, du.len())?),
        };
        #[rustfmt::skip]
        let arguments = [
            Array(&dz), Array(&m), Array(&u), Array(&saved.factors.merged_bias), Array(&saved.folded[1]), Array(means), Array(&du),
            Optional(copy.as_ref()), Count(du.len()), Count(c3), Count(chunk.k),
        ];
        self.device().launch(
            &kind.name_kernel("mixed_gradient"),
            LaunchShape::for_each(du.len()),
            &arguments,
        )?;
        let du = DeviceMatrix::new(copy.as_ref().unwrap_or(&du), c3);
        let summary = chunk.part(&saved.summary, c2);
        let mix = self.part(self.tokenizer.ranges().mix);
        let global = DeviceMatrix { array: &mix, rows: c3, columns: c2, step: 2 * c2 };
        let is_first = chunk.patches.start == 0;
        du.transposed_times(self.device(), DeviceMatrix::new(&summary, c2), global, !is_first)?;
        let ds = chunk.part(&sums.summary, c2);
        let global = DeviceMatrix { array: &saved.factors.mix, ..global };
        du.times(self.device(), global, DeviceMatrix::new(&ds, c2))?;
        Ok(dz)
    }

    /// The first layer and its norm.
    fn finish_first(&self, sums: &DeviceArray, shares: usize) -> Result<()> {
        use KernelArgument::{Array, Count};
        let (at, c1, saved) = (self.tokenizer.ranges(), self.tokenizer.widths.c1, self.saved);
        let (first, weight) =
            (self.tokenizer.parameters.first.clone(), self.tokenizer.parameters.bn1_weight.clone());
        let out = self.part(0..at.bn1_bias.end);
        let is_training = usize::from(self.tokenizer.running.is_none());
        #[rustfmt::skip]
        let arguments = [
            Array(sums), Array(&saved.moments), Array(&saved.statistics[0]), Array(&first), Array(&weight), Array(&out), Count(shares),
            Count(c1), Count(is_training),
        ];
        self.device().launch("finish_first_gradient", LaunchShape::for_each(c1), &arguments)
    }

    /// The two layers that `M` is made of. The lift's bias moves all rows alike, and the batch's mean takes it away again: its
    /// gradient is 0 in training.
    fn shared_layers(&self, sums: &PatchSums) -> Result<()> {
        let (Widths { c1, c2, c3, .. }, at, device) =
            (self.tokenizer.widths, self.tokenizer.ranges(), self.device());
        let of_offsets = device.allocate(NumberKind::F32, c3)?;
        self.sum_columns(&sums.offsets, &of_offsets)?;
        let mix = self.part(at.mix.clone());
        let of_local = mix.part(c2..mix.len());
        let of_local = DeviceMatrix::with_step(&of_local, c2, 2 * c2);
        let (lift, bias) =
            (self.tokenizer.parameters.lift.clone(), self.tokenizer.parameters.lift_bias.clone());
        let merged = DeviceMatrix::new(&sums.merged, c1);
        merged.times_transposed(device, DeviceMatrix::new(&lift, c1), of_local)?;
        DeviceMatrix::new(&of_offsets, 1).add_times(device, DeviceMatrix::new(&bias, c2), of_local)?;
        let weight = self.tokenizer.parameters.mix.clone();
        let local = weight.part(c2..weight.len());
        let local = DeviceMatrix::with_step(&local, c2, 2 * c2);
        let of_lift = self.part(at.lift);
        local.transposed_times(device, merged, DeviceMatrix::new(&of_lift, c1), true)?;
        if self.tokenizer.running.is_some() {
            let of_bias = self.part(at.lift_bias);
            self.sum_columns(&sums.summary, &of_bias)?;
            let through = DeviceMatrix::new(&of_offsets, 1);
            local.transposed_times(device, through, DeviceMatrix::new(&of_bias, 1), true)?;
        }
        Ok(())
    }
}
