//! Classification: an encoder trained on labels of whole samples, judged by accuracy.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jepa3d_loader::{FreshStart, PreparedDataset};
use jepa3d_probe::Confusion;
use jepa3d_schemas::derive_seed;
use serde::Serialize;

use super::classifier::{Classifier, Predictions};
use super::encoder_weights::{EncoderWeights, describe_turn};
use super::episode::EpisodeSamples;
use super::request::DownstreamRequest;
use super::sample_parts::SampleParts;
use super::state::DownstreamState;
use super::trainer::{DownstreamLoop, LoopParts};
use crate::device::open_device;
use crate::error::Result;
use crate::request::{Event, RunOutcome};
use crate::run_config::write_toml;
use crate::run_folder::{RunFolder, record_without_free};

/// What a classifier is worth on the part that is judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FinetuneScores {
    /// After how many steps.
    pub step: u64,
    /// Percentage of samples that are classified correctly.
    pub accuracy: f64,
    /// Mean over classes of the percentage of their samples that are.
    pub mean_class_accuracy: f64,
    /// Counts by true and predicted class.
    pub confusion: Confusion,
}

impl FinetuneScores {
    fn measure(step: u64, found: &Predictions, classes: &[String]) -> Self {
        let confusion = Confusion::count(classes, &found.labels, &found.classes());
        Self {
            step,
            accuracy: 100.0 * confusion.accuracy(),
            mean_class_accuracy: 100.0 * confusion.mean_class_accuracy(),
            confusion,
        }
    }
}

/// Several looks at every sample, each grouped from a random start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VoteScores {
    /// Percentage of samples whose mean of probabilities is right.
    pub accuracy: f64,
    /// Accuracy of each look alone, in percent.
    pub looks: Vec<f64>,
    /// Seed of the starts.
    pub seed: u64,
}

/// What a run found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FinetuneResult {
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
    /// Steps of the run.
    pub steps: u64,
    /// What is worth saying of the parts.
    pub notes: Vec<String>,
    /// After the last step, with the stored groups.
    pub last: FinetuneScores,
    /// After the step that was best on the selection part, if anything was selected.
    pub selected: Option<FinetuneScores>,
    /// Of the last step, beside the plain number.
    pub vote: Option<VoteScores>,
}

/// A fine-tuning run.
pub struct Finetuner {
    running: DownstreamLoop<Classifier>,
    classes: Vec<String>,
    dataset: Arc<PreparedDataset>,
    is_episode: bool,
}

impl Finetuner {
    /// Starts a run, or continues one.
    ///
    /// # Errors
    /// Fails if the dataset, its labels, the encoder, the run folder or the checkpoint does not allow it.
    pub fn new(request: DownstreamRequest) -> Result<Self> {
        let DownstreamRequest { mut config, encoder, episode, data, out, resume, device, shown } = request;
        config.check()?;
        let device = open_device(&device)?;
        let dataset = Arc::new(PreparedDataset::open(&data)?);
        let weights = EncoderWeights::open(&encoder, &dataset, &device, config.run.seed)?;
        let encoder = weights.settle(&mut config, &dataset);
        let mut parts = match &episode {
            Some(episode) => episode.parts(&dataset)?,
            None => SampleParts::draw_by_class(&config, &dataset)?,
        };
        parts.notes.extend(describe_turn(&config.data, &dataset));
        let all = dataset.classes().to_vec();
        let labels: Vec<i32> =
            episode.as_ref().map_or((0..all.len() as i32).collect(), EpisodeSamples::labels);
        let classes = episode.as_ref().map_or(all, EpisodeSamples::names);
        let (model, parameters) = Classifier::new(&config, &encoder, &labels, &device)?;
        weights.set(&parameters)?;
        let folder = RunFolder::open(&out, resume)?;
        write_toml(&folder.path, &config.to_toml())?;
        let state = DownstreamState {
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            task: "finetune".to_owned(),
            step: 0,
            steps: 0,
            fingerprint: dataset.fingerprint().to_owned(),
            origin: weights.origin,
            config: record_without_free(&config.to_toml()),
            encoder: encoder.to_toml(),
            classes: classes.clone(),
            best: None,
        };
        let dataset_here = Arc::clone(&dataset);
        let from = LoopParts { config, dataset, parts, folder, model, parameters, state, shown };
        Ok(Self {
            running: DownstreamLoop::start(from)?,
            classes,
            dataset: dataset_here,
            is_episode: episode.is_some(),
        })
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

    /// Judges a run that is done: the last step, the selected one, the votes.
    ///
    /// # Errors
    /// Fails if a shard or a checkpoint does.
    pub fn judge(&mut self) -> Result<FinetuneResult> {
        let running = &self.running;
        let (config, state, parts) = (running.config(), running.state(), &running.parts);
        let found = running.model.predict(&running.evaluation())?;
        let last = FinetuneScores::measure(state.step, &found, &self.classes);
        let vote = self.vote()?;
        let selected = match &state.best {
            None => None,
            Some(best) => {
                running.load_best()?;
                let found = running.model.predict(&running.evaluation())?;
                Some(FinetuneScores::measure(best.step, &found, &self.classes))
            }
        };
        let split = &parts.evaluation.split;
        Ok(FinetuneResult {
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
                _ if self.is_episode => "the queries of an episode".to_owned(),
                true => format!("a fixed fifth of {split} by hash of the id"),
                false => format!("the split {split}"),
            },
            steps: state.steps,
            notes: parts.notes.clone(),
            last,
            selected,
            vote,
        })
    }

    /// The mean of the probabilities of several looks; none for voxel blocks, which are not grouped anew.
    fn vote(&self) -> Result<Option<VoteScores>> {
        let running = &self.running;
        let (config, looks) = (running.config(), running.config().votes.looks);
        if looks == 0 || self.dataset.cell_edge().is_some() {
            return Ok(None);
        }
        let mut sum = Predictions::default();
        let mut accuracies = Vec::new();
        for look in 0..looks {
            let seed = look_seed(config.votes.seed, look);
            let fresh = FreshStart { points: config.data.points, seed };
            let found = running.model.predict(&running.evaluation().vote(fresh))?;
            accuracies.push(FinetuneScores::measure(0, &found, &self.classes).accuracy);
            if sum.shares.is_empty() {
                sum = found;
            } else {
                sum.shares.iter_mut().zip(&found.shares).for_each(|(sum, share)| *sum += share);
            }
        }
        let accuracy = FinetuneScores::measure(0, &sum, &self.classes).accuracy;
        Ok(Some(VoteScores { accuracy, looks: accuracies, seed: config.votes.seed }))
    }

    /// The run's folder.
    pub fn folder(&self) -> &std::path::Path {
        &self.running.folder().path
    }
}

fn look_seed(seed: u64, look: usize) -> u64 {
    let hash = derive_seed(seed, &format!("look {look}"), "votes");
    u64::from_le_bytes(hash[..8].try_into().expect("a seed has 32 bytes"))
}
