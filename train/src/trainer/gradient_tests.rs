//! Which parameters learn, which follow, and whether gradients are those of the loss (finite differences).

use std::collections::BTreeMap;

use candle_core::Tensor;
use jepa3d_schemas::Draws;

use super::Trainer;
use super::fixture::{TINY, TrainerFixture, config};
use crate::config::{LossKind, Method, PretrainConfig, TargetKind};
use crate::models::{StepInput, StepOutput};
use crate::nn::{ForwardPass, Parameter, ParameterRole};
use crate::optim::{ParameterGradients, UpdateRates};
use crate::step_inputs::InputPlan;
use crate::target_encoder::update_target_encoder;

/// Batch norm 2 removes this bias again: its gradient is zero up to rounding, whatever the loss.
const CANCELLED: &str = "first_conv.3.bias";

/// A context that a sensor saw, of clouds grouped at every step.
const SENSOR: &[&str] = &[
    "data.patches_from=online",
    "data.sensor.clean=0.0",
    "data.sensor.points=[12, 20]",
    "target.tokenizer=ema",
    "loss.pooled=0.5",
];

/// Every config of the repository, shrunk, that needs no teacher: gradients of those are compared with PyTorch's, one by
/// one (`models/golden_tests.rs`).
pub(super) fn presets() -> Vec<(String, PretrainConfig)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/pretrain");
    let mut found: Vec<(String, PretrainConfig)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            // Sinusoids need widths that 6 divides.
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            // Targets of deeper blocks than the tiny encoder has, and a head that does not learn at once.
            let more: &[&str] = match name.as_str() {
                "jepa3d-s" => {
                    &["target.depths=[1, 2]", "whole.epochs=0", "features.pooling=mean", "cross.weight=0.0"]
                }
                _ => &[],
            };
            let sets = [TINY, &["predictor.width=12"], more].concat();
            let sets: Vec<String> = sets.into_iter().map(str::to_owned).collect();
            let config = PretrainConfig::load(&path, &sets).unwrap();
            (name, config)
        })
        .filter(|(_, config)| config.method == Method::Masked)
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(found.len() >= 2, "{found:?}");
    found.push(("coordinates".into(), config(&["target.kind=coordinates"])));
    found.push((
        "pooled".into(),
        config(&["loss.pooled=0.5", "loss.pooled_turn=3.0", "target.tokenizer=ema"]),
    ));
    found.push(("sensor".into(), config(SENSOR)));
    found
}

pub(super) fn trainer(place: &TrainerFixture, name: &str, config: PretrainConfig) -> Trainer {
    let request = place.request(name, false, &[]);
    Trainer::new(super::PretrainRequest { config, ..request }).unwrap()
}

/// The first batch of a run.
pub(super) fn input(trainer: &mut Trainer) -> StepInput {
    trainer.inputs.next(InputPlan { shown: 0, parts: 1 }).unwrap().inputs.remove(0)
}

pub(super) fn numbers(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn step(trainer: &Trainer, input: &StepInput) -> (StepOutput, ParameterGradients) {
    let pass = ForwardPass::new(1, false);
    let output = trainer.model.step(input, &pass).unwrap();
    let gradients = ParameterGradients::backward(&output.loss, &pass.tape, &trainer.parameters).unwrap();
    (output, gradients)
}

fn targets(trainer: &Trainer) -> Vec<(&Parameter, Vec<f32>)> {
    trainer.parameters.with_role(ParameterRole::Target).map(|p| (p, numbers(p.var.as_tensor()))).collect()
}

#[test]
fn every_trained_parameter_learns_and_the_target_only_follows() {
    let place = TrainerFixture::new();
    for (name, config) in presets() {
        let is_latent = config.target.kind == TargetKind::Latent;
        let mut trainer = trainer(&place, &name, config);
        let input = input(&mut trainer);
        let (_, gradients) = step(&trainer, &input);
        for (p, gradient) in trainer.parameters.trained().zip(gradients.all()) {
            let largest = numbers(gradient).iter().fold(0.0f32, |m, g| m.max(g.abs()));
            match p.name.ends_with(CANCELLED) {
                true => assert!(largest < 1e-6, "{name}: {} cancels out: {largest}", p.name),
                false => assert!(largest > 1e-9, "{name}: no gradient reaches {}: {largest}", p.name),
            }
        }
        let pass = ForwardPass::new(1, false);
        let store = trainer.model.step(&input, &pass).unwrap().loss.backward().unwrap();
        for p in trainer.parameters.with_role(ParameterRole::Target) {
            let tensor = p.var.as_tensor();
            assert!(store.get(tensor).is_none() && pass.tape.take(tensor).is_none(), "{name}: {}", p.name);
        }
        assert_eq!(trainer.parameters.with_role(ParameterRole::Target).next().is_some(), is_latent, "{name}");
        follows(&mut trainer, &gradients, &name);
    }
}

/// Names and numbers of all parameters, those of the whole head apart.
fn head_and_rest(trainer: &Trainer) -> [Vec<(String, Vec<f32>)>; 2] {
    let all = trainer.parameters.trained().chain(trainer.parameters.with_role(ParameterRole::Target));
    let all = all.map(|p| (p.name.clone(), numbers(p.var.as_tensor())));
    let (head, rest) = all.partition(|(name, _)| name.starts_with("whole_head."));
    [head, rest]
}

#[test]
fn the_whole_head_learns_when_the_encoder_has_and_nothing_else_does() {
    for (name, answers) in [("look", &[][..]), ("turns", &TURNS)] {
        check_that_the_head_learns_alone(name, answers);
    }
}

/// A head that answers for what is made of turns.
const TURNS: [&str; 2] = ["whole.answers=turns", "features.turns=4"];

fn check_that_the_head_learns_alone(name: &str, answers: &[&str]) {
    let place = TrainerFixture::new();
    let start = |name: &str, more: &[&str]| {
        let mut trainer = trainer(&place, name, config(&[SENSOR, &["run.epochs=1"], more].concat()));
        (0..4).for_each(|_| drop(trainer.step().unwrap()));
        trainer
    };
    let mut trainer = start("with", &[&["whole.epochs=2"], answers].concat());
    let [drawn, learned] = head_and_rest(&trainer);
    assert!(
        learned == head_and_rest(&start("without", &[]))[1],
        "{name}: the encoder's epochs are those of a run without"
    );
    let records: Vec<_> = (0..8).map(|_| trainer.step().unwrap()).collect();
    let [head, rest] = head_and_rest(&trainer);
    assert!(rest == learned, "{name}: the same bits");
    assert!(
        head.len() == 4 && head.iter().zip(&drawn).all(|(now, before)| now != before),
        "{name}: all of it learns"
    );
    let rates: Vec<f64> = records.iter().map(|record| record.learning_rate).collect();
    assert!(rates[0] == trainer.config.optim.lr && rates.is_sorted_by(|a, b| a > b), "{rates:?}");
}

#[test]
fn where_blocks_learn_with_the_head_the_encoder_as_it_was_teaches() {
    let place = TrainerFixture::new();
    let sets = [SENSOR, &["run.epochs=1", "whole.epochs=2", "whole.blocks_rate=0.1"]].concat();
    let mut trainer = trainer(&place, "run", config(&sets));
    (0..4).for_each(|_| drop(trainer.step().unwrap()));
    let by_name = |trainer: &Trainer| -> BTreeMap<String, Vec<f32>> {
        head_and_rest(trainer).concat().into_iter().collect()
    };
    let before = by_name(&trainer);
    let first = trainer.step().unwrap();
    let after_one = by_name(&trainer);
    (0..7).for_each(|_| drop(trainer.step().unwrap()));
    for (name, now) in by_name(&trainer) {
        let learns = name.starts_with("student.") || name.starts_with("whole_head.");
        assert_eq!(now != before[&name], learns, "{name}");
        if let Some(block) = name.strip_prefix("teacher.ema_model.") {
            let source = &before[&format!("student.{block}")];
            let apart = now.iter().zip(source).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-6, "{name} is not the encoder's: {apart}");
        }
    }
    // Of a first step AdamW moves every number by its rate: no gradient is so small that its moments' bounds are met.
    let moved = |name: &str| {
        let apart = |(a, b): (&f32, &f32)| f64::from((a - b).abs());
        after_one[name].iter().zip(&before[name]).map(apart).fold(0.0, f64::max)
    };
    let (block, head) = (moved("student.blocks.1.mlp.fc2.bias"), moved("whole_head.2.bias"));
    assert!((head / first.learning_rate - 1.0).abs() < 0.02, "{head}");
    assert!(block > 0.0 && block < 0.5 * first.learning_rate, "{block}");
}

/// Momentum 1 keeps the target, 0.5 halves its distance.
fn follows(trainer: &mut Trainer, gradients: &ParameterGradients, name: &str) {
    let rates = UpdateRates { learning_rate: 0.1, weight_decay: 0.0, gradient_scale: 1.0 };
    let before: Vec<Vec<f32>> = targets(trainer).into_iter().map(|(_, values)| values).collect();
    trainer.optimizer.update(&trainer.parameters, gradients, rates).unwrap();
    update_target_encoder(&trainer.parameters, 1.0).unwrap();
    for ((p, now), before) in targets(trainer).into_iter().zip(&before) {
        assert_eq!(now, *before, "{name}: {}", p.name);
    }
    trainer.optimizer.update(&trainer.parameters, gradients, rates).unwrap();
    update_target_encoder(&trainer.parameters, 0.5).unwrap();
    for ((p, now), before) in targets(trainer).into_iter().zip(&before) {
        let source = p.name.replace("teacher.ema_model", "student");
        let source = source.strip_prefix("teacher.").unwrap_or(&source);
        let source = numbers(trainer.parameters.get(source).unwrap().var.as_tensor());
        for ((now, before), source) in now.iter().zip(before).zip(&source) {
            let want = 0.5 * (before + source);
            assert!((now - want).abs() <= 1e-6 * want.abs().max(1.0), "{name}: {}: {now} {want}", p.name);
        }
        assert!(p.name.ends_with(CANCELLED) || now != *before, "{name}: {} has not moved", p.name);
    }
}

/// What `LossConfig::distance` is by its definition, in double precision.
fn distance(c: &PretrainConfig, predictions: &Tensor, targets: &Tensor) -> f64 {
    let (p, z) = (numbers(predictions), numbers(targets));
    let width = predictions.dims().last().copied().unwrap() as f64;
    if c.loss.kind == LossKind::Cosine {
        return cosine_distance(&p, &z, width as usize);
    }
    let one = |(p, z): (&f32, &f32)| {
        let e = (f64::from(*p) - f64::from(*z)).abs();
        match c.loss.kind {
            LossKind::SmoothL1 if e < c.loss.beta => e * e / (2.0 * c.loss.beta),
            LossKind::SmoothL1 => e - c.loss.beta / 2.0,
            LossKind::SumDim => e * e * width,
            LossKind::MeanElem => e * e,
            LossKind::Cosine => unreachable!("by rows"),
        }
    };
    p.iter().zip(&z).map(one).sum::<f64>() / p.len() as f64
}

fn cosine_distance(p: &[f32], z: &[f32], width: usize) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let rows = p.chunks_exact(width).zip(z.chunks_exact(width));
    let one = |(p, z): (&[f32], &[f32])| 1.0 - dot(p, z) / (dot(p, p) * dot(z, z)).sqrt();
    rows.map(one).sum::<f64>() / (p.len() / width) as f64
}

/// The loss with the targets held: they carry no gradient, but move with the online tokenizer.
fn loss(trainer: &Trainer, input: &StepInput, held: &Tensor) -> f64 {
    let c = &trainer.config;
    let out = trainer.model.step(input, &ForwardPass::new(1, false)).unwrap();
    let rest = f64::from(out.loss.to_scalar::<f32>().unwrap()) - distance(c, &out.predictions, &out.targets);
    // Without hinge and covariance the loss is the distance, and the rest rounding.
    let is_plain = [c.loss.variance, c.loss.covariance, c.loss.sigreg] == [0.0; 3];
    assert!(!is_plain || rest.abs() < 1e-5, "{rest}");
    distance(c, &out.predictions, held) + if is_plain { 0.0 } else { rest }
}

/// A unit direction: half the gradient's, half random.
fn direction(gradient: &[f32], name: &str) -> Vec<f32> {
    let mut draws = Draws::new(3, name, "direction");
    let random: Vec<f32> = gradient.iter().map(|_| draws.normal() as f32).collect();
    let unit = |v: &[f32]| {
        let length = v.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
        v.iter().map(|x| x / length).collect::<Vec<_>>()
    };
    unit(&unit(gradient).iter().zip(&unit(&random)).map(|(a, b)| a + b).collect::<Vec<_>>())
}

fn move_by(p: &Parameter, values: &[f32], direction: &[f32], by: f32) {
    let moved: Vec<f32> = values.iter().zip(direction).map(|(x, d)| x + by * d).collect();
    p.var.set(&Tensor::from_vec(moved, p.var.shape(), p.var.device()).unwrap()).unwrap();
}

fn differences_agree(name: &str, sets: &[&str]) {
    let place = TrainerFixture::new();
    let mut trainer = trainer(&place, name, config(sets));
    let input = input(&mut trainer);
    let (output, gradients) = step(&trainer, &input);
    let mut checked = 0;
    for (p, gradient) in trainer.parameters.trained().zip(gradients.all()) {
        if p.name.ends_with(CANCELLED) {
            continue;
        }
        let (values, gradient) = (numbers(p.var.as_tensor()), numbers(gradient));
        let along = direction(&gradient, &p.name);
        let want: f64 = gradient.iter().zip(&along).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
        let at = |by: f32| {
            move_by(p, &values, &along, by);
            loss(&trainer, &input, &output.targets)
        };
        // Maxima and kinks lie between two points: the smaller step is the better one there, the larger has less rounding.
        let agrees = [1e-2f32, 3e-3, 1e-3].into_iter().any(|h| {
            let found = (at(h) - at(-h)) / (2.0 * f64::from(h));
            (found - want).abs() <= 0.02 * want.abs() + 1e-5
        });
        move_by(p, &values, &along, 0.0);
        assert!(agrees, "{name}: {}: derivative {want} along a direction, not so by differences", p.name);
        checked += 1;
    }
    assert!(checked > 40, "{checked}");
}

#[test]
fn gradients_are_those_of_the_official_loss() {
    differences_agree("official", &[]);
}

#[test]
fn gradients_are_those_of_the_spread_loss() {
    let sets = ["target.tokenizer=ema", "target.depths=[0, 2]", "target.norm=batch", "loss.kind=mean-elem"];
    differences_agree("spread", &[&sets[..], &["loss.variance=0.5", "loss.covariance=0.1"]].concat());
    differences_agree("sigreg", &[&sets[..], &["loss.sigreg=0.2"]].concat());
}

#[test]
fn gradients_are_those_of_the_coordinates_baseline_with_positions_once() {
    // Its distance is Chamfer's, and its targets do not depend on any parameter: the loss itself is differentiated.
    let sets = ["target.kind=coordinates", "model.positions_every_block=false", "loss.variance=1e-9"];
    differences_agree("coordinates", &sets);
}
