//! A small MLP on a device, that lifts a few numbers to a token: `W2 gelu(W1 x + b1)`, whose second bias the caller adds.

use candle_core::Result;

use super::bias_gelu::{GeluInput, bias_gelu, bias_gelu_backward};
use super::copies::DeviceMatrix;
use super::device::{DeviceArray, DeviceDrop, KernelDevice, NumberKind};
use super::layer_norm::DeviceAffine;
use super::partial_sums::PartialSums;

/// Both layers, f32.
#[derive(Clone, Debug)]
pub(crate) struct DeviceMlp {
    pub first: DeviceAffine,
    pub second: DeviceAffine,
}

/// What its backward needs.
#[derive(Debug)]
pub(crate) struct SavedMlp {
    /// What it was given, part by part.
    parts: Vec<DeviceArray>,
    hidden: DeviceArray,
}

impl DeviceMlp {
    fn inputs(&self) -> usize {
        self.first.weight.len() / self.hidden()
    }

    /// Numbers between the layers.
    pub(crate) fn hidden(&self) -> usize {
        self.first.bias.len()
    }

    fn gelu<'a>(&'a self, hidden: &'a DeviceArray) -> GeluInput<'a> {
        GeluInput { x: hidden, bias: &self.first.bias, drop: DeviceDrop::default() }
    }

    /// The rows of all parts, one behind the other, `[rows, outputs]`, without the second bias.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn forward(
        &self,
        device: &dyn KernelDevice,
        parts: Vec<DeviceArray>,
    ) -> Result<(DeviceArray, SavedMlp)> {
        let (inputs, width, outputs) = (self.inputs(), self.hidden(), self.second.bias.len());
        let rows: usize = parts.iter().map(|part| part.len() / inputs).sum();
        let hidden = device.allocate(NumberKind::F32, rows * width)?;
        let mut first = 0;
        for part in &parts {
            let end = first + part.len() / inputs;
            let into = hidden.part(first * width..end * width);
            let weight = DeviceMatrix::new(&self.first.weight, inputs);
            let (x, out) = (DeviceMatrix::new(part, inputs), DeviceMatrix::new(&into, width));
            x.times_transposed(device, weight, out)?;
            first = end;
        }
        let activation = bias_gelu(device, self.gelu(&hidden))?;
        let out = device.allocate(NumberKind::F32, rows * outputs)?;
        let weight = DeviceMatrix::new(&self.second.weight, width);
        let into = DeviceMatrix::new(&out, outputs);
        DeviceMatrix::new(&activation, width).times_transposed(device, weight, into)?;
        Ok((out, SavedMlp { parts, hidden }))
    }

    /// The gradients of both weights, given that of the output; that of the first bias is summed from `column`.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn backward(
        &self,
        device: &dyn KernelDevice,
        dy: &DeviceArray,
        saved: &SavedMlp,
        sums: &PartialSums,
        column: usize,
    ) -> Result<[DeviceArray; 2]> {
        let (inputs, width, outputs) = (self.inputs(), self.hidden(), self.second.bias.len());
        let dhidden = device.allocate(NumberKind::F32, saved.hidden.len())?;
        let weight = DeviceMatrix::new(&self.second.weight, width);
        let dy = DeviceMatrix::new(dy, outputs);
        dy.times(device, weight, DeviceMatrix::new(&dhidden, width))?;
        let activation = bias_gelu_backward(device, self.gelu(&saved.hidden), &dhidden, sums, column)?;
        let [of_first, of_second] =
            [width * inputs, outputs * width].map(|count| device.allocate(NumberKind::F32, count));
        let (of_first, of_second) = (of_first?, of_second?);
        let into = DeviceMatrix::new(&of_second, width);
        dy.transposed_times(device, DeviceMatrix::new(&activation, width), into, false)?;
        let mut first = 0;
        for (number, part) in saved.parts.iter().enumerate() {
            let end = first + part.len() / inputs;
            let rows = dhidden.part(first * width..end * width);
            let (x, into) = (DeviceMatrix::new(part, inputs), DeviceMatrix::new(&of_first, inputs));
            DeviceMatrix::new(&rows, width).transposed_times(device, x, into, number > 0)?;
            first = end;
        }
        Ok([of_first, of_second])
    }
}
