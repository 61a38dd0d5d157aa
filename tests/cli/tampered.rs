//! Prepared sets that somebody, or a disk, has changed: refused or found by name, and nothing outside them is touched.

use std::path::{Path, PathBuf};

use jepa3d_schemas::{CATALOG_FILE, MANIFEST_FILE, Manifest, hashed_json, parse_hashed_json};

use super::harness::{
    SMALL, VIEWS, contents, finish, jepa3d, prepare_command, prepare_small, shards, text, verify, write,
};

/// A small set with views.
fn prepare_views(out: &Path) {
    prepare_small(out, &VIEWS).expect(0);
}

/// Every file of the same name and bytes in two states of a folder.
fn bytes_of(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn names_in_a_manifest_lead_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let (out, victim) = (dir.path().join("out"), dir.path().join("victim.parquet"));
    prepare_views(&out);
    write(&victim, "theirs");
    let whole = Manifest::read(&out).unwrap();
    for name in
        [text(&victim), "views/../../victim.parquet", "views/a/b.parquet", "/dev/zero", "points/a.parquet"]
    {
        let mut manifest = whole.clone();
        manifest.views.as_mut().unwrap().shards[0].file = name.to_owned();
        manifest.write(&out).unwrap();
        let smaller = ["--set", "views.size=24", "--only", "views"];
        let runs = [
            prepare_small(&out, &[&VIEWS[..], &smaller].concat()),
            verify(&out),
            jepa3d(&["stats", text(&out)]),
            jepa3d(&["inspect", text(&out), "--contact-sheet", text(&dir.path().join("sheet.png"))]),
            jepa3d(&["teacher", text(&out), "--teacher", "hog"]),
        ];
        for run in runs {
            let run = run.expect(2);
            let expected =
                "manifest.json: views.shards[0].file: expected the plain name of a shard, views/NAME.parquet";
            assert!(run.stderr.contains(expected), "{name}: {}", run.stderr);
        }
        assert_eq!(bytes_of(&victim), b"theirs");
    }
    let mut manifest = whole;
    manifest.shards[2].file = "../victim.parquet".into();
    manifest.write(&out).unwrap();
    let run = prepare_small(&out, &[]).expect(2);
    assert!(run.stderr.contains("manifest.json: shards[2].file: expected"), "{}", run.stderr);
}

/// Edits a record of a half-done set and gives it the right hash.
fn edit_record(out: &Path, record: &str, pointer: &str, value: &str) {
    let path = out.join(".jepa3d").join(record);
    let (mut json, is_hashed) = parse_hashed_json(&path, &bytes_of(&path)).unwrap();
    assert!(is_hashed);
    *json.pointer_mut(pointer).unwrap() = value.into();
    std::fs::write(&path, hashed_json(&json)).unwrap();
}

#[test]
fn a_half_done_set_is_continued_from_what_is_whole_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (out, whole) = (dir.path().join("out"), dir.path().join("whole"));
    prepare_small(&whole, &[]).expect(0);
    let victim = dir.path().join("victim.parquet");
    std::fs::copy(&shards(&whole)[1], &victim).unwrap();
    for task in ["0", "1", "2", "3", "4"] {
        prepare_small(&out, &["--task", task]).expect(0);
    }
    let names: Vec<PathBuf> =
        shards(&whole).iter().map(|path| out.join("points").join(path.file_name().unwrap())).collect();
    // One bit of a shard, of the same size; a record of another file; a bit of a record.
    let mut bytes = bytes_of(&names[0]);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&names[0], bytes).unwrap();
    edit_record(&out, "task-00001.json", "/shard/file", text(&victim));
    let record = out.join(".jepa3d/task-00002.json");
    let mut bytes = bytes_of(&record);
    let digit = bytes.iter().position(u8::is_ascii_digit).unwrap();
    bytes[digit] ^= 1;
    std::fs::write(&record, bytes).unwrap();
    let before = bytes_of(&victim);
    let run = prepare_small(&out, &["--json"]).expect(0);
    assert_eq!((&run.json()["tasks_skipped"], &run.json()["tasks_done"]), (&2.into(), &19.into()));
    assert!(run.stderr.contains("content hash: expected"), "{}", run.stderr);
    assert!(run.stderr.contains("task-00001.json: shard.file: expected points/"), "{}", run.stderr);
    assert_eq!(contents(&out), contents(&whole));
    assert_eq!(bytes_of(&victim), before);
    verify(&out).expect(0);
}

#[test]
fn a_flipped_bit_is_found_in_every_file_of_a_set() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    prepare_views(out);
    jepa3d(&["teacher", text(out), "--teacher", "hog"]).expect(0);
    verify(out).expect(0);
    let mut files: Vec<PathBuf> =
        [MANIFEST_FILE, CATALOG_FILE, "config.toml"].iter().map(|file| out.join(file)).collect();
    let views = Manifest::read(out).unwrap().views.unwrap();
    files.push(shards(out)[3].clone());
    files.push(out.join(&views.shards[3].file));
    let cache = super::harness::files_below(&out.join("teachers"));
    files.push(cache.iter().find(|path| path.ends_with("teacher.json")).unwrap().clone());
    files.push(cache[1].clone());
    for file in files {
        let good = bytes_of(&file);
        for k in 0..3 {
            let bit = (8 * good.len() - 1) * (2 * k + 1) / 6;
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, bad).unwrap();
            let run = verify(out);
            let name = text(file.strip_prefix(out).unwrap());
            assert!(run.code != Some(0) && run.code != Some(101), "{name}, bit {bit}: {}", run.stdout);
            let said = format!("{}{}", run.stdout, run.stderr);
            assert!(said.contains(name), "{name}, bit {bit}: {said}");
        }
        std::fs::write(&file, good).unwrap();
    }
    verify(out).expect(0);
}

#[test]
fn every_file_is_named_or_noted() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    prepare_small(out, &[]).expect(0);
    for file in ["NOTES.md", "README.md", "raw/a.parquet", "teachers/begun/train-00000-of-00001.parquet"] {
        write(&out.join(file), "theirs");
    }
    let run = verify(out).expect(0);
    for line in [
        "note: NOTES.md: named by no manifest, not checked\n",
        "note: README.md: expected the fingerprint ",
        "note: raw: named by no manifest, not checked\n",
        "note: teachers/begun: an unfinished cache: no teacher.json\n",
    ] {
        assert!(run.stdout.contains(line), "{}", run.stdout);
    }
    std::fs::remove_file(out.join("config.toml")).unwrap();
    let run = verify(out).expect(1);
    assert!(run.stdout.contains("config.toml: cannot read: "), "{}", run.stdout);
    assert!(prepare_small(out, &[]).expect(0).stdout.contains("complete already"));
    verify(out).expect(0);
}

#[cfg(unix)]
#[test]
fn shards_may_lie_on_another_disk_and_pipes_are_no_shards() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    prepare_small(&out, &[]).expect(0);
    let (shard, other) = (shards(&out)[0].clone(), dir.path().join("other.parquet"));
    std::fs::rename(&shard, &other).unwrap();
    std::os::unix::fs::symlink(&other, &shard).unwrap();
    verify(&out).expect(0);
    std::fs::remove_file(&shard).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &shard).unwrap();
    for run in [verify(&out).expect(2), jepa3d(&["stats", text(&out)]).expect(2)] {
        let expected = "manifest.json: shards[0].file: expected a regular file, found \"points/";
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let run = prepare_small(&out, &["--task", "99"]).expect(2);
    assert!(run.stderr.contains("--task 99: expected a number below 21"), "{}", run.stderr);
    let run = prepare_small(&out, &["--limit", "0"]).expect(2);
    assert!(run.stderr.contains("--limit 0: expected 1 or more"), "{}", run.stderr);
    assert!(!out.exists());
    finish(prepare_command(&out, &SMALL, &["--limit", "2"])).expect(0);
}
