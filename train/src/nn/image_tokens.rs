//! Image tokens: square pieces of a view, embedded linearly, with fixed 2D sinusoids (ViT, arXiv 2010.11929; MAE, arXiv
//! 2111.06377 for the sinusoids).

use candle_core::{Device, Tensor};
use candle_nn::Linear;
use jepa3d_loader::ViewConfig;

use super::linear::{apply_linear, linear};
use super::parameter_builder::ParameterBuilder;
use crate::error::Result;

/// Base of the sinusoids' wavelengths.
const BASE: f64 = 10_000.0;

/// Pixels to tokens.
#[derive(Clone, Debug)]
pub(crate) struct ImageTokens {
    project: Linear,
    positions: Tensor,
}

impl ImageTokens {
    /// `width`: channels of a token, a multiple of 4.
    pub(crate) fn new(config: &ViewConfig, width: usize, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let project = linear(config.token_numbers(), width, &vb.pp("proj"))?;
        Ok(Self { project, positions: grid_sinusoids(config.side(), width, vb.device())? })
    }

    /// # Shapes
    /// `pixels [B, T, 3 p^2]` to `[B, T, D]`.
    pub(crate) fn forward(&self, pixels: &Tensor, is_bf16: bool) -> Result<Tensor> {
        Ok(apply_linear(&self.project, pixels, is_bf16)?.broadcast_add(&self.positions)?)
    }
}

/// Positions of `side` x `side` image tokens, row by row: a quarter of the channels each for sine and cosine of the column,
/// sine and cosine of the row.
///
/// # Shapes
/// `[1, side^2, width]`
pub(crate) fn grid_sinusoids(side: usize, width: usize, device: &Device) -> Result<Tensor> {
    let count = width / 4;
    let mut out = Vec::with_capacity(side * side * width);
    for (row, column) in (0..side).flat_map(|row| (0..side).map(move |column| (row, column))) {
        for at in [column, row] {
            let angle = |k: usize| at as f64 / BASE.powf(k as f64 / count as f64);
            out.extend((0..count).map(|k| libm::sin(angle(k)) as f32));
            out.extend((0..count).map(|k| libm::cos(angle(k)) as f32));
        }
    }
    Ok(Tensor::from_vec(out, (1, side * side, width), device)?)
}
