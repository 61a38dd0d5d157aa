//! The pretraining loop: batch, masks, forward, backward, update, record; resumable to the bit.
//!
//! Nothing is drawn from a stateful generator: order, augmentation, masks and dropout are functions of (seed, epoch,
//! batch, sample), so a checkpoint is parameters, moments and a step number.

mod look;
mod request;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::Device;
use jepa3d_loader::{Batch, Loader, LoaderConfig, PreparedDataset};
use jepa3d_schemas::Draws;

use crate::checkpoint::{self, RunState};
use crate::config::{Method, PretrainConfig};
use crate::device::device_of;
use crate::error::{Error, Result};
use crate::metrics::{MetricsWriter, Scalars};
use crate::models::Model;
use crate::monitor::{Alarms, StepMeasures, Subset};
use crate::nn::{Parameters, Pass, Role};
use crate::optim::{AdamW, Gradients, Update};
use crate::run_folder::{CONFIG_FILE, Origin, RunFolder, check_resume, recorded};
use crate::schedule::{Length, learning_rate, momentum, weight_decay};
use crate::step_input::InputMaker;

pub use request::{Ended, Event, PretrainRequest};

/// A run in progress.
pub struct Trainer {
    config: PretrainConfig,
    dataset: Arc<PreparedDataset>,
    folder: RunFolder,
    device: Device,
    is_half: bool,
    inputs: InputMaker,
    model: Model,
    parameters: Parameters,
    optimizer: AdamW,
    loader: Loader,
    metrics: MetricsWriter,
    subset: Subset,
    alarms: Alarms,
    length: Length,
    step: u64,
    best: Option<(u64, f64)>,
    first_position: Option<f64>,
    saved: Option<u64>,
}

impl Trainer {
    /// Starts a run, or continues one.
    ///
    /// # Errors
    /// Fails if the dataset, the run folder or the checkpoint does not allow it.
    pub fn new(request: PretrainRequest) -> Result<Self> {
        let PretrainRequest { config, data, out, resume, device, is_half } = request;
        config.check()?;
        let device = device_of(&device)?;
        let dataset = Arc::new(PreparedDataset::open(&data)?);
        let (folder, checkpoint) = RunFolder::open(&out, resume)?;
        let inputs = InputMaker::new(&config, &dataset, &device)?;
        let (model, parameters) = Model::new(&config, &device)?;
        let mut optimizer = AdamW::new(&config.optim, &parameters)?;
        let (mut step, mut best, mut alarms, mut first_position) = (0, None, Alarms::default(), None);
        let accumulate = config.optim.accumulate as u64;
        let done = checkpoint.as_ref().and_then(|c| c.state.as_ref()).map_or(0, |state| state.step);
        let loader = Loader::start(&dataset, loader_config(&config), done * accumulate)?;
        let steps_per_epoch = (loader.steps_per_epoch() / accumulate).max(1);
        if let Some(mut checkpoint) = checkpoint {
            let last = folder.last();
            let state = checkpoint.state(&last)?.clone();
            let from =
                Origin { fingerprint: dataset.fingerprint(), steps_per_epoch, teacher: inputs.teacher() };
            check_resume(&last, &state, &config, &from)?;
            parameters.set(&last, &checkpoint.tensors)?;
            optimizer.restore(checkpoint.moments(&last, &parameters)?, state.step);
            (step, best, first_position) = (state.step, state.best, state.first_position);
            alarms = Alarms(state.alarms);
        }
        let text = config.to_toml();
        jepa3d_schemas::write_atomically(&folder.path.join(CONFIG_FILE), text.as_bytes())?;
        let metrics = MetricsWriter::open(&folder.path, (step > 0).then_some(step))?;
        let subset = Subset::of(&config, &dataset, &device)?;
        if config.model.calibrate && step == 0 {
            subset.calibrate(&model)?;
        }
        let length = Length { steps_per_epoch, epochs: config.run.epochs };
        let saved = (step > 0).then_some(step);
        Ok(Self {
            config,
            dataset,
            folder,
            device,
            is_half,
            inputs,
            model,
            parameters,
            optimizer,
            loader,
            metrics,
            subset,
            alarms,
            length,
            step,
            best,
            first_position,
            saved,
        })
    }

    fn last_step(&self) -> u64 {
        let total = self.length.total();
        match self.config.run.max_steps {
            0 => total,
            most => most.min(total),
        }
    }

    /// Runs to the end, or until `stop` is set; writes a checkpoint before it returns.
    ///
    /// # Errors
    /// Fails if a shard or the disk does, or the loss is not finite.
    pub fn run(&mut self, stop: &AtomicBool, tell: &mut dyn FnMut(Event)) -> Result<Ended> {
        tell(self.begin());
        let (first, end) = (self.step, self.last_step());
        if self.step == 0 && self.config.monitor.probe_every > 0 {
            self.look(tell)?;
        }
        while self.step < end {
            let scalars = self.advance(tell)?;
            if self.step.is_multiple_of(self.config.monitor.print_every.max(1)) || self.step == end {
                tell(Event::Step(scalars));
            }
            let is_collapsed = self.after_step(tell)?;
            if is_collapsed && self.config.monitor.abort_on_collapse {
                self.save(tell)?;
                return Ok(Ended::Collapsed);
            }
            let own = self.step - first;
            let is_asked = self.config.run.stop_after > 0 && own >= self.config.run.stop_after;
            if self.step < end && (is_asked || stop.load(Ordering::Relaxed)) {
                self.save(tell)?;
                return Ok(Ended::Stopped);
            }
        }
        self.save(tell)?;
        Ok(Ended::Done)
    }

    fn begin(&self) -> Event {
        let batches = self.length.steps_per_epoch * self.config.optim.accumulate as u64;
        Event::Begin {
            parameters: self.parameters.of(Role::Trained).map(|p| p.var.elem_count()).sum(),
            samples: batches * self.config.optim.batch as u64,
            steps_per_epoch: self.length.steps_per_epoch,
            step: self.step,
            steps: self.last_step(),
        }
    }

    /// One step: forward and backward of every accumulated batch, one update, one line of the record.
    fn advance(&mut self, tell: &mut dyn FnMut(Event)) -> Result<Vec<(&'static str, f64)>> {
        let start = Instant::now();
        let (mut waited, mut loss) = (0.0, 0.0);
        let mut sum: Option<Gradients> = None;
        let accumulate = self.config.optim.accumulate;
        let mut measures = Vec::with_capacity(accumulate);
        for _ in 0..accumulate {
            let before = Instant::now();
            let batch = self.loader.next()?;
            waited += before.elapsed().as_secs_f64();
            let (gradients, value, seen) = self.forward_backward(&batch)?;
            loss += value / accumulate as f64;
            measures.push(seen);
            match &mut sum {
                Some(sum) => sum.add(&gradients)?,
                None => sum = Some(gradients),
            }
            self.loader.recycle(batch);
        }
        let gradients = sum.unwrap_or_else(|| unreachable!("at least one batch is accumulated"));
        let measures = StepMeasures::mean(&measures);
        let (lr, tau, norm) = self.update(&gradients, loss)?;
        self.step += 1;
        let seconds = start.elapsed().as_secs_f64();
        let samples = (accumulate * self.config.optim.batch) as f64;
        let mut values = vec![("loss", loss)];
        values.extend(&measures.terms);
        values.extend([
            ("lr", lr),
            ("tau", tau),
            ("grad_norm", norm),
            ("pred_std", measures.pred_std),
            ("target_std", measures.target_std),
            ("r2", measures.r2),
            ("samples_per_s", samples / seconds),
            ("data_ms", waited * 1e3),
            ("step_ms", seconds * 1e3),
        ]);
        self.record(values.clone())?;
        if self.step.is_multiple_of(self.config.monitor.print_every.max(1)) {
            let alarms = self.alarms.step(&self.config.monitor, &measures);
            alarms.into_iter().for_each(|text| tell(Event::Alarm(text)));
        }
        Ok([vec![("step", self.step as f64), ("epoch", self.epoch())], values].concat())
    }

    fn epoch(&self) -> f64 {
        self.step as f64 / self.length.steps_per_epoch as f64
    }

    fn record(&mut self, values: Vec<(&'static str, f64)>) -> Result<()> {
        self.metrics.write(&Scalars { step: self.step, epoch: self.epoch(), values })
    }

    fn forward_backward(&self, batch: &Batch) -> Result<(Gradients, f64, StepMeasures)> {
        let input = self.inputs.of(batch)?;
        let dropout = Draws::new(self.config.run.seed, &format!("batch {}", batch.number), "dropout").bits();
        let pass = Pass::new(dropout, self.is_half);
        let output = self.model.step(&input, &pass)?;
        let loss = f64::from(output.loss.to_scalar::<f32>()?);
        let gradients = Gradients::of(&output.loss, &pass.tape, &self.parameters)?;
        Ok((gradients, loss, StepMeasures::of(&output)?))
    }

    /// AdamW and EMA; learning rate, momentum and gradient norm.
    fn update(&mut self, gradients: &Gradients, loss: f64) -> Result<(f64, f64, f64)> {
        let (o, average) = (&self.config.optim, 1.0 / self.config.optim.accumulate as f64);
        let norm = gradients.norm(average)?;
        for (what, found) in [("the loss", loss), ("the gradient norm", norm)] {
            if !found.is_finite() {
                return Err(Error::NotFinite { step: self.step + 1, what, found, last: self.saved });
            }
        }
        let clipped = if o.clip > 0.0 && norm > o.clip { o.clip / norm } else { 1.0 };
        let update = Update {
            learning_rate: learning_rate(o, self.length, self.step),
            weight_decay: weight_decay(o, self.length, self.step),
            gradient_scale: average * clipped,
            momentum: momentum(&self.config.ema, self.length, self.step),
        };
        self.optimizer.update(&self.parameters, gradients, &update)?;
        Ok((update.learning_rate, update.momentum, norm))
    }

    /// Probe and checkpoint where they are due; whether a collapse stands reported.
    fn after_step(&mut self, tell: &mut dyn FnMut(Event)) -> Result<bool> {
        let (per_epoch, monitor) = (self.length.steps_per_epoch, &self.config.monitor);
        let probe_every = monitor.probe_every * per_epoch;
        let is_last = self.step == self.last_step();
        if probe_every > 0 && (self.step.is_multiple_of(probe_every) || is_last) {
            self.look(tell)?;
        }
        let every = match self.config.run.checkpoint_every {
            0 => per_epoch,
            steps => steps,
        };
        if self.step.is_multiple_of(every) && !is_last {
            self.save(tell)?;
        }
        let patience = self.config.monitor.patience;
        Ok(self.alarms.0.values().any(|&count| count >= patience))
    }

    fn state(&self) -> RunState {
        RunState {
            teacher: self.inputs.teacher(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            step: self.step,
            steps_per_epoch: self.length.steps_per_epoch,
            fingerprint: self.dataset.fingerprint().to_owned(),
            config: recorded(&self.config),
            best: self.best,
            first_position: self.first_position,
            alarms: self.alarms.0.clone(),
        }
    }

    fn save(&mut self, tell: &mut dyn FnMut(Event)) -> Result<()> {
        if self.saved == Some(self.step) {
            return Ok(());
        }
        self.metrics.flush()?;
        let state = self.state();
        checkpoint::write(&self.folder.last(), &self.parameters, Some(&self.optimizer), &state)?;
        if self.config.run.keep > 0 {
            checkpoint::write(&self.folder.of_step(self.step), &self.parameters, None, &state)?;
            self.folder.prune(self.config.run.keep)?;
        }
        self.saved = Some(self.step);
        tell(Event::Checkpoint(self.step));
        Ok(())
    }
}

fn loader_config(config: &PretrainConfig) -> LoaderConfig {
    let d = &config.data;
    LoaderConfig {
        split: d.split.clone(),
        batch: config.optim.batch,
        threads: d.threads,
        patches_from: d.patches_from,
        points: d.points,
        subset: d.subset,
        repeat: d.repeat,
        views: (config.method == Method::Hybrid).then(|| config.hybrid.view()),
        groups: d.groups,
        group_size: d.group_size,
        shuffle_buffer: d.shuffle_buffer,
        augment: d.augment.clone(),
        up_axis: d.up_axis,
        seed: config.run.seed,
        prefetch: d.prefetch,
        ..LoaderConfig::default()
    }
}

#[cfg(test)]
mod bad_input_tests;
#[cfg(test)]
mod collapse_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod gradient_tests;
#[cfg(test)]
mod resume_tests;
