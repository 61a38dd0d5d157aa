//! The head of scene segmentation: token features at points, one linear layer.

use candle_core::Tensor;
use candle_nn::{Linear, Module};

use super::interpolation::PointNeighbors;
use super::linear::linear;
use super::parameter_builder::ParameterBuilder;
use crate::error::Result;

/// One linear layer of interpolated token features.
#[derive(Clone, Debug)]
pub(crate) struct SceneHead {
    linear: Linear,
}

impl SceneHead {
    pub(crate) fn new(width: usize, classes: usize, vb: &ParameterBuilder<'_>) -> Result<Self> {
        Ok(Self { linear: linear(width, classes, &vb.pp("scene_head"))? })
    }

    /// Scores; the layer is applied to tokens, which are fewer than points, and its scores interpolated.
    ///
    /// # Shapes
    /// `tokens [B, G, D]` to `[P, C]`.
    pub(crate) fn score(&self, tokens: &Tensor, neighbors: &PointNeighbors) -> Result<Tensor> {
        let (b, g, d) = tokens.dims3()?;
        neighbors.interpolate(&self.linear.forward(&tokens.reshape((b * g, d))?)?)
    }
}
