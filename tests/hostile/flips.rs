//! One flipped bit in every kind of file of a set, of a half-done set and of a run. `verify` finds each in a set; every
//! other command refuses the file by name, or makes the bytes that it makes of the sound one.

use std::path::Path;

use super::damage::{Reader, Rule, Tally, expect_sound, flip_bit, run_readers, set_readers};
use super::files::{copy_tree, names_below, read_timeless, text};
use super::findings::Findings;
use super::fixture::{Fixture, prepare_args, strings};
use super::harness::{Random, count_from, jepa3d};

fn flips() -> usize {
    count_from("JEPA3D_HOSTILE_FLIPS", 30)
}

/// The kinds of files by the beginning of their names; a set must have one of each, and no other.
const SET_KINDS: [&str; 8] = [
    "points/",
    "views/",
    "teachers/hog/t",
    "teachers/hog/teacher.json",
    "catalog.parquet",
    "manifest.json",
    "config.toml",
    "quarantine.jsonl",
];

/// The longest kind that begins the name.
fn kind_of(file: &str, kinds: &[&'static str]) -> Option<&'static str> {
    kinds.iter().filter(|kind| file.starts_with(**kind)).max_by_key(|kind| kind.len()).copied()
}

/// Files of a kind below a folder.
fn files_of(folder: &Path, kind: &'static str, kinds: &[&'static str]) -> Vec<String> {
    let names = names_below(folder).into_iter();
    let files: Vec<String> = names.filter(|name| kind_of(name, kinds) == Some(kind)).collect();
    assert!(!files.is_empty(), "no file of the kind {kind} below {}", folder.display());
    files
}

fn flip_in_sets(kinds: &[&'static str]) {
    let here = Fixture::new("flips");
    let unknown: Vec<String> =
        names_below(&here.set()).into_iter().filter(|name| kind_of(name, &SET_KINDS).is_none()).collect();
    let mut findings = Findings::new(&format!("one-bit flips in {}", kinds.join(", ")));
    findings
        .check(unknown.is_empty(), || format!("files of a set that the campaign does not know: {unknown:?}"));
    let set = here.copy("set", "damaged");
    let readers = set_readers(&here, &set);
    let expected = expect_sound(&readers, &mut findings, || ());
    copy_tree(&here.set(), &set);
    let mut tally = Tally::default();
    for kind in kinds {
        let files = files_of(&set, kind, &SET_KINDS);
        for number in 0..flips() {
            let mut random = Random::new(kind, number);
            let file = &files[random.below(files.len())];
            flip_bit(&set.join(file), &mut random);
            for (reader, expected) in readers.iter().zip(&expected) {
                let (ran, made) = reader.read();
                findings.note(tally.judge(kind, reader, file, (&ran, &made, expected)));
            }
            std::fs::copy(here.set().join(file), set.join(file)).unwrap();
        }
    }
    tally.print();
    findings.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn a_bit_of_the_points_or_the_catalog() {
    flip_in_sets(&["points/", "catalog.parquet"]);
}

#[test]
#[ignore = "long: make test-hostile"]
fn a_bit_of_the_views_or_the_config() {
    flip_in_sets(&["views/", "config.toml"]);
}

#[test]
#[ignore = "long: make test-hostile"]
fn a_bit_of_the_manifest_or_the_quarantine() {
    flip_in_sets(&["manifest.json", "quarantine.jsonl"]);
}

#[test]
#[ignore = "long: make test-hostile"]
fn a_bit_of_a_teacher() {
    flip_in_sets(&["teachers/hog/t", "teachers/hog/teacher.json"]);
}

const RUN_KINDS: [&str; 6] =
    ["last.safetensors", "best.safetensors", "config.toml", "metrics.jsonl", "events.out.tfevents", ".lock"];

/// What a command must do with damage in a file of a run.
fn rule_of(reader: &Reader, kind: &str) -> Rule {
    let reads_records = ["pretrain --resume", "inspect --curves"].contains(&reader.name);
    if kind == "metrics.jsonl" && reads_records { Rule::WorksAndTells } else { reader.rule }
}

#[test]
#[ignore = "long: make test-hostile"]
fn a_bit_of_a_run() {
    let here = Fixture::new("flips-run");
    let mut findings = Findings::new("one-bit flips in a run");
    let run = here.folder.path("damaged");
    let readers = run_readers(&here, &run);
    let expected = expect_sound(&readers, &mut findings, || copy_tree(&here.run(), &run));
    let mut tally = Tally::default();
    for kind in RUN_KINDS.into_iter().filter(|kind| *kind != ".lock") {
        let files = files_of(&here.run(), kind, &RUN_KINDS);
        for number in 0..flips() {
            for (reader, expected) in readers.iter().zip(&expected) {
                copy_tree(&here.run(), &run);
                let mut random = Random::new(kind, number);
                let file = &files[random.below(files.len())];
                flip_bit(&run.join(file), &mut random);
                let reader = Reader { rule: rule_of(reader, kind), ..reader.clone() };
                let (ran, made) = reader.read();
                findings.note(tally.judge(kind, &reader, file, (&ran, &made, expected)));
            }
        }
    }
    tally.print();
    findings.conclude();
}

/// Files of a set whose last task is still to be done.
const HALF_KINDS: [&str; 7] =
    ["points/", "views/", ".jepa3d/task-", ".jepa3d/views-", ".jepa3d/plan.txt", ".jepa3d/", "config.toml"];

#[test]
#[ignore = "long: make test-hostile"]
fn a_bit_of_a_half_done_set() {
    let here = Fixture::new("flips-half");
    let mut findings = Findings::new("one-bit flips in a half-done set");
    let half = here.folder.path("half");
    let tasks = names_below(&here.set()).iter().filter(|name| name.starts_with("points/")).count();
    for task in 0..tasks - 1 {
        jepa3d(&prepare_args(&here.data(), &half, &["--task", &task.to_string()])).expect_done();
    }
    // The embeddings are none of prepare's business.
    let mut expected = read_timeless(&here.set());
    expected.retain(|name, _| !name.starts_with("teachers/"));
    let set = here.folder.path("damaged");
    let reader = Reader {
        continues: true,
        ..Reader::new("prepare", prepare_args(&here.data(), &set, &[]), Some(&set))
    };
    let mut tally = Tally::default();
    for kind in HALF_KINDS {
        let mut files: Vec<String> = names_below(&half);
        files.retain(|name| kind_of(name, &HALF_KINDS) == Some(kind));
        files.retain(|name| std::fs::metadata(half.join(name)).is_ok_and(|found| found.len() > 0));
        for number in 0..if files.is_empty() { 0 } else { flips() } {
            copy_tree(&half, &set);
            let mut random = Random::new(kind, number);
            let file = &files[random.below(files.len())];
            flip_bit(&set.join(file), &mut random);
            let (ran, made) = reader.read();
            findings.note(tally.judge(kind, &reader, file, (&ran, &made, &expected)));
            let verified = !ran.is_done() || jepa3d(&strings(&["verify", text(&set)])).is_done();
            findings.check(verified, || format!("{file}: prepare made a set that verify refuses"));
        }
    }
    tally.print();
    findings.conclude();
}
