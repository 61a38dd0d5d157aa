//! Tokens as one vector of a cloud.

use candle_core::Tensor;

use crate::config::Pooling;
use crate::error::Result;

impl Pooling {
    /// `tokens [B, G, D]` to `[B, D]` or `[B, 2 D]`; of the whole head, what it is asked with.
    pub(crate) fn pool(self, tokens: &Tensor) -> Result<Tensor> {
        let mean = tokens.mean(1)?;
        Ok(match self {
            Self::MaxMean => Tensor::cat(&[tokens.max(1)?, mean], 1)?,
            Self::Mean => mean,
            Self::MeanStd | Self::Whole => {
                let apart = tokens.broadcast_sub(&mean.unsqueeze(1)?)?;
                Tensor::cat(&[mean, apart.sqr()?.mean(1)?.sqrt()?], 1)?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

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
