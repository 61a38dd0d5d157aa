//! What kernels need of a device: memory, launches, products.

use candle_core::{Result, Tensor, bail};

pub(crate) use super::device_array::{DeviceArray, DeviceMemory, NumberKind};
use super::half_copies::HalfCopies;
use crate::dropout::Mask;

/// Blocks of a grid and threads of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaunchShape {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory of a block.
    pub shared_bytes: usize,
}

/// Threads of a block where each has one number, or each warp one row.
const THREADS: u32 = 256;

impl LaunchShape {
    /// A thread for each of `count` numbers, at least one block.
    pub(crate) fn for_each(count: usize) -> Self {
        Self::for_blocks((count as u32).div_ceil(THREADS).max(1))
    }

    /// A warp for each of `rows`.
    pub(crate) fn for_rows(rows: usize) -> Self {
        Self::for_blocks((rows as u32).div_ceil(Self::ROWS).max(1))
    }

    /// Blocks of [`THREADS`].
    pub(crate) fn for_blocks(blocks: u32) -> Self {
        Self { grid: [blocks, 1, 1], block: [THREADS, 1, 1], shared_bytes: 0 }
    }

    /// Rows that a block has warps for.
    pub(crate) const ROWS: u32 = THREADS / 32;
}

/// One argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KernelArgument<'a> {
    Array(&'a DeviceArray),
    /// A null pointer where there is none.
    Optional(Option<&'a DeviceArray>),
    Count(usize),
    Float(f32),
    Key(u64),
}

/// A factor, or the result, of a product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceFactor<'a> {
    pub array: &'a DeviceArray,
    /// Numbers from a row, as it is stored, to the next.
    pub step: usize,
    /// Whether its columns are stored as rows.
    pub is_transposed: bool,
}

impl<'a> DeviceFactor<'a> {
    /// Rows of `width`.
    pub(crate) fn new(array: &'a DeviceArray, width: usize) -> Self {
        Self { array, step: width, is_transposed: false }
    }

    /// The transpose of rows of `width`.
    pub(crate) fn transposed(array: &'a DeviceArray, width: usize) -> Self {
        Self { array, step: width, is_transposed: true }
    }
}

/// `out [rows, columns] = left [rows, depth] right [depth, columns] + keep out`; sums are f32.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceProduct<'a> {
    pub left: DeviceFactor<'a>,
    pub right: DeviceFactor<'a>,
    pub out: DeviceFactor<'a>,
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    /// Whether the product is added to what is there.
    pub adds: bool,
}

impl DeviceProduct<'_> {
    /// Whether nothing is to be done.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0 || self.columns == 0
    }
}

/// Where kernels run. Work is done in the order in which it is asked for.
pub(crate) trait KernelDevice: Send + Sync {
    /// Numbers that are not set.
    ///
    /// # Errors
    /// Fails if there is no memory.
    fn allocate(&self, kind: NumberKind, len: usize) -> Result<DeviceArray>;

    /// Sets all numbers, from little-endian bytes.
    ///
    /// # Errors
    /// Fails if the bytes are not those of all numbers.
    fn write(&self, array: &DeviceArray, bytes: &[u8]) -> Result<()>;

    /// The numbers as bytes; waits until they are there.
    ///
    /// # Errors
    /// Fails if something went wrong on the device.
    fn read(&self, array: &DeviceArray) -> Result<Vec<u8>>;

    /// Sets all numbers to 0.
    ///
    /// # Errors
    /// Fails if the array is not on this device.
    fn clear(&self, array: &DeviceArray) -> Result<()>;

    /// Where an array begins, as kernels read it from a table.
    fn pointer(&self, array: &DeviceArray) -> u64;

    /// The copies of parameters in bf16 that are kept up to date on this device.
    fn halves(&self) -> &HalfCopies;

    /// Takes note of operators of candle's that a kernel's place in its graph costs.
    fn note(&self, _: &'static str, _: u64) {}

    /// Takes note of bytes that a launch reads or writes besides its arguments.
    fn note_moved(&self, _: u64) {}

    /// The array of a contiguous tensor, if it lies on this device.
    ///
    /// # Errors
    /// Fails if the numbers are none that kernels know.
    fn share(&self, _: &Tensor) -> Result<Option<DeviceArray>> {
        Ok(None)
    }

    /// Runs a kernel.
    ///
    /// # Errors
    /// Fails if there is no such kernel, or it cannot be launched so.
    fn launch(&self, kernel: &str, shape: LaunchShape, arguments: &[KernelArgument<'_>]) -> Result<()>;

    /// A product of matrices.
    ///
    /// # Errors
    /// Fails if the factors do not fit.
    fn multiply(&self, product: DeviceProduct<'_>) -> Result<()>;
}

impl dyn KernelDevice + '_ {
    /// Copies numbers to the device.
    ///
    /// # Errors
    /// Fails if there is no memory.
    pub(crate) fn upload(&self, values: &[f32]) -> Result<DeviceArray> {
        let array = self.allocate(NumberKind::F32, values.len())?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.write(&array, &bytes)?;
        Ok(array)
    }

    /// Copies addresses to the device.
    ///
    /// # Errors
    /// Fails if there is no memory.
    pub(crate) fn upload_addresses(&self, values: &[u64]) -> Result<DeviceArray> {
        let array = self.allocate(NumberKind::U64, values.len())?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.write(&array, &bytes)?;
        Ok(array)
    }

    /// Copies whole numbers to the device.
    ///
    /// # Errors
    /// Fails if there is no memory.
    pub(crate) fn upload_counts(&self, values: &[u32]) -> Result<DeviceArray> {
        let array = self.allocate(NumberKind::U32, values.len())?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.write(&array, &bytes)?;
        Ok(array)
    }

    /// Numbers of either float kind, back from the device.
    ///
    /// # Errors
    /// Fails if they are of another kind, or something went wrong on the device.
    pub(crate) fn download(&self, array: &DeviceArray) -> Result<Vec<f32>> {
        let bytes = self.read(array)?;
        let from_half = |bytes: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
        Ok(match array.kind() {
            NumberKind::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            NumberKind::Bf16 => bytes.as_chunks().0.iter().map(from_half).collect(),
            NumberKind::F64 => {
                bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect()
            }
            NumberKind::U32 | NumberKind::U64 => bail!("a device's whole numbers were read as floats"),
        })
    }
}

/// Dropout as kernels take it; a threshold of 0 drops nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeviceDrop {
    key: u64,
    threshold: u32,
    scale: f32,
}

impl From<Option<Mask>> for DeviceDrop {
    fn from(mask: Option<Mask>) -> Self {
        mask.map_or_else(Self::default, |Mask { key, threshold, scale }| Self { key, threshold, scale })
    }
}

impl DeviceDrop {
    /// Key, threshold, scale.
    pub(crate) fn arguments<'a>(self) -> [KernelArgument<'a>; 3] {
        [
            KernelArgument::Key(self.key),
            KernelArgument::Count(self.threshold as usize),
            KernelArgument::Float(self.scale),
        ]
    }
}
