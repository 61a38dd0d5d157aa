//! Segmentation: an encoder trained on labels of points, judged by intersection over union.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jepa3d_loader::PreparedDataset;
use serde::Serialize;

use super::config::DownstreamConfig;
use super::encoder_weights::{EncoderWeights, describe_turn};
use super::request::DownstreamRequest;
use super::sample_parts::SampleParts;
use super::segment_config::{JudgedPoints, SegmentHead};
use super::segment_scores::SegmentScores;
use super::segmenter::{Segmenter, find_point_classes};
use super::state::DownstreamState;
use super::trainer::{DownstreamLoop, LoopParts};
use crate::device::open_device;
use crate::error::Result;
use crate::request::{Event, RunOutcome};
use crate::run_config::write_toml;
use crate::run_folder::{RunFolder, record_without_free};

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
    /// Preset of the run.
    pub preset: String,
    /// Where the encoder's weights came from.
    pub encoder: String,
    /// Fingerprint of the dataset.
    pub fingerprint: String,
    /// Seed of the run.
    pub seed: u64,
    /// Version of the tool.
    pub tool_version: String,
    /// Which labels were used.
    pub labels: String,
    /// Samples that were trained on.
    pub n_train: usize,
    /// Samples that the best epoch was selected on; 0: none was selected.
    pub n_selection: usize,
    /// Samples that were judged.
    pub n_evaluation: usize,
    /// What was judged, in words.
    pub evaluated: String,
    /// Which points of a sample are judged.
    pub judged: JudgedPoints,
    /// Steps of the run.
    pub steps: u64,
    /// What is worth saying of the parts.
    pub notes: Vec<String>,
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
    point_classes: Vec<String>,
    categories: Vec<String>,
}

impl SegmentRun {
    /// Starts a run, or continues one.
    ///
    /// # Errors
    /// Fails if the dataset, its labels, the encoder, the run folder or the checkpoint does not allow it.
    pub fn new(request: DownstreamRequest) -> Result<Self> {
        let DownstreamRequest { mut config, encoder, data, out, resume, device, shown, .. } = request;
        config.check()?;
        let device = open_device(&device)?;
        let dataset = Arc::new(PreparedDataset::open(&data)?);
        let weights = EncoderWeights::open(&encoder, &dataset, &device, config.run.seed)?;
        let encoder = weights.settle(&mut config, &dataset);
        let (model, parameters) = Segmenter::new(&config, &encoder, &dataset, &device)?;
        weights.set(&parameters)?;
        let mut parts = draw_parts(&config, &dataset)?;
        parts.notes.extend(describe_turn(&config.data, &dataset));
        let point_classes = find_point_classes(&dataset)?.names.clone();
        let has_parts = config.segment.head == SegmentHead::Parts;
        let categories = if has_parts { dataset.classes().to_vec() } else { Vec::new() };
        let folder = RunFolder::open(&out, resume)?;
        write_toml(&folder.path, &config.to_toml())?;
        let state = DownstreamState {
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            task: "segment".to_owned(),
            step: 0,
            steps: 0,
            fingerprint: dataset.fingerprint().to_owned(),
            origin: weights.origin,
            config: record_without_free(&config.to_toml()),
            encoder: encoder.to_toml(),
            classes: point_classes.clone(),
            best: None,
        };
        let from = LoopParts { config, dataset, parts, folder, model, parameters, state, shown };
        Ok(Self { running: DownstreamLoop::start(from)?, point_classes, categories })
    }

    /// What is worth saying of the parts, a line each.
    pub fn notes(&self) -> &[String] {
        &self.running.parts.notes
    }

    /// Runs to the end, or until `stop` is set.
    ///
    /// # Errors
    /// Fails if a shard or the disk does, or a number is not finite.
    pub fn run(&mut self, stop: &AtomicBool, report: &mut dyn FnMut(Event)) -> Result<RunOutcome> {
        self.running.run(stop, report)
    }

    /// Judges a run that is done: the last step and the selected one.
    ///
    /// # Errors
    /// Fails if a shard or a checkpoint does.
    pub fn judge(&mut self) -> Result<SegmentResult> {
        let running = &self.running;
        let (config, state, parts) = (running.config(), running.state(), &running.parts);
        let look = |step| -> Result<SegmentLook> {
            Ok(SegmentLook { step, scores: running.model.judge(&running.evaluation())? })
        };
        let last = look(state.step)?;
        let selected = match &state.best {
            None => None,
            Some(best) => {
                running.load_best()?;
                Some(look(best.step)?)
            }
        };
        let split = &parts.evaluation.split;
        Ok(SegmentResult {
            preset: config.preset.clone(),
            encoder: state.origin.clone(),
            fingerprint: state.fingerprint.clone(),
            seed: config.run.seed,
            tool_version: state.tool_version.clone(),
            labels: config.labels.budget.to_string(),
            n_train: parts.training.len(),
            n_selection: parts.selection.len(),
            n_evaluation: parts.evaluation.len(),
            evaluated: match config.labels.test_split.is_empty() {
                true => format!("a fixed fifth of {split} by hash of the id"),
                false => format!("the split {split}"),
            },
            judged: config.segment.judged,
            steps: state.steps,
            notes: parts.notes.clone(),
            point_classes: self.point_classes.clone(),
            categories: self.categories.clone(),
            last,
            selected,
        })
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        &self.running.folder().path
    }
}

/// Objects with parts are drawn class by class, scenes all alike.
fn draw_parts(config: &DownstreamConfig, dataset: &PreparedDataset) -> Result<SampleParts> {
    match config.segment.head {
        SegmentHead::Parts => SampleParts::draw_by_class(config, dataset),
        SegmentHead::Linear => SampleParts::draw(config, dataset, &|_| Some(0), &|_| "scenes".to_owned()),
    }
}
