//! `verify` finds damage and names it; `prepare` repairs what it can see, with the same bytes.

use jepa3d_schemas::{CATALOG_FILE, MANIFEST_FILE, Manifest};

use super::harness::{contents, prepare_small, shards, text, verify};

/// What `verify --json` complains about: pairs of file and text.
fn problems(out: &std::path::Path) -> Vec<(String, String)> {
    let run = super::harness::jepa3d(&["verify", text(out), "--json"]);
    let report = run.json();
    let found: Vec<_> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["file"].as_str().unwrap().to_owned(), p["what"].as_str().unwrap().to_owned()))
        .collect();
    run.expect(i32::from(!found.is_empty()));
    found
}

#[test]
fn a_flipped_byte_is_found_anywhere_in_a_shard() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    prepare_small(out, &[]).expect(0);
    let before = contents(out);
    let shard = shards(out)[4].clone();
    let name = text(shard.strip_prefix(out).unwrap()).to_owned();
    let good = std::fs::read(&shard).unwrap();
    for at in [0, good.len() / 3, good.len() / 2, good.len() - 5, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&shard, bad).unwrap();
        let found = problems(out);
        assert_eq!(found.len(), 1, "byte {at}: {found:?}");
        assert_eq!(found[0].0, name);
        assert!(found[0].1.starts_with("content hash: expected "), "{}", found[0].1);
    }
    let shown = verify(out).expect(1).stdout;
    assert!(shown.starts_with(&format!("{name}: content hash: expected ")), "{shown}");
    assert!(shown.ends_with("1 problems\n"), "{shown}");
    // Sizes are all that prepare looks at, so that a second call is quick: verify finds the rest,
    // and a shard that it names is deleted and prepared again.
    assert!(prepare_small(out, &[]).expect(0).stdout.contains("complete already"));
    std::fs::remove_file(&shard).unwrap();
    prepare_small(out, &[]).expect(0);
    assert_eq!(contents(out), before);
    assert_eq!(problems(out), []);
}

#[test]
fn missing_and_cut_shards_are_named_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    prepare_small(out, &[]).expect(0);
    let before = contents(out);
    let (missing, cut) = (shards(out)[0].clone(), shards(out)[7].clone());
    std::fs::remove_file(&missing).unwrap();
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 100]).unwrap();
    let found = problems(out);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(missing.ends_with(&found[0].0) && found[0].1.starts_with("cannot read: "), "{found:?}");
    let sizes = format!("bytes: expected {}, found {}", bytes.len(), bytes.len() - 100);
    assert!(cut.ends_with(&found[1].0) && found[1].1 == sizes, "{found:?}");
    let untouched = shards(out)[3].metadata().unwrap().modified().unwrap();
    let repaired = prepare_small(out, &["--json"]).expect(0).json();
    assert_eq!(repaired["tasks_done"], 2, "exactly the two shards");
    assert_eq!(shards(out)[3].metadata().unwrap().modified().unwrap(), untouched);
    assert_eq!(contents(out), before);
    assert_eq!(problems(out), []);
}

#[test]
fn one_task_can_repair_and_the_merge_follows() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    prepare_small(out, &[]).expect(0);
    let before = contents(out);
    std::fs::remove_file(&shards(out)[2]).unwrap();
    prepare_small(out, &["--task", "2"]).expect(0);
    assert!(!out.join(MANIFEST_FILE).exists(), "not complete before the merge");
    verify(out).expect(2);
    prepare_small(out, &["--finalize"]).expect(0);
    assert_eq!(contents(out), before);
}

#[test]
fn lost_tables_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    prepare_small(out, &[]).expect(0);
    let before = contents(out);
    for file in [CATALOG_FILE, "quarantine.jsonl"] {
        std::fs::remove_file(out.join(file)).unwrap();
        let found = problems(out);
        assert!(found.len() == 1 && found[0].0 == file, "{found:?}");
        prepare_small(out, &[]).expect(0);
        assert_eq!(contents(out), before);
    }
}

#[test]
fn a_manifest_that_was_changed_and_strange_shards_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    prepare_small(out, &[]).expect(0);
    let shard = shards(out)[1].clone();
    std::fs::copy(&shard, out.join("points/train-extra.parquet")).unwrap();
    let found = problems(out);
    assert!(found.len() == 1 && found[0].0 == "points/train-extra.parquet", "{found:?}");
    std::fs::remove_file(out.join("points/train-extra.parquet")).unwrap();
    let manifest = std::fs::read_to_string(out.join(MANIFEST_FILE)).unwrap();
    let mut whole = Manifest::read(out).unwrap();
    let fingerprint = whole.fingerprint.clone();
    let other = "0".repeat(32);
    // Edited by hand it is refused, by all that read it; written anew it is compared with the rest.
    std::fs::write(out.join(MANIFEST_FILE), manifest.replace(&fingerprint, &other)).unwrap();
    for run in [verify(out), super::harness::jepa3d(&["stats", text(out)]), prepare_small(out, &[])] {
        let run = run.expect(2);
        assert!(run.stderr.contains("manifest.json: self_hash: expected "), "{}", run.stderr);
        assert!(run.stderr.contains("the file was damaged or edited"), "{}", run.stderr);
    }
    whole.fingerprint.clone_from(&other);
    whole.write(out).unwrap();
    let found = problems(out);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].1, format!("fingerprint: expected {other} (manifest), found {fingerprint}"));
    let newer = manifest.replace("\"schema_version\": 1", "\"schema_version\": 9");
    std::fs::write(out.join(MANIFEST_FILE), newer).unwrap();
    let run = verify(out).expect(2);
    assert!(run.stderr.contains("schema_version: expected 1, found 9"), "{}", run.stderr);
}
