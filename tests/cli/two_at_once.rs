//! Two processes on one run folder or one cache: one of them has it, the other says so and changes nothing.

use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use super::harness::{VIEWS, command, contents, files_below, finish, prepare_small, text, verify};
use super::pretrain::{Place, assert_same, last, record};

fn wait(child: Child) -> Output {
    child.wait_with_output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const BUSY: &str = "another jepa3d process is writing here";

fn wait_for_steps(out: &Path, steps: usize) {
    let begin = Instant::now();
    while std::fs::read_to_string(out.join("metrics.jsonl")).map_or(0, |text| text.lines().count()) < steps {
        assert!(begin.elapsed() < Duration::from_secs(60), "no {steps} steps within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_second_run_in_a_folder_is_refused_and_the_first_goes_on() {
    let place = Place::new();
    let (out, long) = (place.path("run"), ["--resume", "--set", "run.epochs=5000"]);
    let first = place.command(&out, &long).spawn().unwrap();
    wait_for_steps(&out, 20);
    for args in [&long[..], &[], &["--resume", "--set", "optim.lr=1"]] {
        let second = finish(place.command(&out, args)).expect(2);
        let is_told = second.stderr.contains(&format!("{BUSY} (process {} on ", first.id()))
            // One that does not resume is told of the run, once there is a checkpoint.
            || (args.is_empty() && second.stderr.contains("--resume continues it"));
        assert!(is_told, "{args:?}: {}", second.stderr);
    }
    let id = first.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(wait(first).status.code(), Some(0));
    let most = format!("run.max_steps={}", record(&out).len() + 3);
    for name in ["run", "alone"] {
        finish(place.command(&place.path(name), &[&long[..], &["--set", &most]].concat())).expect(0);
    }
    assert_same(&out, &place.path("alone"));
    let left: Vec<_> = files_below(&out).into_iter().filter(|p| text(p).contains("damaged")).collect();
    assert!(left.is_empty() && !out.join(".lock").exists(), "{left:?}");
}

#[test]
fn runs_begun_at_once_end_as_one() {
    let place = Place::new();
    place.pretrain("alone", &[]).expect(0);
    for round in 0..3 {
        let out = place.path(&format!("run{round}"));
        let runs = [0, 1, 2].map(|_| place.command(&out, &["--resume"]).spawn().unwrap()).map(wait);
        assert!(runs.iter().any(|run| run.status.success()), "{}", stderr(&runs[0]));
        for run in runs.iter().filter(|run| !run.status.success()) {
            assert!(run.status.code() == Some(2) && stderr(run).contains(BUSY), "{}", stderr(run));
        }
        finish(place.command(&out, &["--resume"])).expect(0);
        assert_same(&out, &place.path("alone"));
    }
}

#[test]
fn a_killed_run_leaves_no_lock() {
    let place = Place::new();
    let out = place.path("run");
    let mut run = place.command(&out, &["--resume", "--set", "run.epochs=5000"]).spawn().unwrap();
    wait_for_steps(&out, 9);
    run.kill().unwrap();
    run.wait().unwrap();
    let most = ["--resume", "--set", "run.epochs=5000", "--set", "run.max_steps=8"];
    finish(place.command(&out, &most)).expect(0);
    assert!(!last(&out).is_empty());
}

#[test]
fn two_teachers_lose_nothing_of_each_other() {
    let dir = tempfile::tempdir().unwrap();
    prepare_small(dir.path(), &VIEWS).expect(0);
    let start = |dim: &str| {
        command(&["teacher", text(dir.path()), "--teacher", "hog", "--dim", dim]).spawn().unwrap()
    };
    assert_eq!(wait(start("512")).status.code(), Some(0));
    let expected = contents(dir.path());
    for dims in [["512", "512", "512"], ["512", "8", "512"], ["512", "512", "9"], ["512", "512", "512"]] {
        std::fs::remove_dir_all(dir.path().join("teachers")).unwrap();
        let first = start(dims[0]);
        // The others come when the first has begun.
        while !dir.path().join("teachers/hog/.lock").exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let others = dims[1..].iter().map(|dim| start(dim)).collect::<Vec<_>>();
        assert_eq!(wait(first).status.code(), Some(0));
        for (other, dim) in others.into_iter().map(wait).zip(&dims[1..]) {
            let says = stderr(&other);
            let is_done = other.status.success() && *dim == "512";
            assert!(is_done || says.contains(BUSY) || says.contains("teacher_weights"), "{dim}: {says}");
        }
        assert_eq!(contents(dir.path()), expected);
        verify(dir.path()).expect(0);
    }
}
