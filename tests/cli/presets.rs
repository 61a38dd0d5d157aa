//! Every CPU-sized preset with the real binary: stopped and continued to the same bytes, probed, its masks drawn; what it
//! learns from is compared on resume.

use std::path::{Path, PathBuf};

use super::harness::{Run, VIEWS, jepa3d, prepare_small, text};

/// Preset, and the dataset that it is tried on.
const PRESETS: [(&str, &str); 11] = [
    ("point-jepa-small", "patches"),
    ("point-jepa-region-small", "patches"),
    ("3d-jepa-small", "patches"),
    ("3d-jepa-sensor-small", "patches"),
    ("jepa3d-s", "patches"),
    ("3d-jepa-l2-small", "patches"),
    ("3d-jepa-l2-small", "blocks"),
    ("3d-jepa-scenes", "patches"),
    ("cross-jepa-small", "patches"),
    ("cross-jepa-hybrid-small", "patches"),
    ("cross-jepa-hybrid-scenes", "patches"),
];

/// Sizes that the small sets serve; later settings win.
const TINY: [&str; 19] = [
    "data.groups=8",
    "data.points=128",
    "data.repeat=2",
    "hybrid.image_size=32",
    "hybrid.queries=4",
    "data.group_size=8",
    "model.tokenizer=[8, 8, 16]",
    "model.width=24",
    "model.depth=2",
    "model.heads=2",
    "model.drop_path=0.2",
    "predictor.width=12",
    "predictor.depth=2",
    "predictor.heads=2",
    "teacher.width=24",
    "optim.batch=8",
    "optim.warmup_epochs=1",
    "run.epochs=2",
    "monitor.probe_every=1",
];

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        prepare_small(&place.path("blocks"), &["--set", "groups.kind=voxel"]).expect(0);
        prepare_small(&place.path("patches"), &VIEWS).expect(0);
        place.teacher(&["--dim", "24"]).expect(0);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn teacher(&self, args: &[&str]) -> Run {
        jepa3d(&[&["teacher", text(&self.path("patches")), "--teacher", "hog"], args].concat())
    }

    fn pretrain(&self, (preset, data): (&str, &str), out: &Path, args: &[&str]) -> Run {
        let data = self.path(data);
        let mut all = vec!["pretrain", preset, "--data", text(&data), "--out", text(out), "--threads", "2"];
        TINY.iter().for_each(|set| all.extend(["--set", set]));
        // Its targets are of deeper blocks than the tiny encoder has, and its head learns for long.
        if preset == "jepa3d-s" {
            all.extend(["--set", "target.depths=[1, 2]", "--set", "run.epochs=1", "--set", "whole.epochs=1"]);
        }
        all.extend(args);
        jepa3d(&all)
    }
}

fn last(out: &Path) -> Vec<u8> {
    std::fs::read(out.join("last.safetensors")).unwrap()
}

#[test]
fn every_preset_continues_to_the_same_bytes() {
    let place = Place::new();
    for (preset, data) in PRESETS {
        let of = |name: &str| place.path(&format!("{preset}-{data}-{name}"));
        place.pretrain((preset, data), &of("straight"), &[]).expect(0);
        let stopped =
            place.pretrain((preset, data), &of("stopped"), &["--set", "run.stop_after=3"]).expect(0);
        assert!(stopped.stderr.contains("stopped; the same command with --resume"), "{}", stopped.stderr);
        place.pretrain((preset, data), &of("stopped"), &["--resume"]).expect(0);
        assert!(last(&of("stopped")) == last(&of("straight")), "{preset} on {data}: other bytes");
        let metrics = std::fs::read_to_string(of("straight").join("metrics.jsonl")).unwrap();
        assert!(!metrics.contains("not_finite") && metrics.contains("probe/knn20"), "{preset}: {metrics}");
        let (run, set) = (of("straight"), place.path(data));
        let table =
            jepa3d(&["probe", text(&run), "--data", text(&set), "--light", "--labels", "1"]).expect(0);
        assert!(table.stdout.contains("random weights"), "{}", table.stdout);
        if preset != "cross-jepa-small" {
            let picture = of("masks.png");
            let args = ["inspect", text(&run), "--data", text(&set), "--contact-sheet", text(&picture)];
            jepa3d(&args).expect(0);
            assert!(std::fs::metadata(&picture).unwrap().len() > 1000, "{preset}");
        }
        what_goes_wrong_is_reported(&place, (preset, data));
    }
    another_teacher_is_refused(&place);
}

/// Numbers that are not finite, and a guard that is set to what no run can hold.
fn what_goes_wrong_is_reported(place: &Place, preset: (&str, &str)) {
    let (name, data) = preset;
    let of = |what: &str| place.path(&format!("{name}-{data}-{what}"));
    let sets = ["--set", "optim.lr=1e38", "--set", "optim.warmup_epochs=0", "--set", "optim.clip=0"];
    let broken = place.pretrain(preset, &of("broken"), &sets).expect(2);
    let is_named = ["step 2: the loss is NaN", "step 2: the gradient norm is"]
        .iter()
        .any(|text| broken.stderr.contains(text));
    assert!(is_named, "{name}: {}", broken.stderr);
    let sets = [
        ["--set", "monitor.min_pred_std=1e9"],
        ["--set", "monitor.print_every=1"],
        ["--set", "monitor.patience=2"],
    ];
    let args = [sets.concat(), vec!["--abort-on-collapse"]].concat();
    let collapsed = place.pretrain(preset, &of("collapsed"), &args).expect(1);
    assert!(collapsed.stderr.contains("collapse: pred_std"), "{name}: {}", collapsed.stderr);
    assert!(of("collapsed").join("last.safetensors").exists(), "{name}: the checkpoint is kept");
}

/// On the run that was just made, with a cache that was made anew.
fn another_teacher_is_refused(place: &Place) {
    let run = place.path("cross-jepa-small-patches-straight");
    let preset = ("cross-jepa-small", "patches");
    let narrow = place.pretrain(preset, &place.path("narrow"), &["--set", "teacher.width=25"]).expect(2);
    let expected = "config: teacher.width: expected the width 24 of the cache \"hog\", found 25";
    assert!(narrow.stderr.contains(expected), "{}", narrow.stderr);
    let none = place.pretrain(preset, &place.path("none"), &["--set", "teacher.name=vit"]).expect(2);
    assert!(none.stderr.contains("vit"), "{}", none.stderr);
    std::fs::remove_dir_all(place.path("patches").join("teachers")).unwrap();
    let lost = place.pretrain(preset, &run, &["--resume"]).expect(2);
    assert!(lost.stderr.contains("teachers/hog"), "{}", lost.stderr);
}
