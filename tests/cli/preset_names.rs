//! Presets by name from any folder, how they are listed and printed, and the shells' completions.

use std::collections::BTreeSet;
use std::path::Path;

use super::harness::{command, finish, jepa3d, text, write};

/// `verb/name` of every file below `configs/`.
fn files() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let paths = super::harness::files_below(&root);
    paths.iter().map(|path| text(&path.strip_prefix(&root).unwrap().with_extension("")).to_owned()).collect()
}

#[test]
fn every_config_is_listed_with_a_line_and_printed_as_it_is() {
    let list = jepa3d(&["presets"]).expect(0).stdout;
    let mut listed = BTreeSet::new();
    for line in list.lines() {
        let words: Vec<&str> = line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
        let [verb, name, summary] = words[..] else { panic!("{line}") };
        assert!(summary.ends_with('.') && summary.len() <= 110 && !summary.contains("configs/"), "{line}");
        let printed = jepa3d(&["presets", name]).expect(0).stdout;
        let path = format!("{}/configs/{verb}/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(printed, std::fs::read_to_string(path).unwrap());
        assert_eq!(jepa3d(&["presets", &format!("{verb}/{name}")]).expect(0).stdout, printed);
        listed.insert(format!("{verb}/{name}"));
    }
    assert_eq!(listed, files(), "src/presets.rs must hold what configs/ holds");
}

#[test]
fn a_name_means_the_same_in_any_folder() {
    let dir = tempfile::tempdir().unwrap();
    // A dataset's folder, and an edited copy, have the name of a preset.
    std::fs::create_dir(dir.path().join("modelnet")).unwrap();
    write(&dir.path().join("synthetic"), "[dataset]\nkind = \"synthetic\"\ncount = 32\n");
    let objects = |config: &str| {
        let mut command = command(&["prepare", config, "--out", "out", "--dry-run", "--json"]);
        let plan = finish({
            command.current_dir(dir.path());
            command
        })
        .expect(0)
        .json();
        plan["config"]["dataset"]["count"].as_u64().unwrap()
    };
    assert_eq!((objects("synthetic"), objects("./synthetic")), (640, 32));
    let mut train = command(&["pretrain", "3d-jepa-small", "--data", "none", "--out", "run", "--dry-run"]);
    train.current_dir(dir.path());
    assert!(finish(train).expect(0).stdout.contains("preset = \"3d-jepa-small\""));
}

#[test]
fn an_unknown_name_is_an_error_that_knows_better() {
    let cases: [(&[&str], &str); 7] = [
        (&["prepare", "modelnt", "--out", "x"], "near: modelnet, "),
        (&["prepare", "3d-jepa-small", "--out", "x"], "3d-jepa-small is one of `jepa3d pretrain`"),
        (&["pretrain", "modelnet", "--data", "x", "--out", "y"], "modelnet is one of `jepa3d prepare`"),
        (&["pretrain", "qqqq", "--data", "x", "--out", "y"], "(none is near; `jepa3d presets` lists all)"),
        (&["pretrain", "3djepa", "--data", "x", "--out", "y"], "near: 3d-jepa, "),
        (&["prepare", "gone/modelnet", "--out", "x"], "gone/modelnet: No such file"),
        (
            &["presets", "pretrain/modelnet"],
            "pretrain/modelnet: expected a preset, found no preset of this name",
        ),
    ];
    for (args, expected) in cases {
        let run = jepa3d(args).expect(2);
        assert!(run.stderr.contains(expected), "{args:?}: {}", run.stderr);
        assert!(run.stdout.is_empty(), "{args:?}: {}", run.stdout);
    }
}

#[test]
fn errors_in_a_setting_name_it() {
    let run = jepa3d(&["prepare", "synthetic", "--out", "x", "--set", "groups.centres=3"]).expect(2);
    assert!(run.stderr.contains("error: --set groups.centres=3: unknown field `centres`"), "{}", run.stderr);
}

#[test]
fn half_precision_is_a_key_of_the_config() {
    let args = ["pretrain", "3d-jepa-small", "--data", "x", "--out", "y", "--dry-run"];
    let toml = |more: &[&str]| jepa3d(&[&args, more].concat()).expect(0).stdout;
    assert!(!toml(&[]).contains("precision"), "what is f32 is written as before");
    assert!(toml(&["--bf16"]).contains("precision = \"bf16\""));
    assert_eq!(toml(&["--bf16"]), toml(&["--set", "run.precision=bf16"]));
    let run = jepa3d(&[&args[..], &["--set", "run.precision=f16"]].concat()).expect(2);
    assert!(run.stderr.contains("expected `f32` or `bf16`"), "{}", run.stderr);
}

#[test]
fn shells_complete_every_verb() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = jepa3d(&["completions", shell]).expect(0).stdout;
        for word in ["prepare", "pretrain", "presets", "completions", "dry-run"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    jepa3d(&["completions", "tcsh"]).expect(2);
}
