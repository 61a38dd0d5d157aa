//! The classifier against PyTorch, what is frozen against what is not, and runs from the first step to the judgement.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use candle_core::{Device, Tensor};
use jepa3d_fixtures::grouped_set::{SHAPE, write};
use jepa3d_loader::{Batch, PreparedDataset};

use super::classifier::Classifier;
use super::config::DownstreamConfig;
use super::task::DownstreamModel;
use super::thaw::{EncoderPhase, ThawPlan};
use super::{DownstreamRequest, DownstreamRun, EncoderSource, EncoderWeights, Finetuner};
use crate::config::PretrainConfig;
use crate::encoder_part::is_of_encoder;
use crate::nn::{ForwardPass, HostTensor, NamedTensors, ParameterRole, Parameters};
use crate::optim::{AdamW, ParameterGradients, StepPlace, UpdateRates};
use crate::request::RunOutcome;
use crate::schedule::ScheduleLength;

type Golden = std::collections::HashMap<String, Tensor>;

const ENCODER: &str = "preset = \"tiny\"\n[data]\ngroups = 16\ngroup_size = 8
[model]\ntokenizer = [8, 16, 32]\nwidth = 12\ndepth = 3\nheads = 3";

const TUNING: &str = "preset = \"test\"\nencoder = \"tiny\"\n[data]\ngroups = 16\ngroup_size = 8
[tuning]\ndrop_path = 0.0\n[head]\nhidden = 10\ndropout = 0.0\nsmoothing = 0.2\n[optim]\ndecay_all = true\nclip = 0.5";

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> T {
    toml::from_str(text).unwrap()
}

fn numbers(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// Largest difference relative to the largest wanted value (taken as 1e-4 if it is below).
fn check(what: &str, found: &[f32], want: &[f32]) {
    assert_eq!(found.len(), want.len(), "{what}");
    let size = want.iter().fold(0.0f32, |m, x| m.max(x.abs())).max(1e-4);
    let worst = found.iter().zip(want).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(worst <= 1e-4 * size, "{what}: off by {worst} of {size}");
}

fn weights(golden: &Golden) -> NamedTensors {
    let named = golden.iter().filter_map(|(name, t)| Some((name.strip_prefix("weights/")?, t)));
    let floats = named.filter(|(name, _)| !name.ends_with("num_batches_tracked"));
    floats
        .map(|(name, t)| {
            // 1x1 convolutions carry a last dimension of one.
            let rank = if name.contains("conv.") && t.rank() == 3 { 2 } else { t.rank() };
            (name.to_owned(), HostTensor { dims: t.dims()[..rank].to_vec(), values: numbers(t) })
        })
        .collect()
}

fn batch(golden: &Golden) -> Batch {
    let labels = golden["input/labels"].to_vec1::<i64>().unwrap();
    let mut batch = Batch::default();
    (batch.rows, batch.groups) = (labels.len(), 16);
    batch.labels = labels.iter().map(|&label| Some(label as i32)).collect();
    batch.patches = numbers(&golden["input/patches"]);
    batch.centers = numbers(&golden["input/centers"]);
    batch
}

/// Parameters whose gradient the next batch norm takes away, up to rounding.
fn is_cancelled(name: &str) -> bool {
    // The head's first layer has no bias, so that a shift of all features is taken away as well.
    name.ends_with("first_conv.3.bias") || name == "encoder.norm.bias"
}

#[test]
fn the_classifier_equals_pytorch() {
    let path = format!("{}/goldens/classification.safetensors", env!("CARGO_MANIFEST_DIR"));
    let golden: Golden = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let (config, encoder): (DownstreamConfig, PretrainConfig) = (parse(TUNING), parse(ENCODER));
    let (model, parameters) = Classifier::new(&config, &encoder, &[0, 1, 2, 3, 4], &Device::Cpu).unwrap();
    parameters.set(Path::new("golden"), &weights(&golden)).unwrap();
    let batch = batch(&golden);
    check("scores", &model.scores(&batch).unwrap(), &numbers(&golden["out/scores_eval"]));

    let pass = ForwardPass::new(1, false);
    let loss = model.loss(&batch, EncoderPhase::Trained, &pass).unwrap();
    check("loss", &numbers(&loss), &numbers(&golden["out/loss"]));
    let gradients = ParameterGradients::backward(&loss, &pass.tape, &parameters).unwrap();
    for (p, gradient) in parameters.trained().zip(gradients.all()) {
        if is_cancelled(&p.name) {
            continue;
        }
        let want = numbers(&golden[&format!("grad/{}", p.name)]);
        assert!(want.iter().any(|&g| g != 0.0), "{} has a gradient", p.name);
        check(&format!("gradient of {}", p.name), &numbers(gradient), &want);
    }
    let norm = gradients.norm().unwrap();
    check("norm", &[norm as f32], &numbers(&golden["out/norm"]));
    for p in parameters.with_role(ParameterRole::Statistic) {
        check(&p.name, &numbers(p.var.as_tensor()), &numbers(&golden[&format!("after/{}", p.name)]));
    }
    let mut optimizer = AdamW::new(&config.optim, &parameters).unwrap();
    let rates =
        UpdateRates { learning_rate: 1e-3, weight_decay: 0.05, gradient_scale: config.optim.clip / norm };
    optimizer.update(&parameters, &gradients, rates).unwrap();
    for (p, gradient) in parameters.trained().zip(gradients.all()).filter(|(p, _)| !is_cancelled(&p.name)) {
        // Where a gradient is rounding, AdamW makes a whole step of it.
        let clear: Vec<bool> = numbers(gradient).iter().map(|g| g.abs() > 1e-5).collect();
        let clear_of = |values: Vec<f32>| -> Vec<f32> {
            values.into_iter().zip(&clear).filter_map(|(x, &clear)| clear.then_some(x)).collect()
        };
        let want = numbers(&golden[&format!("adamw/{}", p.name)]);
        check(&p.name, &clear_of(numbers(p.var.as_tensor())), &clear_of(want));
    }
}

#[test]
fn what_is_frozen_stays_and_everything_else_learns() {
    let path = format!("{}/goldens/classification.safetensors", env!("CARGO_MANIFEST_DIR"));
    let golden: Golden = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    for (frozen, is_still) in [
        ("transformer", (|name| name.starts_with("encoder.")) as fn(&str) -> bool),
        ("encoder", is_of_encoder),
    ] {
        let text = TUNING.replace("[tuning]", &format!("[tuning]\nfrozen = \"{frozen}\"\nfrozen_epochs = 5"));
        let (config, encoder): (DownstreamConfig, PretrainConfig) = (parse(&text), parse(ENCODER));
        let (model, parameters) = Classifier::new(&config, &encoder, &[0, 1, 2, 3, 4], &Device::Cpu).unwrap();
        parameters.set(Path::new("golden"), &weights(&golden)).unwrap();
        let length = ScheduleLength { steps_per_epoch: 2, epochs: 10 };
        let thaw = ThawPlan::new(&config.tuning, 10, length);
        let mut optimizer = AdamW::new(&config.optim, &parameters).unwrap();
        let rates = UpdateRates { learning_rate: 1e-2, weight_decay: 0.05, gradient_scale: 1.0 };
        for (step, is_thawed) in [(9, false), (10, true)] {
            let before = parameters.values().unwrap();
            let pass = ForwardPass::new(1, false);
            let loss = model.loss(&batch(&golden), thaw.phase(step), &pass).unwrap();
            let is_frozen = |p: &_| thaw.is_frozen(p, step);
            let gradients =
                ParameterGradients::backward_thawed(&loss, &pass.tape, &parameters, is_frozen).unwrap();
            optimizer.update(&parameters, &gradients, rates).unwrap();
            let after = parameters.values().unwrap();
            for p in parameters.trained() {
                let is_same = before[&p.name] == after[&p.name];
                assert_eq!(is_same, !is_thawed && is_still(&p.name), "{frozen}, step {step}: {}", p.name);
            }
            let is_statistics_same = parameters
                .with_role(ParameterRole::Statistic)
                .filter(|p| is_of_encoder(&p.name))
                .all(|p| before[&p.name] == after[&p.name]);
            assert_eq!(is_statistics_same, !is_thawed && frozen == "encoder", "{frozen}, step {step}");
        }
    }
}

#[test]
fn an_encoder_learns_at_its_share_of_the_rate() {
    let path = format!("{}/goldens/classification.safetensors", env!("CARGO_MANIFEST_DIR"));
    let golden: Golden = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let moved = |share: &str| -> Vec<(String, Vec<f32>)> {
        let text = TUNING.replace("[tuning]", &format!("[tuning]\nencoder_rate = {share}"));
        let (config, encoder): (DownstreamConfig, PretrainConfig) = (parse(&text), parse(ENCODER));
        let (model, parameters) = Classifier::new(&config, &encoder, &[0, 1, 2, 3, 4], &Device::Cpu).unwrap();
        parameters.set(Path::new("golden"), &weights(&golden)).unwrap();
        let before = parameters.values().unwrap();
        let pass = ForwardPass::new(1, false);
        let loss = model.loss(&batch(&golden), EncoderPhase::Trained, &pass).unwrap();
        let gradients = ParameterGradients::backward(&loss, &pass.tape, &parameters).unwrap();
        let optim =
            crate::config::OptimConfig { weight_decay: 0.0, warmup_epochs: 0.0, ..config.optim.clone() };
        let mut optimizer = AdamW::new(&optim, &parameters).unwrap();
        let length = ScheduleLength { steps_per_epoch: 2, epochs: 10 };
        let at = StepPlace { length, warms_up: true, step: 0, done: 0, loss: 1.0, saved: None };
        optimizer.step(&parameters, &gradients, at, |p| config.tuning.rate_of(p)).unwrap();
        let after = parameters.values().unwrap();
        let apart = |p: &crate::nn::Parameter| {
            let (now, then) = (&after[&p.name].values, &before[&p.name].values);
            (p.name.clone(), now.iter().zip(then).map(|(a, b)| a - b).collect())
        };
        parameters.trained().map(apart).collect()
    };
    for ((name, all), (_, slowed)) in moved("1.0").iter().zip(moved("0.25")) {
        let share = if is_of_encoder(name) { 0.25 } else { 1.0 };
        for (all, slowed) in all.iter().zip(slowed) {
            assert!((all * share - slowed).abs() < 1e-6, "{name}: {all} {slowed}");
        }
    }
}

#[test]
fn an_encoder_s_share_of_the_rate_is_above_0_and_at_most_1() {
    for (share, is_taken) in [("1.0", true), ("1e-3", true), ("0.0", false), ("-0.5", false), ("1.5", false)]
    {
        let text = TUNING.replace("[tuning]", &format!("[tuning]\nencoder_rate = {share}"));
        let config: DownstreamConfig = parse(&text);
        let found = config.check().map_err(|error| error.to_string());
        assert_eq!(found.is_ok(), is_taken, "{share}: {found:?}");
        assert!(is_taken || found.unwrap_err().contains("tuning.encoder_rate"), "{share}");
    }
}

/// A folder with a prepared set of three classes in `data`, and where runs go.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("data"), &[("train", 40), ("test", 12)], 8);
    folder
}

fn request(folder: &Path, out: &str, resume: bool, sets: &[&str]) -> DownstreamRequest {
    let sizes = format!("groups = {}\ngroup_size = {}", SHAPE.G, SHAPE.K);
    let encoder: PretrainConfig = parse(&ENCODER.replace("groups = 16\ngroup_size = 8", &sizes));
    let text = TUNING.replace("groups = 16\ngroup_size = 8", "groups = 0\ngroup_size = 0\npoints = 0");
    let text = format!("{text}\nbatch = 8\nwarmup_epochs = 1\n[run]\nepochs = 3\n[votes]\nlooks = 2");
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    let origin = "test".into();
    let config = DownstreamConfig::parse(&jepa3d_schemas::ConfigText { origin, toml: text }, &sets).unwrap();
    let dataset = Arc::new(PreparedDataset::open(&folder.join("data")).unwrap());
    let source = EncoderSource::Scratch(Box::new(encoder));
    let weights = EncoderWeights::open(&source, &dataset, "cpu", &config).unwrap();
    DownstreamRequest {
        config,
        encoder: Arc::new(weights),
        episode: None,
        dataset,
        out: folder.join(out),
        resume,
        shown: None,
        device: "cpu".to_owned(),
    }
}

#[test]
fn a_stopped_run_ends_in_the_bytes_of_one_that_was_not() {
    let folder = prepared();
    let run = |out: &str, sets: &[&str]| {
        let mut finetuner = Finetuner::new(request(folder.path(), out, true, sets)).unwrap();
        finetuner.run(&AtomicBool::new(false), &mut |_| ()).unwrap()
    };
    let sets =
        ["labels.selection=0.2", "labels.select_every=1", "tuning.frozen_epochs=1", "tuning.drop_path=0.2"];
    assert_eq!(run("whole", &sets), RunOutcome::Done);
    let stopping = [&sets[..], &["run.stop_after=2"]].concat();
    while run("pieces", &stopping) == RunOutcome::Stopped {}
    for file in ["last.safetensors", "best.safetensors"] {
        let bytes = |out: &str| std::fs::read(folder.path().join(out).join(file)).unwrap();
        assert!(bytes("whole") == bytes("pieces"), "{file}");
    }
    let judge =
        |out: &str| Finetuner::new(request(folder.path(), out, true, &sets)).unwrap().judge().unwrap();
    let found = judge("whole");
    assert_eq!(found, judge("pieces"));
    assert_eq!(found.last.confusion.samples() as usize, found.facts.n_evaluation);
    assert!(found.facts.n_selection > 0 && found.selected.is_some());
    assert_eq!(found.vote.unwrap().looks.len(), 2);
    let config = || std::fs::read(folder.path().join("whole/config.toml")).unwrap();
    let before = config();
    let other = request(folder.path(), "whole", true, &["optim.lr=0.5"]);
    let error = Finetuner::new(other).err().unwrap().to_string();
    assert!(error.contains("optim.lr 0.5 instead of"), "{error}");
    assert!(config() == before, "a run that is refused leaves the one that is there");
}

#[test]
fn labels_that_cannot_be_learned_from_are_named() {
    let folder = prepared();
    let refuse = |sets: &[&str]| {
        let request = request(folder.path(), "none", false, sets);
        Finetuner::new(request).err().expect("refused").to_string()
    };
    assert!(refuse(&["labels.test_split=\"train\""]).contains("labels.test_split"));
    assert!(refuse(&["labels.test_split=\"other\""]).contains("expected one of test, train"));
    assert!(!folder.path().join("none/last.safetensors").exists());
    let mut few = Finetuner::new(request(folder.path(), "few", false, &["labels.budget=1"])).unwrap();
    few.run(&AtomicBool::new(false), &mut |_| ()).unwrap();
    let dataset = Arc::new(PreparedDataset::open(&folder.path().join("data")).unwrap());
    let found = few.judge().unwrap();
    assert_eq!(found.facts.n_train, dataset.classes().len());
    assert_eq!((found.facts.n_selection, found.selected), (0, None));
}

/// Keeps the import of parameters honest: every one of a classifier is of the encoder or of the head.
#[test]
fn every_parameter_is_of_the_encoder_or_the_head() {
    let (config, encoder): (DownstreamConfig, PretrainConfig) = (parse(TUNING), parse(ENCODER));
    let (_, parameters): (_, Parameters) =
        Classifier::new(&config, &encoder, &[0, 1, 2, 3, 4], &Device::Cpu).unwrap();
    assert!(parameters.all().iter().all(|p| is_of_encoder(&p.name) || p.name.starts_with("cls_head.")));
}
