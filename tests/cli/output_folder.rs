//! Output folders that cannot be written, belong to something else, are in use, or run full.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use super::harness::{SMALL, contents, files_below, finish, prepare_command, prepare_small, verify, write};

#[test]
fn a_folder_below_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("file"), "text");
    let run = prepare_small(&dir.path().join("file/out"), &[]).expect(2);
    assert!(run.stderr.contains("file/out") && run.stderr.contains("Not a directory"), "{}", run.stderr);
    let run = prepare_small(&dir.path().join("file"), &[]).expect(2);
    assert!(run.stderr.contains("Not a directory"), "{}", run.stderr);
}

#[test]
fn a_folder_of_another_plan_is_refused_with_both_hashes() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let plan = |args: &[&str]| {
        let json = prepare_small(&out, &[&["--dry-run", "--json"], args].concat()).expect(0).json();
        json["plan"].as_str().unwrap().to_owned()
    };
    let other = ["--set", "run.seed=5"];
    let hashes = [plan(&[]), plan(&other)];
    let refuse = |state: &str| {
        let before = files_below(&out);
        let run = prepare_small(&out, &other).expect(2);
        let text = format!("plan expected {}, found {}", hashes[1], hashes[0]);
        assert!(run.stderr.contains(&text), "{state}: {}", run.stderr);
        assert!(
            run.stderr.starts_with("synthetic: ") && run.stderr.contains("error: not begun: "),
            "{}",
            run.stderr
        );
        assert_eq!(files_below(&out), before, "{state}");
    };
    prepare_small(&out, &["--task", "1"]).expect(0);
    refuse("begun");
    prepare_small(&out, &[]).expect(0);
    let before = contents(&out);
    refuse("complete");
    assert_eq!(contents(&out), before);
}

#[test]
fn files_of_others_are_neither_mixed_in_nor_overwritten() {
    for file in ["points/theirs.parquet", "catalog.parquet", "config.toml", "quarantine.jsonl"] {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join(file), "theirs");
        let run = prepare_small(dir.path(), &[]).expect(2);
        assert!(run.stderr.contains(&format!("holds {file}, and neither a manifest nor")), "{}", run.stderr);
        assert_eq!(files_below(dir.path()), [dir.path().join(file)]);
        assert_eq!(std::fs::read(dir.path().join(file)).unwrap(), b"theirs");
    }
    // Anything else in the folder stays.
    let dir = tempfile::tempdir().unwrap();
    for file in ["notes.txt", "draft.tmp", "raw/a.parquet"] {
        write(&dir.path().join(file), "theirs");
    }
    prepare_small(dir.path(), &[]).expect(0);
    for file in ["notes.txt", "draft.tmp", "raw/a.parquet"] {
        assert!(dir.path().join(file).exists(), "{file}");
    }
}

#[test]
fn a_manifest_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("manifest.json"), "{\"schema_version\": 1");
    for run in [prepare_small(dir.path(), &[]), verify(dir.path())] {
        let run = run.expect(2);
        assert!(run.stderr.contains("manifest.json: manifest: expected JSON, found EOF"), "{}", run.stderr);
    }
}

#[test]
fn a_folder_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    prepare_small(&out, &["--task", "0"]).expect(0);
    let lock = File::options().append(true).open(out.join(".jepa3d/lock")).unwrap();
    let refused = |args: &[&str]| {
        let run = prepare_small(&out, args).expect(3);
        assert!(run.stderr.contains("another jepa3d process is writing here"), "{}", run.stderr);
    };
    // Another task shares the folder, a whole run or a merge wants it alone.
    lock.lock_shared().unwrap();
    refused(&[]);
    refused(&["--finalize"]);
    prepare_small(&out, &["--task", "1"]).expect(0);
    lock.unlock().unwrap();
    lock.lock().unwrap();
    refused(&[]);
    refused(&["--task", "2"]);
    drop(lock);
    prepare_small(&out, &[]).expect(0);
    verify(&out).expect(0);
}

#[test]
fn two_whole_runs_at_once_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let (out, alone) = (dir.path().join("out"), dir.path().join("alone"));
    prepare_small(&alone, &[]).expect(0);
    for _ in 0..3 {
        let start = |_: usize| prepare_command(&out, &SMALL, &[]).spawn().unwrap();
        let runs = [0, 1, 2].map(start).map(|child| child.wait_with_output().unwrap());
        let codes: Vec<_> = runs.iter().map(|run| run.status.code()).collect();
        assert!(codes.contains(&Some(0)), "one of them had the folder: {codes:?}");
        for run in runs.iter().filter(|run| !run.status.success()) {
            let stderr = String::from_utf8_lossy(&run.stderr);
            assert!(stderr.contains("another jepa3d process is writing here"), "{stderr}");
        }
        assert_eq!(contents(&out), contents(&alone));
        std::fs::remove_dir_all(&out).unwrap();
    }
}

/// A file system of two megabytes, if the test may mount one.
pub(super) struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    pub(super) fn mount(at: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        mount(&["-t", "tmpfs", "-o", "size=2m", "jepa3d-test"], at).then_some(Self(at))
    }

    pub(super) fn enlarge(&self) {
        assert!(mount(&["-o", "remount,size=64m"], self.0));
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).output();
    }
}

fn mount(args: &[&str], at: &Path) -> bool {
    Command::new("mount").args(args).arg(at).output().is_ok_and(|run| run.status.success())
}

#[test]
fn a_full_disk_is_named_and_the_same_command_continues() {
    let dir = tempfile::tempdir().unwrap();
    let (at, roomy) = (dir.path().join("disk"), dir.path().join("roomy"));
    let Some(disk) = SmallDisk::mount(&at) else {
        eprintln!("skipped: no right to mount a small file system");
        return;
    };
    let sets = [
        "dataset.count=240",
        "cloud.points=1024",
        "groups.points=512",
        "shards.rows=20",
        "shards.row_group=10",
    ];
    let prepare = |out: &Path| finish(prepare_command(out, &sets, &[]));
    prepare(&roomy).expect(0);
    let out = at.join("out");
    let run = prepare(&out).expect(3);
    assert!(
        run.stderr.contains("not finished; what is written stays, the same command continues"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains(&format!("{}/points/", out.display())), "names the file: {}", run.stderr);
    assert_eq!(run.stderr.matches("No space left on device").count(), 1, "{}", run.stderr);
    let left: Vec<_> = files_below(&out.join("points"));
    assert!(!left.is_empty() && left.len() < 12, "the shards before it stay: {left:?}");
    for path in files_below(&out) {
        assert!(!path.to_string_lossy().ends_with(".tmp"), "{}", path.display());
    }
    for path in &left {
        let there = roomy.join("points").join(path.file_name().unwrap());
        assert_eq!(std::fs::read(path).unwrap(), std::fs::read(there).unwrap());
    }
    let written: Vec<_> = left.iter().map(|p| p.metadata().unwrap().modified().unwrap()).collect();
    prepare(&out).expect(3);
    disk.enlarge();
    prepare(&out).expect(0);
    assert!(left.iter().map(|p| p.metadata().unwrap().modified().unwrap()).eq(written), "not written again");
    assert_eq!(contents(&out), contents(&roomy));
}
