//! The mini-PointNet that turns a patch into a token, and its batch norms' running statistics.

use candle_core::{Tensor, Var};
use jepa3d_kernels::{
    BatchStats, Mode, Precision, TokenizerStatistics, TokenizerWeights, tokenize_counted, tokenize_in,
    train_tokenizer,
};

use super::batch_norm::{MOMENTUM, RunningStats, batch_norm_parameters};
use super::forward_pass::ForwardPass;
use super::parameter_builder::{ParameterBuilder, ParameterKind};
use crate::error::Result;

/// Patches to tokens.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    weights: TokenizerWeights,
    running: [RunningStats; 2],
}

impl Tokenizer {
    /// `channels`: of the first, the lifted, the mixed layer.
    pub(crate) fn new(channels: [usize; 3], width: usize, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let [c1, c2, c3] = channels;
        let (conv1, conv2) = (vb.pp("first_conv"), vb.pp("second_conv"));
        let first = weight(c1, 3, &conv1.pp("0"))?;
        let ([bn1_weight, bn1_bias], stats1) = batch_norm_parameters(c1, &conv1.pp("1"))?;
        let [lift, lift_bias] = convolution(c2, c1, &conv1.pp("3"))?;
        let mix = weight(c3, 2 * c2, &conv2.pp("0"))?;
        let ([bn2_weight, bn2_bias], stats2) = batch_norm_parameters(c3, &conv2.pp("1"))?;
        let [out, out_bias] = convolution(width, c3, &conv2.pp("3"))?;
        let weights = TokenizerWeights {
            first,
            bn1_weight,
            bn1_bias,
            lift,
            lift_bias,
            mix,
            bn2_weight,
            bn2_bias,
            out,
            out_bias,
        };
        Ok(Self { weights, running: [stats1, stats2] })
    }

    /// Takes over the running statistics of another tokenizer.
    pub(crate) fn take_statistics(&self, other: &Self) -> Result<()> {
        for (own, other) in self.running.iter().zip(&other.running) {
            own.copy_from(other)?;
        }
        Ok(())
    }

    /// Sets the running statistics to those of `patches [B, G, K, 3]` with as many `counts` as patches, or none.
    pub(crate) fn calibrate(&self, patches: &Tensor, counts: Option<&[u16]>) -> Result<()> {
        let (_, stats) = self.tokenize(patches, counts, &ForwardPass::new(0, false))?;
        stats.map_or(Ok(()), |stats| self.follow(&stats, 1.0))
    }

    /// Tokens in training; updates the running statistics, so it runs once a batch.
    ///
    /// # Shapes
    /// `patches [B, G, K, 3]`, `counts [B, G]` of voxel blocks, to `[B, G, D]`.
    pub(crate) fn train(
        &self,
        patches: &Tensor,
        counts: Option<&[u16]>,
        pass: &ForwardPass,
    ) -> Result<Tensor> {
        let (b, g, _, _) = patches.dims4()?;
        let (tokens, stats) = self.tokenize(patches, counts, pass)?;
        if let Some(stats) = stats {
            pass.change_once("running statistics", || self.follow(&stats, MOMENTUM))?;
        }
        let width = tokens.dim(1)?;
        Ok(tokens.reshape((b, g, width))?)
    }

    /// The kernel, or for voxel blocks candle's operators.
    fn tokenize(
        &self,
        patches: &Tensor,
        counts: Option<&[u16]>,
        pass: &ForwardPass,
    ) -> Result<(Tensor, Option<TokenizerStatistics>)> {
        let (b, g, k, _) = patches.dims4()?;
        let flat = patches.reshape((b * g, k, 3))?;
        let parts = pass.shared_parts();
        let Some(counts) = counts else {
            let (tokens, stats) =
                train_tokenizer(pass.precision, &flat, &self.weights, &pass.tape, parts.as_ref())?;
            return Ok((tokens, Some(stats)));
        };
        let (tokens, stats) = tokenize_counted(&flat, &self.weights, counts, parts.as_ref())?;
        Ok((tokens, stats.map(TokenizerStatistics::Host)))
    }

    /// Tokens with the running statistics, without gradient.
    pub(crate) fn eval(&self, patches: &Tensor, precision: Precision) -> Result<Tensor> {
        let (b, g, k, _) = patches.dims4()?;
        let flat = patches.reshape((b * g, k, 3))?;
        let values = |var: &Var| -> Result<Vec<f32>> { Ok(var.as_tensor().to_vec1()?) };
        let [one, two] = &self.running;
        let (mean1, var1) = (values(&one.mean)?, values(&one.var)?);
        let (mean2, var2) = (values(&two.mean)?, values(&two.var)?);
        let mode = Mode::Eval { bn1: (&mean1, &var1), bn2: (&mean2, &var2) };
        let (tokens, _) = tokenize_in(precision, &flat, &self.weights, &mode)?;
        let width = tokens.dim(1)?;
        Ok(tokens.reshape((b, g, width))?.detach())
    }

    fn follow(&self, stats: &TokenizerStatistics, share: f64) -> Result<()> {
        match stats {
            TokenizerStatistics::Host(stats) => self.follow_numbers(stats, share),
            TokenizerStatistics::Device(stats) => {
                let [first, second] = &self.running;
                Ok(stats.lead([first.tensors(), second.tensors()], share)?)
            }
        }
    }

    fn follow_numbers(&self, stats: &[BatchStats; 2], share: f64) -> Result<()> {
        for (running, batch) in self.running.iter().zip(stats) {
            let device = running.mean.device();
            let tensor = |values: &[f32]| Tensor::from_slice(values, values.len(), device);
            running.follow(&tensor(&batch.mean)?, &tensor(&batch.var)?, share)?;
        }
        Ok(())
    }
}

/// Weight of a 1x1 convolution, as a matrix.
fn weight(outputs: usize, inputs: usize, vb: &ParameterBuilder<'_>) -> Result<Tensor> {
    let bound = 1.0 / (inputs as f64).sqrt();
    Ok(vb.get_with_hints((outputs, inputs), "weight", ParameterKind::Weight { bound })?)
}

/// Weight and bias of a 1x1 convolution.
fn convolution(outputs: usize, inputs: usize, vb: &ParameterBuilder<'_>) -> Result<[Tensor; 2]> {
    let bound = 1.0 / (inputs as f64).sqrt();
    let weight = weight(outputs, inputs, vb)?;
    Ok([weight, vb.get_with_hints(outputs, "bias", ParameterKind::Bias { bound })?])
}
