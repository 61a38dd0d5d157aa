//! Position embeddings of centers: the official learned MLP, or fixed sinusoids.

use candle_core::Tensor;

use super::linear::Linear;
use super::parameters::Parameters;
use crate::config::Positions;
use crate::error::Result;

/// Channels of the MLP between the two layers.
const HIDDEN: usize = 128;
/// Shortest and longest wavelength of the sinusoids on the unit sphere.
const WAVELENGTHS: (f64, f64) = (0.1, 4.0);

/// Centers `[.., 3]` to `[.., width]`.
#[derive(Clone, Debug)]
pub(crate) enum PositionEmbedding {
    /// `3 -> 128 -> GELU -> width`.
    Mlp(Linear, Linear),
    /// `width / 3` an axis: sines, then cosines.
    Sinusoid {
        /// Channels.
        width: usize,
    },
}

impl PositionEmbedding {
    pub(crate) fn new(p: &mut Parameters, name: &str, kind: Positions, width: usize) -> Result<Self> {
        Ok(match kind {
            Positions::Sinusoid => Self::Sinusoid { width },
            Positions::Mlp => Self::Mlp(
                Linear::new(p, &format!("{name}.0"), 3, HIDDEN)?,
                Linear::new(p, &format!("{name}.2"), HIDDEN, width)?,
            ),
        })
    }

    /// # Shapes
    /// `centers [B, G, 3]` to `[B, G, width]`.
    pub(crate) fn forward(&self, centers: &Tensor) -> Result<Tensor> {
        match self {
            Self::Mlp(first, second) => second.forward(&first.forward(centers)?.gelu_erf()?),
            Self::Sinusoid { width } => sinusoids(centers, *width),
        }
    }
}

fn sinusoids(centers: &Tensor, width: usize) -> Result<Tensor> {
    let (b, g, _) = centers.dims3()?;
    let count = width / 6;
    let values: Vec<f32> = centers.flatten_all()?.to_vec1()?;
    let (shortest, longest) = WAVELENGTHS;
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
