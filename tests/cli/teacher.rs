//! Caching embeddings with the real binary: continued, repaired, refused, the same bytes on any number of threads.

use std::path::{Path, PathBuf};

use super::harness::{Run, VIEWS, files_below, jepa3d, prepare_small, text, verify};

fn teacher(out: &Path, args: &[&str]) -> Run {
    jepa3d(&[&["teacher", text(out), "--teacher", "hog"], args].concat())
}

/// The files of a cache and their bytes.
fn bytes(out: &Path, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = out.join("teachers").join(name);
    let files = files_below(&folder).into_iter();
    files.map(|f| (f.strip_prefix(&folder).unwrap().to_owned(), std::fs::read(f).unwrap())).collect()
}

fn prepared() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    prepare_small(dir.path(), &VIEWS).expect(0);
    dir
}

#[test]
fn views_are_embedded_once_and_repaired_to_the_same_bytes() {
    let dir = prepared();
    let report = teacher(dir.path(), &["--dim", "32", "--threads", "1", "--json"]).expect(0).json();
    assert_eq!(
        (&report["views"], &report["valid"], &report["width"]),
        (&180.into(), &180.into(), &32.into())
    );
    assert_eq!((&report["shards_kept"], &report["name"]), (&0.into(), &"hog".into()));
    let before = bytes(dir.path(), "hog");
    assert_eq!(before.len() as u64, report["shards_written"].as_u64().unwrap() + 1);
    let again = teacher(dir.path(), &["--dim", "32"]).expect(0).stdout;
    assert!(
        again.contains("teachers/hog: complete already, 180 views, 180 valid, 32 numbers each"),
        "{again}"
    );
    assert!(verify(dir.path()).expect(0).stdout.contains(", 180 embeddings, 0 quarantined: all good"));
    let lost = dir.path().join("teachers/hog").join(&before[1].0);
    std::fs::remove_file(&lost).unwrap();
    let broken = verify(dir.path()).expect(1).stdout;
    assert!(broken.contains("cannot read"), "{broken}");
    let report = teacher(dir.path(), &["--dim", "32", "--threads", "2", "--json"]).expect(0).json();
    assert_eq!(report["shards_written"], 1);
    assert_eq!(bytes(dir.path(), "hog"), before);
    // Another name is another cache; threads leave no trace in it.
    teacher(dir.path(), &["--dim", "32", "--name", "two", "--threads", "2"]).expect(0);
    assert_eq!(bytes(dir.path(), "two").len(), before.len());
    for (a, b) in
        bytes(dir.path(), "two").iter().zip(&before).filter(|(a, _)| a.0 != Path::new("teacher.json"))
    {
        assert!(a == b, "{}", a.0.display());
    }
    verify(dir.path()).expect(0);
}

#[test]
fn what_does_not_fit_is_refused_with_both_values() {
    let dir = prepared();
    teacher(dir.path(), &["--dim", "8"]).expect(0);
    let other = teacher(dir.path(), &["--dim", "9"]).expect(2).stderr;
    assert!(other.contains("teachers/hog/teacher.json: jepa3d.teacher_weights: expected "), "{other}");
    // Other images under the same samples: the cache is stale.
    prepare_small(dir.path(), &["--set", "views.size=32", "--set", VIEWS[3]]).expect(0);
    let stale = teacher(dir.path(), &["--dim", "8"]).expect(2).stderr;
    assert!(stale.contains("teacher.json: jepa3d.views_plan: expected "), "{stale}");
    assert!(verify(dir.path()).expect(1).stdout.contains("jepa3d.views_plan: expected "));
    let weights = teacher(dir.path(), &["--weights", "w.safetensors"]).expect(2).stderr;
    assert!(weights.contains("--weights: expected none, because hog has no weights"), "{weights}");
    let missing = jepa3d(&["teacher", text(dir.path()), "--teacher", "vit"]).expect(2).stderr;
    assert!(missing.contains("--weights"), "{missing}");
    let plain = tempfile::tempdir().unwrap();
    prepare_small(plain.path(), &[]).expect(0);
    let error = teacher(plain.path(), &[]).expect(2).stderr;
    assert!(error.contains("expected views, found none (prepare --only views adds them)"), "{error}");
}

#[test]
fn a_vision_transformer_from_a_file_embeds_too() {
    let dir = prepared();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/train/teachers/goldens/vit_plain.safetensors");
    let args = ["teacher", text(dir.path()), "--teacher", "vit", "--weights", golden, "--pool", "mean"];
    let refused = jepa3d(&args).expect(2).stderr;
    assert!(refused.contains("config: --heads: expected a divisor of the width 24"), "{refused}");
    let report = jepa3d(&[&args[..], &["--heads", "3", "--json"]].concat()).expect(0).json();
    assert_eq!((&report["valid"], &report["width"]), (&180.into(), &24.into()));
    let other = jepa3d(&[&args[..6], &["--heads", "3"]].concat()).expect(2).stderr;
    assert!(other.contains("jepa3d.teacher_pooling: expected class token, found mean of patches"), "{other}");
    verify(dir.path()).expect(0);
}
