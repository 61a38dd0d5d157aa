//! Segmentation: an encoder trained on labels of points, judged by intersection over union.

use std::sync::atomic::AtomicBool;

use jepa3d_loader::{EvalConfig, PreparedDataset, SampleSelection};
use serde::Serialize;

use super::config::DownstreamConfig;
use super::evaluation::EvaluationSource;
use super::facts::DownstreamFacts;
use super::request::DownstreamRequest;
use super::run::DownstreamRun;
use super::sample_parts::SampleParts;
use super::segment_config::{ClassBalance, JudgedPoints, SegmentHead};
use super::segment_examples::{RankedSample, SegmentExample, choose_examples};
use super::segment_scores::{ScoredPoints, SegmentScores};
use super::segmenter::{JudgedSample, Segmenter, find_point_classes};
use super::start::{DownstreamStart, TaskParts};
use super::task::DownstreamModel;
use super::trainer::DownstreamLoop;
use crate::config::out_of_range;
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
    /// Some judged samples after the last step: the best, the quartiles and the worst by mIoU, equal ones by id.
    pub examples: Vec<SegmentExample>,
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
        let (mut model, parameters) = Segmenter::new(config, encoder, dataset, device)?;
        let parts = draw_parts(config, dataset)?;
        if config.segment.class_weights != ClassBalance::None {
            let training = EvaluationSource::new(dataset, &parts.training, &config.data);
            let training = training.map(|source| model.eval_config(source));
            model.weigh_classes(config.segment.class_weights, &training)?;
        }
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
        let look = |step, visit: &mut dyn FnMut(JudgedSample<'_>)| -> Result<SegmentLook> {
            Ok(SegmentLook { step, scores: running.model.judge(&running.evaluation(), visit)? })
        };
        let mut ranked = Vec::new();
        let last = look(running.state().step, &mut |sample| {
            ranked.extend(sample.scored.iou.map(|iou| RankedSample { id: sample.id.to_owned(), iou }));
        })?;
        if last.scores.points.points == 0 {
            let expected = format!("points of {} with a class that counts", running.parts.evaluated);
            return Err(out_of_range("labels of points", expected, "none"));
        }
        let examples = self.read_examples(ranked)?;
        // Behind all that is judged by the last step's parameters.
        let selected = running.load_best()?.map(|step| look(step, &mut |_| ())).transpose()?;
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
            examples,
        })
    }
}

impl SegmentRun {
    /// The samples that are shown of those that were judged, with their points: in a pass of their own, since the points of all
    /// scenes of a large set would not fit into memory.
    fn read_examples(&self, ranked: Vec<RankedSample>) -> Result<Vec<SegmentExample>> {
        let running = &self.running;
        let up = running.config().data.up_axis.unwrap_or(running.dataset().up_axis());
        let mut examples = choose_examples(ranked, up);
        if examples.is_empty() {
            return Ok(examples);
        }
        let ids = examples.iter().map(|example| example.id.clone()).collect();
        let chosen = SampleSelection::with_ids(&running.parts.evaluation.samples, &ids);
        let source = running.evaluation().map(|config| EvalConfig { samples: Some(chosen), ..config });
        running.model.judge(&source, &mut |sample| {
            let Some(example) = examples.iter_mut().find(|example| example.id == sample.id) else { return };
            let ScoredPoints { truth, predicted, .. } = sample.scored;
            let label = |class: usize| i16::try_from(class).unwrap_or(i16::MAX);
            example.points = sample.points.to_vec();
            example.truth = truth.into_iter().map(|class| class.map_or(-1, label)).collect();
            example.predicted = predicted.into_iter().map(label).collect();
        })?;
        Ok(examples)
    }
}

/// Objects with parts are drawn class by class, scenes all alike.
fn draw_parts(config: &DownstreamConfig, dataset: &PreparedDataset) -> Result<SampleParts> {
    match config.segment.head {
        SegmentHead::Parts => SampleParts::draw_by_class(config, dataset),
        SegmentHead::Linear => SampleParts::draw(config, dataset, &|_| Some(0), &|_| "scenes".to_owned()),
    }
}
