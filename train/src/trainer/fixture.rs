//! Tiny runs for the tests of the trainer: a dataset of 48 training clouds, configs, and a run of them.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use jepa3d_fixtures::grouped_set::write;
use tempfile::TempDir;

use super::{Event, PretrainRequest, RunOutcome, Trainer};
use crate::checkpoint::LAST_FILE;
use crate::config::PretrainConfig;
use crate::error::Result;
use crate::metrics::METRICS_FILE;

/// Sizes that the clouds of the fixture serve (6 stored patches of 5 points), as settings on top of any config.
pub(super) const TINY: &[&str] = &[
    "data.groups=6",
    "data.group_size=5",
    "data.points=24",
    "data.shuffle_buffer=16",
    "model.tokenizer=[8, 8, 16]",
    "model.width=12",
    "model.depth=2",
    "model.heads=2",
    "predictor.width=6",
    "predictor.depth=2",
    "predictor.heads=2",
    "masking.blocks=2",
    "optim.batch=12",
    "monitor.subset=32",
];

/// Twelve steps in three epochs, an evaluation after each.
pub(super) const SHORT: &[&str] =
    &["run.epochs=3", "optim.warmup_epochs=1", "monitor.probe_every=1", "monitor.print_every=1"];

/// Dropout everywhere.
pub(super) const DROPOUT: &[&str] = &[
    "model.dropout=0.1",
    "model.attention_dropout=0.1",
    "model.drop_path=0.3",
    "predictor.dropout=0.1",
    "predictor.attention_dropout=0.1",
    "predictor.drop_path=0.3",
];

/// A folder with a prepared dataset and room for runs.
pub(super) struct TrainerFixture {
    pub dir: TempDir,
}

impl TrainerFixture {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shards = [("train", 23), ("unlabelled", 20), ("val", 5), ("train", 25)];
        write(&dir.path().join("data"), &shards, 4);
        Self { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn last(&self, out: &str) -> PathBuf {
        self.path(out).join(LAST_FILE)
    }

    pub fn request(&self, out: &str, resume: bool, sets: &[&str]) -> PretrainRequest {
        let (data, out) = (vec![self.path("data").as_path().into()], self.path(out));
        PretrainRequest {
            config: config(sets),
            data,
            out,
            resume,
            device: "cpu".into(),
            emulates_bf16: true,
            shown: None,
        }
    }

    pub fn trainer(&self, out: &str, resume: bool, sets: &[&str]) -> Result<Trainer> {
        Trainer::new(self.request(out, resume, sets))
    }

    /// A run to its end, with what it told.
    #[track_caller]
    pub fn run(&self, out: &str, resume: bool, sets: &[&str]) -> (RunOutcome, Vec<Event>) {
        events_of(&mut self.trainer(out, resume, sets).unwrap()).unwrap()
    }

    /// Bytes of the newest checkpoint, and the record without its timings.
    pub fn result(&self, out: &str) -> (Vec<u8>, Vec<String>) {
        let text = std::fs::read_to_string(self.path(out).join(METRICS_FILE)).unwrap();
        let untimed = |line: &str| {
            let (values, timings) = line.split_once(",\"samples_per_s\":").unwrap_or((line, ""));
            let keys = timings.matches(':').count();
            assert!(keys == 0 || keys == 3, "data_ms, step_ms and the checksum are last: {line}");
            values.to_owned()
        };
        (std::fs::read(self.last(out)).unwrap(), text.lines().map(untimed).collect())
    }
}

/// A config of the tiny sizes; later settings win.
pub(super) fn config(sets: &[&str]) -> PretrainConfig {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "preset = \"test\"\n").unwrap();
    let sets: Vec<String> = [TINY, SHORT, sets].concat().into_iter().map(str::to_owned).collect();
    PretrainConfig::load(file.path(), &sets).unwrap()
}

pub(super) fn events_of(trainer: &mut Trainer) -> Result<(RunOutcome, Vec<Event>)> {
    let mut events = Vec::new();
    let ended = trainer.run(&AtomicBool::new(false), &mut |event| events.push(event))?;
    Ok((ended, events))
}
