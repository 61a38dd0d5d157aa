//! SIGKILL at random moments, each followed by the same command, must change nothing in the end.

use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use jepa3d_schemas::Draws;

use super::harness::{Contents, contents, prepare_command, shards, verify};

/// About a third of a second of work on two cores, in forty shards.
const SETS: [&str; 6] = [
    "dataset.count=160",
    "cloud.points=2048",
    "groups.points=512",
    "groups.groupings=1",
    "shards.rows=4",
    "shards.row_group=2",
];

fn start(out: &Path) -> Child {
    prepare_command(out, &SETS, &["--threads", "2"]).spawn().unwrap()
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

fn is_complete(out: &Path, expected: &Contents) {
    assert!(start(out).wait().unwrap().success());
    assert_eq!(contents(out), *expected);
    verify(out).expect(0);
}

/// Kills until `wanted` kills have hit a running process; whenever a dataset is complete, it is
/// compared, and then either begun anew or, every other time, robbed of shards and repaired.
fn survive(wanted: usize, seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let (whole, out) = (dir.path().join("whole"), dir.path().join("out"));
    let begin = Instant::now();
    assert!(start(&whole).wait().unwrap().success());
    let duration = begin.elapsed();
    let expected = contents(&whole);
    let mut draws = Draws::new(seed, "kill", "delay");
    let (mut hits, mut late, mut finished) = (0, 0, 0);
    while hits < wanted {
        assert!(late < 20 * wanted, "{hits} of {wanted} kills hit");
        let delay = duration.mul_f64(draws.range(0.0, 0.6));
        if kill_after(start(&out), delay) {
            hits += 1;
            continue;
        }
        late += 1;
        finished += 1;
        assert_eq!(contents(&out), expected, "after {hits} kills");
        if finished % 2 == 1 {
            shards(&out).iter().filter(|_| draws.chance(0.7)).for_each(|s| std::fs::remove_file(s).unwrap());
        } else {
            std::fs::remove_dir_all(&out).unwrap();
        }
    }
    is_complete(&out, &expected);
    eprintln!("{hits} kills hit within {duration:.2?}, {late} came late; the same bytes in the end");
}

#[test]
fn four_kills_lose_and_double_nothing() {
    survive(4, 1);
}

#[test]
#[ignore = "long: make test-kill"]
fn twenty_kills_lose_and_double_nothing() {
    for seed in 2..5 {
        survive(20, seed);
    }
}
