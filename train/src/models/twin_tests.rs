//! What a model says of its parameters, for every preset: which copy follows which, which of them decay.

use std::path::Path;

use candle_core::{Device, Tensor};

use super::PretrainModel;
use crate::config::{Method, PretrainConfig, TargetKind, TargetTokenizer};
use crate::nn::{Parameter, ParameterRole, Parameters};
use crate::target_encoder::update_target_encoder;

/// Sizes that build fast; sinusoids need widths that 6 divides, image tokens such that 4 does.
const TINY: [&str; 11] = [
    "data.groups=8",
    "data.group_size=4",
    "model.tokenizer=[4, 6, 8]",
    "model.width=12",
    "model.depth=2",
    "model.heads=2",
    "predictor.width=12",
    "predictor.depth=2",
    "predictor.heads=2",
    "hybrid.image_size=32",
    "masking.blocks=2",
];

/// Every preset of the repository, shrunk, and the baseline that has no target encoder.
fn presets() -> Vec<(String, PretrainConfig)> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/pretrain"));
    let load = |path: &Path, more: &[&str]| {
        let sets: Vec<String> = TINY.iter().chain(more).map(|&set| set.to_owned()).collect();
        PretrainConfig::load(path, &sets).unwrap()
    };
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    // A target of deeper blocks than the tiny encoder has.
    let more = |path: &Path| if name(path) == "jepa3d-s" { &["target.depths=[1, 2]"][..] } else { &[] };
    let mut found: Vec<_> = paths.iter().map(|path| (name(path), load(path, more(path)))).collect();
    let coordinates = load(&folder.join("point-jepa.toml"), &["target.kind=coordinates"]);
    found.push(("coordinates".into(), coordinates));
    for method in [Method::Masked, Method::Cross, Method::Hybrid] {
        assert!(found.iter().any(|(_, config)| config.method == method), "{method:?}");
    }
    found
}

fn numbers(p: &Parameter) -> Vec<f32> {
    p.var.flatten_all().unwrap().to_vec1().unwrap()
}

/// The names that follow, by the method: the transformer, the tokenizer where the target has its own, for the hybrid all
/// that points pass through.
fn followed(config: &PretrainConfig, parameters: &Parameters) -> Vec<String> {
    let is_latent = config.target.kind == TargetKind::Latent;
    let prefixes: &[&str] = match (config.method, config.target.tokenizer) {
        (Method::Cross, _) => &[],
        (Method::Hybrid, _) => &["student.", "tokenizer.", "positional_encoding.", "point_modality"],
        (Method::Masked, _) if !is_latent => &[],
        (Method::Masked, TargetTokenizer::Ema) => &["student.", "tokenizer."],
        (Method::Masked, TargetTokenizer::Online) => &["student."],
    };
    let statistics_follow = config.method == Method::Hybrid;
    let follows = |p: &&Parameter| {
        let is_statistic = p.role == ParameterRole::Statistic;
        let is_copy = p.name.starts_with("teacher.");
        prefixes.iter().any(|prefix| p.name.starts_with(prefix))
            && !is_copy
            && (statistics_follow || !is_statistic)
    };
    parameters.all().iter().filter(follows).map(|p| p.name.clone()).collect()
}

#[test]
fn every_copy_has_its_twin_and_follows_it() {
    for (preset, config) in presets() {
        let (_, parameters) = PretrainModel::new(&config, &Device::Cpu).unwrap();
        let originals: Vec<String> = parameters.twins().map(|(original, _)| original.name.clone()).collect();
        assert_eq!(originals, followed(&config, &parameters), "{preset}");
        let copies = parameters.with_role(ParameterRole::Target).count();
        assert_eq!(copies, originals.len(), "{preset}: no copy without an original, none of two");
        for (original, copy) in parameters.twins() {
            let name = match original.name.strip_prefix("student.") {
                Some(rest) => format!("teacher.ema_model.{rest}"),
                None => format!("teacher.{}", original.name),
            };
            assert_eq!(copy.name, name, "{preset}");
            assert_eq!(copy.role, ParameterRole::Target, "{preset}: {name}");
            assert_eq!(numbers(copy), numbers(original), "{preset}: {name} begins as a copy");
            let moved = (original.var.as_tensor() + 1.0).unwrap();
            original.var.set(&moved).unwrap();
        }
        for (momentum, share) in [(1.0, 0.0), (0.5, 0.5), (0.0, 1.0)] {
            update_target_encoder(&parameters, momentum).unwrap();
            for (original, copy) in parameters.twins() {
                let (now, copied) = (numbers(original), numbers(copy));
                let is_there = |(x, y): (&f32, &f32)| (x - 1.0 + share - y).abs() < 1e-5;
                assert!(now.iter().zip(&copied).all(is_there), "{preset}: {}", copy.name);
            }
        }
    }
}

/// Weights decay; biases, norms, tokens and what is not trained do not.
fn decays(p: &Parameter) -> bool {
    let is_weight = p.name.ends_with(".weight") && p.var.rank() == 2;
    p.role == ParameterRole::Trained && is_weight
}

#[test]
fn weights_decay_and_nothing_else() {
    for (preset, config) in presets() {
        let (_, parameters) = PretrainModel::new(&config, &Device::Cpu).unwrap();
        for p in parameters.all() {
            assert_eq!(p.decays, decays(p), "{preset}: {}", p.name);
        }
        let count = |decays: bool| parameters.trained().filter(|p| p.decays == decays).count();
        assert!(count(true) > 10 && count(false) > 10, "{preset}: {} and {}", count(true), count(false));
        let tokens = parameters.trained().filter(|p| p.var.rank() == 3);
        let tokens: Vec<&str> = tokens.map(|p| p.name.rsplit('.').next().unwrap()).collect();
        assert!(!tokens.is_empty(), "{preset}");
        let known = ["mask_token", "point_modality", "image_modality"];
        assert!(tokens.iter().all(|token| known.contains(token)), "{preset}: {tokens:?}");
    }
}

/// Of an error of candle, which may carry a backtrace.
fn first_line(error: candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[test]
fn what_is_made_twice_or_follows_nothing_is_refused() {
    use crate::nn::{ParameterKind, ParameterStore};
    let store = ParameterStore::new(1, &Device::Cpu);
    let made = |name: &str| -> Result<Tensor, String> {
        let kind = ParameterKind::Weight { bound: 1.0 };
        store.builder().get_with_hints((2, 3), name, kind).map_err(first_line)
    };
    made("student.a").unwrap();
    assert_eq!(made("student.a").unwrap_err(), "parameter student.a is made twice");
    let copies = store.copies("student", "teacher", true);
    let copy = |shape: (usize, usize), name: &str| {
        copies.get_with_hints(shape, name, ParameterKind::Weight { bound: 1.0 }).map_err(first_line)
    };
    assert_eq!(copy((2, 3), "b").unwrap_err(), "teacher.b: no parameter student.b to copy");
    let wrong = "teacher.a: expected the shape [2, 3] of student.a, found [3, 2]";
    assert_eq!(copy((3, 2), "a").unwrap_err(), wrong);
    copy((2, 3), "a").unwrap();
    let parameters = store.into_parameters();
    assert_eq!(parameters.get("student.a").unwrap().target, Some(1));
}
