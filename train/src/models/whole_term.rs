//! The whole head: from mean and deviation over the tokens of what is seen of a cloud, those of the whole clean cloud.
//!
//! What a sensor misses moves pooled features far from where a classifier of whole clouds expects them, most of all a hidden
//! side. The head learns from pairs of both what is to be added to those of what is seen: where all is there, next to nothing.

use candle_core::Tensor;
use jepa3d_kernels::BatchParts;

use super::step::StepOutput;
use super::targets::measure_deviations;
use crate::config::{LossKind, Pooling, PretrainConfig};
use crate::error::Result;
use crate::nn::{Mlp, ParameterBuilder};

/// The head.
#[derive(Debug)]
pub(super) struct WholeTerm {
    head: Mlp,
}

impl WholeTerm {
    /// Drawn from the run's seed.
    pub(super) fn new(config: &PretrainConfig, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let width = 2 * config.model.width;
        Ok(Self { head: Mlp::with_hidden(width, config.whole.hidden, width, vb)? })
    }

    /// Tokens `[B, n, D]` of what is seen to features `[B, 2 D]` of the whole.
    pub(super) fn answer(&self, tokens: &Tensor) -> Result<Tensor> {
        let seen = Pooling::Whole.pool(tokens)?;
        Ok((self.head.forward(&seen)? + seen)?)
    }

    /// The loss is the squared error of the answer to what is seen, in deviations of the batch.
    pub(super) fn step(&self, pair: &SeenAndWhole, parts: Option<&dyn BatchParts>) -> Result<StepOutput> {
        let targets = Pooling::Whole.pool(&pair.whole)?;
        let answer = self.answer(&pair.seen)?;
        let apart = (&answer - &targets)?.broadcast_div(&measure_deviations(&targets, parts)?)?;
        Ok(StepOutput {
            loss: apart.sqr()?.mean_all()?,
            predictions: answer.detach(),
            targets,
            kind: LossKind::MeanElem,
            record: None,
            terms: Vec::new(),
        })
    }
}

/// Features `[B, G, D]` of the same clouds, by the encoder that is handed on: the average that made targets for hidden patches is
/// another.
pub(super) struct SeenAndWhole {
    /// Of all that the sensor sees; with gradient where blocks learn.
    pub seen: Tensor,
    /// Of the clean cloud; without.
    pub whole: Tensor,
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use jepa3d_schemas::ConfigText;

    use super::*;
    use crate::nn::ParameterStore;

    #[test]
    fn an_answer_adds_the_layers_to_mean_and_deviation_over_tokens() {
        let toml = "preset = \"a\"\n[whole]\nhidden = 5\n[model]\nwidth = 2\nheads = 1\n[predictor]\nwidth = 2\nheads = 1\n";
        let text = ConfigText { origin: "a.toml".into(), toml: toml.to_owned() };
        let config = PretrainConfig::parse(&text, &[]).unwrap();
        let store = ParameterStore::new(3, &Device::Cpu);
        let term = WholeTerm::new(&config, &store.builder().pp("head")).unwrap();
        let tokens = [[1.0f32, -2.0], [0.5, 4.0], [3.0, 1.0]];
        let found = term.answer(&Tensor::new(&[tokens], &Device::Cpu).unwrap()).unwrap();
        let mean = [0, 1].map(|d| tokens.iter().map(|t| f64::from(t[d])).sum::<f64>() / 3.0);
        let deviation = [0, 1]
            .map(|d| (tokens.iter().map(|t| (f64::from(t[d]) - mean[d]).powi(2)).sum::<f64>() / 3.0).sqrt());
        let parameters = store.into_parameters();
        let layer = |name: &str, x: &[f64]| -> Vec<f64> {
            let get =
                |part: &str| parameters.get(&format!("head.{name}.{part}")).unwrap().var.as_tensor().clone();
            let (rows, bias) =
                (get("weight").to_vec2::<f32>().unwrap(), get("bias").to_vec1::<f32>().unwrap());
            let dot = |row: &Vec<f32>| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
            rows.iter().zip(bias).map(|(row, bias)| dot(row) + f64::from(bias)).collect()
        };
        let gelu = |x: f64| 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2));
        let seen = [mean, deviation].concat();
        let hidden: Vec<f64> = layer("0", &seen).into_iter().map(gelu).collect();
        assert_eq!(hidden.len(), 5);
        let wanted = layer("2", &hidden).into_iter().zip(seen).map(|(added, seen)| seen + added);
        for (found, wanted) in found.to_vec2::<f32>().unwrap()[0].iter().zip(wanted) {
            assert!((f64::from(*found) - wanted).abs() < 1e-5, "{found} {wanted}");
        }
    }
}
