//! The whole head: from mean and deviation over the tokens of what is seen of a cloud, features of the whole clean cloud.
//!
//! What a sensor misses moves pooled features far from where a classifier of whole clouds expects them, most of all a hidden
//! side. The head learns from pairs of both what is to be added to those of what is seen: where all is there, next to nothing.
//!
//! With `p_t` mean and deviation of a cloud turned by the t-th of T angles, and `J` what is made of these of all turns, an answer
//! is `p + head(p)` for one look, or `J + mean over t of head([p_t, J])` for what is made of turns. The second does not depend on
//! where an object faces, and need not make up for every look alone what is lost in all.

use candle_core::Tensor;
use jepa3d_kernels::BatchParts;

use super::step::StepOutput;
use super::targets::measure_deviations;
use crate::config::{FeatureConfig, LossKind, Pooling, PretrainConfig, WholeAnswers};
use crate::error::Result;
use crate::nn::{Mlp, ParameterBuilder};
use crate::turned_features::join_turns;

/// The head.
#[derive(Debug)]
pub(super) struct WholeTerm {
    head: Mlp,
    /// What is made of turns, where it answers for that.
    turned: Option<FeatureConfig>,
}

impl WholeTerm {
    /// Drawn from the run's seed.
    pub(super) fn new(config: &PretrainConfig, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let turned = (config.whole.answers == WholeAnswers::Turns).then_some(config.features);
        let look = 2 * config.model.width;
        let joined = turned.map_or(0, |features| features.joined(look));
        let outputs = if turned.is_some() { joined } else { look };
        Ok(Self { head: Mlp::with_hidden(look + joined, config.whole.hidden, outputs, vb)?, turned })
    }

    /// What tokens `[B, n, D]` of one look give, `[B, 2 D]`: an answer, or what it is made of with those of other looks.
    pub(super) fn look(&self, tokens: &Tensor) -> Result<Tensor> {
        let seen = Pooling::Whole.pool(tokens)?;
        match self.turned {
            None => Ok((self.head.forward(&seen)? + seen)?),
            Some(_) => Ok(seen),
        }
    }

    /// What looks give, `[T, B, 2 D]`, to features `[B, F]` of the whole.
    pub(super) fn join(&self, looks: &Tensor, features: &FeatureConfig) -> Result<Tensor> {
        let joined = join_turns(looks, features)?;
        if self.turned.is_none() {
            return Ok(joined);
        }
        let (turns, b, _) = looks.dims3()?;
        let beside = joined.unsqueeze(0)?.broadcast_as((turns, b, joined.dim(1)?))?;
        let added = self.head.forward(&Tensor::cat(&[looks, &beside], 2)?)?.mean(0)?;
        Ok((added + joined)?)
    }

    /// What is to be answered, of the tokens of clean clouds, and the answer to what is seen.
    fn ask(&self, pair: &SeenAndWhole) -> Result<[Tensor; 2]> {
        let Some(features) = &self.turned else {
            return Ok([Pooling::Whole.pool(&pair.whole[0])?, self.look(&pair.seen[0])?]);
        };
        let stack = |looks: &[Tensor]| -> Result<Tensor> {
            let looks: Vec<Tensor> = looks.iter().map(|tokens| self.look(tokens)).collect::<Result<_>>()?;
            Ok(Tensor::stack(&looks, 0)?)
        };
        Ok([join_turns(&stack(&pair.whole)?, features)?, self.join(&stack(&pair.seen)?, features)?])
    }

    /// The loss is the squared error of the answer to what is seen, in deviations of the batch.
    pub(super) fn step(&self, pair: &SeenAndWhole, parts: Option<&dyn BatchParts>) -> Result<StepOutput> {
        let [targets, answer] = self.ask(pair)?;
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

/// Tokens `[B, G, D]` of every look at the same clouds, by the encoder that is handed on: the average that made targets for hidden patches is
/// another.
pub(super) struct SeenAndWhole {
    /// Of all that the sensor sees; with gradient where blocks learn.
    pub seen: Vec<Tensor>,
    /// Of the clean cloud; without.
    pub whole: Vec<Tensor>,
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use jepa3d_schemas::ConfigText;

    use super::*;
    use crate::nn::ParameterStore;

    #[test]
    fn an_answer_for_turns_adds_the_mean_over_looks_and_does_not_know_which_came_first() {
        let toml = "preset = \"a\"\n[whole]\nhidden = 5\nanswers = \"turns\"\n[features]\nturns = 4\n\
                    [model]\nwidth = 2\nheads = 1\n[predictor]\nwidth = 2\nheads = 1\n";
        let text = ConfigText { origin: "a.toml".into(), toml: toml.to_owned() };
        let config = PretrainConfig::parse(&text, &[]).unwrap();
        let store = ParameterStore::new(3, &Device::Cpu);
        let term = WholeTerm::new(&config, &store.builder().pp("head")).unwrap();
        let values: Vec<f32> = (0..4 * 3 * 4).map(|i| ((i * 37 % 23) as f32).sin()).collect();
        let looks = Tensor::from_vec(values, (4, 3, 4), &Device::Cpu).unwrap();
        let made = join_turns(&looks, &config.features).unwrap();
        assert_eq!(made.dims(), [3, 12], "mean and two harmonics");
        let found = term.join(&looks, &config.features).unwrap();
        let mut sum = made.zeros_like().unwrap();
        for turn in 0..4 {
            let asked = Tensor::cat(&[&looks.get(turn).unwrap(), &made], 1).unwrap();
            sum = (sum + term.head.forward(&asked).unwrap()).unwrap();
        }
        let apart = |a: &Tensor, b: &Tensor| {
            (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap()
        };
        assert!(apart(&found, &(sum / 4.0).unwrap().add(&made).unwrap()) < 1e-5);
        assert!(apart(&found, &made) > 1e-3, "something is added");
        let order = Tensor::new(&[1u32, 2, 3, 0], &Device::Cpu).unwrap();
        let turned = term.join(&looks.index_select(&order, 0).unwrap(), &config.features).unwrap();
        assert!(apart(&found, &turned) < 1e-5);
    }

    #[test]
    fn an_answer_adds_the_layers_to_mean_and_deviation_over_tokens() {
        let toml = "preset = \"a\"\n[whole]\nhidden = 5\n[model]\nwidth = 2\nheads = 1\n[predictor]\nwidth = 2\nheads = 1\n";
        let text = ConfigText { origin: "a.toml".into(), toml: toml.to_owned() };
        let config = PretrainConfig::parse(&text, &[]).unwrap();
        let store = ParameterStore::new(3, &Device::Cpu);
        let term = WholeTerm::new(&config, &store.builder().pp("head")).unwrap();
        let tokens = [[1.0f32, -2.0], [0.5, 4.0], [3.0, 1.0]];
        let found = term.look(&Tensor::new(&[tokens], &Device::Cpu).unwrap()).unwrap();
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
