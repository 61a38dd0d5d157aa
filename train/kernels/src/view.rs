//! The numbers of a candle tensor on the CPU, without a copy where it is contiguous.

use candle_core::{CpuStorage, Layout, Result, Storage, StorageRef, Tensor, bail};

/// Keeps a tensor's storage readable.
pub struct CpuView<'a> {
    storage: StorageRef<'a>,
    start: usize,
    len: usize,
}

impl<'a> CpuView<'a> {
    /// Fails if the tensor is not on the CPU, not f32, or not contiguous.
    pub fn new(tensor: &'a Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("a kernel was given a tensor of shape {:?} that is not contiguous", tensor.shape())
        };
        match &*storage {
            Storage::Cpu(cpu) => cpu.as_slice::<f32>()?,
            _ => bail!("a CPU kernel was given a tensor on another device"),
        };
        Ok(Self { storage, start, len: end - start })
    }

    /// The numbers, row-major.
    pub fn slice(&self) -> &[f32] {
        let Storage::Cpu(cpu) = &*self.storage else { unreachable!("checked in new") };
        let all = cpu.as_slice::<f32>().expect("checked in new");
        &all[self.start..self.start + self.len]
    }
}

/// The numbers of an operator's argument.
///
/// # Errors
/// Fails if they are not f32 or not contiguous.
pub fn borrow_numbers<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a kernel was given an argument that is not contiguous"),
    }
}

/// Gradients of an operator's three arguments, each of the argument's shape.
///
/// # Errors
/// Fails if there are not as many numbers.
pub fn shape_gradients(
    gradients: [Vec<f32>; 3],
    arguments: [&Tensor; 3],
) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
    let shape = |values: Vec<f32>, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
    let ([a, b, c], [of_a, of_b, of_c]) = (gradients, arguments);
    Ok((Some(shape(a, of_a)?), Some(shape(b, of_b)?), Some(shape(c, of_c)?)))
}
