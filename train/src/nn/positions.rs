//! Position embeddings of centers: the official learned MLP, or fixed sinusoids.

use candle_core::Tensor;

use super::forward_pass::ForwardPass;
use super::mlp::Mlp;
use super::parameter_builder::ParameterBuilder;
use crate::config::{ModelConfig, PositionKind};
use crate::error::Result;

/// Centers `[.., 3]` to `[.., width]`.
#[derive(Clone, Debug)]
pub(crate) enum PositionEmbedding {
    /// `3 -> 128 -> GELU -> width`.
    Mlp(Mlp),
    /// `width / 3` an axis: sines, then cosines.
    Sinusoid {
        /// Channels.
        width: usize,
        /// Shortest and longest, in the clouds' units.
        wavelengths: [f64; 2],
    },
}

impl PositionEmbedding {
    pub(crate) fn new(config: &ModelConfig, width: usize, vb: &ParameterBuilder<'_>) -> Result<Self> {
        Ok(match config.positions {
            PositionKind::Sinusoid => Self::Sinusoid { width, wavelengths: config.wavelengths },
            PositionKind::Mlp => Self::Mlp(Mlp::new(3, width, vb)?),
        })
    }

    /// As [`PositionEmbedding::forward`] in training.
    pub(crate) fn train(&self, centers: &Tensor, pass: &ForwardPass) -> Result<Tensor> {
        match self {
            Self::Mlp(mlp) => mlp.train(centers, pass),
            Self::Sinusoid { .. } => self.forward(centers),
        }
    }

    /// The MLP, if positions are learned.
    pub(super) fn mlp(&self) -> Option<&Mlp> {
        match self {
            Self::Mlp(mlp) => Some(mlp),
            Self::Sinusoid { .. } => None,
        }
    }

    /// # Shapes
    /// `centers [B, G, 3]` to `[B, G, width]`.
    pub(crate) fn forward(&self, centers: &Tensor) -> Result<Tensor> {
        match self {
            Self::Mlp(mlp) => mlp.forward(centers),
            Self::Sinusoid { width, wavelengths } => sinusoids(centers, *width, *wavelengths),
        }
    }
}

fn sinusoids(centers: &Tensor, width: usize, wavelengths: [f64; 2]) -> Result<Tensor> {
    let [shortest, longest] = wavelengths;
    let (b, g, _) = centers.dims3()?;
    let count = width / 6;
    let values: Vec<f32> = centers.flatten_all()?.to_vec1()?;
    let frequency = |k: usize| {
        let share = if count > 1 { k as f64 / (count - 1) as f64 } else { 0.0 };
        std::f64::consts::TAU / (shortest * (longest / shortest).powf(share))
    };
    let frequencies: Vec<f64> = (0..count).map(frequency).collect();
    let mut out = Vec::with_capacity(values.len() / 3 * width);
    for &x in &values {
        let angles = frequencies.iter().map(|w| w * f64::from(x));
        out.extend(angles.clone().map(|a| libm::sin(a) as f32));
        out.extend(angles.map(|a| libm::cos(a) as f32));
    }
    Ok(Tensor::from_vec(out, (b, g, width), centers.device())?)
}
