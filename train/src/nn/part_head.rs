//! The official part-segmentation head (`method.md` 2.11): tokens of several depths and the class of the object to the scores
//! of parts, point by point.
//!
//! Linear layers on what was interpolated or repeated are applied before that, to tokens and objects, of which there are fewer
//! than points: the results are the same, as the weights of neighbours sum to 1.

use candle_core::{D, Tensor};
use candle_nn::{Linear, Module};

use super::batch_norm::BatchNorm;
use super::classifier_head::{linear_without_bias, pool_tokens};
use super::forward_pass::ForwardPass;
use super::interpolation::PointNeighbors;
use super::layer_norm::standardize;
use super::linear::linear;
use super::parameter_builder::ParameterBuilder;
use super::row_dropout::drop_rows;
use crate::error::Result;

/// Numbers that the class of an object is embedded in.
const EMBEDDING: usize = 64;

/// Slope of the embedding's rectifier below 0.
const LEAK: f64 = 0.2;

/// Sizes of a part-segmentation head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartHeadSizes {
    /// Width `D` of a token.
    pub width: usize,
    /// Numbers of a point after interpolation.
    pub upsampling: usize,
    /// Numbers of the first hidden layer; the second has half.
    pub hidden: usize,
    /// Classes of objects.
    pub classes: usize,
    /// Parts of all classes.
    pub parts: usize,
}

/// What the head reads of a batch.
#[derive(Clone, Copy)]
pub(crate) struct PointTokens<'a> {
    /// Token features `[B, G, D]`.
    pub tokens: &'a Tensor,
    /// `[P, 3]`.
    pub points: &'a Tensor,
    /// `[B]`: where the points of each sample end.
    pub ends: &'a [usize],
    /// The nearest centers of each point.
    pub neighbors: &'a PointNeighbors,
    /// `[B]`, classes of the objects.
    pub classes: &'a [u32],
}

/// Whether batch norms take statistics from the batch, with what is dropped then, or the running ones.
#[derive(Clone, Copy)]
enum HeadMode<'a> {
    Train(&'a ForwardPass),
    Eval,
}

impl HeadMode<'_> {
    /// Batch norm, and `slope` of what is negative after it.
    fn normalize(self, norm: &BatchNorm, x: &Tensor, slope: f64) -> Result<Tensor> {
        match self {
            Self::Train(_) => norm.train_rectified(x, slope),
            Self::Eval => norm.eval_rectified(x, slope),
        }
    }
}

/// Interpolates token features and scores parts; names are those of the official code.
#[derive(Clone, Debug)]
pub(crate) struct PartHead {
    sizes: PartHeadSizes,
    dropout: f64,
    embedding: (Linear, BatchNorm),
    upsampling: [(Linear, BatchNorm); 2],
    hidden: [(Linear, BatchNorm); 2],
    last: Linear,
}

impl PartHead {
    /// `dropout`: rate after the first hidden layer.
    pub(crate) fn new(sizes: PartHeadSizes, dropout: f64, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let PartHeadSizes { width, upsampling, hidden, classes, parts } = sizes;
        let layer = |inputs, outputs, linear: ParameterBuilder<'_>, norm: ParameterBuilder<'_>| {
            Ok::<_, crate::error::Error>((
                linear_without_bias(inputs, outputs, &linear)?,
                BatchNorm::new(outputs, &norm)?,
            ))
        };
        let label = vb.pp("label_embedding");
        let up = vb.pp("upsampling");
        let head = vb.pp("seg_head");
        let lift =
            |at: usize, inputs| layer(inputs, upsampling, up.pp("mlp_convs").pp(at), up.pp("mlp_bns").pp(at));
        let all = upsampling + 2 * width + EMBEDDING;
        Ok(Self {
            sizes,
            dropout,
            embedding: layer(classes, EMBEDDING, label.pp("0"), label.pp("1"))?,
            upsampling: [lift(0, 3 + width)?, lift(1, upsampling)?],
            hidden: [
                layer(all, hidden, head.pp("0"), head.pp("1"))?,
                layer(hidden, hidden / 2, head.pp("4"), head.pp("5"))?,
            ],
            last: linear(hidden / 2, parts, &head.pp("7"))?,
        })
    }

    /// Scores in training: statistics of the batch, dropout.
    ///
    /// # Shapes
    /// To `[P, parts]`.
    pub(crate) fn train(&self, input: PointTokens<'_>, pass: &ForwardPass) -> Result<Tensor> {
        self.score(input, HeadMode::Train(pass))
    }

    /// Scores with the running statistics.
    ///
    /// # Shapes
    /// To `[P, parts]`.
    pub(crate) fn eval(&self, input: PointTokens<'_>) -> Result<Tensor> {
        self.score(input, HeadMode::Eval)
    }

    fn score(&self, input: PointTokens<'_>, mode: HeadMode<'_>) -> Result<Tensor> {
        let x = self.upsample(input, mode)?;
        let [first, second] = &self.hidden;
        let local = columns(&first.0, 0, self.sizes.upsampling)?.forward(&x)?;
        let rest = 2 * self.sizes.width + EMBEDDING;
        let whole = columns(&first.0, self.sizes.upsampling, rest)?;
        let whole = whole.forward(&self.describe_objects(input, mode)?)?;
        let x = (local + whole.index_select(&sample_rows(input)?, 0)?)?;
        let mut x = mode.normalize(&first.1, &x, 0.0)?;
        if let HeadMode::Train(pass) = mode {
            x = drop_rows(x, self.dropout, pass)?;
        }
        let x = mode.normalize(&second.1, &second.0.forward(&x)?, 0.0)?;
        Ok(self.last.forward(&x)?)
    }

    /// Features at points, `[P, upsampling]`.
    fn upsample(&self, input: PointTokens<'_>, mode: HeadMode<'_>) -> Result<Tensor> {
        let (b, g, d) = input.tokens.dims3()?;
        let [(first, norm), (second, last_norm)] = &self.upsampling;
        let tokens = columns(first, 3, d)?.forward(&input.tokens.reshape((b * g, d))?)?;
        let places = columns(first, 0, 3)?.forward(input.points)?;
        let x = (places + input.neighbors.interpolate(&tokens)?)?;
        let x = mode.normalize(norm, &x, 0.0)?;
        mode.normalize(last_norm, &second.forward(&x)?, 0.0)
    }

    /// `concat[max over tokens, mean over tokens, class]`, `[B, 2 D + 64]`.
    fn describe_objects(&self, input: PointTokens<'_>, mode: HeadMode<'_>) -> Result<Tensor> {
        let (linear, norm) = &self.embedding;
        // A row of the transposed weight is what the layer makes of one class.
        let index = Tensor::from_slice(input.classes, input.classes.len(), input.tokens.device())?;
        let chosen = linear.weight().t()?.contiguous()?.index_select(&index, 0)?;
        let embedded = mode.normalize(norm, &chosen, LEAK)?;
        Ok(Tensor::cat(&[pool_tokens(input.tokens)?, embedded], D::Minus1)?)
    }
}

/// The part of a layer without bias that reads `count` inputs from `first` on.
fn columns(layer: &Linear, first: usize, count: usize) -> Result<Linear> {
    Ok(Linear::new(layer.weight().narrow(1, first, count)?.contiguous()?, None))
}

/// The sample of every point, `[P]`.
fn sample_rows(input: PointTokens<'_>) -> Result<Tensor> {
    let mut samples = Vec::with_capacity(input.neighbors.len());
    input.ends.iter().enumerate().for_each(|(sample, &end)| samples.resize(end, sample as u32));
    Ok(Tensor::from_slice(&samples, samples.len(), input.tokens.device())?)
}

/// Mean over depths of block outputs, each after a layer norm without parameters.
///
/// # Shapes
/// `[B, G, D]` each, to `[B, G, D]`.
pub(crate) fn mix_depths(outputs: &[Tensor]) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for output in outputs {
        let output = standardize(output)?;
        sum = Some(match sum {
            Some(sum) => (sum + output)?,
            None => output,
        });
    }
    let sum = sum.unwrap_or_else(|| unreachable!("a segmentation reads at least one depth"));
    Ok((sum * (1.0 / outputs.len() as f64))?)
}
