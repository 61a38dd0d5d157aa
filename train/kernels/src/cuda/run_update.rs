//! The update of all parameters of a model on a device, and the moving average of a target encoder: a launch each, whatever the number of
//! tensors.

use candle_core::{Result, Tensor};

use super::device::{DeviceArray, KernelArgument, NumberKind};
use super::engine::find_kernel_device;
use super::tensor_table::{AddressRow, TensorTable};

/// The numbers of one AdamW update that all tensors share.
#[derive(Clone, Copy, Debug)]
pub struct AdamNumbers {
    /// What moments keep.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Factor of the gradients.
    pub scale: f64,
}

/// Those of one tensor.
#[derive(Clone, Copy, Debug)]
pub struct AdamRates {
    /// What weight decay leaves of a value.
    pub keep: f64,
    /// Learning rate over `1 - beta1^t`.
    pub rate: f64,
    /// `1 / sqrt(1 - beta2^t)`.
    pub root: f64,
}

/// Parameters on a device, and their moments as two flat buffers.
#[derive(Debug)]
pub struct DeviceUpdater {
    table: TensorTable,
    first: DeviceArray,
    second: DeviceArray,
    lengths: Vec<usize>,
}

impl DeviceUpdater {
    /// Moments of zero for these parameters; `None` where the CPU's kernels are at work.
    ///
    /// # Errors
    /// Fails if there is no memory.
    pub fn new(parameters: &[Tensor]) -> Result<Option<Self>> {
        let Some(table) = make_table(parameters)? else { return Ok(None) };
        let [first, second] = [(); 2].map(|()| table.device.allocate(NumberKind::F32, table.count));
        let (first, second) = (first?, second?);
        table.device.clear(&first)?;
        table.device.clear(&second)?;
        let lengths = parameters.iter().map(Tensor::elem_count).collect();
        Ok(Some(Self { table, first, second, lengths }))
    }

    /// Keeps copies of weights in bf16, as the parameters are now and after every update: kernels take them instead of making
    /// their own. Whoever sets a parameter by other means calls this again.
    ///
    /// # Errors
    /// Fails if there is no memory.
    pub fn keep_halves(&mut self) -> Result<()> {
        self.table.keep_halves()?;
        refresh_halves(&self.table)
    }

    /// The L2 norm of gradients, one a parameter where there is one.
    ///
    /// # Errors
    /// Fails if a gradient is not f32 or of another size, or the device fails.
    pub fn norm(&self, gradients: &[Option<&Tensor>]) -> Result<f64> {
        self.table.norm(&self.borrow(gradients)?)
    }

    /// Changes every parameter that has a gradient, with its moments, in place.
    ///
    /// # Errors
    /// As [`DeviceUpdater::norm`].
    pub fn update(
        &self,
        gradients: &[Option<&Tensor>],
        numbers: AdamNumbers,
        rates: &[AdamRates],
    ) -> Result<()> {
        use KernelArgument::{Array, Float};
        let table = &self.table;
        let (arrays, gradients) = (table.borrow()?, self.borrow(gradients)?);
        let row = |((p, half), gradient): (&(DeviceArray, Option<DeviceArray>), Option<DeviceArray>)| {
            [Some(p.clone()), gradient, half.clone()]
        };
        let rows: Vec<AddressRow> = arrays.iter().zip(gradients).map(row).collect();
        let rates: Vec<f32> = rates.iter().flat_map(|r| [r.keep, r.rate, r.root].map(|x| x as f32)).collect();
        let rates = table.device.upload(&rates)?;
        let [b1, b2] = numbers.betas;
        let floats = [b1, 1.0 - b1, b2, 1.0 - b2, numbers.epsilon, numbers.scale].map(|x| Float(x as f32));
        let arguments = [&[Array(&rates), Array(&self.first), Array(&self.second)][..], &floats].concat();
        table.launch("adamw_update", &rows, &arguments)?;
        table.give_back(&arrays)
    }

    /// Adds to every gradient another, in place.
    ///
    /// # Errors
    /// As [`DeviceUpdater::norm`].
    pub fn add(&self, sums: &[Option<&Tensor>], parts: &[Option<&Tensor>]) -> Result<()> {
        let (arrays, parts) = (self.borrow(sums)?, self.borrow(parts)?);
        let rows: Vec<AddressRow> = arrays
            .iter()
            .zip(parts)
            .map(|(sum, part)| [sum.clone(), part.filter(|_| sum.is_some()), None])
            .collect();
        self.table.launch("add_tensors", &rows, &[])?;
        let mut pairs = arrays.iter().flatten().zip(sums.iter().flatten());
        pairs.try_for_each(|(array, tensor)| self.table.device.give_back(array, tensor))
    }

    /// Both moments of every parameter, for a checkpoint.
    ///
    /// # Errors
    /// Fails if the device does.
    pub fn moments(&self) -> Result<Vec<[Vec<f32>; 2]>> {
        let [first, second] = [&self.first, &self.second].map(|array| self.table.device.download(array));
        let (first, second, mut start) = (first?, second?, 0);
        let cut = |&len: &usize| {
            start += len;
            [&first, &second].map(|all| all[start - len..start].to_vec())
        };
        Ok(self.lengths.iter().map(cut).collect())
    }

    /// Sets both moments of every parameter.
    ///
    /// # Errors
    /// Fails if there are not as many numbers, or the device fails.
    pub fn set_moments(&mut self, moments: &[[Vec<f32>; 2]]) -> Result<()> {
        let device = &self.table.device;
        let join = |i: usize| moments.iter().flat_map(|both| &both[i]).copied().collect::<Vec<f32>>();
        let [first, second] = [join(0), join(1)];
        if first.len() != self.table.count || second.len() != self.table.count {
            candle_core::bail!("{} moments for {} numbers", first.len(), self.table.count);
        }
        (self.first, self.second) = (device.upload(&first)?, device.upload(&second)?);
        Ok(())
    }

    fn borrow(&self, tensors: &[Option<&Tensor>]) -> Result<Vec<Option<DeviceArray>>> {
        let borrow = |tensor: &Option<&Tensor>| tensor.map(|t| self.table.device.borrow(t)).transpose();
        tensors.iter().map(borrow).collect()
    }
}

/// Tensors on a device that follow others.
#[derive(Debug)]
pub struct DeviceAverage {
    table: TensorTable,
    originals: Vec<Tensor>,
}

impl DeviceAverage {
    /// Of pairs of a copy and its original; `None` where the CPU's kernels are at work.
    ///
    /// # Errors
    /// Fails if there is no memory.
    pub fn new(pairs: &[(Tensor, Tensor)]) -> Result<Option<Self>> {
        let copies: Vec<Tensor> = pairs.iter().map(|(copy, _)| copy.clone()).collect();
        let originals = pairs.iter().map(|(_, original)| original.clone()).collect();
        Ok(make_table(&copies)?.map(|table| Self { table, originals }))
    }

    /// As [`DeviceUpdater::keep_halves`], for the copies.
    ///
    /// # Errors
    /// Fails if there is no memory.
    pub fn keep_halves(&mut self) -> Result<()> {
        self.table.keep_halves()?;
        refresh_halves(&self.table)
    }

    /// Moves every copy `share` of the way to its original, in place.
    ///
    /// # Errors
    /// Fails if the device does.
    pub fn update(&self, share: f64) -> Result<()> {
        let table = &self.table;
        let arrays = table.borrow()?;
        let row = |((copy, half), original): (&(DeviceArray, Option<DeviceArray>), &Tensor)| {
            Ok([Some(copy.clone()), Some(table.device.borrow(original)?), half.clone()])
        };
        let rows = arrays.iter().zip(&self.originals).map(row).collect::<Result<Vec<AddressRow>>>()?;
        table.launch("move_towards", &rows, &[KernelArgument::Float(share as f32)])?;
        table.give_back(&arrays)
    }
}

fn make_table(tensors: &[Tensor]) -> Result<Option<TensorTable>> {
    let Some(first) = tensors.first() else { return Ok(None) };
    let is_ours = first.device().is_cpu() || first.device().is_cuda();
    match if is_ours { find_kernel_device(first)? } else { None } {
        Some(device) => TensorTable::new(device, tensors.to_vec()).map(Some),
        None => Ok(None),
    }
}

/// Makes the copies in bf16 anew.
fn refresh_halves(table: &TensorTable) -> Result<()> {
    let row = |(array, half): (DeviceArray, Option<DeviceArray>)| [Some(array.clone()), Some(array), half];
    let rows: Vec<AddressRow> = table.borrow()?.into_iter().map(row).collect();
    table.launch("move_towards", &rows, &[KernelArgument::Float(0.0)])
}
