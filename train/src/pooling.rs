//! Tokens as one vector of a cloud.

use candle_core::Tensor;

use crate::config::Pooling;
use crate::error::Result;

/// Below it a variance counts as this: tokens that are all the same have a deviation, and a gradient.
const LEAST_VARIANCE: f64 = 1e-20;

impl Pooling {
    /// `tokens [B, G, D]` to `[B, D]` or `[B, 2 D]`; of the whole head, what it is asked with.
    pub(crate) fn pool(self, tokens: &Tensor) -> Result<Tensor> {
        let mean = tokens.mean(1)?;
        Ok(match self {
            Self::MaxMean => Tensor::cat(&[tokens.max(1)?, mean], 1)?,
            Self::Mean => mean,
            Self::MeanStd | Self::Whole => {
                let apart = tokens.broadcast_sub(&mean.unsqueeze(1)?)?;
                Tensor::cat(&[mean, apart.sqr()?.mean(1)?.maximum(LEAST_VARIANCE)?.sqrt()?], 1)?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;

    #[test]
    fn tokens_that_are_all_the_same_have_a_gradient() {
        let tokens = Var::from_tensor(&Tensor::ones((2, 5, 3), DType::F32, &Device::Cpu).unwrap()).unwrap();
        let pooled = Pooling::MeanStd.pool(&tokens).unwrap();
        let deviations: Vec<f32> = pooled.narrow(1, 3, 3).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert!(deviations.iter().all(|&d| (0.0..1e-9).contains(&d)), "{deviations:?}");
        let gradients = pooled.sum_all().unwrap().backward().unwrap();
        let gradient: Vec<f32> = gradients.get(&tokens).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert!(gradient.iter().all(|&g| (g - 0.2).abs() < 1e-6), "{gradient:?}");
    }

    #[test]
    fn pools_are_those_of_a_loop_over_tokens() {
        let values: Vec<f32> = (0..2 * 5 * 3).map(|i| ((i * 37 % 23) as f32).sin()).collect();
        let features = Tensor::from_vec(values.clone(), (2, 5, 3), &Device::Cpu).unwrap();
        for b in 0..2 {
            for d in 0..3 {
                let tokens: Vec<f32> = (0..5).map(|g| values[(b * 5 + g) * 3 + d]).collect();
                let mean = tokens.iter().sum::<f32>() / 5.0;
                let std = (tokens.iter().map(|t| (t - mean) * (t - mean)).sum::<f32>() / 5.0).sqrt();
                let most = tokens.iter().copied().fold(f32::MIN, f32::max);
                let row =
                    |pooling: Pooling| pooling.pool(&features).unwrap().to_vec2::<f32>().unwrap()[b].clone();
                for (pooling, places, wanted) in [
                    (Pooling::MaxMean, [d, 3 + d], [most, mean]),
                    (Pooling::Mean, [d, d], [mean, mean]),
                    (Pooling::MeanStd, [d, 3 + d], [mean, std]),
                ] {
                    let found = row(pooling);
                    assert!(
                        places.iter().zip(wanted).all(|(&at, wanted)| (found[at] - wanted).abs() < 1e-6),
                        "{pooling:?}"
                    );
                }
            }
        }
    }
}
