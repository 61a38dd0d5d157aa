//! Segmentation runs on tiny sets: to the same bytes after a stop, with every measure, and refused by name.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jepa3d_fixtures::grouped_set::write;
use jepa3d_loader::PreparedDataset;
use jepa3d_schemas::{ConfigText, LabelRange, Manifest, PointClasses};
use tempfile::TempDir;

use super::{
    DownstreamConfig, DownstreamRequest, DownstreamRun, EncoderSource, EncoderWeights, SegmentResult,
    SegmentRun,
};
use crate::checkpoint::LAST_FILE;
use crate::config::PretrainConfig;
use crate::error::Result;
use crate::request::RunOutcome;

struct SegmentFixture {
    dir: TempDir,
}

impl SegmentFixture {
    /// Clouds of four classes with the point labels -1 to 3; `parts` says which of them each class has.
    fn new(parts: Option<LabelRange>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        write(&data, &[("train", 24), ("test", 9)], 4);
        let names = ["p", "q", "r", "s"].map(str::to_owned).to_vec();
        let parts = parts.map_or(vec![], |range| vec![range; 4]);
        let point_classes = Some(PointClasses { names, parts, ignored: None });
        Manifest { point_classes, ..Manifest::read(&data).unwrap() }.write(&data).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self, out: &str, resume: bool, sets: &[&str]) -> Result<SegmentRun> {
        let text = "preset = \"test\"\nencoder = \"none\"\n[run]\nepochs = 4\n[head]\nhidden = 8\n
            [segment]\nupsampling = 8\n[labels]\nselection = 0.25\nselect_every = 1\ntest_split = \"test\"\n
            [optim]\nbatch = 6\nlr = 0.01\nwarmup_epochs = 1\n[data]\ngroups = 6\ngroup_size = 5\n";
        let text = ConfigText { origin: "test".into(), toml: text.to_owned() };
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let encoder: PretrainConfig = toml::from_str(
            "preset = \"tiny\"\n[data]\ngroups = 6\ngroup_size = 5\n
             [model]\ntokenizer = [4, 8, 8]\nwidth = 12\ndepth = 3\nheads = 2",
        )
        .unwrap();
        let config = DownstreamConfig::parse(&text, &sets)?;
        let dataset = Arc::new(PreparedDataset::open(&self.path("data"))?);
        let source = EncoderSource::Scratch(Box::new(encoder));
        let encoder = Arc::new(EncoderWeights::open(&source, &dataset, "cpu", &config)?);
        SegmentRun::new(DownstreamRequest {
            config,
            episode: None,
            encoder,
            dataset,
            out: self.path(out),
            resume,
            device: "cpu".into(),
            shown: None,
        })
    }

    fn run(&self, out: &str, resume: bool, sets: &[&str]) -> (RunOutcome, SegmentRun) {
        let mut run = self.start(out, resume, sets).unwrap();
        (run.run(&AtomicBool::new(false), &mut |_| ()).unwrap(), run)
    }

    fn judged(&self, out: &str, sets: &[&str]) -> SegmentResult {
        let (outcome, run) = self.run(out, false, sets);
        assert_eq!(outcome, RunOutcome::Done);
        run.judge().unwrap()
    }

    fn bytes(&self, out: &str) -> Vec<u8> {
        std::fs::read(self.path(out).join(LAST_FILE)).unwrap()
    }
}

const ALL: LabelRange = LabelRange { first: 0, end: 4 };

#[test]
fn parts_are_learned_to_the_same_bytes_in_two_pieces() {
    let fixture = SegmentFixture::new(Some(ALL));
    let whole = fixture.judged("whole", &[]);
    assert_eq!((whole.facts.n_train, whole.facts.n_selection, whole.facts.n_evaluation), (16, 8, 9));
    let parts = whole.last.scores.parts.as_ref().unwrap();
    assert_eq!((parts.shapes, parts.categories.len()), (9, 4));
    assert!(whole.selected.is_some() && (0.0..=1.0).contains(&parts.instance_iou));
    let places: Vec<usize> = whole.examples.iter().map(|example| example.place).collect();
    assert_eq!(places, [1, 3, 5, 7, 9]);
    assert!(whole.examples.is_sorted_by(|a, b| a.iou >= b.iou));
    for example in &whole.examples {
        let count = example.truth.len();
        assert!(count > 0 && example.predicted.len() == count && example.points.len() == 3 * count);
        let known = example.truth.iter().zip(&example.predicted).filter(|(truth, _)| **truth >= 0);
        let iou = |part: i16| {
            let union = known.clone().filter(|(t, p)| **t == part || **p == part).count();
            let hits = known.clone().filter(|(t, p)| **t == part && **p == part).count();
            if union == 0 { 1.0 } else { hits as f64 / union as f64 }
        };
        assert!((example.iou - (0..4).map(iou).sum::<f64>() / 4.0).abs() < 1e-12, "{}", example.id);
    }
    assert_eq!(fixture.run("two", false, &["run.stop_after=5"]).0, RunOutcome::Stopped);
    let (outcome, run) = fixture.run("two", true, &[]);
    assert_eq!((outcome, run.judge().unwrap()), (RunOutcome::Done, whole));
    assert!(fixture.bytes("whole") == fixture.bytes("two"));
}

#[test]
fn a_linear_head_learns_alone_or_with_the_encoder() {
    let fixture = SegmentFixture::new(None);
    let linear = ["segment.head=\"linear\"", "segment.judged=\"cloud\"", "labels.selection=0"];
    let frozen = [&linear[..], &["tuning.frozen=\"encoder\"", "tuning.frozen_epochs=100"]].concat();
    let (of_frozen, of_all) = (fixture.judged("frozen", &frozen), fixture.judged("all", &linear));
    // A fifth of the 40 or 41 points of a cloud has no label.
    assert!(of_frozen.last.scores.points.points >= 9 * 32 && of_frozen.last.scores.parts.is_none());
    assert_eq!((of_frozen.facts.n_train, of_frozen.selected.clone()), (24, None));
    assert_ne!(of_frozen.last.scores, of_all.last.scores);
    let tensors = |out: &str| {
        let file = crate::checkpoint_file::read_file(&fixture.path(out).join(LAST_FILE)).unwrap();
        let encoder = |name: &String| name.starts_with("encoder.") || name.starts_with("tokenizer.");
        file.tensors.into_iter().filter(|(name, _)| encoder(name)).collect::<Vec<_>>()
    };
    fixture.run("none", false, &[&frozen[..], &["run.stop_after=1"]].concat());
    assert!(tensors("none") == tensors("frozen"), "statistics of a frozen encoder stay too");
    assert!(tensors("all") != tensors("frozen"));
}

#[test]
fn what_cannot_be_segmented_is_named() {
    let fixture = SegmentFixture::new(None);
    let error = |sets: &[&str]| fixture.start("out", false, sets).err().unwrap().to_string();
    assert!(error(&[]).contains("segment.head: expected \"linear\" where classes of objects have no parts"));
    let depths = error(&["segment.head=\"linear\"", "segment.depths=[3]"]);
    assert!(depths.contains("segment.depths: expected ascending numbers below the 3 blocks"), "{depths}");
    let data = fixture.path("data");
    Manifest { point_classes: None, ..Manifest::read(&data).unwrap() }.write(&data).unwrap();
    assert!(error(&[]).contains("point_classes: expected what the labels of points mean, found none"));
    let narrow = SegmentFixture::new(Some(LabelRange { first: 0, end: 4 }));
    let data = narrow.path("data");
    let names = vec!["p".to_owned(); 2];
    let parts = vec![LabelRange { first: 0, end: 2 }; 4];
    let point_classes = Some(PointClasses { names, parts, ignored: None });
    Manifest { point_classes, ..Manifest::read(&data).unwrap() }.write(&data).unwrap();
    let mut run = narrow.start("out", false, &[]).unwrap();
    let error = run.run(&AtomicBool::new(false), &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("point_labels: expected labels of points below 2"), "{error}");
}
