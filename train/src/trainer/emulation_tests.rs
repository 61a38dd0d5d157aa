//! Whole steps of presets through the CUDA kernels, run thread by thread on the CPU: equal to the CPU's, and what they launch.

use jepa3d_kernels::{Bf16Engine, DeviceCounts, Precision, count_cuda, emulate_cuda};

use super::fixture::{TINY, TrainerFixture};
use super::gradient_tests::{input, numbers, presets, trainer};
use crate::bench::{MaskSize, TrainStep};
use crate::config::PretrainConfig;
use crate::models::{PretrainModel, StepInput};
use crate::nn::{ForwardPass, NamedTensors, Parameters};
use crate::optim::{ParameterGradients, SavedMoments};

/// A gradient and whose it is.
type NamedNumbers = (String, Vec<f32>);

/// Loss, and the gradients by name.
struct StepNumbers {
    loss: f32,
    gradients: Vec<NamedNumbers>,
}

fn run_step(model: &PretrainModel, parameters: &Parameters, input: &StepInput) -> StepNumbers {
    let pass = ForwardPass::new(1, false);
    let output = model.step(input, &pass).unwrap();
    let found = ParameterGradients::backward(&output.loss, &pass.tape, parameters).unwrap();
    let named = parameters.trained().zip(found.all());
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
    let points = match &mut moved {
        StepInput::Masked(input) => &mut input.points,
        StepInput::Cross(input) => &mut input.points,
        StepInput::Hybrid(input) => &mut input.points,
        StepInput::Whole(input) => &mut input.points[0],
    };
    points.patches = (&points.patches * (1.0 + 3e-7)).unwrap();
    points.centers = (&points.centers * (1.0 + 3e-7)).unwrap();
    moved
}

/// Whether there is an emulated device; a step on it is the CPU's.
fn compare(name: &str, model: &PretrainModel, parameters: &Parameters, input: &StepInput) -> bool {
    let expected = run_step(model, parameters, input);
    let Some(found) = emulate_cuda(|| run_step(model, parameters, input)).unwrap() else {
        eprintln!("skipped: no C++ compiler to make the emulated device with");
        return false;
    };
    // Targets rid of their position make roundings large on so few clouds: how large, the CPU's own step tells.
    let own = measure_distance(&run_step(model, parameters, &nudge(input)), &expected).0;
    let (far, what) = measure_distance(&found, &expected);
    assert!(far < 1e-3 + 3.0 * own, "{name}: {what} is {far} off; roundings of the input make {own}");
    true
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
        if !compare(&name, &trainer.model, &trainer.parameters, &input) {
            return;
        }
    }
}

fn load(preset: &str, sets: &[&str]) -> PretrainConfig {
    let path = format!("{}/../configs/pretrain/{preset}.toml", env!("CARGO_MANIFEST_DIR"));
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    PretrainConfig::load(path.as_ref(), &sets).unwrap()
}

#[test]
fn steps_with_views_through_the_cuda_kernels_are_those_of_the_cpu() {
    let views = ["predictor.width=12", "optim.batch=6", "model.dropout=0.1", "predictor.dropout=0.1"];
    let images = ["hybrid.image_size=32", "hybrid.image_patch=16", "hybrid.queries=4"];
    for (preset, own) in
        [("cross-jepa-small", &["teacher.width=8"][..]), ("cross-jepa-hybrid-small", &images[..])]
    {
        let step = TrainStep::new(load(preset, &[TINY, &views, own].concat()), Precision::F32).unwrap();
        let mut input = step.input(MaskSize { context: 2, blocks: 1, length: 4 }).unwrap();
        if let StepInput::Hybrid(input) = &mut input {
            // One sample shows nothing, others less than they might.
            input.views.counts = vec![4, 0, 1, 4, 2, 3];
        }
        compare(preset, &step.model, &step.parameters, &input);
    }
}

/// What two steps of a run leave behind.
fn run_two_steps(place: &TrainerFixture, out: &str) -> (NamedTensors, Vec<SavedMoments>) {
    let (_, mut config) = presets().into_iter().find(|(name, _)| name == "point-jepa").unwrap();
    (config.optim.accumulate, config.optim.clip) = (2, 0.01);
    let mut trainer = trainer(place, out, config);
    (0..2).for_each(|_| drop(trainer.step().unwrap()));
    (trainer.parameters.values().unwrap(), trainer.optimizer.save(&trainer.parameters).unwrap())
}

#[test]
fn updates_of_a_run_through_the_cuda_kernels_are_those_of_the_cpu() {
    let place = TrainerFixture::new();
    let begun = {
        let (_, config) = presets().into_iter().find(|(name, _)| name == "point-jepa").unwrap();
        trainer(&place, "begun", config).parameters.values().unwrap()
    };
    let (expected, moments) = run_two_steps(&place, "cpu");
    let Some((found, found_moments)) = emulate_cuda(|| run_two_steps(&place, "device")).unwrap() else {
        return eprintln!("skipped: no C++ compiler to make the emulated device with");
    };
    let mut moved = Vec::new();
    for ((name, start), (expected, found)) in begun.iter().zip(expected.values().zip(found.values())) {
        let far = |a: &[f32], b: &[f32]| length(a.iter().zip(b).map(|(a, b)| a - b));
        let (off, way) = (far(&found.values, &expected.values), far(&start.values, &expected.values));
        moved.push((name, way));
        // Of a gradient that is rounding alone AdamW makes a whole step.
        let is_rounding = name.ends_with("first_conv.3.bias") || name.ends_with("qkv.bias");
        assert!(is_rounding || off <= 0.02 * way, "{name}: {off} off after a way of {way}");
    }
    assert!(moved.iter().filter(|(_, way)| *way > 0.0).count() > 60, "{moved:?}");
    for (found, expected) in found_moments.iter().zip(&moments) {
        let total = length(expected.first.values.iter().copied());
        let off = length(found.first.values.iter().zip(&expected.first.values).map(|(a, b)| a - b));
        assert!(
            found.name == expected.name && off <= 1e-3 * total + 1e-6,
            "{}: {off} of {total}",
            found.name
        );
    }
}

/// The norm of the gradients, which a timed step does not take, is two launches, and the 1 that candle's backward begins with another.
const NOT_COUNTED: u64 = 3;

/// What the device is asked for by steps of the official recipe, model and optimizer made before them.
fn count_steps(steps: usize, precision: Precision) -> DeviceCounts {
    let config = load("point-jepa", &[]);
    let run = || {
        let mut step = TrainStep::new(config, precision).unwrap();
        let size = MaskSize { context: 18, blocks: 4, length: 11 };
        (0..steps).for_each(|_| drop(step.step(size).unwrap()));
    };
    count_cuda(run).1
}

#[test]
fn a_step_of_the_official_recipe_fits_its_budget() {
    for precision in [Precision::F32, Precision::Bf16(Bf16Engine::Emulated)] {
        let (before, after) = (count_steps(0, precision), count_steps(1, precision));
        let of_step = |kernel: &String| after.launches[kernel] - before.launches.get(kernel).unwrap_or(&0);
        let launches: Vec<(&String, u64)> = after.launches.keys().map(|key| (key, of_step(key))).collect();
        let total = launches.iter().map(|(_, count)| count).sum::<u64>() + NOT_COUNTED;
        println!(
            "{total} launches in {precision:?}, {:.2} TFLOP, {:.1} GB moved, {:.2} GB at most, {} bytes up, {} down: {launches:?}",
            2e-12 * (after.multiplications - before.multiplications),
            1e-9 * (after.moved - before.moved) as f64,
            1e-9 * after.peak as f64,
            after.uploaded - before.uploaded,
            after.downloaded - before.downloaded,
        );
        assert!(total <= 700, "{total} launches: {launches:?}");
        assert!(
            after.uploaded - before.uploaded < 1_000_000,
            "the rows that are picked, and the addresses of gradients"
        );
        assert_eq!(after.downloaded, before.downloaded, "nothing is read back before the step's end");
        assert!(after.peak < 40_000_000_000, "{}", after.peak);
    }
}
