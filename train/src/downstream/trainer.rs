//! The loop of a run that follows pretraining: batch, forward, backward, update, select; resumable to the bit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use jepa3d_loader::{Batch, Loader, PreparedDataset};
use jepa3d_schemas::Draws;

use super::config::DownstreamConfig;
use super::evaluation::EvaluationSource;
use super::facts::DownstreamFacts;
use super::sample_parts::SampleParts;
use super::state::{DownstreamCheckpoint, DownstreamState};
use super::task::DownstreamModel;
use super::thaw::ThawPlan;
use crate::checkpoint_file::write;
use crate::config::BatchPlan;
use crate::error::Result;
use crate::metrics::{MetricsWriter, Scalars};
use crate::monitor::BestProbe;
use crate::newest_checkpoint::NewestCheckpoint;
use crate::nn::{ForwardPass, Parameter, Parameters};
use crate::optim::{AdamW, ParameterGradients, StepPlace};
use crate::precision::PassPrecision;
use crate::request::{Event, RunOutcome};
use crate::run_config::write_toml;
use crate::run_folder::RunFolder;
use crate::schedule::ScheduleLength;
use crate::trained_samples::{SamplePlan, TrainedSamples};

/// What a loop is made from.
pub(crate) struct LoopParts<M> {
    pub config: DownstreamConfig,
    pub dataset: Arc<PreparedDataset>,
    pub parts: SampleParts,
    pub folder: RunFolder,
    pub model: M,
    pub parameters: Parameters,
    /// Where the run stands before step 1; step, best look and length are filled in.
    pub state: DownstreamState,
    /// Clouds that are handed out.
    pub shown: Option<SamplePlan>,
    /// Of its products.
    pub precision: PassPrecision,
}

/// A run in progress.
pub(crate) struct DownstreamLoop<M> {
    config: DownstreamConfig,
    dataset: Arc<PreparedDataset>,
    pub parts: SampleParts,
    folder: RunFolder,
    pub model: M,
    parameters: Parameters,
    optimizer: AdamW,
    loader: Loader,
    metrics: MetricsWriter,
    length: ScheduleLength,
    thaw: ThawPlan,
    state: DownstreamState,
    newest: NewestCheckpoint,
    plan: Option<SamplePlan>,
    /// Clouds of the step that was made last.
    shown: Option<Box<TrainedSamples>>,
    precision: PassPrecision,
}

/// Loss and gradients of a step.
struct LoopGradients {
    gradients: ParameterGradients,
    loss: f64,
    waited: f64,
}

impl<M: DownstreamModel> DownstreamLoop<M> {
    /// Starts a run, or continues the one in its folder.
    ///
    /// # Errors
    /// Fails if the dataset does not serve the config, or the folder holds another run.
    pub(crate) fn start(from: LoopParts<M>) -> Result<Self> {
        let toml = from.config.to_toml();
        let LoopParts { mut config, dataset, parts, folder, model, parameters, mut state, shown, precision } =
            from;
        config.optim.batch = config.optim.batch.min(parts.training.len());
        let length = stretch(&mut config, parts.training.len());
        let thaw = ThawPlan::new(&config.tuning, config.run.epochs, length);
        state.steps = length.total();
        let mut optimizer = AdamW::new(&config.optim, &parameters)?;
        let last = folder.last();
        if last.exists() {
            let before = DownstreamCheckpoint::read(&last, &state.task)?;
            state.check_continues(&last, &before.state)?;
            state = before.restore(&last, &parameters, &mut optimizer, &thaw)?;
        }
        // Not before the folder is known to hold no other run: its config would be lost.
        write_toml(&folder.path, &toml)?;
        let plan = BatchPlan {
            batch: config.optim.batch,
            seed: config.run.seed,
            views: None,
            samples: Some(parts.training.selection()),
        };
        let first = state.step * config.optim.accumulate as u64;
        let loader = Loader::start(&dataset, model.loader_config(config.data.loader_config(plan)), first)?;
        let newest = NewestCheckpoint::begin(state.step);
        let metrics = MetricsWriter::open(&folder.path, newest.step)?;
        Ok(Self {
            config,
            dataset,
            parts,
            folder,
            model,
            parameters,
            optimizer,
            loader,
            metrics,
            length,
            thaw,
            state,
            newest,
            plan: shown,
            shown: None,
            precision,
        })
    }

    /// Runs to the end, or until `stop` is set; writes a checkpoint before it returns.
    ///
    /// # Errors
    /// Fails if a shard or the disk does, or a number is not finite.
    pub(crate) fn run(&mut self, stop: &AtomicBool, report: &mut dyn FnMut(Event)) -> Result<RunOutcome> {
        report(self.begin_event());
        let first = self.state.step;
        let stop_after = self.config.run.stop_after;
        while self.state.step < self.length.total() {
            let scalars = self.step()?;
            self.metrics.write(&scalars)?;
            report(Event::Record(scalars.clone()));
            self.shown.take().into_iter().for_each(|samples| report(Event::Samples(samples)));
            if self.state.step.is_multiple_of(self.config.length.print_every.max(1)) {
                report(Event::Step(scalars));
            }
            self.look_when_due(report)?;
            let is_end = self.state.step == self.length.total();
            let is_stopped = stop_after > 0 && self.state.step - first >= stop_after;
            if !is_end && (is_stopped || stop.load(Ordering::Relaxed)) {
                self.save(report)?;
                return Ok(RunOutcome::Stopped);
            }
            let is_due = self.state.step.is_multiple_of(self.checkpoint_every());
            if is_due && self.newest.is_old_enough(&self.config.run) {
                self.save(report)?;
            }
        }
        self.save(report)?;
        Ok(RunOutcome::Done)
    }

    /// One training step.
    fn step(&mut self) -> Result<Scalars> {
        let start = Instant::now();
        let step = self.state.step;
        let gradients = self.forward_backward()?;
        let at = StepPlace {
            length: self.length,
            warms_up: true,
            step,
            done: step,
            loss: gradients.loss,
            saved: self.newest.step,
        };
        let share = |p: &Parameter| self.config.tuning.rate_of(p);
        let updated = self.optimizer.step(&self.parameters, &gradients.gradients, at, share)?;
        self.state.step += 1;
        let seconds = start.elapsed().as_secs_f64();
        let samples = (self.config.optim.accumulate * self.config.optim.batch) as f64;
        let values = vec![
            ("loss", gradients.loss),
            ("lr", updated.learning_rate),
            ("grad_norm", updated.gradient_norm),
            ("samples_per_s", samples / seconds),
            ("data_ms", gradients.waited * 1e3),
            ("step_ms", seconds * 1e3),
        ];
        Ok(Scalars { step: self.state.step, epoch: self.epoch(), values })
    }

    /// Gradients of all batches of a step.
    fn forward_backward(&mut self) -> Result<LoopGradients> {
        let mut sum = self.forward_backward_batch()?;
        for _ in 1..self.config.optim.accumulate {
            let next = self.forward_backward_batch()?;
            self.optimizer.add(&mut sum.gradients, &next.gradients)?;
            sum.loss += next.loss;
            sum.waited += next.waited;
        }
        Ok(sum)
    }

    fn forward_backward_batch(&mut self) -> Result<LoopGradients> {
        let start = Instant::now();
        let batch: Batch = self.loader.next()?;
        let waited = start.elapsed().as_secs_f64();
        let key = format!("batch {}", batch.number);
        let pass =
            ForwardPass::of_run(Draws::new(self.config.run.seed, &key, "dropout").bits(), self.precision);
        let step = self.state.step;
        let loss = self.model.loss(&batch, self.thaw.phase(step), &pass)?;
        let clouds = self.plan.map_or(0, |plan| plan.clouds_of_step(step + 1)).min(batch.rows);
        if clouds > 0 {
            self.shown = Some(Box::new(self.show(&batch, clouds)?));
        }
        self.loader.recycle(batch);
        let thaw = self.thaw;
        let is_frozen = |p: &Parameter| thaw.is_frozen(p, step) || self.model.is_idle(&p.name);
        let gradients = ParameterGradients::backward_thawed(&loss, &pass.tape, &self.parameters, is_frozen)?;
        let loss = f64::from(loss.to_scalar::<f32>()?) / self.config.optim.accumulate as f64;
        Ok(LoopGradients { gradients, loss, waited })
    }

    /// The first clouds of a batch, and what they are taken for.
    fn show(&self, batch: &Batch, clouds: usize) -> Result<TrainedSamples> {
        let cut = |values: &[f32]| values[..values.len() / batch.rows * clouds].to_vec();
        let units = batch.edges.as_ref().map_or(vec![1.0; clouds], |edges| edges[..clouds].to_vec());
        Ok(TrainedSamples {
            step: self.state.step + 1,
            ids: batch.sample_ids[..clouds].to_vec(),
            patches: cut(&batch.patches),
            centers: cut(&batch.centers),
            units,
            labels: self.model.show(batch, clouds)?,
            ..TrainedSamples::default()
        })
    }

    /// Looks at the part that is selected on where that is due, and keeps the best.
    fn look_when_due(&mut self, report: &mut dyn FnMut(Event)) -> Result<()> {
        let every = self.config.labels.select_every * self.length.steps_per_epoch;
        let is_due = self.state.step.is_multiple_of(every) || self.state.step == self.length.total();
        if self.parts.selection.len() == 0 || !is_due {
            return Ok(());
        }
        let source = EvaluationSource::new(&self.dataset, &self.parts.selection, &self.config.data);
        let score = self.model.selection_score(&source.map(|config| self.model.eval_config(config)))?;
        if self.state.best.is_none_or(|best| score > best.accuracy) {
            self.state.best = Some(BestProbe { step: self.state.step, accuracy: score });
            write(&self.folder.best(), &self.parameters, None, &self.state.entry())?;
        }
        let scalars =
            Scalars { step: self.state.step, epoch: self.epoch(), values: vec![("selection/score", score)] };
        self.metrics.write(&scalars)?;
        report(Event::Probe(scalars));
        Ok(())
    }

    fn save(&mut self, report: &mut dyn FnMut(Event)) -> Result<()> {
        if self.newest.step == Some(self.state.step) {
            return Ok(());
        }
        self.metrics.flush()?;
        write(&self.folder.last(), &self.parameters, Some(&self.optimizer), &self.state.entry())?;
        self.newest.replace(self.state.step);
        report(Event::Checkpoint(self.state.step));
        Ok(())
    }

    /// Sets the parameters of the best look, and gives its step; none if nothing was selected.
    ///
    /// # Errors
    /// Fails if its checkpoint is not there or not as it was written.
    pub(crate) fn load_best(&self) -> Result<Option<u64>> {
        let Some(best) = self.state.best else { return Ok(None) };
        let path = self.folder.best();
        DownstreamCheckpoint::read(&path, &self.state.task)?.set(&path, &self.parameters)?;
        Ok(Some(best.step))
    }

    /// How the run was made, and on what.
    pub(crate) fn facts(&self) -> DownstreamFacts {
        let (config, state, parts) = (&self.config, &self.state, &self.parts);
        DownstreamFacts {
            preset: config.preset.clone(),
            encoder: state.origin.clone(),
            fingerprint: state.fingerprint.clone(),
            seed: config.run.seed,
            tool_version: state.tool_version.clone(),
            labels: config.labels.budget.to_string(),
            n_train: parts.training.len(),
            n_selection: parts.selection.len(),
            n_evaluation: parts.evaluation.len(),
            evaluated: parts.evaluated.clone(),
            steps: state.steps,
            notes: parts.notes.clone(),
        }
    }

    /// The part that is judged, as it is read.
    pub(crate) fn evaluation(&self) -> EvaluationSource<'_> {
        let source = EvaluationSource::new(&self.dataset, &self.parts.evaluation, &self.config.data);
        source.map(|config| self.model.eval_config(config))
    }

    /// The config with what the data decided: batch, groups, points.
    pub(crate) fn config(&self) -> &DownstreamConfig {
        &self.config
    }

    /// Where the run stands.
    pub(crate) fn state(&self) -> &DownstreamState {
        &self.state
    }

    /// What it is trained and judged on.
    pub(crate) fn dataset(&self) -> &PreparedDataset {
        &self.dataset
    }

    /// Steps between checkpoints: those of about a twentieth of the run, where the config does not say.
    fn checkpoint_every(&self) -> u64 {
        match self.config.run.checkpoint_every {
            0 => (self.length.total() / 20).max(self.length.steps_per_epoch),
            steps => steps,
        }
    }

    fn epoch(&self) -> f64 {
        self.state.step as f64 / self.length.steps_per_epoch as f64
    }

    fn begin_event(&self) -> Event {
        Event::Begin {
            parameters: self.parameters.trained().map(|p| p.var.elem_count()).sum(),
            samples: self.parts.training.len() as u64,
            steps_per_epoch: self.length.steps_per_epoch,
            step: self.state.step,
            steps: self.length.total(),
        }
    }
}

/// The length of a run on `samples` samples; the warm-up of one that is stretched is stretched too.
fn stretch(config: &mut DownstreamConfig, samples: usize) -> ScheduleLength {
    let step = config.optim.batch * config.optim.accumulate;
    let steps_per_epoch = (samples / step.max(1)).max(1) as u64;
    let epochs = config.run.epochs.max(config.length.min_steps.div_ceil(steps_per_epoch));
    config.optim.warmup_epochs *= epochs as f64 / config.run.epochs as f64;
    ScheduleLength { steps_per_epoch, epochs }
}
