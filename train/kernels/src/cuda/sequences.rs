//! Launches of `cuda/sequences.cu`.

use candle_core::Result;

use super::device::{DeviceArray, KernelArgument, KernelDevice, LaunchShape, NumberKind};
use super::partial_sums::PartialSums;

/// Sizes of what a predictor reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SequenceShape {
    samples: usize,
    /// Tokens of the context.
    n: usize,
    /// Target blocks of a sample.
    blocks: usize,
    /// Queries of a block.
    length: usize,
    pub width: usize,
}

/// What sequences are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SequenceInput<'a> {
    /// The context's rows without their bias, and that.
    pub embedded: &'a DeviceArray,
    pub embed_bias: &'a DeviceArray,
    /// All rows of positions without their bias, and that.
    pub rows: &'a DeviceArray,
    pub bias: &'a DeviceArray,
    /// `[width]`: what a query is besides its position.
    pub token: &'a DeviceArray,
}

impl SequenceShape {
    /// Of a context `[B, n, D]` and queries `[B, M, L, 3]`, in this width.
    pub(crate) fn new(
        context: (usize, usize, usize),
        queries: (usize, usize, usize, usize),
        width: usize,
    ) -> Self {
        Self { samples: context.0, n: context.1, blocks: queries.1, length: queries.2, width }
    }

    /// Tokens of a sequence.
    pub(crate) fn tokens(self) -> usize {
        self.n + self.length
    }

    /// Context rows of all samples.
    pub(crate) fn context_rows(self) -> usize {
        self.samples * self.n
    }

    /// Rows that have positions: those of the context, then the queries.
    pub(crate) fn rows(self) -> usize {
        self.context_rows() + self.queries()
    }

    fn queries(self) -> usize {
        self.samples * self.blocks * self.length
    }

    fn sizes<'a>(self) -> [KernelArgument<'a>; 5] {
        [self.width, self.n, self.length, self.blocks, self.context_rows()].map(KernelArgument::Count)
    }

    /// The sequences `[B M, n + L, width]`.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn join(self, device: &dyn KernelDevice, input: SequenceInput<'_>) -> Result<DeviceArray> {
        use KernelArgument::{Array, Count};
        let SequenceInput { embedded, embed_bias, rows, bias, token } = input;
        let count = self.samples * self.blocks * self.tokens() * self.width;
        let out = device.allocate(NumberKind::F32, count)?;
        #[rustfmt::skip]
        let arrays = [
            Array(embedded), Array(embed_bias), Array(rows), Array(bias), Array(token), Array(&out), Count(count),
        ];
        device.launch(
            "join_sequences",
            LaunchShape::for_each(count),
            &[&arrays[..], &self.sizes()].concat(),
        )?;
        Ok(out)
    }

    /// The gradient of the rows of positions, whose first are also those of the embedded context; `sums`: over the context, the
    /// queries, both, from column 0.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn split(
        self,
        device: &dyn KernelDevice,
        gradient: &DeviceArray,
        sums: &PartialSums,
    ) -> Result<DeviceArray> {
        use KernelArgument::{Array, Count};
        let rows = device.allocate(NumberKind::F32, self.rows() * self.width)?;
        let arrays = [Array(gradient), Array(&rows), Array(sums.array()), Count(self.rows())];
        let arguments = [&arrays[..], &self.sizes(), &sums.arguments(0)].concat();
        device.launch("split_sequences", sums.tile_shape(self.width), &arguments)?;
        Ok(rows)
    }

    /// The rows of the queries, `[B M L, width]`.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn take_tails(self, device: &dyn KernelDevice, x: &DeviceArray) -> Result<DeviceArray> {
        self.move_tails(device, "take_tails", x, self.queries() * self.width)
    }

    /// The gradient of whole sequences, of that of the queries' rows.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn put_tails(self, device: &dyn KernelDevice, dy: &DeviceArray) -> Result<DeviceArray> {
        let count = self.samples * self.blocks * self.tokens() * self.width;
        self.move_tails(device, "put_tails", dy, count)
    }

    fn move_tails(
        self,
        device: &dyn KernelDevice,
        kernel: &str,
        x: &DeviceArray,
        count: usize,
    ) -> Result<DeviceArray> {
        use KernelArgument::{Array, Count};
        let out = device.allocate(NumberKind::F32, count)?;
        let sizes = [count, self.width, self.n, self.length].map(Count);
        let arguments = [&[Array(x), Array(&out)][..], &sizes].concat();
        device.launch(kernel, LaunchShape::for_each(count), &arguments)?;
        Ok(out)
    }
}
