//! A predictor of hidden patches as one node of candle's graph on a device: embedded context, positions, queries, blocks, norm and
//! projection (Point-JEPA, arXiv 2404.16432).

use candle_core::{Result, Tensor};

use super::block::SavedDeviceBlock;
use super::computed::Computed;
use super::copies::DeviceMatrix;
use super::device::{DeviceArray, KernelDevice, NumberKind};
use super::device_mlp::{DeviceMlp, SavedMlp};
use super::engine::{find_kernel_device, runs_on_kernel_device};
use super::layer_norm::DeviceAffine;
use super::partial_sums::PartialSums;
use super::run_layers::{MlpTensors, add_bias, place_affine};
use super::run_stack::{NormRun, StackRun};
use super::sequences::{SequenceInput, SequenceShape};
use crate::stack::Stack;
use crate::tape::Tape;

/// The parameters of a predictor besides its blocks, each weight then bias.
#[derive(Clone, Debug)]
pub struct PredictorTensors {
    /// From the context's width to the predictor's.
    pub embed: [Tensor; 2],
    /// Of centers.
    pub positions: MlpTensors,
    /// `[1, 1, width]`: what a query is besides its position.
    pub token: Tensor,
    /// Behind the last block.
    pub norm: [Tensor; 2],
    /// To what is predicted.
    pub project: [Tensor; 2],
}

/// What a predictor is asked.
#[derive(Clone, Copy, Debug)]
pub struct PredictorInput<'a> {
    /// `[B, n, D]`: the encoded context.
    pub context: &'a Tensor,
    /// `[B, n, 3]`.
    pub context_centers: &'a Tensor,
    /// `[B, M, L, 3]`: centers of the hidden patches, by block.
    pub target_centers: &'a Tensor,
}

/// What stays on the device from the forward to the backward.
struct PredictorRun {
    tensors: PredictorTensors,
    shape: SequenceShape,
    embed: DeviceAffine,
    context: DeviceArray,
    mlp: DeviceMlp,
    positions: SavedMlp,
    stack: StackRun,
    blocks: Vec<SavedDeviceBlock>,
    norm: NormRun,
    normed: DeviceArray,
    project: DeviceAffine,
}

impl PredictorTensors {
    /// Predictions `[B, M, L, outputs]`; `None` where the CPU's kernels are at work, or sequences do not fit those of the device.
    ///
    /// # Errors
    /// Fails if the device does.
    pub fn predict(&self, stack: &Stack, input: PredictorInput<'_>, tape: &Tape) -> Result<Option<Tensor>> {
        let PredictorInput { context, target_centers, .. } = input;
        if !runs_on_kernel_device(context)? {
            return Ok(None);
        }
        let Some(device) = find_kernel_device(context)? else { return Ok(None) };
        let on: &dyn KernelDevice = &*device;
        let (b, m, l, _) = target_centers.dims4()?;
        let (run, out) = PredictorRun::forward(on, self, stack, input)?;
        let outputs = run.project.bias.len();
        let out = on.lend_as(&out, (b, m, l, outputs).into(), context)?;
        let (tape, like) = (tape.clone(), context.detach());
        let node = Computed::enter(&device, "predictor", [context, &self.token], out, move |on, gradient| {
            let dx = run.backward(on, &on.borrow(gradient)?, &tape)?;
            Ok((Some(on.lend(&dx, &like)?), None))
        });
        node.map(Some)
    }
}

impl PredictorRun {
    fn forward(
        device: &dyn KernelDevice,
        tensors: &PredictorTensors,
        stack: &Stack,
        input: PredictorInput<'_>,
    ) -> Result<(Self, DeviceArray)> {
        let PredictorInput { context, context_centers, target_centers } = input;
        let [embed, project] = [&tensors.embed, &tensors.project].map(|layer| place_affine(device, layer));
        let (embed, project) = (embed?, project?);
        let mlp = tensors.positions.place(device)?;
        let shape = SequenceShape::new(context.dims3()?, target_centers.dims4()?, embed.bias.len());
        let centers = vec![device.borrow(context_centers)?, device.borrow(target_centers)?];
        let (rows, positions) = mlp.forward(device, centers)?;
        let context = device.borrow(context)?;
        let embedded = apply_layer(device, &context, &embed)?;
        let token = device.borrow(&tensors.token)?;
        let (embed_bias, bias) = (&embed.bias, &mlp.second.bias);
        let input = SequenceInput { embedded: &embedded, embed_bias, rows: &rows, bias, token: &token };
        let sequences = shape.join(device, input)?;
        let stack = StackRun::new(device, stack, shape.tokens(), shape.width)?;
        let (state, blocks) = stack.on(device).forward(&sequences, None)?;
        let (norm, normed) = NormRun::forward(device, &shape.take_tails(device, &state)?, &tensors.norm)?;
        let out = apply_layer(device, &normed, &project)?;
        add_bias(device, &out, &project.bias)?;
        let tensors = tensors.clone();
        let run =
            Self { tensors, shape, embed, context, mlp, positions, stack, blocks, norm, normed, project };
        Ok((run, out))
    }

    /// The gradient of the context, given that of the predictions.
    fn backward(self, device: &dyn KernelDevice, dout: &DeviceArray, tape: &Tape) -> Result<DeviceArray> {
        let (shape, width) = (self.shape, self.shape.width);
        let tails = self.project_backward(device, dout, tape)?;
        let dx = shape.put_tails(device, &tails)?;
        self.stack.backward(device, &dx, self.blocks, tape)?;
        let sums = PartialSums::new(device, shape.rows(), 3 * width + self.mlp.hidden())?;
        let drows = shape.split(device, &dx, &sums)?;
        let weights = self.mlp.backward(device, &drows, &self.positions, &sums, 3 * width)?;
        let of_context = drows.part(0..shape.context_rows() * width);
        let of_embed = weight_gradient(device, &of_context, &self.context, &self.embed)?;
        let dcontext = pass_back(device, &of_context, &self.embed)?;
        let sums = sums.finish(device)?;
        let part = |i: usize| sums.part(i * width..(i + 1) * width);
        let biases = [sums.part(3 * width..sums.len()), part(2)];
        self.tensors.positions.leave(device, weights, biases, tape)?;
        device.leave(tape, &self.tensors.embed[0], &of_embed)?;
        device.leave(tape, &self.tensors.embed[1], &part(0))?;
        device.leave(tape, &self.tensors.token, &part(1))?;
        Ok(dcontext)
    }

    /// The gradient of what the last norm was given.
    fn project_backward(
        &self,
        device: &dyn KernelDevice,
        dout: &DeviceArray,
        tape: &Tape,
    ) -> Result<DeviceArray> {
        let outputs = self.project.bias.len();
        let sums = PartialSums::new(device, dout.len() / outputs, outputs + 2 * self.shape.width)?;
        sums.add_columns(device, dout, outputs, 0)?;
        let weight = weight_gradient(device, dout, &self.normed, &self.project)?;
        let dnormed = pass_back(device, dout, &self.project)?;
        let dx = self.norm.backward(device, &dnormed, &sums, outputs)?;
        let sums = sums.finish(device)?;
        device.leave(tape, &self.tensors.project[0], &weight)?;
        device.leave(tape, &self.tensors.project[1], &sums.part(0..outputs))?;
        self.norm.leave(device, &sums.part(outputs..sums.len()), tape)?;
        Ok(dx)
    }
}

/// `x W^T`, f32.
fn apply_layer(device: &dyn KernelDevice, x: &DeviceArray, layer: &DeviceAffine) -> Result<DeviceArray> {
    let outputs = layer.bias.len();
    let inputs = layer.weight.len() / outputs;
    let out = device.allocate(NumberKind::F32, x.len() / inputs * outputs)?;
    let weight = DeviceMatrix::new(&layer.weight, inputs);
    DeviceMatrix::new(x, inputs).times_transposed(device, weight, DeviceMatrix::new(&out, outputs))?;
    Ok(out)
}

/// `dy W`.
fn pass_back(device: &dyn KernelDevice, dy: &DeviceArray, layer: &DeviceAffine) -> Result<DeviceArray> {
    let outputs = layer.bias.len();
    let inputs = layer.weight.len() / outputs;
    let dx = device.allocate(NumberKind::F32, dy.len() / outputs * inputs)?;
    let weight = DeviceMatrix::new(&layer.weight, inputs);
    DeviceMatrix::new(dy, outputs).times(device, weight, DeviceMatrix::new(&dx, inputs))?;
    Ok(dx)
}

/// `dy^T x`.
fn weight_gradient(
    device: &dyn KernelDevice,
    dy: &DeviceArray,
    x: &DeviceArray,
    layer: &DeviceAffine,
) -> Result<DeviceArray> {
    let outputs = layer.bias.len();
    let inputs = layer.weight.len() / outputs;
    let dw = device.allocate(NumberKind::F32, layer.weight.len())?;
    let (x, into) = (DeviceMatrix::new(x, inputs), DeviceMatrix::new(&dw, inputs));
    DeviceMatrix::new(dy, outputs).transposed_times(device, x, into, false)?;
    Ok(dw)
}
