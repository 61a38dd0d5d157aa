//! Labels that do not serve: splits that are not there, no labels, one class alone, classes that are judged and never learned from.

use super::harness::{
    Run, SMALL, cloud, finish, jepa3d, prepare_command, prepare_folder, test_data, text, write,
};
use super::pretrain::Place;

/// A run, and sets that are named by what is wrong with them.
struct LabelledSets(Place);

impl LabelledSets {
    fn new() -> Self {
        let place = Place::new();
        place.pretrain("run", &["--set", "run.stop_after=1"]).expect(0);
        Self(place)
    }

    /// A set of so many clouds below each folder: `train/a` is a class `a` of `train`, `train` itself samples without a class.
    fn prepare(&self, name: &str, folders: &[(&str, usize)]) {
        let raw = self.0.path(&format!("raw-{name}"));
        for (at, (folder, count)) in folders.iter().enumerate() {
            for i in 0..*count {
                write(&raw.join(folder).join(format!("{at}-{i:02}.xyz")), cloud(200 + 9 * at, 31 * at + i));
            }
        }
        prepare_folder(&raw, &self.0.path(name), &[]).expect(0);
    }

    /// A command on a set.
    fn run(&self, set: &str, verb: &[&str], args: &[&str]) -> Run {
        let (run, data) = (self.0.path("run"), self.0.path(set));
        let out = self.0.path(&format!("{set}-{}", verb[0]));
        let mut all = verb.to_vec();
        if verb[0] == "finetune" {
            all.extend(["--out", text(&out), "--from"]);
        }
        jepa3d(&[&all[..], &[text(&run), "--data", text(&data)], args].concat())
    }
}

const FINETUNE: [&str; 10] = [
    "finetune",
    "modelnet40-small",
    "--set",
    "run.epochs=1",
    "--set",
    "length.min_steps=0",
    "--set",
    "optim.batch=8",
    "--set",
    "votes.looks=0",
];
const PROBE: [&str; 4] = ["probe", "--light", "--labels", "1"];
const RETRIEVE: [&str; 1] = ["retrieve"];
const ROBUSTNESS: [&str; 5] = ["robustness", "--corruptions", "jitter", "--severities", "1"];
const FEWSHOT: [&str; 9] = ["fewshot", "--ways", "2", "--shots", "1", "--queries", "1", "--folds", "2"];
const ALL: [&[&str]; 5] = [&FINETUNE, &PROBE, &RETRIEVE, &ROBUSTNESS, &FEWSHOT];

#[test]
fn labels_that_do_not_serve_are_refused_by_name() {
    let sets = LabelledSets::new();
    sets.prepare("equal", &[("train/a", 20), ("test/a", 4)]);
    sets.prepare("none", &[("train", 20), ("test", 4)]);
    sets.prepare("apart", &[("train/a", 12), ("train/b", 12), ("test/c", 4)]);
    sets.prepare("half", &[("train/a", 12), ("train/b", 12), ("test", 4)]);
    for verb in ALL {
        let refused = |set: &str, says: &[&str]| {
            let said = sets.run(set, verb, &["--test-split", "test"]).expect(2).stderr;
            let error = said.lines().find(|line| line.starts_with("error: ")).unwrap();
            for part in says.iter().chain(&["expected", "found"]) {
                assert!(error.contains(part), "{} on {set}: {part}: {error}", verb[0]);
            }
            assert!(!sets.0.path(&format!("{set}-finetune")).exists(), "nothing was begun");
        };
        refused("equal", &["train", "at least two classes", "1 (a)"]);
        refused("none", &["labels of train", "labelled samples", "none"]);
        refused("half", &["labels of ", "test", "labelled samples", "none"]);
        refused("apart", &["labels of ", "test", "classes", "c"]);
        let said = sets.run("apart", verb, &["--test-split", "nosuch"]).expect(2).stderr;
        assert!(said.contains("split: expected one of test, train; found \"nosuch\""), "{said}");
    }
}

#[test]
fn what_is_left_out_is_said_and_the_rest_goes_on() {
    let sets = LabelledSets::new();
    let folders = [
        ("train/a", 12),
        ("train/b", 12),
        ("train", 3),
        ("test/a", 4),
        ("test/b", 4),
        ("test/c", 3),
        ("test", 2),
    ];
    sets.prepare("mixed", &folders);
    for verb in ALL {
        let run = sets.run("mixed", verb, &["--test-split", "test"]).expect(0);
        let said = format!("{}{}", run.stdout, run.stderr);
        for note in ["3 samples of train have no label", "2 samples of test have no label"] {
            assert!(said.contains(note), "{}: {note}: {said}", verb[0]);
        }
        let unseen = match verb[0] {
            "finetune" => "classes that are judged and never trained on: c",
            "retrieve" => "note: c: 3 queries are left out: the gallery has nothing of this class",
            "fewshot" => "too small to be drawn: c: 0 to learn from, 3 queries",
            _ => "classes that are judged and never learned from: c",
        };
        assert!(said.contains(unseen), "{}: {said}", verb[0]);
    }
}

#[test]
fn boxes_of_one_keyframe_are_judged_or_refused_by_name() {
    let Some(real) = test_data("nuscenes") else { return };
    let sets = LabelledSets::new();
    for (name, least) in [("few", "32"), ("more", "5")] {
        let least = format!("dataset.min_box_points={least}");
        let boxes =
            ["dataset.unit=\"box\"", "cloud.frame=\"unit-sphere\"", "cloud.too_few=\"repeat\"", &least];
        let args = ["--set", "dataset.kind=nuscenes", "--data", text(&real)];
        finish(prepare_command(&sets.0.path(name), &[&SMALL[1..], &boxes].concat(), &args)).expect(0);
    }
    for verb in ALL {
        let refused = sets.run("few", verb, &[]).expect(2).stderr;
        assert!(refused.contains("fixed fifth of train") && refused.contains("truck"), "{refused}");
        sets.run("more", verb, &[]).expect(0);
    }
    let probed = sets.run("more", &["probe"], &[]).expect(0).stdout;
    assert!(probed.contains("left out: 5 labels a class: truck has 1 in the training part"), "{probed}");
    let large = sets.run("more", &["fewshot"], &[]).expect(2).stderr;
    assert!(large.contains("car: 4 to learn from, 0 queries"), "{large}");
}
