//! Whole steps of presets through the CUDA kernels, run thread by thread on the CPU: equal to the CPU's, and what they launch.

use jepa3d_kernels::{Bf16Engine, DeviceCounts, Precision, count_cuda, emulate_cuda};

use super::Trainer;
use super::fixture::TrainerFixture;
use super::gradient_tests::{input, numbers, presets, trainer};
use crate::models::StepInput;
use crate::nn::ForwardPass;
use crate::optim::ParameterGradients;

/// A gradient and whose it is.
type NamedNumbers = (String, Vec<f32>);

/// Loss, and the gradients by name.
struct StepNumbers {
    loss: f32,
    gradients: Vec<NamedNumbers>,
}

fn run_step(trainer: &Trainer, input: &StepInput, precision: Precision) -> StepNumbers {
    let pass = ForwardPass::new(1, false).with_precision(precision);
    let output = trainer.model.step(input, &pass).unwrap();
    let found = ParameterGradients::backward(&output.loss, &pass.tape, &trainer.parameters).unwrap();
    let named = trainer.parameters.trained().zip(found.all());
    let gradients = named.map(|(p, gradient)| (p.name.clone(), numbers(gradient))).collect();
    StepNumbers { loss: output.loss.to_scalar().unwrap(), gradients }
}

fn length(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

/// How far two steps are apart: the loss relative to itself, gradients to their length and a tenth of that of all together.
fn measure_distance(found: &StepNumbers, expected: &StepNumbers) -> (f64, String) {
    let total = length(expected.gradients.iter().flat_map(|(_, values)| values.iter().copied()));
    let of_gradient = |((name, found), (_, expected)): (&NamedNumbers, &NamedNumbers)| {
        let far = length(found.iter().zip(expected).map(|(a, b)| a - b));
        (far / (length(expected.iter().copied()) + 0.1 * total), name.clone())
    };
    let loss = f64::from((found.loss - expected.loss).abs() / expected.loss.abs().max(1e-3));
    let gradients = found.gradients.iter().zip(&expected.gradients).map(of_gradient);
    gradients.fold((loss, "loss".to_owned()), |most, one| if one.0 > most.0 { one } else { most })
}

/// The input, moved by a rounding or two.
fn nudge(input: &StepInput) -> StepInput {
    let mut moved = input.clone();
    if let StepInput::Masked(masked) = &mut moved {
        masked.points.patches = (&masked.points.patches * (1.0 + 3e-7)).unwrap();
        masked.points.centers = (&masked.points.centers * (1.0 + 3e-7)).unwrap();
    }
    moved
}

#[test]
fn steps_of_presets_through_the_cuda_kernels_are_those_of_the_cpu() {
    let place = TrainerFixture::new();
    for (name, mut config) in presets() {
        // Dropout, too: both draw it from the same keys.
        config.model.dropout = 0.1;
        config.model.attention_dropout = 0.1;
        let mut trainer = trainer(&place, &name, config);
        let input = input(&mut trainer);
        let expected = run_step(&trainer, &input, Precision::F32);
        let Some(found) = emulate_cuda(|| run_step(&trainer, &input, Precision::F32)).unwrap() else {
            return eprintln!("skipped: no C++ compiler to make the emulated device with");
        };
        // Targets rid of their position make roundings large on so few clouds: how large, the CPU's own step tells.
        let own = measure_distance(&run_step(&trainer, &nudge(&input), Precision::F32), &expected).0;
        let (far, what) = measure_distance(&found, &expected);
        assert!(far < 1e-3 + 3.0 * own, "{name}: {what} is {far} off; roundings of the input make {own}");
    }
}

#[test]
fn a_step_of_the_official_depth_is_this_many_launches() {
    let place = TrainerFixture::new();
    let count = |precision: Precision| -> DeviceCounts {
        let (_, mut config) = presets().into_iter().find(|(name, _)| name == "point-jepa").unwrap();
        (config.model.depth, config.predictor.depth) = (12, 6);
        let mut trainer = trainer(&place, "counted", config);
        let input = input(&mut trainer);
        count_cuda(|| run_step(&trainer, &input, precision)).1
    };
    let [single, half] = [Precision::F32, Precision::Bf16(Bf16Engine::Emulated)].map(count);
    for (name, launches) in &half.launches {
        println!("{name}: {launches}");
    }
    println!("f32 {}, bf16 {}", single.launches(), half.launches());
    for counts in [&single, &half] {
        assert!(counts.launches() <= 700, "{counts:?}");
        assert_eq!(counts.launches["product"], 282, "{counts:?}");
    }
}
