//! Checkpoints that PyTorch and Lightning wrote (`torch_reference.py make goldens`), there and back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value as Json;

use super::*;
use crate::names::{OurState, import};
use crate::official::list_tensors;
use crate::safetensors_file::read_safetensors;
use crate::state::{ElementType, StateDict, TensorData};
use crate::torch_read::read_torch;

/// Exit code of a script that lacks a package.
const SKIPPED: i32 = 77;

const SMALL: PointJepaSizes = PointJepaSizes {
    width: 8,
    depth: 2,
    mlp: 12,
    position: 5,
    tokenizer: [4, 6, 10],
    predictor_width: 6,
    predictor_depth: 1,
    predictor_mlp: 9,
    predictor_position: 3,
};

pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(name)
}

/// The value that `torch_reference.py` puts at `i` of tensor `name`.
fn known(name: &str, i: usize) -> f32 {
    let start = name.bytes().map(usize::from).sum::<usize>() % 512;
    ((start + i % 1024) as f32) / 32.0
}

/// Elements as the numbers that Python prints.
fn numbers(tensor: &TensorData) -> Vec<f64> {
    if let Some(values) = tensor.to_f32() {
        // Doubles of the goldens are small integers.
        return values.into_iter().map(f64::from).collect();
    }
    let size = tensor.element.size();
    let integer = |b: &[u8]| {
        let sign = if tensor.element != ElementType::U8 && b[size - 1] & 0x80 != 0 { -1_i64 } else { 0 };
        b.iter().rev().fold(sign, |sum, &byte| sum << 8 | i64::from(byte)) as f64
    };
    tensor.bytes.chunks_exact(size).map(integer).collect()
}

fn number(json: &Json) -> f64 {
    match json {
        Json::Bool(b) => f64::from(u8::from(*b)),
        Json::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap(),
    }
}

/// Compares with what Python printed: {name: [type, shape, values]}.
fn assert_same(state: &StateDict, json: &Json, what: &str) {
    let expected = json.as_object().unwrap();
    assert_eq!(state.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
    for (name, tensor) in state {
        let [element, shape, values] = expected[name].as_array().unwrap().as_slice() else {
            panic!("{name}")
        };
        let element = element.as_str().unwrap();
        let short =
            element.replace("bfloat", "BF").replace("float", "F").replace("uint", "U").replace("int", "I");
        assert_eq!(format!("{:?}", tensor.element).to_lowercase(), short.to_lowercase(), "{what}: {name}");
        let dims: Vec<u64> = shape.as_array().unwrap().iter().map(|d| d.as_u64().unwrap()).collect();
        assert_eq!(tensor.shape.iter().map(|&d| d as u64).collect::<Vec<_>>(), dims, "{what}: {name}");
        let expected: Vec<f64> = values.as_array().unwrap().iter().map(number).collect();
        let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
        let found = numbers(tensor);
        assert!(
            found.len() == expected.len() && found.iter().zip(&expected).all(same),
            "{what}: {name}: {found:?}"
        );
    }
}

fn kinds() -> Json {
    serde_json::from_slice(&std::fs::read(golden("kinds.json")).unwrap()).unwrap()
}

/// Every type, views of every kind, both formats, all protocols that torch takes.
#[test]
fn tensors_of_every_kind() {
    for name in ["kinds2.pth", "kinds3.pth", "kinds4.pth", "kinds5.pth", "old.pth"] {
        let state = read_torch(&golden(name)).unwrap();
        assert_same(&state, &kinds(), name);
        assert!(Arc::ptr_eq(&state["shared"].bytes, &state["shared.again"].bytes), "{name}");
    }
    let wrapped = read_torch(&golden("wrapped.pth")).unwrap();
    assert_eq!(
        wrapped.keys().collect::<Vec<_>>(),
        ["float16", "float32", "float64"],
        "no prefix of a wrapper"
    );
}

/// A file of Lightning's trainer, full of classes that are not there, becomes ours.
#[test]
fn lightning_to_safetensors() {
    let dir = tempfile::tempdir().unwrap();
    let ours = dir.path().join("model.safetensors");
    let report = convert(&golden("lightning.ckpt"), &ours).unwrap();
    assert_eq!(report.sizes, SMALL);
    let dropped = report.changes.dropped.len();
    assert_eq!((dropped, report.changes.renamed, report.changes.converted), (2 * 12 + 2, 0, 0));
    assert_eq!((&report.changes.added, &report.changes.warnings), (&vec![], &vec![]));
    // Counted by PyTorch: tokenizer 278, positions 68, encoder 1080.
    assert_eq!((report.encoder_parameters, report.predictor_parameters), (1426, 491));
    let state = read_safetensors(&ours).unwrap().state;
    let listed = list_tensors(&SMALL);
    assert_eq!((report.tensors, listed.len()), (state.len(), state.len()));
    for entry in &listed {
        let tensor = &state[&entry.name];
        assert_eq!((&tensor.shape, tensor.element), (&entry.shape, entry.element), "{}", entry.name);
        let is_count = entry.element == ElementType::I64;
        let expected = |i| if is_count { known(&entry.name, i).trunc() } else { known(&entry.name, i) };
        let found = numbers(tensor);
        let same = |(i, &x): (usize, &f64)| x == f64::from(expected(i));
        assert!(found.iter().enumerate().all(same), "{}: {found:?}", entry.name);
    }
}

/// There and back: the same tensors, shared as before, and bytes that depend on nothing else.
#[test]
fn back_to_torch() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let original = read_torch(&golden("lightning.ckpt")).unwrap();
    convert(&golden("lightning.ckpt"), &path("a.safetensors")).unwrap();
    for name in ["b.ckpt", "b.pth", "b.pt"] {
        let report = convert(&path("a.safetensors"), &path(name)).unwrap();
        assert_eq!((report.tensors, report.changes.added.len()), (original.len(), 26));
        let state = read_torch(&path(name)).unwrap();
        assert_eq!(state, original, "{name}");
        for (name, tensor) in state.iter().filter(|(name, _)| name.starts_with("student.")) {
            let again = &state[&name.replacen("student.", "teacher.online_model.", 1)];
            assert!(Arc::ptr_eq(&tensor.bytes, &again.bytes), "{name}");
        }
    }
    convert(&path("b.ckpt"), &path("c.safetensors")).unwrap();
    convert(&path("c.safetensors"), &path("c.ckpt")).unwrap();
    let bytes = |name: &str| std::fs::read(path(name)).unwrap();
    assert!(bytes("a.safetensors") == bytes("c.safetensors") && bytes("b.ckpt") == bytes("c.ckpt"));
}

/// `torch.load(weights_only=True)`, then the official structure with `strict=True`.
#[test]
fn the_official_class_loads_ours() {
    let dir = tempfile::tempdir().unwrap();
    let ours = dir.path().join("a.safetensors");
    convert(&golden("lightning.ckpt"), &ours).unwrap();
    let theirs = ["b.ckpt", "b.pth"].map(|name| dir.path().join(name));
    theirs.iter().for_each(|path| drop(convert(&ours, path).unwrap()));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/torch_reference.py");
    let output = match Command::new("python3").arg(script).arg("load").args(&theirs).output() {
        Ok(output) if output.status.code() != Some(SKIPPED) => output,
        Ok(output) => return eprintln!("skipped: {}", String::from_utf8_lossy(&output.stdout).trim()),
        Err(error) => return eprintln!("skipped: python3: {error}"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Vec<Json> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed.len(), 2);
    for (path, json) in theirs.iter().zip(&printed) {
        assert_same(&read_torch(path).unwrap(), json, "loaded by torch");
    }
}

fn original() -> StateDict {
    read_torch(&golden("lightning.ckpt")).unwrap()
}

pub(crate) fn message<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string()
}

/// One error names all that is wrong.
#[test]
fn what_does_not_fit() {
    let mut state = original();
    state.remove("student.norm.bias");
    state.remove("student.blocks.1.attn.qkv.weight");
    state.insert("cls_head.0.weight".to_owned(), TensorData::from_f32(&[2, 2], &[0.0; 4]));
    state.insert("mask_token".to_owned(), TensorData::from_f32(&[7], &[0.0; 7]));
    let counter = state["teacher.step"].clone();
    state.insert("teacher.initted".to_owned(), counter);
    assert_eq!(
        message(import(Path::new("a.ckpt"), state)),
        "a.ckpt: tensors: expected those of Point-JEPA, width 8, 2 blocks, predictor width 6, 1 blocks, \
         found 2 missing: student.blocks.1.attn.qkv.weight [24, 8], student.norm.bias [8]; \
         3 unexpected: cls_head.0.weight [2, 2], teacher.online_model.blocks.1.attn.qkv.weight [24, 8], \
         teacher.online_model.norm.bias [8]; \
         1 of another shape: mask_token expected [8], found [7]; \
         1 of another type: teacher.initted expected F32, found I64"
    );
    let nothing = message(import(Path::new("a.ckpt"), StateDict::new()));
    assert!(
        nothing.contains("found 400 missing: mask_token [384]") && nothing.ends_with("and 376 more"),
        "{nothing}"
    );
}

#[test]
fn halves_older_names_and_broken_statistics() {
    let mut state = original();
    let statistics = |name: &str| format!("tokenizer.embedding.encoder.first_conv.1.{name}");
    state.insert(statistics("running_mean"), TensorData::from_f32(&[4], &[f32::NAN, 1.0, 2.0, f32::NAN]));
    state.insert(statistics("running_var"), TensorData::from_f32(&[4], &[f32::NAN; 4]));
    let half = TensorData { element: ElementType::F16, shape: vec![8], bytes: Arc::new([0, 0x3c].repeat(8)) };
    state.insert("student.norm.bias".to_owned(), half.clone());
    let older: StateDict = state
        .into_iter()
        .map(|(name, tensor)| (name.replace("embedding.encoder.", "embedding."), tensor))
        .collect();
    let OurState { state, changes, .. } = import(Path::new("a.ckpt"), older).unwrap();
    assert_eq!((changes.renamed, changes.converted, changes.dropped.len()), (16, 1, 26));
    assert_eq!(
        changes.warnings,
        [
            "teacher.online_model.norm.bias differs from the encoder's; the encoder's was taken",
            "tokenizer.embedding.encoder.first_conv.1.running_mean: 2 of 4 were NaN, now 0",
            "tokenizer.embedding.encoder.first_conv.1.running_var: 4 of 4 were NaN, now 1",
        ]
    );
    assert_eq!(state[&statistics("running_mean")].to_f32().unwrap(), [0.0, 1.0, 2.0, 0.0]);
    assert_eq!(state[&statistics("running_var")].to_f32().unwrap(), [1.0; 4]);
    assert_eq!(state["student.norm.bias"], TensorData::from_f32(&[8], &[1.0; 8]));
}

#[test]
fn names_that_promise_nothing() {
    let convert = |from: &str, to: &str| message(convert(Path::new(from), Path::new(to)));
    assert_eq!(
        convert("a.ckpt", "b.bin"),
        "b.bin: name: expected one ending in .ckpt, .pth, .pt or .safetensors, found .bin"
    );
    assert_eq!(convert("a.ckpt", "b.pth"), "b.pth: name: expected one ending in .safetensors, found .pth");
    assert_eq!(
        convert("a.safetensors", "b.safetensors"),
        "b.safetensors: name: expected one ending in .ckpt, .pth or .pt, found .safetensors"
    );
    assert!(convert("nowhere.ckpt", "b.safetensors").starts_with("nowhere.ckpt: No such file"));
}

/// Files of downstream tasks with the names and shapes of the official classes: there and back, strict and complete.
#[test]
fn downstream_files_there_and_back() {
    let parts = CheckpointHead::Parts {
        classes: 16,
        embedding: 64,
        upsampling: [384; 2],
        hidden: [512, 256],
        parts: 50,
    };
    let classes = CheckpointHead::Classes { hidden: [256; 2], classes: 40 };
    let sizes = PointJepaSizes { depth: 1, ..PointJepaSizes::OFFICIAL };
    for (head, count) in [(parts, 32), (classes, 14)] {
        let state: StateDict = head
            .list_tensors(&sizes)
            .iter()
            .map(|entry| {
                let size = entry.element.size() * entry.shape.iter().product::<usize>();
                let bytes = (0..size).map(|i| (i * 7 + entry.name.len()) as u8 & 0x3f).collect();
                let tensor =
                    TensorData { element: entry.element, shape: entry.shape.clone(), bytes: Arc::new(bytes) };
                (entry.name.clone(), tensor)
            })
            .collect();
        let of_head =
            |name: &&String| !["tokenizer.", "positional_", "encoder."].iter().any(|p| name.starts_with(p));
        assert_eq!(state.keys().filter(of_head).count(), count);
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let order: Vec<String> = state.keys().cloned().collect();
        crate::torch_write::write_torch(&path("a.ckpt"), &state, &order, crate::torch_write::Wrapper::Plain)
            .unwrap();
        let report = convert(&path("a.ckpt"), &path("b.safetensors")).unwrap();
        assert_eq!((report.head, report.sizes.depth, report.tensors), (head, 1, state.len()));
        assert_eq!((report.changes.counters, report.changes.moments), (0, 0));
        convert(&path("b.safetensors"), &path("c.ckpt")).unwrap();
        assert_eq!(read_torch(&path("c.ckpt")).unwrap(), state);
    }
}

/// What a run of ours lacks is added, what it has beside the model left out; what is missing is named.
#[test]
fn downstream_runs_and_what_they_miss() {
    let head = CheckpointHead::Classes { hidden: [6, 6], classes: 3 };
    let entries = head.list_tensors(&SMALL);
    let floats = entries.iter().filter(|entry| entry.element == ElementType::F32);
    let zeros = |shape: &[usize]| TensorData::from_f32(shape, &vec![0.5; shape.iter().product()]);
    let mut ours: StateDict = floats.map(|entry| (entry.name.clone(), zeros(&entry.shape))).collect();
    ours.insert("optimizer.first.cls_head.8.bias".to_owned(), zeros(&[3]));
    let done = crate::names::export(Path::new("a.safetensors"), ours.clone()).unwrap();
    assert_eq!((done.changes.counters, done.changes.moments, done.head), (4, 1, head));
    assert!(done.state.keys().all(|name| !name.starts_with("optimizer.")));
    assert_eq!(done.state.len(), entries.len());
    ours.remove("cls_head.1.running_var");
    assert!(
        message(import(Path::new("a.safetensors"), ours))
            .ends_with("a head of 3 classes, found 1 missing: cls_head.1.running_var [6]")
    );
}
