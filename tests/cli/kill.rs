//! SIGKILL at random moments, each followed by the same command, must change nothing in the end.

use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use jepa3d_schemas::{Draws, Manifest};

use super::harness::{Contents, contents, files_below, prepare_command, shards, verify};

/// About a third of a second of work on two cores, in forty shards.
const POINTS: &[&str] = &[
    "dataset.count=160",
    "cloud.points=2048",
    "groups.points=512",
    "groups.groupings=1",
    "shards.rows=4",
    "shards.row_group=2",
];

/// The same with views, in eighty.
const BOTH: &[&str] = &[
    "dataset.count=160",
    "cloud.points=1024",
    "groups.points=256",
    "groups.groupings=1",
    "shards.rows=4",
    "shards.row_group=2",
    "views.size=32",
    "views.rig.views=2",
];

fn start(out: &Path, sets: &[&str]) -> Child {
    prepare_command(out, sets, &["--threads", "2"]).spawn().unwrap()
}

/// Lets a process run for a while; whether it was still running when it was killed.
fn kill_after(mut child: Child, delay: Duration) -> bool {
    std::thread::sleep(delay);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(status.code().is_none() || status.success(), "{status}");
    was_killed(status)
}

fn was_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(9)
}

fn is_complete(out: &Path, sets: &[&str], expected: &Contents) {
    assert!(start(out, sets).wait().unwrap().success());
    assert_eq!(contents(out), *expected);
    verify(out).expect(0);
}

/// Kills until `wanted` kills have hit a running process; whenever a dataset is complete, it is
/// compared, and then either begun anew or, every other time, robbed of shards and repaired.
fn survive(sets: &[&str], wanted: usize, seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let (whole, out) = (dir.path().join("whole"), dir.path().join("out"));
    let begin = Instant::now();
    assert!(start(&whole, sets).wait().unwrap().success());
    let duration = begin.elapsed();
    let expected = contents(&whole);
    let mut draws = Draws::new(seed, "kill", "delay");
    let (mut hits, mut late, mut finished) = (0, 0, 0);
    while hits < wanted {
        assert!(late < 20 * wanted, "{hits} of {wanted} kills hit");
        let delay = duration.mul_f64(draws.range(0.0, 0.6));
        if kill_after(start(&out, sets), delay) {
            hits += 1;
            continue;
        }
        late += 1;
        finished += 1;
        assert_eq!(contents(&out), expected, "after {hits} kills");
        if finished % 2 == 1 {
            all_shards(&out)
                .iter()
                .filter(|_| draws.chance(0.7))
                .for_each(|s| std::fs::remove_file(s).unwrap());
        } else {
            std::fs::remove_dir_all(&out).unwrap();
        }
    }
    is_complete(&out, sets, &expected);
    eprintln!("{hits} kills hit within {duration:.2?}, {late} came late; the same bytes in the end");
}

/// Shards of both tables.
fn all_shards(out: &Path) -> Vec<PathBuf> {
    let views = out.join("views");
    let views = if views.exists() { files_below(&views) } else { Vec::new() };
    shards(out).into_iter().chain(views).collect()
}

/// Kills while views are made anew, in turns of two sizes: the points never change, and are complete
/// at every moment.
fn survive_replacing(wanted: usize, seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    assert!(start(&out, BOTH).wait().unwrap().success());
    let points = Manifest::read(&out).unwrap().without_views();
    let mut expected = Vec::new();
    for size in ["views.size=24", "views.size=32"] {
        let other = dir.path().join(size);
        assert!(start(&other, &[BOTH, &[size]].concat()).wait().unwrap().success());
        expected.push((size, contents(&other)));
    }
    let mut draws = Draws::new(seed, "kill", "replace");
    let (mut hits, mut turn) = (0, 0);
    while hits < wanted {
        let (size, expected) = &expected[turn % 2];
        let sets = [BOTH, &[*size]].concat();
        let child = prepare_command(&out, &sets, &["--threads", "2", "--only", "views"]).spawn().unwrap();
        if kill_after(child, Duration::from_millis(draws.index(250) as u64)) {
            hits += 1;
            assert_eq!(Manifest::read(&out).unwrap().without_views(), points, "complete at every moment");
            verify(&out).expect(0);
            // Every other time the views of the other size are wanted now.
            turn += draws.index(2);
        } else {
            assert_eq!(contents(&out), *expected, "after {hits} kills");
            turn += 1;
        }
    }
    let (size, expected) = &expected[turn % 2];
    is_complete(&out, &[BOTH, &[*size]].concat(), expected);
}

#[test]
fn four_kills_lose_and_double_nothing() {
    survive(POINTS, 4, 1);
    survive(BOTH, 4, 2);
}

#[test]
fn kills_while_views_are_replaced_leave_points_complete() {
    survive_replacing(5, 3);
}

#[test]
#[ignore = "long: make test-kill"]
fn twenty_kills_lose_and_double_nothing() {
    for seed in 2..4 {
        survive(POINTS, 20, seed);
        survive(BOTH, 20, seed + 10);
        survive_replacing(20, seed);
    }
}
