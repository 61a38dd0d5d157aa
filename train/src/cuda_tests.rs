//! One training step on a CUDA device against the same step on the CPU: `cargo test --features cuda -- --ignored cuda`.

use candle_core::{Device, Tensor};
use jepa3d_loader::{BatchKey, MaskKind, Masks, PatchPlaces, draw_masks};
use jepa3d_schemas::Draws;

use crate::config::{PositionKind, PretrainConfig, TargetNorm, TargetTokenizer};
use crate::models::{MaskedInput, PatchTensors, PretrainModel, StepInput};
use crate::nn::ForwardPass;
use crate::optim::{AdamW, ParameterGradients, UpdateRates};
use crate::target_encoder::MovingAverage;

const SAMPLES: usize = 6;
const GROUPS: usize = 12;
const SIZE: usize = 8;

/// A tiny model; `own` is the project's preset, else the official recipe.
fn config(own: bool) -> PretrainConfig {
    let text = "preset = \"tiny\"\n[data]\ngroups = 12\ngroup_size = 8\n[model]\ntokenizer = [16, 32, 64]\n\
                width = 48\ndepth = 2\nheads = 4\n[predictor]\nwidth = 24\ndepth = 2\nheads = 4\n";
    let mut config: PretrainConfig = toml::from_str(text).unwrap();
    if own {
        config.model.positions = PositionKind::Sinusoid;
        config.masking.kind = MaskKind::Region;
        config.masking.target_ratio = [0.6, 0.6];
        config.target.depths = vec![0, 2];
        config.target.norm = TargetNorm::Batch;
        config.target.remove_position = true;
        config.target.tokenizer = TargetTokenizer::Ema;
        config.loss.variance = 0.1;
        config.loss.covariance = 0.01;
        config.model.dropout = 0.1;
        config.model.drop_path = 0.1;
    }
    config
}

/// What a step leaves behind.
struct Stepped {
    loss: f64,
    gradients: Vec<(String, Vec<f32>)>,
    parameters: Vec<(String, Vec<f32>)>,
}

/// Two updates on one seeded batch; loss and gradients are those of the first.
fn step(config: &PretrainConfig, device: &Device, is_bf16: bool) -> Stepped {
    let (model, parameters) = PretrainModel::new(config, device).unwrap();
    let mut optimizer = AdamW::new(&config.optim, &parameters).unwrap();
    let mut average = MovingAverage::new(&parameters).unwrap();
    if is_bf16 {
        optimizer.keep_halves().unwrap();
        average.keep_halves().unwrap();
    }
    let mut draws = Draws::new(1, "batch", "test");
    let mut values = |count: usize, scale: f64| -> Vec<f32> {
        (0..count).map(|_| (draws.normal() * scale) as f32).collect()
    };
    let patches = values(SAMPLES * GROUPS * SIZE * 3, 0.1);
    let centers = values(SAMPLES * GROUPS * 3, 0.5);
    let ids: Vec<String> = (0..SAMPLES).map(|i| format!("s{i}")).collect();
    let places = PatchPlaces { ids: &ids, centers: &centers, cells: None };
    let key = BatchKey { seed: 1, epoch: 0, batch: 0 };
    let masks: Masks = draw_masks(&config.masking, places, key).unwrap();
    let points = PatchTensors {
        patches: Tensor::from_slice(&patches, (SAMPLES, GROUPS, SIZE, 3), device).unwrap(),
        centers: Tensor::from_slice(&centers, (SAMPLES, GROUPS, 3), device).unwrap(),
        counts: None,
    };
    let input = StepInput::Masked(MaskedInput::plain(points, masks));
    let numbers = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let rates = UpdateRates { learning_rate: 1e-3, weight_decay: 0.05, gradient_scale: 1.0 };
    let mut first = None;
    for _ in 0..2 {
        let pass = ForwardPass::new(7, is_bf16);
        let output = model.step(&input, &pass).unwrap();
        let gradients = ParameterGradients::backward(&output.loss, &pass.tape, &parameters).unwrap();
        optimizer.update(&parameters, &gradients, rates).unwrap();
        average.update(&parameters, 0.9).unwrap();
        let named = parameters.trained().zip(gradients.all());
        let named = named.map(|(p, gradient)| (p.name.clone(), numbers(gradient))).collect();
        first.get_or_insert((f64::from(output.loss.to_scalar::<f32>().unwrap()), named));
    }
    let (loss, gradients) = first.unwrap();
    let parameters = parameters.all().iter().map(|p| (p.name.clone(), numbers(p.var.as_tensor()))).collect();
    Stepped { loss, gradients, parameters }
}

/// Relative difference in the L2 norm; of vectors that are nothing beside `scale`, relative to it.
fn apart(a: &[f32], b: &[f32], scale: f64) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    difference / norm(&mut b.iter().map(|&b| f64::from(b))).max(scale)
}

fn compare(device: &Device, is_bf16: bool, [of_loss, of_gradients, of_parameters]: [f64; 3]) {
    for own in [false, true] {
        let config = config(own);
        let (found, expected) = (step(&config, device, is_bf16), step(&config, &Device::Cpu, false));
        let loss = (found.loss / expected.loss - 1.0).abs();
        assert!(loss < of_loss, "loss {} instead of {}", found.loss, expected.loss);
        let all: Vec<f32> = expected.gradients.iter().flat_map(|(_, values)| values.clone()).collect();
        let total = all.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        for ((name, a), (_, b)) in found.gradients.iter().zip(&expected.gradients) {
            let far = apart(a, b, 1e-3 * total);
            assert!(far < of_gradients, "gradient of {name}: {far}");
        }
        for ((name, a), (_, b)) in found.parameters.iter().zip(&expected.parameters) {
            let far = apart(a, b, 1e-2 * (b.len() as f64).sqrt());
            assert!(far < of_parameters, "{name} after two updates: {far}");
        }
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn a_step_on_cuda_is_the_step_on_the_cpu() {
    compare(&Device::new_cuda(0).unwrap(), false, [1e-3, 1e-3, 1e-2]);
}

#[test]
#[ignore = "needs a CUDA device"]
fn a_step_on_cuda_in_bf16_is_near_it() {
    compare(&Device::new_cuda(0).unwrap(), true, [3e-2, 0.2, 0.2]);
}
