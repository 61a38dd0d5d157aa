//! Arguments, exit codes, and what is printed where.

use std::fs::OpenOptions;
use std::process::Stdio;

use jepa3d_schemas::{CATALOG_FILE, read_catalog};

use super::harness::{SMALL, command, contents, finish, jepa3d, prepare_command, prepare_small, text};

#[test]
fn a_dry_run_shows_the_plan_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let plan = prepare_small(&out, &["--dry-run"]).expect(0);
    assert!(!out.exists());
    assert!(plan.stdout.contains("centers = 8"), "the resolved config: {}", plan.stdout);
    assert!(plan.stdout.contains("# task 0: points/test-00000-of-"), "{}", plan.stdout);
    let json = prepare_small(&out, &["--dry-run", "--json"]).expect(0).json();
    assert!(!out.exists());
    let tasks = json["tasks"].as_array().unwrap();
    let objects: u64 = tasks.iter().map(|task| task["objects"].as_u64().unwrap()).sum();
    assert_eq!(objects, 60);
    prepare_small(&out, &[]).expect(0);
    let manifest = jepa3d_schemas::Manifest::read(&out).unwrap();
    assert_eq!(json["plan"], manifest.plan, "the plan is known before any object is read");
    let files: Vec<_> = tasks.iter().map(|task| task["file"].as_str().unwrap()).collect();
    assert!(manifest.shards.iter().map(|shard| shard.file.as_str()).eq(files));
}

#[test]
fn json_is_one_object_on_standard_output() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let report = prepare_small(&out, &["--json"]).expect(0).json();
    assert_eq!((&report["written"], &report["quarantined"]), (&60.into(), &0.into()));
    assert_eq!(report["fingerprint"].as_str().unwrap().len(), 32);
    let verified = jepa3d(&["verify", text(&out), "--json"]).expect(0).json();
    assert_eq!((&verified["rows"], &verified["problems"]), (&60.into(), &serde_json::json!([])));
    jepa3d(&["stats", text(&out), "--json"]).expect(0).json();
}

#[test]
fn a_complete_dataset_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    prepare_small(dir.path(), &[]).expect(0);
    let times = |run: &str| {
        let files = super::harness::files_below(dir.path());
        assert!(!files.is_empty(), "{run}");
        files.iter().map(|f| (f.clone(), f.metadata().unwrap().modified().unwrap())).collect::<Vec<_>>()
    };
    let before = (times("first"), contents(dir.path()));
    for args in [&["--json"][..], &["--json", "--finalize"], &["--json", "--task", "1"]] {
        let report = prepare_small(dir.path(), args).expect(0).json();
        assert_eq!((&report["tasks_done"], &report["objects"]), (&0.into(), &0.into()), "{args:?}");
        assert_eq!(report["written"], 60);
    }
    let second = prepare_small(dir.path(), &[]).expect(0);
    assert!(second.stdout.contains("complete already, 60 samples"), "{}", second.stdout);
    assert_eq!(before, (times("second"), contents(dir.path())));
}

#[test]
fn a_limit_is_spread_over_the_classes() {
    let dir = tempfile::tempdir().unwrap();
    let sets = [&SMALL[1..], &["dataset.count=640"]].concat();
    let limited = finish(prepare_command(dir.path(), &sets, &["--limit", "32", "--json"])).expect(0);
    assert_eq!(limited.json()["written"], 32);
    let catalog = read_catalog(&dir.path().join(CATALOG_FILE)).unwrap();
    let classes: std::collections::BTreeSet<_> =
        catalog.iter().filter_map(|row| row.category.clone()).collect();
    assert_eq!(classes.len(), 16, "two of each class: {classes:?}");
}

#[test]
fn what_cannot_run_is_exit_code_2_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (out, gone) = (dir.path().join("out"), dir.path().join("gone"));
    let (out, gone) = (text(&out), text(&gone));
    let config = dir.path().join("config.toml");
    std::fs::write(&config, "[groups]\ncentres = 3\n").unwrap();
    let cases: [(&[&str], &str); 12] = [
        (&["--set", "groups.centres=3"], "unknown field `centres`"),
        (&["--set", "dataset.conut=3"], "unknown field `conut`"),
        (&["--set", "dataset.kind=shapes"], "unknown variant `shapes`"),
        (&["--set", "groups.centers=many"], "groups.centers"),
        (&["--set", "groups.centers=0"], "groups.centers: expected 1 to 1024, found 0"),
        (&["--set", "groups"], "expected key=value, found \"groups\""),
        (&["--set", "dataset.count=0"], "dataset.count: expected 1 to"),
        (&["--set", "dataset.kind=folder"], "--data is missing"),
        (&["--set", "dataset.kind=folder", "--data", gone], "gone: expected a folder"),
        (&["--set", "dataset.kind=folder", "--data", text(dir.path())], "expected at least one file"),
        (&[gone], "gone"),
        (&[text(&config)], "unknown field `centres`"),
    ];
    for (args, expected) in cases {
        let run = jepa3d(&[&["prepare", "--out", out], args].concat()).expect(2);
        assert!(run.stderr.contains(expected), "{args:?}: {}", run.stderr);
        assert!(run.stdout.is_empty(), "{args:?}: {}", run.stdout);
        assert!(!std::path::Path::new(out).exists(), "{args:?} wrote something");
    }
    for verb in ["verify", "stats"] {
        let run = jepa3d(&[verb, gone]).expect(2);
        assert!(run.stderr.contains("gone"), "{verb}: {}", run.stderr);
    }
    jepa3d(&["prepare"]).expect(2);
    jepa3d(&["prepair"]).expect(2);
    jepa3d(&["prepare", "--out", out, "--dry-run", "--task", "0"]).expect(2);
    jepa3d(&["--help"]).expect(0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_log_ends_no_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = prepare_command(dir.path(), &SMALL, &["-vv"]);
    command.stderr(OpenOptions::new().write(true).open("/dev/full").unwrap());
    finish(command).expect(0);
    super::harness::verify(dir.path()).expect(0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_closed_or_full_standard_output_is_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    prepare_small(dir.path(), &[]).expect(0);
    for args in [&["stats"][..], &["verify"], &["verify", "--json"]] {
        let args = [args, &[text(dir.path())]].concat();
        let mut full = command(&args);
        full.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let run = finish(full).expect(2);
        assert!(run.stderr.contains("standard output: No space left on device"), "{}", run.stderr);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut closed = command(&args);
        closed.stdout(Stdio::from(writer));
        assert_eq!(finish(closed).expect(0).stderr, "");
    }
}
