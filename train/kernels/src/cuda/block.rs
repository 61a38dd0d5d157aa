//! One transformer block on a device: the launches of its forward and its backward, as `crate::block` runs it on the CPU.
//!
//! Nine launches forward, fifteen backward, and one for the sums of all blocks of a stack. Kept between the two are what the norms were given and gave, queries, keys and values,
//! the statistics of the scores, what attention gave, and what GELU was given.

use candle_core::Result;

use super::attention::{AttentionInput, attention, attention_backward};
use super::bias_gelu::{GeluInput, bias_gelu, bias_gelu_backward};
use super::branch::{BranchDrop, BranchGradients, add_branch, branch_backward};
use super::copies::{DeviceMatrix, copy_four_as};
use super::device::{DeviceArray, DeviceDrop, KernelDevice, NumberKind};
use super::layer_norm::{
    BranchEnd, DeviceAffine, NormGradients, NormedRows, RunningTotal, branch_norm, layer_norm,
    layer_norm_backward,
};
use super::partial_sums::{BlockSums, PartialSums};
use crate::attention::Heads;
use crate::block::{BlockDrop, DropSite, PARTS, PATH};
use crate::dropout::{Mask, key_of};

/// The parameters of a block on a device: weights of layers of the kind that products take, everything else f32.
#[derive(Clone, Debug)]
pub(crate) struct DeviceBlock {
    norm1: DeviceAffine,
    qkv: DeviceAffine,
    proj: DeviceAffine,
    norm2: DeviceAffine,
    fc1: DeviceAffine,
    fc2: DeviceAffine,
}

impl DeviceBlock {
    /// Takes norm1, qkv, proj, norm2, fc1, fc2, each weight then bias, all f32; copies weights that are needed in another kind.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn new(
        device: &dyn KernelDevice,
        kind: NumberKind,
        parts: &[DeviceArray; PARTS],
    ) -> Result<Self> {
        let weights = copy_four_as(device, kind, [&parts[2], &parts[4], &parts[8], &parts[10]])?;
        Ok(Self::with_weights(parts, weights))
    }

    /// As [`DeviceBlock::new`], with the weights of qkv, proj, fc1, fc2 in the kind that products take.
    pub(crate) fn with_weights(parts: &[DeviceArray; PARTS], weights: [DeviceArray; 4]) -> Self {
        let norm = |i: usize| DeviceAffine { weight: parts[2 * i].clone(), bias: parts[2 * i + 1].clone() };
        let [qkv, proj, fc1, fc2] = weights;
        let layer = |weight: DeviceArray, i: usize| DeviceAffine { weight, bias: parts[2 * i + 1].clone() };
        Self {
            norm1: norm(0),
            qkv: layer(qkv, 1),
            proj: layer(proj, 2),
            norm2: norm(3),
            fc1: layer(fc1, 4),
            fc2: layer(fc2, 5),
        }
    }

    /// Width of the MLP.
    fn hidden(&self) -> usize {
        self.fc1.bias.len()
    }
}

/// What the backward of a block needs of its forward.
#[derive(Debug)]
pub(crate) struct SavedDeviceBlock {
    normed1: NormedRows,
    out1: DeviceArray,
    qkv: DeviceArray,
    row_stats: DeviceArray,
    attended: DeviceArray,
    normed2: NormedRows,
    out2: DeviceArray,
    hidden: DeviceArray,
}

/// A block as it is run on a batch at one step.
pub(crate) struct DeviceBlockPass<'a> {
    pub device: &'a dyn KernelDevice,
    pub block: &'a DeviceBlock,
    pub heads: Heads,
    /// `[samples]`: tokens that are no padding; `None`: all.
    pub keys: Option<&'a DeviceArray>,
    pub drop: BlockDrop,
}

/// Columns of a block's partial sums: norm1, qkv's bias, proj's bias, norm2, fc1's bias, fc2's bias.
struct SumColumns {
    qkv: usize,
    proj: usize,
    norm2: usize,
    fc1: usize,
    fc2: usize,
    end: usize,
}

impl SumColumns {
    fn new(width: usize, hidden: usize) -> Self {
        let fc2 = 8 * width + hidden;
        Self { qkv: 2 * width, proj: 5 * width, norm2: 6 * width, fc1: 8 * width, fc2, end: fc2 + width }
    }
}

impl DeviceBlockPass<'_> {
    fn kind(&self) -> NumberKind {
        self.block.qkv.weight.kind()
    }

    /// `x W^T`, without the bias.
    fn apply(&self, x: &DeviceArray, layer: &DeviceAffine) -> Result<DeviceArray> {
        let outputs = layer.bias.len();
        let inputs = layer.weight.len() / outputs;
        let out = self.device.allocate(self.kind(), x.len() / inputs * outputs)?;
        let (x, weight) = (DeviceMatrix::new(x, inputs), DeviceMatrix::new(&layer.weight, inputs));
        x.times_transposed(self.device, weight, DeviceMatrix::new(&out, outputs))?;
        Ok(out)
    }

    /// `dy W`: the gradient of a layer's input.
    fn pass_back(&self, dy: &DeviceArray, layer: &DeviceAffine) -> Result<DeviceArray> {
        let outputs = layer.bias.len();
        let inputs = layer.weight.len() / outputs;
        let dx = self.device.allocate(self.kind(), dy.len() / outputs * inputs)?;
        let (dy, weight) = (DeviceMatrix::new(dy, outputs), DeviceMatrix::new(&layer.weight, inputs));
        dy.times(self.device, weight, DeviceMatrix::new(&dx, inputs))?;
        Ok(dx)
    }

    /// `dy^T x`: the gradient of a layer's weight, f32.
    fn weight_gradient(
        &self,
        dy: &DeviceArray,
        x: &DeviceArray,
        layer: &DeviceAffine,
    ) -> Result<DeviceArray> {
        let outputs = layer.bias.len();
        let inputs = layer.weight.len() / outputs;
        let dw = self.device.allocate(NumberKind::F32, outputs * inputs)?;
        let (dy, x) = (DeviceMatrix::new(dy, outputs), DeviceMatrix::new(x, inputs));
        dy.transposed_times(self.device, x, DeviceMatrix::new(&dw, inputs), false)?;
        Ok(dw)
    }

    fn mask(&self, site: u64, rate: f64) -> DeviceDrop {
        Mask::new(key_of(self.drop.key, site), rate).into()
    }

    fn branch_drop(&self, site: DropSite) -> BranchDrop {
        BranchDrop {
            elements: self.mask(site as u64, self.drop.hidden),
            samples: self.mask(site as u64 + PATH, self.drop.path),
            tokens: self.heads.tokens,
        }
    }

    fn attention_input<'a>(&'a self, qkv: &'a DeviceArray) -> AttentionInput<'a> {
        let drop = self.mask(DropSite::Probabilities as u64, self.drop.attention);
        AttentionInput { heads: self.heads, qkv, bias: &self.block.qkv.bias, keys: self.keys, drop }
    }

    fn gelu_input<'a>(&'a self, x: &'a DeviceArray) -> GeluInput<'a> {
        let drop = self.mask(DropSite::Inner as u64, self.drop.hidden);
        GeluInput { x, bias: &self.block.fc1.bias, drop }
    }

    /// The output for `x [samples * T, D]`, and what the backward needs; `added`: positions that are added first.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn forward(
        &self,
        x: &DeviceArray,
        added: Option<&DeviceArray>,
    ) -> Result<(DeviceArray, SavedDeviceBlock)> {
        let (device, block, kind) = (self.device, self.block, self.kind());
        let (normed1, out1) = layer_norm(device, kind, x, added, &block.norm1)?;
        let qkv = self.apply(&out1, &block.qkv)?;
        let (attended, row_stats) = attention(device, self.attention_input(&qkv))?;
        let branch = self.apply(&attended, &block.proj)?;
        let drop = self.branch_drop(DropSite::Attended);
        let branch = BranchEnd { y: &branch, bias: &block.proj.bias, drop };
        let (normed2, out2) = branch_norm(device, &normed1.state, branch, &block.norm2)?;
        let hidden = self.apply(&out2, &block.fc1)?;
        let activation = bias_gelu(device, self.gelu_input(&hidden))?;
        let branch = self.apply(&activation, &block.fc2)?;
        let drop = self.branch_drop(DropSite::Mlp);
        let out = add_branch(device, &normed2.state, &branch, &block.fc2.bias, drop)?;
        Ok((out, SavedDeviceBlock { normed1, out1, qkv, row_stats, attended, normed2, out2, hidden }))
    }

    /// Room for what the blocks of a stack sum over `rows`.
    ///
    /// # Errors
    /// Fails if there is no memory.
    pub(crate) fn make_sums(&self, rows: usize, blocks: usize) -> Result<BlockSums> {
        let columns = SumColumns::new(self.heads.width, self.block.hidden());
        BlockSums::new(self.device, rows, columns.end, blocks)
    }

    /// Turns `dx` from the gradient of the output into that of the input; those of the weights of qkv, proj, fc1, fc2.
    ///
    /// # Errors
    /// Fails if the device does.
    pub(crate) fn backward(
        &self,
        dx: &DeviceArray,
        saved: SavedDeviceBlock,
        sums: &PartialSums,
        total: Option<RunningTotal<'_>>,
    ) -> Result<[DeviceArray; 4]> {
        let [fc1, fc2] = self.mlp_backward(dx, &saved, sums)?;
        let [qkv, proj] = self.attention_backward(dx, saved, sums, total)?;
        Ok([qkv, proj, fc1, fc2])
    }

    /// The gradients of the parameters in their order, of those of the weights and the sums.
    pub(crate) fn order_gradients(
        &self,
        weights: [DeviceArray; 4],
        sums: &DeviceArray,
    ) -> [DeviceArray; PARTS] {
        let [qkv, proj, fc1, fc2] = weights;
        let (width, hidden) = (self.heads.width, self.block.hidden());
        let columns = SumColumns::new(width, hidden);
        let part = |first: usize, len: usize| sums.part(first..first + len);
        [
            part(0, width),
            part(width, width),
            qkv,
            part(columns.qkv, 3 * width),
            proj,
            part(columns.proj, width),
            part(columns.norm2, width),
            part(columns.norm2 + width, width),
            fc1,
            part(columns.fc1, hidden),
            fc2,
            part(columns.fc2, width),
        ]
    }

    /// Gradients of the weights of fc1 and fc2.
    fn mlp_backward(
        &self,
        dx: &DeviceArray,
        saved: &SavedDeviceBlock,
        sums: &PartialSums,
    ) -> Result<[DeviceArray; 2]> {
        let (device, block) = (self.device, self.block);
        let columns = SumColumns::new(self.heads.width, block.hidden());
        let gradients = BranchGradients { dout: dx, width: self.heads.width, sums, column: columns.fc2 };
        let branch = branch_backward(device, self.kind(), gradients, self.branch_drop(DropSite::Mlp))?;
        let dhidden = self.pass_back(&branch, &block.fc2)?;
        let activation =
            bias_gelu_backward(device, self.gelu_input(&saved.hidden), &dhidden, sums, columns.fc1)?;
        let fc2 = self.weight_gradient(&branch, &activation, &block.fc2)?;
        let fc1 = self.weight_gradient(&dhidden, &saved.out2, &block.fc1)?;
        let dy = self.pass_back(&dhidden, &block.fc1)?;
        let gradients = NormGradients { dy: &dy, dx, total: None, sums, column: columns.norm2 };
        layer_norm_backward(device, &saved.normed2, &block.norm2.weight, gradients)?;
        Ok([fc1, fc2])
    }

    /// Gradients of the weights of qkv and proj.
    fn attention_backward(
        &self,
        dx: &DeviceArray,
        saved: SavedDeviceBlock,
        sums: &PartialSums,
        total: Option<RunningTotal<'_>>,
    ) -> Result<[DeviceArray; 2]> {
        let (device, block, width) = (self.device, self.block, self.heads.width);
        let columns = SumColumns::new(width, block.hidden());
        let gradients = BranchGradients { dout: dx, width, sums, column: columns.proj };
        let branch = branch_backward(device, self.kind(), gradients, self.branch_drop(DropSite::Attended))?;
        let dattended = self.pass_back(&branch, &block.proj)?;
        let proj = self.weight_gradient(&branch, &saved.attended, &block.proj)?;
        let dqkv =
            attention_backward(device, self.attention_input(&saved.qkv), &saved.row_stats, &dattended)?;
        sums.add_columns(device, &dqkv, 3 * width, columns.qkv)?;
        let qkv = self.weight_gradient(&dqkv, &saved.out1, &block.qkv)?;
        let dy = self.pass_back(&dqkv, &block.qkv)?;
        let gradients = NormGradients { dy: &dy, dx, total, sums, column: 0 };
        layer_norm_backward(device, &saved.normed1, &block.norm1.weight, gradients)?;
        Ok([qkv, proj])
    }
}
