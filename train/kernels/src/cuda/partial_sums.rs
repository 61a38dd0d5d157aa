//! Sums over rows in two stages: shares of the rows first, then the shares in their order.

use candle_core::Result;

use super::device::{DeviceArray, KernelArgument, KernelDevice, LaunchShape, NumberKind};

/// The most shares: about two blocks for each multiprocessor of a large card.
const SHARES: usize = 264;
/// The fewest rows of a share.
const ROWS: usize = 32;

/// Rows of a share, and shares.
fn share_rows(rows: usize) -> (usize, usize) {
    let rows_each = rows.div_ceil(SHARES).max(ROWS);
    (rows_each, rows.div_ceil(rows_each).max(1))
}

/// Partial sums of several columns, and how rows are shared out.
#[derive(Debug)]
pub(crate) struct PartialSums {
    /// `[shares, columns]`.
    array: DeviceArray,
    shares: usize,
    columns: usize,
    rows: usize,
    rows_each: usize,
}

impl PartialSums {
    /// Room for sums over `rows`.
    ///
    /// # Errors
    /// Fails if there is no memory.
    pub(crate) fn new(device: &dyn KernelDevice, rows: usize, columns: usize) -> Result<Self> {
        let (rows_each, shares) = share_rows(rows);
        let array = device.allocate(NumberKind::F32, shares * columns)?;
        Ok(Self { array, shares, columns, rows, rows_each })
    }

    /// A block of a warp a row for each share.
    pub(crate) fn row_shape(&self, shared_bytes: usize) -> LaunchShape {
        LaunchShape { shared_bytes, ..LaunchShape::for_blocks(self.shares as u32) }
    }

    /// Blocks of 32 columns of `width` and eight rows, for each share.
    pub(crate) fn tile_shape(&self, width: usize) -> LaunchShape {
        let grid = [(width as u32).div_ceil(32), self.shares as u32, 1];
        LaunchShape { grid, block: [32, 8, 1], shared_bytes: 0 }
    }

    pub(crate) fn array(&self) -> &DeviceArray {
        &self.array
    }

    /// Rows of a share, numbers from a share to the next, and the first column, as kernels take them.
    pub(crate) fn arguments<'a>(&self, column: usize) -> [KernelArgument<'a>; 3] {
        let Self { rows_each, columns, .. } = *self;
        [rows_each, columns, column].map(KernelArgument::Count)
    }

    /// Adds the columns of `x [rows, width]` up, to the columns from `column`.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn add_columns(
        &self,
        device: &dyn KernelDevice,
        x: &DeviceArray,
        width: usize,
        column: usize,
    ) -> Result<()> {
        use KernelArgument::{Array, Count};
        let sizes = [Array(x), Array(&self.array), Count(self.rows), Count(width)];
        let arguments = [&sizes[..], &self.arguments(column)].concat();
        device.launch(&x.kind().name_kernel("column_sums"), self.tile_shape(width), &arguments)
    }

    /// The sums of all shares, `[columns]`.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn finish(self, device: &dyn KernelDevice) -> Result<DeviceArray> {
        let out = device.allocate(NumberKind::F32, self.columns)?;
        self.finish_into(device, &out)?;
        Ok(out)
    }

    /// Sets `out [columns]` to the sums of all shares.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn finish_into(self, device: &dyn KernelDevice, out: &DeviceArray) -> Result<()> {
        use KernelArgument::{Array, Count};
        let arguments = [Array(&self.array), Array(out), Count(self.shares), Count(self.columns)];
        device.launch("sum_partials", LaunchShape::for_each(self.columns), &arguments)
    }
}

/// The partial sums of all blocks of a stack, which are finished together.
#[derive(Debug)]
pub(crate) struct BlockSums {
    all: DeviceArray,
    blocks: Vec<PartialSums>,
}

impl BlockSums {
    /// Room for sums over `rows`, `columns` in each of `count` blocks.
    ///
    /// # Errors
    /// Fails if there is no memory.
    pub(crate) fn new(device: &dyn KernelDevice, rows: usize, columns: usize, count: usize) -> Result<Self> {
        let (rows_each, shares) = share_rows(rows);
        let len = shares * columns;
        let all = device.allocate(NumberKind::F32, count * len)?;
        let part = |b: usize| all.part(b * len..(b + 1) * len);
        let sums = |b: usize| PartialSums { array: part(b), shares, columns, rows, rows_each };
        let blocks = (0..count).map(sums).collect();
        Ok(Self { all, blocks })
    }

    /// Of one block.
    pub(crate) fn block(&self, block: usize) -> &PartialSums {
        &self.blocks[block]
    }

    /// The sums of every block, `[columns]` each, in one launch.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn finish(self, device: &dyn KernelDevice) -> Result<Vec<DeviceArray>> {
        use KernelArgument::{Array, Count};
        let Some(&PartialSums { shares, columns, .. }) = self.blocks.first() else { return Ok(Vec::new()) };
        let out = device.allocate(NumberKind::F32, self.blocks.len() * columns)?;
        let mut shape = LaunchShape::for_each(columns);
        shape.grid[1] = self.blocks.len() as u32;
        let arguments = [Array(&self.all), Array(&out), Count(shares), Count(columns)];
        device.launch("sum_partials", shape, &arguments)?;
        Ok((0..self.blocks.len()).map(|b| out.part(b * columns..(b + 1) * columns)).collect())
    }
}
