//! The tensors of a model as one table, so that one launch reaches all of them; launches of `cuda/adamw.cu`.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::device::{DeviceArray, KernelArgument, KernelDevice, LaunchShape, NumberKind};

/// Numbers of a piece: `PIECE` of `cuda/adamw.cu`.
const PIECE: usize = 4096;
/// Columns of the addresses.
const COLUMNS: usize = 3;

/// Tensors, and how they are cut into pieces.
pub(crate) struct TensorTable {
    pub device: Arc<dyn KernelDevice>,
    tensors: Vec<Tensor>,
    /// Copies in bf16 of those that have one.
    halves: Vec<Option<DeviceArray>>,
    pieces: DeviceArray,
    starts: DeviceArray,
    blocks: usize,
    /// Numbers of all.
    pub count: usize,
}

impl std::fmt::Debug for TensorTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tensors of {} numbers", self.tensors.len(), self.count)
    }
}

/// A row of the addresses: what is changed, by what, and the copy in bf16.
pub(crate) type AddressRow = [Option<DeviceArray>; COLUMNS];

impl TensorTable {
    /// Cuts tensors into pieces.
    ///
    /// # Errors
    /// Fails if there is no memory.
    pub(crate) fn new(device: Arc<dyn KernelDevice>, tensors: Vec<Tensor>) -> Result<Self> {
        let (mut pieces, mut starts, mut count) = (Vec::new(), vec![0u32], 0usize);
        for (at, tensor) in tensors.iter().enumerate() {
            let len = tensor.elem_count();
            pieces.extend((0..len).step_by(PIECE).flat_map(|first| [at as u32, first as u32]));
            count += len;
            starts.push(count as u32);
        }
        let halves = vec![None; tensors.len()];
        let blocks = pieces.len() / 2;
        let [pieces, starts] = [&pieces, &starts].map(|values| device.upload_counts(values));
        Ok(Self { device, tensors, halves, pieces: pieces?, starts: starts?, blocks, count })
    }

    /// Has every tensor of two dimensions, as layers' weights have them, a copy in bf16 from now on.
    ///
    /// # Errors
    /// Fails if there is no memory.
    pub(crate) fn keep_halves(&mut self) -> Result<()> {
        for (tensor, half) in self.tensors.iter().zip(&mut self.halves) {
            if tensor.rank() == 2 && half.is_none() {
                let copy = self.device.allocate(NumberKind::Bf16, tensor.elem_count())?;
                self.device.halves().keep(tensor, copy.clone());
                *half = Some(copy);
            }
        }
        Ok(())
    }

    /// The tensors as arrays, with their copies: what a launch is given and [`TensorTable::give_back`] takes.
    ///
    /// # Errors
    /// Fails if a tensor is not f32.
    pub(crate) fn borrow(&self) -> Result<Vec<(DeviceArray, Option<DeviceArray>)>> {
        let borrow =
            |(tensor, half): (&Tensor, &Option<DeviceArray>)| Ok((self.device.borrow(tensor)?, half.clone()));
        self.tensors.iter().zip(&self.halves).map(borrow).collect()
    }

    /// After a launch has changed the tensors.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn give_back(&self, arrays: &[(DeviceArray, Option<DeviceArray>)]) -> Result<()> {
        let mut pairs = arrays.iter().zip(&self.tensors);
        pairs.try_for_each(|((array, _), tensor)| self.device.give_back(array, tensor))
    }

    /// Launches a kernel on all pieces: its first arguments are the addresses, the pieces, the starts.
    ///
    /// # Errors
    /// Fails if a row is of another length than its tensor, or the device fails.
    pub(crate) fn launch(
        &self,
        kernel: &str,
        rows: &[AddressRow],
        rest: &[KernelArgument<'_>],
    ) -> Result<()> {
        use KernelArgument::Array;
        if self.blocks == 0 {
            return Ok(());
        }
        for (row, tensor) in rows.iter().zip(&self.tensors) {
            if let Some(other) = row.iter().flatten().find(|array| array.len() != tensor.elem_count()) {
                bail!("{kernel}: {} numbers for a tensor of {:?}", other.len(), tensor.shape());
            }
        }
        let address = |array: &Option<DeviceArray>| array.as_ref().map_or(0, |a| self.device.pointer(a));
        let addresses: Vec<u64> = rows.iter().flatten().map(address).collect();
        let addresses = self.device.upload_addresses(&addresses)?;
        let moved: usize = rows.iter().flatten().flatten().map(DeviceArray::bytes).sum();
        self.device.note_moved(moved as u64);
        let arguments = [&[Array(&addresses), Array(&self.pieces), Array(&self.starts)][..], rest].concat();
        self.device.launch(kernel, LaunchShape::for_blocks(self.blocks as u32), &arguments)
    }

    /// The L2 norm of gradients, one a tensor, read back.
    ///
    /// # Errors
    /// As [`TensorTable::launch`].
    pub(crate) fn norm(&self, gradients: &[Option<DeviceArray>]) -> Result<f64> {
        use KernelArgument::{Array, Count};
        if self.blocks == 0 {
            return Ok(0.0);
        }
        let rows: Vec<AddressRow> = gradients.iter().map(|gradient| [None, gradient.clone(), None]).collect();
        let partials = self.device.allocate(NumberKind::F64, self.blocks)?;
        self.launch("square_sums", &rows, &[Array(&partials)])?;
        let norm = self.device.allocate(NumberKind::F64, 1)?;
        let arguments = [Array(&partials), Array(&norm), Count(self.blocks)];
        self.device.launch("norm_of_sums", LaunchShape::for_blocks(1), &arguments)?;
        let bytes = self.device.read(&norm)?;
        Ok(bytes.as_chunks().0.first().map_or(0.0, |bytes| f64::from_le_bytes(*bytes)))
    }
}

impl Drop for TensorTable {
    fn drop(&mut self) {
        let kept = self.tensors.iter().zip(&self.halves).filter(|(_, half)| half.is_some());
        kept.for_each(|(tensor, _)| self.device.halves().forget(tensor));
    }
}
