//! Checkpoints, configs and datasets that do not belong together: exact messages, and nothing is lost.

use std::collections::HashMap;
use std::path::Path;

use jepa3d_schemas::{Manifest, seal_safetensors};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::fixture::{TINY, TrainerFixture, events_of};
use crate::checkpoint::{BEST_FILE, LAST_FILE};
use crate::config::PretrainConfig;
use crate::frozen::FrozenEncoder;

fn begun(place: &TrainerFixture) {
    place.run("run", false, &["run.stop_after=2"]);
}

#[track_caller]
fn refused(place: &TrainerFixture, out: &str, resume: bool, sets: &[&str], want: &str) {
    let before = std::fs::read(place.last(out)).ok();
    let error = place.trainer(out, resume, sets).err().expect("refused").to_string();
    assert_eq!(error, want.replace("RUN", place.last(out).to_str().unwrap()));
    assert!(std::fs::read(place.last(out)).ok() == before, "the checkpoint stays");
}

/// Rewrites a checkpoint with other shapes, or without some of its tensors.
fn rewrite(path: &Path, change: impl Fn(&str, Vec<usize>) -> Option<Vec<usize>>) {
    let bytes = std::fs::read(path).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut metadata: HashMap<String, String> = metadata.metadata().clone().unwrap();
    metadata.retain(|key, _| !key.starts_with("jepa3d."));
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let changed: Vec<(String, Vec<usize>, Vec<u8>)> = file
        .iter()
        .filter_map(|(name, view)| {
            let shape = change(name, view.shape().to_vec())?;
            let mut data = view.data().to_vec();
            data.resize(4 * shape.iter().product::<usize>(), 0);
            Some((name.to_owned(), shape, data))
        })
        .collect();
    let views = changed.iter().map(|(name, shape, data)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap())
    });
    let file = safetensors::serialize(views, Some(metadata)).unwrap();
    std::fs::write(path, seal_safetensors(file)).unwrap();
}

#[test]
fn a_parameter_of_another_shape_is_named_with_both() {
    let place = TrainerFixture::new();
    begun(&place);
    rewrite(&place.last("run"), |name, shape| {
        (name != "predictor.mask_token").then(|| if name == "student.norm.bias" { vec![13] } else { shape })
    });
    let wrong = "RUN: does not fit the model: student.norm.bias: expected [12], found [13]; \
                 predictor.mask_token: expected [1, 1, 6], found none";
    refused(&place, "run", true, &[], wrong);
    let error = FrozenEncoder::open(&place.path("run"), None, "cpu").err().unwrap().to_string();
    assert_eq!(error, wrong.replace("RUN", place.last("run").to_str().unwrap()));
}

#[test]
fn moments_of_another_shape_or_none_are_named() {
    let place = TrainerFixture::new();
    begun(&place);
    let whole = std::fs::read(place.last("run")).unwrap();
    rewrite(&place.last("run"), |name, shape| {
        Some(if name == "optimizer.second.student.norm.bias" { vec![13] } else { shape })
    });
    let wrong = "RUN: does not fit the model: optimizer.second.student.norm.bias: expected [12], found [13]";
    refused(&place, "run", true, &[], wrong);
    // `best` holds weights and the state, no moments.
    std::fs::copy(place.path("run").join(BEST_FILE), place.last("run")).unwrap();
    let wrong =
        "RUN: expected the optimiser's moments, found weights alone, which can be evaluated, not continued";
    refused(&place, "run", true, &[], wrong);
    std::fs::write(place.last("run"), whole).unwrap();
    events_of(&mut place.trainer("run", true, &[]).unwrap()).unwrap();
}

#[test]
fn a_file_without_state_or_end_is_no_checkpoint() {
    let place = TrainerFixture::new();
    begun(&place);
    let bytes = std::fs::read(place.last("run")).unwrap();
    for length in [0, 7, 200, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(place.last("run"), &bytes[..length]).unwrap();
        let error = place.trainer("run", true, &[]).err().unwrap().to_string();
        let start = format!("{}: expected a safetensors checkpoint, found ", place.last("run").display());
        assert!(error.starts_with(&start) && error.len() > start.len(), "{error}");
        assert!(FrozenEncoder::open(&place.path("run"), None, "cpu").is_err());
    }
    let file = SafeTensors::deserialize(&bytes).unwrap();
    std::fs::write(place.last("run"), safetensors::serialize(file.iter(), None).unwrap()).unwrap();
    refused(&place, "run", true, &[], "RUN: expected the state of a run, found none");
    // What has weights can be evaluated.
    assert!(FrozenEncoder::open(&place.path("run"), None, "cpu").is_ok());
}

#[test]
fn a_config_that_changed_is_refused_with_the_keys() {
    let place = TrainerFixture::new();
    begun(&place);
    let changed = "RUN: expected the config it was started with, found model.depth 3 instead of 2, \
                   optim.lr 0.002 instead of 0.001";
    refused(
        &place,
        "run",
        true,
        &["optim.lr=2e-3", "model.depth=3", "run.keep=1", "data.threads=2"],
        changed,
    );
    // What changes no parameter may change.
    let free = ["run.max_steps=4", "run.checkpoint_every=1", "monitor.print_every=7", "data.threads=2"];
    events_of(&mut place.trainer("run", true, &free).unwrap()).unwrap();
}

#[test]
fn a_dataset_that_changed_is_refused_with_both_fingerprints() {
    let place = TrainerFixture::new();
    begun(&place);
    let mut manifest = Manifest::read(&place.path("data")).unwrap();
    manifest.fingerprint = "f2".into();
    manifest.write(&place.path("data")).unwrap();
    let wrong =
        "RUN: expected the dataset it was trained on, fingerprint f1, found f2 (4 steps an epoch, then 4)";
    refused(&place, "run", true, &[], wrong);
}

#[test]
fn a_folder_that_holds_a_run_is_not_overwritten() {
    let place = TrainerFixture::new();
    begun(&place);
    let folder = place.path("run");
    let wrong = format!(
        "{}: holds a run ({LAST_FILE}): --resume continues it, another --out starts a new one",
        folder.display()
    );
    refused(&place, "run", false, &[], &wrong);
}

#[test]
fn settings_that_the_dataset_does_not_serve_are_named() {
    let place = TrainerFixture::new();
    let folder = place.path("data");
    let split =
        format!("{}: split: expected one of train, unlabelled, val; found \"nope\"", folder.display());
    for (sets, wrong) in [
        (
            ["data.groups=7"],
            "config: data.groups x data.group_size: expected at most the stored 6 x 5 of R = 3, found 7 x 5",
        ),
        (
            ["data.group_size=6"],
            "config: data.groups x data.group_size: expected at most the stored 6 x 5 of R = 3, found 6 x 6",
        ),
        (["data.split=nope"], split.as_str()),
        (
            ["optim.batch=49"],
            "config: optim.batch: expected at most the 48 samples of the split over all ranks, found 49",
        ),
    ] {
        refused(&place, "run", false, &sets, wrong);
    }
    let none = place.path("empty");
    let request =
        crate::PretrainRequest { data: vec![none.as_path().into()], ..place.request("run", false, &[]) };
    let error = super::Trainer::new(request).err().unwrap().to_string();
    assert!(
        error.starts_with(&format!("{}: expected a complete prepared dataset", none.display())),
        "{error}"
    );
}

#[test]
fn configs_out_of_range_name_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    let load = |text: &str, set: &str| {
        std::fs::write(&file, format!("preset = \"test\"\n{text}")).unwrap();
        let sets: Vec<String> = TINY.iter().chain([&set]).map(|&set| set.to_owned()).collect();
        PretrainConfig::load(&file, &sets).unwrap_err().to_string()
    };
    for (set, wrong) in [
        ("model.heads=5", "config: model.heads: expected a divisor of the width 12, found 5"),
        ("model.dropout=1", "config: model.dropout: expected 0 or more, below 1, found 1"),
        ("model.drop_path=nan", "config: model.drop_path: expected 0 or more, below 1, found NaN"),
        ("model.tokenizer=[8, 0, 8]", "config: model.tokenizer: expected 1 to 16384, found 0"),
        ("optim.batch=1", "config: optim.batch: expected 2 to 65536, found 1"),
        ("optim.accumulate=0", "config: optim.accumulate: expected 1 to 4096, found 0"),
        ("optim.lr=-1.0", "config: optim.lr: expected a positive number, found -1"),
        ("optim.clip=-1.0", "config: optim.clip: expected a finite number of at least 0, found -1"),
        (
            "optim.warmup_epochs=inf",
            "config: optim.warmup_epochs: expected a finite number of at least 0, found inf",
        ),
        ("monitor.subset=3", "config: monitor.subset: expected 4 to 1048576, found 3"),
        ("monitor.patience=0", "config: monitor.patience: expected 1 to 1048576, found 0"),
        (
            "ema.start=1.5",
            "config: ema.start, ema.end: expected two ascending shares of 1, found [1.5, 0.99999]",
        ),
        (
            "masking.target_ratio=[0.3, 0.2]",
            "config: masking.target_ratio: expected two ascending shares of 1, found [0.3, 0.2]",
        ),
        ("target.depths=[3]", "config: target.depths: expected 0 (tokens) to 2, found 3"),
        ("data.threads", "config: --set: expected key=value, found \"data.threads\""),
    ] {
        assert_eq!(load("", set), wrong);
    }
    let start = format!("{}: ", file.display());
    for (text, set, says) in [
        ("[model]\nwidht = 3\n", "run.seed=1", "unknown field `widht`"),
        ("", "model.kind=3", "unknown field `kind`"),
        ("", "model.depth=two", "invalid type: string \"two\", expected usize"),
        ("", "masking.kind=cube", "unknown variant `cube`, expected one of `runs`, `region`, `random`"),
        ("[model\n", "run.seed=1", "line 2, column 7 (`[model`): "),
    ] {
        let error = load(text, set);
        let start = if text.is_empty() { format!("--set {set}: ") } else { start.clone() };
        assert!(error.starts_with(&start) && error.contains(says), "{error}");
    }
}

#[test]
fn a_run_folder_has_one_writer() {
    let place = TrainerFixture::new();
    begun(&place);
    let mut first = place.trainer("run", true, &[]).unwrap();
    let files = || {
        let entries = std::fs::read_dir(place.path("run")).unwrap().map(|entry| entry.unwrap());
        let mut files: Vec<_> =
            entries.map(|e| (e.file_name(), e.metadata().unwrap().modified().unwrap())).collect();
        files.sort();
        files
    };
    let before = files();
    let error = place.trainer("run", true, &[]).err().expect("refused").to_string();
    let run = place.path("run");
    let says = format!(
        "{}: another jepa3d process is writing here (process {} on ",
        run.display(),
        std::process::id()
    );
    assert!(error.starts_with(&says), "{error}");
    assert!(files() == before, "nothing is touched");
    events_of(&mut first).unwrap();
    drop(first);
    place.trainer("run", true, &[]).unwrap();
}
