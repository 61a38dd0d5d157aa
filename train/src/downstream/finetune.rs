//! Classification: an encoder trained on labels of whole samples, judged by accuracy.

use std::sync::atomic::AtomicBool;

use jepa3d_loader::FreshStart;
use jepa3d_probe::Confusion;
use jepa3d_schemas::derive_seed;
use serde::Serialize;

use super::classifier::{Classifier, Predictions};
use super::facts::DownstreamFacts;
use super::request::DownstreamRequest;
use super::run::DownstreamRun;
use super::sample_parts::SampleParts;
use super::start::{DownstreamStart, TaskParts};
use super::trainer::DownstreamLoop;
use crate::error::Result;
use crate::request::{Event, RunOutcome};

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
    /// How it was made, and on what.
    #[serde(flatten)]
    pub facts: DownstreamFacts,
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
}

impl DownstreamRun for Finetuner {
    type Found = FinetuneResult;

    fn new(mut request: DownstreamRequest) -> Result<Self> {
        let episode = request.episode.take();
        let start = DownstreamStart::settle(request)?;
        let DownstreamStart { config, encoder, dataset, device, .. } = &start;
        let (parts, labels, classes) = match &episode {
            Some(episode) => (episode.parts(dataset)?, episode.labels(), episode.names()),
            None => {
                let classes = dataset.classes().to_vec();
                let labels = (0..classes.len() as i32).collect();
                (SampleParts::draw_by_class(config, dataset)?, labels, classes)
            }
        };
        let (model, parameters) = Classifier::new(config, encoder, &labels, device)?;
        let made = TaskParts { task: "finetune", model, parameters, parts, classes };
        Ok(Self { running: start.begin(made)? })
    }

    fn notes(&self) -> &[String] {
        &self.running.parts.notes
    }

    fn run(&mut self, stop: &AtomicBool, report: &mut dyn FnMut(Event)) -> Result<RunOutcome> {
        self.running.run(stop, report)
    }

    fn judge(self) -> Result<FinetuneResult> {
        let running = &self.running;
        let last = self.look(running.state().step)?;
        let vote = self.vote()?;
        // Behind all that is judged by the last step's parameters.
        let selected = running.load_best()?.map(|step| self.look(step)).transpose()?;
        Ok(FinetuneResult { facts: running.facts(), last, selected, vote })
    }
}

impl Finetuner {
    /// What the parameters as they stand, those of `step`, are worth.
    fn look(&self, step: u64) -> Result<FinetuneScores> {
        let found = self.running.model.predict(&self.running.evaluation())?;
        Ok(FinetuneScores::measure(step, &found, self.classes()))
    }

    fn classes(&self) -> &[String] {
        &self.running.state().classes
    }

    /// The mean of the probabilities of several looks; none for voxel blocks, which are not grouped anew.
    fn vote(&self) -> Result<Option<VoteScores>> {
        let running = &self.running;
        let (config, looks) = (running.config(), running.config().votes.looks);
        if looks == 0 || running.dataset().cell_edge().is_some() {
            return Ok(None);
        }
        let mut sum = Predictions::default();
        let mut accuracies = Vec::new();
        for look in 0..looks {
            let seed = look_seed(config.votes.seed, look);
            let fresh =
                FreshStart { points: config.data.points, seed: Some(seed), repeats: false, outliers: 0.0 };
            let found = running.model.predict(&running.evaluation().vote(fresh))?;
            accuracies.push(FinetuneScores::measure(0, &found, self.classes()).accuracy);
            if sum.shares.is_empty() {
                sum = found;
            } else {
                sum.shares.iter_mut().zip(&found.shares).for_each(|(sum, share)| *sum += share);
            }
        }
        let accuracy = FinetuneScores::measure(0, &sum, self.classes()).accuracy;
        Ok(Some(VoteScores { accuracy, looks: accuracies, seed: config.votes.seed }))
    }
}

fn look_seed(seed: u64, look: usize) -> u64 {
    let hash = derive_seed(seed, &format!("look {look}"), "votes");
    u64::from_le_bytes(hash[..8].try_into().expect("a seed has 32 bytes"))
}
