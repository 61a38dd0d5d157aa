//! SIGKILL at chosen system calls (with `strace`), where a file has one name and not yet the other: the same command afterwards
//! makes the bytes of an undisturbed one and leaves nothing else.

use std::collections::BTreeMap;
use std::process::Command;

use super::files::text;
use super::findings::Findings;
use super::fixture::Fixture;
use super::harness::{Running, binary, count_from, soon};
use super::kills::{Job, jobs};
use super::limits::has_strace;

/// Calls that change what is on disk, and those before them.
const CALLS: [&str; 7] = ["rename", "fsync", "openat", "unlink", "write", "mkdir", "ftruncate"];

fn trace(call: &str, more: &[&str], job: &Job) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", &format!("trace={call}")]).args(more).arg(binary()).args(&job.args);
    strace
}

/// How often the thread that makes most of these calls makes them: `strace` counts by thread.
fn count_calls(here: &Fixture, call: &str, job: &Job) -> usize {
    let log = here.folder.path("trace.txt");
    job.begin();
    Running::start(trace(call, &["-o", text(&log)], job)).finish(soon()).expect_done();
    let mut counts = BTreeMap::new();
    for line in std::fs::read_to_string(&log)
        .unwrap_or_default()
        .lines()
        .filter(|line| line.contains(&format!("{call}(")))
    {
        *counts.entry(line.split_whitespace().next().unwrap_or_default().to_owned()).or_insert(0) += 1;
    }
    counts.values().copied().max().unwrap_or(0)
}

#[test]
#[ignore = "long: make test-kill"]
fn kills_at_system_calls() {
    if !has_strace() {
        return;
    }
    let here = Fixture::new("syscalls");
    let mut findings = Findings::new("kills at system calls");
    let wanted = count_from("JEPA3D_KILLS", 12);
    for job in jobs(&here) {
        let expected = job.make_undisturbed();
        let mut told = Vec::new();
        for call in CALLS {
            let count = count_calls(&here, call, &job);
            let tries = wanted.min(count);
            let mut hits = 0;
            for number in 0..tries {
                let when = 1 + number * count / tries;
                let inject = format!("inject={call}:signal=KILL:when={when}");
                job.begin();
                let ran =
                    Running::start(trace(call, &["-o", "/dev/null", "-e", &inject], &job)).finish(soon());
                hits += usize::from(!ran.is_done());
                let fault = job.complete(&expected);
                findings.note(
                    fault.map(|fault| format!("{} killed at {call} {when} of {count}: {fault}", job.name)),
                );
            }
            told.push(format!("{call} {hits} of {count}"));
        }
        println!("{}: kills at {}", job.name, told.join(", "));
    }
    findings.conclude();
}
