//! The official classification head (`method.md` 2.11): pooled tokens, two hidden layers with batch norm, classes.

use candle_core::{D, Tensor};
use candle_nn::{Linear, Module};

use super::batch_norm::BatchNorm;
use super::forward_pass::ForwardPass;
use super::linear::linear;
use super::parameter_builder::{ParameterBuilder, ParameterKind};
use super::row_dropout::drop_rows;
use crate::error::Result;

/// Sizes of a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadSizes {
    /// Width `D` of a token.
    pub width: usize,
    /// Numbers of both hidden layers.
    pub hidden: usize,
    /// Classes `C`.
    pub classes: usize,
}

/// A linear layer without bias, batch norm, ReLU.
#[derive(Clone, Debug)]
struct HiddenLayer {
    linear: Linear,
    norm: BatchNorm,
}

/// Tokens to the scores of classes; names are those of the official `cls_head`.
#[derive(Clone, Debug)]
pub(crate) struct ClassifierHead {
    hidden: [HiddenLayer; 2],
    last: Linear,
    dropout: f64,
}

impl ClassifierHead {
    /// `dropout`: rate after both hidden layers.
    pub(crate) fn new(sizes: HeadSizes, dropout: f64, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let HeadSizes { width, hidden, classes } = sizes;
        let layer = |inputs: usize, at: usize| -> Result<HiddenLayer> {
            let linear = linear_without_bias(inputs, hidden, &vb.pp(at))?;
            Ok(HiddenLayer { linear, norm: BatchNorm::new(hidden, &vb.pp(at + 1))? })
        };
        let hidden_layers = [layer(2 * width, 0)?, layer(hidden, 4)?];
        Ok(Self { hidden: hidden_layers, last: linear(hidden, classes, &vb.pp("8"))?, dropout })
    }

    /// Scores in training: statistics of the batch, dropout.
    ///
    /// # Shapes
    /// `pooled [B, 2 D]` to `[B, C]`.
    pub(crate) fn train(&self, pooled: &Tensor, pass: &ForwardPass) -> Result<Tensor> {
        let mut x = pooled.clone();
        for layer in &self.hidden {
            x = layer.norm.train(&layer.linear.forward(&x)?)?.relu()?;
            x = drop_rows(x, self.dropout, pass)?;
        }
        Ok(self.last.forward(&x)?)
    }

    /// Scores with the running statistics.
    ///
    /// # Shapes
    /// `pooled [B, 2 D]` to `[B, C]`.
    pub(crate) fn eval(&self, pooled: &Tensor) -> Result<Tensor> {
        let mut x = pooled.clone();
        for layer in &self.hidden {
            x = layer.norm.eval(&layer.linear.forward(&x)?)?.relu()?;
        }
        Ok(self.last.forward(&x)?)
    }
}

/// `y = x weight^T`, initial values as PyTorch's.
pub(crate) fn linear_without_bias(
    inputs: usize,
    outputs: usize,
    vb: &ParameterBuilder<'_>,
) -> Result<Linear> {
    let bound = 1.0 / (inputs as f64).sqrt();
    let weight = vb.get_with_hints((outputs, inputs), "weight", ParameterKind::Weight { bound })?;
    Ok(Linear::new(weight, None))
}

/// `concat[max over tokens, mean over tokens]`, with a gradient that goes to one of equal maxima.
///
/// # Shapes
/// `tokens [B, T, D]` to `[B, 2 D]`.
pub(crate) fn pool_tokens(tokens: &Tensor) -> Result<Tensor> {
    // candle's own maximum would give all of its gradient to each of several equal ones.
    let largest = tokens.detach().contiguous()?.argmax_keepdim(1)?;
    let max = tokens.contiguous()?.gather(&largest, 1)?.squeeze(1)?;
    Ok(Tensor::cat(&[max, tokens.mean(1)?], D::Minus1)?)
}
