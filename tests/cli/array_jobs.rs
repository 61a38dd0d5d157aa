//! `prepare` as schedulers run it: which tasks a job of an array does, and the exit codes that they act on.

use std::path::Path;
use std::process::Command;

use super::harness::{
    Run, SMALL, cloud, contents, finish, prepare_command, prepare_folder, prepare_small, verify, write,
};

const INDICES: [&str; 3] = ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID", "AWS_BATCH_JOB_ARRAY_INDEX"];

/// A job of an array: a command with what schedulers set, and nothing else of theirs.
fn job(out: &Path, args: &[&str], set: &[(&str, &str)]) -> Command {
    let mut command = prepare_command(out, &SMALL, args);
    for name in INDICES {
        command.env_remove(name);
    }
    command.envs(set.iter().copied());
    command
}

fn run_job(out: &Path, args: &[&str], set: &[(&str, &str)]) -> Run {
    finish(job(out, args, set))
}

#[test]
fn an_array_of_any_scheduler_gives_the_bytes_of_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, array) = (dir.path().join("whole"), dir.path().join("array"));
    prepare_small(&whole, &[]).expect(0);
    // Some shards by their own index, then all in eight shares, those before among them, four jobs at once.
    for (name, index) in INDICES.into_iter().zip(["20", "3", "7"]) {
        let done = run_job(&array, &["--task", "auto", "--json"], &[(name, index)]).expect(0).json();
        assert_eq!(done["tasks_done"], 1, "{name}");
    }
    for jobs in [[6, 7, 4, 5], [1, 0, 3, 2]] {
        let start = |index: usize| {
            job(&array, &["--tasks", "auto/8"], &[("SLURM_ARRAY_TASK_ID", &index.to_string())])
                .spawn()
                .unwrap()
        };
        for child in jobs.map(start) {
            assert!(child.wait_with_output().unwrap().status.success());
        }
    }
    let again = run_job(&array, &["--tasks", "2/8", "--json"], &[]).expect(0).json();
    assert_eq!((&again["tasks_done"], &again["tasks_skipped"]), (&0.into(), &3.into()), "2, 10 and 18 of 21");
    run_job(&array, &["--finalize"], &[]).expect(0);
    assert_eq!(contents(&array), contents(&whole));
    verify(&array).expect(0);
}

/// Arguments, variables of the environment, and what the error says.
type RefusedJob<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

#[test]
fn a_job_without_a_task_is_told_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let slurm = |index| ("SLURM_ARRAY_TASK_ID", index);
    let cases: [RefusedJob<'_>; 7] = [
        (
            &["--task", "auto"],
            &[],
            "JOB_COMPLETION_INDEX (Kubernetes), SLURM_ARRAY_TASK_ID (Slurm), AWS_BATCH",
        ),
        (
            &["--task", "auto"],
            &[slurm("1"), ("JOB_COMPLETION_INDEX", "2")],
            "found JOB_COMPLETION_INDEX=2 and SLURM_ARRAY_TASK_ID=1",
        ),
        (
            &["--task", "auto"],
            &[slurm("21")],
            "SLURM_ARRAY_TASK_ID=21: expected a number below 21, the tasks of the plan; give the array the indices 0 to 20",
        ),
        (
            &["--tasks", "auto/8"],
            &[slurm("8")],
            "SLURM_ARRAY_TASK_ID=8: expected a number below 8; give the array",
        ),
        (&["--tasks", "8/8"], &[], "expected K/N or auto/N"),
        (&["--tasks", "1/8", "--task", "1"], &[], "cannot be used with"),
        (&["--task", "first"], &[], "expected a whole number or auto"),
    ];
    for (args, set, expected) in cases {
        let run = run_job(&out, args, set).expect(2);
        assert!(run.stderr.contains(expected), "{args:?} {set:?}: {}", run.stderr);
        assert!(!out.exists(), "{args:?}");
    }
    // An array that is larger than the plan does no harm.
    let idle = run_job(&out, &["--tasks", "auto/40"], &[slurm("30")]).expect(0);
    assert!(idle.stderr.contains("the plan has 21 tasks, none of them in this share"), "{}", idle.stderr);
}

#[test]
fn a_task_with_bad_objects_is_told_the_same_again() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    for i in 0..4 {
        write(&data.join(format!("a/{i}.xyz")), cloud(300, i));
    }
    write(&data.join("a/2.xyz"), "not a cloud");
    let task = |args: &[&str]| prepare_folder(&data, &out, &[&["--task", "0"], args].concat());
    for attempt in ["first", "again"] {
        let run = task(&[]).expect(1);
        assert!(run.stderr.contains("1 objects are quarantined"), "{attempt}: {}", run.stderr);
    }
    task(&["--max-failures", "1"]).expect(0);
}
