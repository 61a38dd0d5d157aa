//! The bytes of a dataset depend on config and data alone: not on threads, tasks or their order.

use jepa3d_schemas::Manifest;

use super::harness::{SMALL, contents, finish, prepare_command, prepare_small, shards, verify};

#[test]
fn threads_do_not_change_a_byte() {
    let dir = tempfile::tempdir().unwrap();
    let of = |threads: &str| {
        let out = dir.path().join(threads);
        prepare_small(&out, &["--threads", threads]).expect(0);
        contents(&out)
    };
    let one = of("1");
    assert!(one.files.len() > 20, "manifest, config, quarantine and some 20 shards");
    assert_eq!(one.catalog.len(), 60);
    for threads in ["2", "5"] {
        assert_eq!(of(threads), one, "{threads} threads");
    }
}

#[test]
fn tasks_in_reverse_order_and_at_once_give_the_same_dataset() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, tasks) = (dir.path().join("whole"), dir.path().join("tasks"));
    prepare_small(&whole, &[]).expect(0);
    let count = shards(&whole).len();
    let early = prepare_small(&tasks, &["--finalize"]).expect(2);
    let complaint = format!("{count} of {count} tasks are not done, the first is --task 0");
    assert!(early.stderr.contains(&complaint), "{}", early.stderr);
    // The last ones one by one in reverse order, the rest four at a time.
    for task in (8..count).rev() {
        prepare_small(&tasks, &["--task", &task.to_string()]).expect(0);
    }
    for four in [[7, 6, 5, 4], [3, 2, 1, 0]] {
        let start =
            |task: usize| prepare_command(&tasks, &SMALL, &["--task", &task.to_string()]).spawn().unwrap();
        for child in four.map(start) {
            assert!(child.wait_with_output().unwrap().status.success());
        }
    }
    let again = prepare_small(&tasks, &["--task", "3", "--json"]).expect(0).json();
    assert_eq!((&again["tasks_done"], &again["tasks_skipped"]), (&0.into(), &1.into()));
    assert!(!tasks.join("manifest.json").exists(), "only the merge writes the manifest");
    let beyond = prepare_small(&tasks, &["--task", &count.to_string()]).expect(2);
    assert!(
        beyond.stderr.contains(&format!("--task {count}: expected a number below {count}")),
        "{}",
        beyond.stderr
    );
    let merged = prepare_small(&tasks, &["--finalize"]).expect(0);
    assert!(merged.stdout.contains(": complete, 60 samples"), "{}", merged.stdout);
    assert_eq!(contents(&tasks), contents(&whole));
    verify(&tasks).expect(0);
}

#[test]
fn tolerance_does_not_change_a_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, tolerant) = (dir.path().join("plain"), dir.path().join("tolerant"));
    prepare_small(&plain, &[]).expect(0);
    prepare_small(&tolerant, &["--max-failures", "7"]).expect(0);
    let mut files = [contents(&plain).files, contents(&tolerant).files];
    for files in &mut files {
        files.remove("config.toml");
    }
    assert_eq!(files[0], files[1]);
}

#[test]
fn a_seed_changes_the_samples_but_not_the_split() {
    let dir = tempfile::tempdir().unwrap();
    let of = |seed: &str| {
        let out = dir.path().join(seed);
        finish(prepare_command(&out, &SMALL, &["--set", &format!("run.seed={seed}")])).expect(0);
        Manifest::read(&out).unwrap()
    };
    let (a, b) = (of("1"), of("2"));
    assert_eq!(a.split_hash, b.split_hash);
    assert_ne!(a.fingerprint, b.fingerprint);
    assert!(a.shards.iter().zip(&b.shards).all(|(a, b)| a.file == b.file && a.hash != b.hash));
}
