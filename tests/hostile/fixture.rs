//! A small data folder, the set prepared from it with views and embeddings, and a run on that: what the campaign damages.

use std::path::{Path, PathBuf};

use super::files::{Folder, copy_tree, text, write};
use super::harness::{Ran, jepa3d};

/// Settings of the set: five shards of points and of views, a few kilobytes each.
pub(crate) const SET: [&str; 11] = [
    "cloud.points=256",
    "groups.points=128",
    "groups.centers=8",
    "groups.neighbors=8",
    "groups.groupings=2",
    "shards.rows=8",
    "shards.row_group=3",
    "views.size=32",
    "views.supersample=1",
    "views.rig.views=2",
    "run.max_failures=1",
];

/// Settings of a run that fits the set: twelve steps of milliseconds.
pub(crate) const RUN: [&str; 16] = [
    "data.groups=8",
    "data.group_size=8",
    "model.tokenizer=[8, 8, 16]",
    "model.width=16",
    "model.depth=2",
    "model.heads=2",
    "predictor.width=8",
    "predictor.depth=1",
    "predictor.heads=2",
    "optim.batch=8",
    "run.epochs=6",
    "run.checkpoint_every=3",
    "monitor.probe_every=2",
    "teacher.width=32",
    "hybrid.image_size=32",
    "hybrid.queries=4",
];

/// `--set` before every setting.
pub(crate) fn settings(sets: &[&str]) -> Vec<String> {
    sets.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]).collect()
}

pub(crate) fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

/// `prepare` of a data folder with the settings of the campaign and further arguments.
pub(crate) fn prepare_args(data: &Path, out: &Path, more: &[&str]) -> Vec<String> {
    let args =
        strings(&["prepare", "folder-views", "--data", text(data), "--out", text(out), "--threads", "2"]);
    [args, settings(&SET), strings(more)].concat()
}

/// `pretrain` of a preset with the settings of the campaign and further arguments.
pub(crate) fn pretrain_args(preset: &str, data: &Path, out: &Path, more: &[&str]) -> Vec<String> {
    let args = strings(&["pretrain", preset, "--data", text(data), "--out", text(out), "--threads", "1"]);
    [args, settings(&RUN), strings(more)].concat()
}

pub(crate) fn teacher_args(set: &Path, more: &[&str]) -> Vec<String> {
    let args = strings(&["teacher", text(set), "--teacher", "hog", "--dim", "32", "--threads", "1"]);
    [args, strings(more)].concat()
}

pub(crate) fn embed_args(run: &Path, set: &Path, out: &Path) -> Vec<String> {
    strings(&["embed", text(run), "--data", text(set), "--out", text(out), "--threads", "1"])
}

pub(crate) fn probe_args(run: &Path, set: &Path) -> Vec<String> {
    strings(&["probe", text(run), "--data", text(set), "--light", "--labels", "1", "--threads", "1"])
}

pub(crate) fn sheet_args(set: &Path, out: &Path) -> Vec<String> {
    strings(&["inspect", text(set), "--limit", "2", "--contact-sheet", text(out)])
}

/// An OFF file of a pyramid (`kind` 0) or a box of its own proportions.
pub(crate) fn solid(kind: usize, number: usize) -> String {
    let (x, y, z) = (1.0 + 0.13 * number as f64, 0.7 + 0.05 * number as f64, 1.5 - 0.04 * number as f64);
    match kind {
        0 => {
            format!("OFF\n4 4 0\n0 0 0\n{x} 0 0\n0 0 {z}\n0.3 {y} 0.2\n3 0 1 2\n3 0 3 1\n3 1 3 2\n3 0 2 3\n")
        }
        _ => {
            let corners = (0..8).map(|i| {
                let along = |bit: usize, length: f64| if i >> bit & 1 == 1 { length } else { 0.0 };
                format!("{} {} {}\n", along(0, x), along(1, y), along(2, z))
            });
            let faces = "4 0 2 3 1\n4 4 5 7 6\n4 0 1 5 4\n4 2 6 7 3\n4 0 4 6 2\n4 1 3 7 5\n";
            format!("OFF\n8 6 0\n{}{faces}", corners.collect::<String>())
        }
    }
}

/// Two classes of sixteen training and four test objects, and one file that is none.
pub(crate) fn write_data(data: &Path) {
    for (kind, class) in ["pyramid", "box"].iter().enumerate() {
        for number in 0..20 {
            let split = if number < 16 { "train" } else { "test" };
            write(&data.join(format!("{class}/{split}/{number:02}.off")), solid(kind, number));
        }
    }
    write(&data.join("box/train/broken.off"), "no such thing\n");
}

/// A whole world of small files.
pub(crate) struct Fixture {
    pub folder: Folder,
}

impl Fixture {
    /// The data, its set with views and embeddings of the teacher, and a run that stopped half-way.
    pub(crate) fn new(name: &str) -> Self {
        let here = Self { folder: Folder::new(name) };
        write_data(&here.data());
        jepa3d(&prepare_args(&here.data(), &here.set(), &[])).expect_done();
        jepa3d(&teacher_args(&here.set(), &[])).expect_done();
        here.pretrain("point-jepa-region-small", "run", &["--set", "run.stop_after=6"]).expect_done();
        here
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path("data")
    }

    pub(crate) fn set(&self) -> PathBuf {
        self.folder.path("set")
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.folder.path("run")
    }

    pub(crate) fn pretrain(&self, preset: &str, out: &str, more: &[&str]) -> Ran {
        jepa3d(&pretrain_args(preset, &self.set(), &self.folder.path(out), more))
    }

    /// A copy of a tree of the fixture under another name.
    pub(crate) fn copy(&self, from: &str, to: &str) -> PathBuf {
        let to = self.folder.path(to);
        copy_tree(&self.folder.path(from), &to);
        to
    }
}
