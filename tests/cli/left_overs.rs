//! Every state in which a killed process can leave the folder, made by hand, is cleaned up.

use std::path::{Path, PathBuf};

use super::harness::{SMALL, contents, finish, prepare_command, prepare_small, verify, write};

/// A complete dataset beside one with all tasks done and no manifest.
struct Pair {
    dir: tempfile::TempDir,
    tasks: usize,
}

impl Pair {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        prepare_small(&dir.path().join("whole"), &[]).expect(0);
        let tasks = super::harness::shards(&dir.path().join("whole")).len();
        Self { dir, tasks }
    }

    fn whole(&self) -> PathBuf {
        self.dir.path().join("whole")
    }

    /// A folder with the first three tasks done.
    fn begun(&self, name: &str) -> PathBuf {
        let out = self.dir.path().join(name);
        for task in ["0", "1", "2"] {
            prepare_small(&out, &["--task", task]).expect(0);
        }
        out
    }

    /// Continues and compares; `done` tasks must not be repeated.
    #[track_caller]
    fn continues(&self, out: &Path, done: usize) {
        let report = prepare_small(out, &["--json"]).expect(0).json();
        assert_eq!(report["tasks_skipped"], done);
        assert_eq!(report["tasks_done"], self.tasks - done);
        assert_eq!(contents(out), contents(&self.whole()));
        verify(out).expect(0);
    }
}

#[test]
fn half_written_files_are_removed() {
    let pair = Pair::new();
    let out = pair.begun("out");
    for file in
        ["points/train-00000-of-00014.parquet", "manifest.json", "config.toml", ".jepa3d/task-00007.json"]
    {
        write(&out.join(format!("{file}.4711-3.tmp")), "PAR1");
    }
    pair.continues(&out, 3);
    // The clean-up after the manifest was interrupted.
    write(&out.join("points/x.parquet.4711-3.tmp"), "PAR1");
    write(&out.join(".jepa3d/task-00007.json"), "{}");
    pair.continues(&out, pair.tasks);
}

#[test]
fn a_shard_without_record_and_a_record_without_shard_are_repeated() {
    let pair = Pair::new();
    let out = pair.begun("out");
    std::fs::remove_file(out.join(".jepa3d/task-00000.json")).unwrap();
    pair.continues(&out, 2);
    let out = pair.begun("other");
    let shard = super::harness::files_below(&out.join("points"))[1].clone();
    std::fs::remove_file(shard).unwrap();
    let record = out.join(".jepa3d/task-00002.json");
    let text = std::fs::read(&record).unwrap();
    std::fs::write(&record, &text[..text.len() / 2]).unwrap();
    pair.continues(&out, 1);
}

#[test]
fn a_folder_without_a_plan_yet_is_begun() {
    let pair = Pair::new();
    let out = pair.dir.path().join("out");
    write(&out.join(".jepa3d/lock"), "");
    write(&out.join(".jepa3d/plan.txt.4711-0.tmp"), "half");
    std::fs::create_dir_all(out.join("points")).unwrap();
    pair.continues(&out, 0);
}

#[test]
fn an_interrupted_repair_is_continued() {
    let pair = Pair::new();
    let out = pair.dir.path().join("out");
    prepare_small(&out, &[]).expect(0);
    std::fs::remove_file(&super::harness::shards(&out)[5]).unwrap();
    // Killed while the records were written: the manifest is still there.
    write(&out.join(".jepa3d/task-00000.json"), "{");
    let plan = jepa3d_schemas::Manifest::read(&out).unwrap().plan;
    write(&out.join(".jepa3d/plan.txt"), plan);
    pair.continues(&out, pair.tasks - 1);
}

#[test]
fn several_tasks_repair_at_once() {
    let pair = Pair::new();
    let out = pair.dir.path().join("out");
    prepare_small(&out, &[]).expect(0);
    for shard in &super::harness::shards(&out)[..4] {
        std::fs::remove_file(shard).unwrap();
    }
    let start = |task: &str| prepare_command(&out, &SMALL, &["--task", task]).spawn().unwrap();
    for child in ["0", "1", "2", "3"].map(start) {
        let run = child.wait_with_output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
    finish(prepare_command(&out, &SMALL, &["--finalize"])).expect(0);
    assert_eq!(contents(&out), contents(&pair.whole()));
}
