//! Segmentation: an encoder trained on labels of points, judged by intersection over union.

use std::sync::atomic::AtomicBool;

use jepa3d_loader::PreparedDataset;
use serde::Serialize;

use super::config::DownstreamConfig;
use super::facts::DownstreamFacts;
use super::request::DownstreamRequest;
use super::run::DownstreamRun;
use super::sample_parts::SampleParts;
use super::segment_config::{JudgedPoints, SegmentHead};
use super::segment_scores::SegmentScores;
use super::segmenter::{Segmenter, find_point_classes};
use super::start::{DownstreamStart, TaskParts};
use super::trainer::DownstreamLoop;
use crate::error::Result;
use crate::request::{Event, RunOutcome};

/// What a segmenter is worth after a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SegmentLook {
    /// After how many steps.
    pub step: u64,
    /// On the part that is judged; shares from 0 to 1.
    pub scores: SegmentScores,
}

/// What a segmentation run found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SegmentResult {
    /// How it was made, and on what.
    #[serde(flatten)]
    pub facts: DownstreamFacts,
    /// Which points of a sample are judged.
    pub judged: JudgedPoints,
    /// Names of the classes of points.
    pub point_classes: Vec<String>,
    /// Names of the classes of objects, where these have parts of their own.
    pub categories: Vec<String>,
    /// After the last step.
    pub last: SegmentLook,
    /// After the step that was best on the selection part, if anything was selected.
    pub selected: Option<SegmentLook>,
}

/// A segmentation run.
pub struct SegmentRun {
    running: DownstreamLoop<Segmenter>,
}

impl DownstreamRun for SegmentRun {
    type Found = SegmentResult;

    fn new(request: DownstreamRequest) -> Result<Self> {
        let start = DownstreamStart::settle(request)?;
        let DownstreamStart { config, encoder, dataset, device, .. } = &start;
        let (model, parameters) = Segmenter::new(config, encoder, dataset, device)?;
        let parts = draw_parts(config, dataset)?;
        let classes = find_point_classes(dataset)?.names.clone();
        let made = TaskParts { task: "segment", model, parameters, parts, classes };
        Ok(Self { running: start.begin(made)? })
    }

    fn notes(&self) -> &[String] {
        &self.running.parts.notes
    }

    fn run(&mut self, stop: &AtomicBool, report: &mut dyn FnMut(Event)) -> Result<RunOutcome> {
        self.running.run(stop, report)
    }

    fn judge(self) -> Result<SegmentResult> {
        let running = &self.running;
        let look = |step| -> Result<SegmentLook> {
            Ok(SegmentLook { step, scores: running.model.judge(&running.evaluation())? })
        };
        let last = look(running.state().step)?;
        // Behind all that is judged by the last step's parameters.
        let selected = running.load_best()?.map(look).transpose()?;
        let segment = &running.config().segment;
        Ok(SegmentResult {
            facts: running.facts(),
            judged: segment.judged,
            point_classes: running.state().classes.clone(),
            categories: match segment.head {
                SegmentHead::Parts => running.dataset().classes().to_vec(),
                SegmentHead::Linear => Vec::new(),
            },
            last,
            selected,
        })
    }
}

/// Objects with parts are drawn class by class, scenes all alike.
fn draw_parts(config: &DownstreamConfig, dataset: &PreparedDataset) -> Result<SampleParts> {
    match config.segment.head {
        SegmentHead::Parts => SampleParts::draw_by_class(config, dataset),
        SegmentHead::Linear => SampleParts::draw(config, dataset, &|_| Some(0), &|_| "scenes".to_owned()),
    }
}
