//! Activations of the points of a chunk of patches, computed when they are asked for; kept where one chunk holds all patches.

use std::ops::Range;

use candle_core::Result;

use super::copies::DeviceMatrix;
use super::device::{DeviceArray, KernelArgument, KernelDevice, LaunchShape, NumberKind};
use super::device_tokenizer::{DeviceTokenizer, PatchArray, TokenizerFactors};
use crate::tokenizer::Widths;

/// Some patches of a batch.
#[derive(Clone, Debug)]
pub(crate) struct PointChunk {
    pub patches: Range<usize>,
    pub k: usize,
}

impl PointChunk {
    /// Points.
    pub(crate) fn rows(&self) -> usize {
        self.patches.len() * self.k
    }

    /// Of numbers of every patch, `len` each, those of the chunk.
    pub(crate) fn part(&self, all: &DeviceArray, len: usize) -> DeviceArray {
        all.part(self.patches.start * len..self.patches.end * len)
    }
}

/// Sums over the rows of all chunks, by shares of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowShares {
    rows_each: usize,
    of_chunk: usize,
    pub all: usize,
}

impl RowShares {
    /// Shares of one chunk.
    const MOST: usize = 264;

    fn new(chunks: &[PointChunk]) -> Self {
        let rows = chunks.first().map_or(0, PointChunk::rows);
        let rows_each = rows.div_ceil(Self::MOST).max(32);
        let of_chunk = rows.div_ceil(rows_each).max(1);
        Self { rows_each, of_chunk, all: of_chunk * chunks.len() }
    }

    /// A launch over the rows of a chunk by tiles of `width` columns; how many rows a share has.
    pub(crate) fn shape(self, width: usize) -> (LaunchShape, usize) {
        let grid = [(width as u32).div_ceil(32), self.of_chunk as u32, 1];
        (LaunchShape { grid, block: [32, 8, 1], shared_bytes: 0 }, self.rows_each)
    }

    /// Where the sums of a chunk stand among those of all; `len` numbers a share.
    pub(crate) fn part(self, sums: &DeviceArray, number: usize, len: usize) -> DeviceArray {
        sums.part(number * self.of_chunk * len..(number + 1) * self.of_chunk * len)
    }
}

/// The chunks of a batch, and the activations of the last one asked for.
pub(crate) struct PointChunks<'a> {
    tokenizer: &'a DeviceTokenizer<'a>,
    patches: PatchArray<'a>,
    factors: &'a TokenizerFactors,
    /// `[4, c1]`: the first layer with its norm.
    folded: &'a DeviceArray,
    chunks: Vec<PointChunk>,
    /// First and mixing layer of the only chunk.
    first: Option<DeviceArray>,
    mixed: Option<DeviceArray>,
}

impl<'a> PointChunks<'a> {
    pub(crate) fn new(
        tokenizer: &'a DeviceTokenizer<'a>,
        patches: PatchArray<'a>,
        factors: &'a TokenizerFactors,
        folded: &'a DeviceArray,
    ) -> Self {
        let each = (tokenizer.chunk_rows / patches.k).max(1);
        let (count, k) = (patches.patches(), patches.k);
        let starts = (0..count).step_by(each);
        let chunks =
            starts.map(|start| PointChunk { patches: start..(start + each).min(count), k }).collect();
        Self { tokenizer, patches, factors, folded, chunks, first: None, mixed: None }
    }

    /// The chunks in their order.
    pub(crate) fn all(&self) -> Vec<PointChunk> {
        self.chunks.clone()
    }

    pub(crate) fn shares(&self) -> RowShares {
        RowShares::new(&self.chunks)
    }

    fn device(&self) -> &'a dyn KernelDevice {
        self.tokenizer.device
    }

    /// The points of a chunk.
    pub(crate) fn points(&self, chunk: &PointChunk) -> DeviceArray {
        chunk.part(self.patches.points, 3 * chunk.k)
    }

    /// `h [rows, c1]`.
    pub(crate) fn first_layer(&mut self, chunk: &PointChunk) -> Result<DeviceArray> {
        use KernelArgument::{Array, Count};
        if let Some(first) = &self.first {
            return Ok(first.clone());
        }
        let (device, kind, c1) = (self.device(), self.tokenizer.kind, self.tokenizer.widths.c1);
        let points = self.points(chunk);
        let h = device.allocate(kind, chunk.rows() * c1)?;
        let arguments = [Array(&points), Array(self.folded), Array(&h), Count(h.len()), Count(c1)];
        device.launch(&kind.name_kernel("first_layer"), LaunchShape::for_each(h.len()), &arguments)?;
        if self.chunks.len() == 1 {
            self.first = Some(h.clone());
        }
        Ok(h)
    }

    /// `m = M h [rows, c3]`.
    pub(crate) fn mixing_layer(&mut self, chunk: &PointChunk) -> Result<DeviceArray> {
        if let Some(mixed) = &self.mixed {
            return Ok(mixed.clone());
        }
        let (device, kind, Widths { c1, c3, .. }) =
            (self.device(), self.tokenizer.kind, self.tokenizer.widths);
        let h = self.first_layer(chunk)?;
        let m = device.allocate(kind, chunk.rows() * c3)?;
        let weight = DeviceMatrix::new(&self.factors.merged, c1);
        DeviceMatrix::new(&h, c1).times_transposed(device, weight, DeviceMatrix::new(&m, c3))?;
        if self.chunks.len() == 1 {
            self.mixed = Some(m.clone());
        }
        Ok(m)
    }

    /// Sums of `y` and its square, `[shares, 2, c3]` f64, and how many shares there are.
    pub(crate) fn sum_mixed(&mut self, offsets: &DeviceArray) -> Result<(DeviceArray, usize)> {
        use KernelArgument::{Array, Count};
        let (device, kind, c3, shares) =
            (self.device(), self.tokenizer.kind, self.tokenizer.widths.c3, self.shares());
        let sums = device.allocate(NumberKind::F64, shares.all * 2 * c3)?;
        for (number, chunk) in self.all().into_iter().enumerate() {
            let m = self.mixing_layer(&chunk)?;
            let (u, into) = (chunk.part(offsets, c3), shares.part(&sums, number, 2 * c3));
            let (shape, rows_each) = shares.shape(c3);
            #[rustfmt::skip]
            let arguments = [
                Array(&m), Array(&u), Array(&self.factors.merged_bias), Array(&into), Count(chunk.rows()), Count(c3), Count(chunk.k),
                Count(rows_each),
            ];
            device.launch(&kind.name_kernel("mixed_sums"), shape, &arguments)?;
        }
        Ok((sums, shares.all))
    }

    /// `z [rows, c3]`.
    pub(crate) fn activate_mixed(
        &mut self,
        chunk: &PointChunk,
        offsets: &DeviceArray,
        folded: &DeviceArray,
    ) -> Result<DeviceArray> {
        use KernelArgument::{Array, Count};
        let (device, kind, c3) = (self.device(), self.tokenizer.kind, self.tokenizer.widths.c3);
        let m = self.mixing_layer(chunk)?;
        let (z, u) = (device.allocate(kind, m.len())?, chunk.part(offsets, c3));
        #[rustfmt::skip]
        let arguments = [
            Array(&m), Array(&u), Array(&self.factors.merged_bias), Array(folded), Array(&z), Count(z.len()), Count(c3), Count(chunk.k),
        ];
        device.launch(&kind.name_kernel("mixed_activation"), LaunchShape::for_each(z.len()), &arguments)?;
        Ok(z)
    }
}
