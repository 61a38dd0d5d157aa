//! Errors of the machine: too few open files, too small files, reads and opens that fail once. The command ends and names the
//! file, no object is quarantined for it, and the same command without the trouble makes what it would have made.

use std::path::Path;
use std::process::Command;

use super::files::{Tree, copy_tree, describe_difference, read_timeless, remove, text};
use super::findings::Findings;
use super::fixture::{Fixture, prepare_args};
use super::harness::{Running, binary, jepa3d, limited, soon};
use super::kills::{Job, jobs};

/// What the set of the fixture must hold, which its teacher is no part of.
fn expected_set(here: &Fixture) -> Tree {
    let mut expected = read_timeless(&here.set());
    expected.retain(|name, _| !name.starts_with("teachers/"));
    expected
}

/// Words that a quarantine must not hold: they tell of the machine, not of a file.
const OF_MACHINE: [&str; 7] = [
    "Too many open files",
    "Input/output error",
    "Cannot allocate memory",
    "Stale file handle",
    "No space left",
    "File too large",
    "timed out",
];

/// After a call in trouble: nothing of the machine in the quarantine, and the same call without trouble completes.
fn recover(args: &[String], out: &Path, expected: &Tree) -> Option<String> {
    let quarantine = std::fs::read_to_string(out.join("quarantine.jsonl")).unwrap_or_default();
    if let Some(words) = OF_MACHINE.iter().find(|words| quarantine.contains(**words)) {
        return Some(format!("objects are quarantined for {words:?}"));
    }
    let ran = jepa3d(args);
    let difference = describe_difference(&read_timeless(out), expected);
    match ran.is_done() {
        true => difference.map(|difference| format!("the same command then: {difference}")),
        false => Some(format!("the same command then: {}", ran.ending())),
    }
}

#[test]
#[ignore = "long: make test-hostile"]
fn too_few_open_files() {
    let here = Fixture::new("open-files");
    let mut findings = Findings::new("ulimit -n");
    let expected = expected_set(&here);
    let out = here.folder.path("out");
    let args = prepare_args(&here.data(), &out, &[]);
    let mut refused = 0;
    for files in 4..20 {
        remove(&out);
        let ran = limited(&format!("ulimit -n {files}"), &args, soon());
        refused += usize::from(ran.code == Some(3));
        let case = format!("ulimit -n {files}");
        findings.note(ran.death().filter(|_| files > 5).map(|death| format!("{case}: {death}")));
        findings.check(ran.code != Some(1), || format!("{case}: {}", ran.ending()));
        findings.note(recover(&args, &out, &expected).map(|fault| format!("{case}: {fault}")));
    }
    findings.check(refused > 0, || "no limit was small enough".to_owned());
    findings.conclude();
}

/// Runs a job below a limit on the sizes of files, and then without.
fn write_little(job: &Job, blocks: usize, expected: &Tree, findings: &mut Findings) {
    job.begin();
    let ran = limited(&format!("ulimit -f {blocks}"), &job.args, soon());
    let case = format!("{} below ulimit -f {blocks}", job.name);
    findings.note(ran.death().map(|death| format!("{case}: {death}")));
    let names_file = ran.says("File too large") && ran.says(text(&job.makes));
    findings.check(ran.is_done() || names_file, || format!("{case}: {}", ran.ending()));
    findings.check(ran.code != Some(1), || format!("{case}: {}", ran.ending()));
    findings.note(recover(&job.args, &job.makes, expected).map(|fault| format!("{case}: {fault}")));
}

#[test]
#[ignore = "long: make test-hostile"]
fn files_that_must_stay_small() {
    let here = Fixture::new("file-size");
    let mut findings = Findings::new("ulimit -f");
    for job in jobs(&here) {
        let expected = job.make_undisturbed();
        for blocks in [0, 1, 2, 5, 12, 60] {
            write_little(&job, blocks, &expected, &mut findings);
        }
    }
    findings.conclude();
}

/// `prepare` with a system call that fails once for one file.
fn fail_once(args: &[String], path: &Path, call: &str, error: &str) -> super::harness::Ran {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-P", text(path), "-e", &format!("trace={call}")]);
    strace.args(["-e", &format!("inject={call}:error={error}:when=1")]).arg(binary()).args(args);
    Running::start(strace).finish(soon())
}

/// Whether `strace` is there and may trace.
pub(crate) fn has_strace() -> bool {
    let has = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status()
        .is_ok_and(|status| status.success());
    if !has {
        println!("skipped: no strace, or no right to trace");
    }
    has
}

#[test]
#[ignore = "long: make test-hostile"]
fn reads_that_fail_once() {
    if !has_strace() {
        return;
    }
    let here = Fixture::new("errors");
    let mut findings = Findings::new("system calls that fail once");
    let expected = expected_set(&here);
    let out = here.folder.path("out");
    let args = prepare_args(&here.data(), &out, &[]);
    let path = here.data().join("pyramid/train/03.off");
    for call in ["openat", "read", "statx"] {
        for error in ["EIO", "EMFILE", "ENFILE", "ENOMEM", "ESTALE", "ETIMEDOUT"] {
            remove(&out);
            let ran = fail_once(&args, &path, call, error);
            let case = format!("{call}: {error}");
            findings.note(ran.death().map(|death| format!("{case}: {death}")));
            // A call that is not made, or made again, fails nothing.
            let is_right = ran.is_done() || (ran.code == Some(3) && ran.says("03.off"));
            findings.check(is_right, || format!("{case}: {}", ran.ending()));
            findings.note(recover(&args, &out, &expected).map(|fault| format!("{case}: {fault}")));
        }
    }
    // A file that is gone is the object's own trouble.
    let gone = here.folder.path("gone");
    copy_tree(&here.data(), &gone);
    remove(&out);
    let ran =
        fail_once(&prepare_args(&gone, &out, &[]), &gone.join("pyramid/train/03.off"), "openat", "EACCES");
    findings.check(ran.code == Some(1), || format!("openat: EACCES: {}", ran.ending()));
    findings.conclude();
}
