//! Two processes of one kind at once on one folder: one works, the other says why it does not, and in the end the folder holds
//! what one alone would have made.

use std::path::{Path, PathBuf};

use super::files::{Tree, copy_tree, describe_difference, read_timeless, remove, text};
use super::findings::Findings;
use super::fixture::{Fixture, prepare_args, pretrain_args, strings, teacher_args};
use super::harness::{Ran, Running, command, count_from, jepa3d, soon};

/// What a process says that finds the folder in use.
const IN_USE: &str = "another jepa3d process";

/// Starts calls at once.
fn run_at_once(calls: &[Vec<String>]) -> Vec<Ran> {
    let running: Vec<Running> = calls.iter().map(|args| Running::start(command(args))).collect();
    running.into_iter().map(|call| call.finish(soon())).collect()
}

/// Calls of one folder that are made at once, and what it must hold afterwards.
struct Race {
    topic: &'static str,
    calls: Vec<Vec<String>>,
    /// Completes what the race left.
    then: Vec<String>,
    folder: PathBuf,
    /// The state before, none if the folder is new.
    base: Option<PathBuf>,
    expected: Tree,
    tries: usize,
}

impl Race {
    fn run(&self) -> Findings {
        let mut findings = Findings::new(self.topic);
        let mut refused = 0;
        for number in 0..self.tries {
            match &self.base {
                Some(base) => copy_tree(base, &self.folder),
                None => remove(&self.folder),
            }
            let ran = run_at_once(&self.calls);
            refused += ran.iter().filter(|ran| ran.says(IN_USE)).count();
            findings.check(ran.iter().any(Ran::is_done), || {
                format!("try {number}: none worked: {}", ran[0].ending())
            });
            for ran in &ran {
                let fault = (!ran.is_done() && !ran.says(IN_USE)).then(|| ran.ending());
                findings.note(fault.map(|fault| format!("try {number}: {fault}")));
            }
            let then = jepa3d(&self.then);
            let difference = describe_difference(&read_timeless(&self.folder), &self.expected);
            findings.check(then.is_done(), || format!("try {number}, afterwards: {}", then.ending()));
            findings.note(difference.map(|difference| format!("try {number}: {difference}")));
        }
        println!("{}: {} tries, {refused} found the folder in use", self.topic, self.tries);
        findings
    }
}

fn tries(default: usize) -> usize {
    count_from("JEPA3D_HOSTILE_RACES", default)
}

#[test]
#[ignore = "long: make test-hostile"]
fn two_prepare_at_once() {
    let here = Fixture::new("race-prepare");
    let folder = here.folder.path("raced");
    let args = prepare_args(&here.data(), &folder, &[]);
    let mut expected = read_timeless(&here.set());
    expected.retain(|name, _| !name.starts_with("teachers/"));
    let race = Race {
        topic: "two prepare at once",
        calls: vec![args.clone(), args.clone()],
        then: args.clone(),
        folder: folder.clone(),
        base: None,
        expected: expected.clone(),
        tries: tries(15),
    };
    let mut findings = race.run();
    // The views of a complete set are replaced by two at once.
    let base = here.folder.path("points-only");
    copy_tree(&here.set(), &base);
    remove(&base.join("teachers"));
    let views = [&args[..], &strings(&["--only", "views"])].concat();
    jepa3d(&prepare_args(&here.data(), &base, &["--only", "views", "--set", "views.size=24"])).expect_done();
    findings.add(
        Race {
            topic: "two prepare --only views at once",
            calls: vec![views.clone(), views],
            base: Some(base),
            then: args,
            ..race
        }
        .run(),
    );
    findings.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn two_pretrain_at_once() {
    let here = Fixture::new("race-pretrain");
    let folder = here.folder.path("raced");
    let args = pretrain_args("point-jepa-region-small", &here.set(), &folder, &["--resume"]);
    let undisturbed = here.folder.path("undisturbed");
    here.pretrain("point-jepa-region-small", "undisturbed", &["--resume"]).expect_done();
    let race = Race {
        topic: "two pretrain at once, new",
        calls: vec![args.clone(), args.clone()],
        then: args.clone(),
        folder: folder.clone(),
        base: None,
        expected: read_timeless(&undisturbed),
        tries: tries(25),
    };
    let mut findings = race.run();
    let race = Race { topic: "two pretrain at once, continued", base: Some(here.run()), ..race };
    findings.add(race.run());
    // One of them has other settings: whichever is first, the run is of one kind.
    for number in 0..tries(10) {
        remove(&folder);
        let other = [&args[..], &strings(&["--set", "optim.lr=0.01"])].concat();
        let ran = run_at_once(&[args.clone(), other]);
        let done = ran.iter().filter(|ran| ran.is_done()).count();
        findings
            .check(done == 1, || format!("other settings, try {number}: {done} worked: {}", ran[0].ending()));
        findings.note(ran.iter().find_map(Ran::death));
    }
    findings.conclude();
}

fn embeddings(set: &Path) -> Tree {
    read_timeless(&set.join("teachers"))
}

#[test]
#[ignore = "long: make test-hostile"]
fn two_teachers_at_once() {
    let here = Fixture::new("race-teacher");
    let (folder, base) = (here.folder.path("raced"), here.copy("set", "base"));
    remove(&base.join("teachers"));
    let args = teacher_args(&folder, &[]);
    let race = Race {
        topic: "two teachers at once",
        calls: vec![args.clone(), args.clone()],
        then: args.clone(),
        folder: folder.clone(),
        base: Some(base.clone()),
        expected: read_timeless(&here.set()),
        tries: tries(15),
    };
    let mut findings = race.run();
    let other: Vec<String> =
        args.iter().map(|arg| if arg == "32" { "16".to_owned() } else { arg.clone() }).collect();
    jepa3d(&teacher_args(&here.set(), &[])).expect_done();
    for number in 0..tries(10) {
        copy_tree(&base, &folder);
        let ran = run_at_once(&[args.clone(), other.clone()]);
        let done = ran.iter().filter(|ran| ran.is_done()).count();
        findings
            .check(done == 1, || format!("other widths, try {number}: {done} worked: {}", ran[0].ending()));
        let verified = jepa3d(&strings(&["verify", text(&folder)]));
        findings.check(verified.is_done(), || format!("other widths, try {number}: {}", verified.ending()));
        findings
            .check(!embeddings(&folder).is_empty(), || format!("other widths, try {number}: no embeddings"));
    }
    findings.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn two_of_what_writes_one_file() {
    let here = Fixture::new("race-file");
    let mut findings = Findings::new("two that write one file at once");
    for job in super::kills::jobs(&here)
        .into_iter()
        .filter(|job| !["prepare", "teacher", "pretrain"].iter().any(|own| job.name.starts_with(own)))
    {
        let expected = job.make_undisturbed();
        for number in 0..tries(8) {
            job.begin();
            let ran = run_at_once(&[job.args.clone(), job.args.clone()]);
            findings.check(ran.iter().any(Ran::is_done), || {
                format!("{}, try {number}: {}", job.name, ran[0].ending())
            });
            findings.note(ran.iter().find_map(Ran::death).map(|death| format!("{}: {death}", job.name)));
            let difference = describe_difference(&read_timeless(&job.makes), &expected);
            findings.note(difference.map(|difference| format!("{}, try {number}: {difference}", job.name)));
        }
    }
    findings.conclude();
}
