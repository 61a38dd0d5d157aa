//! The pretraining loop: batch, masks, forward, backward, update, record; resumable to the bit.
//!
//! Nothing is drawn from a stateful generator: order, augmentation, masks and dropout are functions of (seed, epoch,
//! batch, sample), so a checkpoint is parameters, moments and a step number.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use jepa3d_loader::DatasetMix;
use jepa3d_schemas::Draws;

use crate::checkpoint::Checkpoint;
use crate::checkpoint_writer::CheckpointWriter;
use crate::config::PretrainConfig;
use crate::device::open_device;
use crate::error::Result;
use crate::loader_threads::settle_threads;
use crate::metrics::MetricsWriter;
use crate::models::PretrainModel;
use crate::monitor::{MonitorState, OnlineEvaluation, StepMeasures};
use crate::newest_checkpoint::NewestCheckpoint;
use crate::nn::{ForwardPass, Parameter, Parameters};
use crate::optim::{AdamW, ParameterGradients, UpdateSummary};
use crate::parallel::{DeviceSum, PartGroup, Processes};
use crate::precision::PassPrecision;
use crate::request::{Event, PretrainRequest, RunOutcome};
use crate::run_folder::{RunFolder, check_resume};
use crate::stages::{Stage, Stages};
use crate::step_inputs::{InputShare, NextInput, StepInputs};
use crate::step_record::StepRecord;
use crate::target_encoder::MovingAverage;
use crate::trained_samples::{SamplePlan, TrainedSamples};

/// A run in progress.
pub struct Trainer {
    /// First: it has written everything before the folder is given up.
    writer: CheckpointWriter,
    config: PretrainConfig,
    /// The parts of a batch, and the processes that pass them.
    group: Arc<PartGroup>,
    /// Where devices add gradients themselves.
    device_sum: Option<DeviceSum>,
    folder: RunFolder,
    precision: PassPrecision,
    inputs: StepInputs,
    model: PretrainModel,
    parameters: Parameters,
    optimizer: AdamW,
    average: MovingAverage,
    /// Of the first process.
    metrics: Option<MetricsWriter>,
    evaluation: OnlineEvaluation,
    /// An evaluation that is judged while the next steps are made.
    pending: Option<PendingEvaluation>,
    stages: Stages,
    /// Steps done.
    step: u64,
    newest: NewestCheckpoint,
    /// Whether the host has time of its own while a step is computed, which a device does.
    works_ahead: bool,
    /// Clouds that are handed out.
    shown: Option<SamplePlan>,
}

/// What the backward passes of a step give.
struct StepGradients {
    /// Sum over the accumulated batches.
    gradients: ParameterGradients,
    /// Mean over the accumulated batches.
    loss: f64,
    /// Of every accumulated batch.
    measures: Vec<StepMeasures>,
    /// Seconds spent waiting for the loader.
    waited: f64,
    /// Clouds of the first batch.
    shown: Option<Box<TrainedSamples>>,
}

impl Trainer {
    /// Starts a run, or continues one.
    ///
    /// # Errors
    /// Fails if the dataset, the run folder or the checkpoint does not allow it.
    pub fn new(request: PretrainRequest) -> Result<Self> {
        Self::join(request, Processes::alone())
    }

    fn start(request: PretrainRequest, group: &Arc<PartGroup>) -> Result<Self> {
        let PretrainRequest { config, data, out, resume, device, emulates_bf16, shown } = request;
        config.check()?;
        let (config, device) = (settle_threads(config, &device), open_device(&device)?);
        let precision = PassPrecision::settle(config.run.precision, &device, emulates_bf16)?;
        let mix = DatasetMix::open(&data)?;
        check_parts(&config, &device, &mix, group)?;
        let folder = open_folder(&out, resume, group)?;
        let checkpoint = folder.checkpoint()?;
        let step = checkpoint.as_ref().map_or(0, Checkpoint::step);
        let (rank, world) = (group.processes().rank(), group.processes().world());
        let inputs = StepInputs::start(&config, &mix, &device, InputShare { rank, world }, step)?;
        let stages = Stages::new(&config, inputs.steps_per_epoch());
        let (model, parameters) = PretrainModel::new(&config, &device)?;
        let mut optimizer = AdamW::new(&config.optim, &parameters)?;
        let mut monitors = MonitorState::default();
        if let Some(checkpoint) = checkpoint {
            check_resume(&folder.last(), checkpoint.state(&folder.last())?, &config, &inputs.origin())?;
            let updates = |p: &Parameter| stages.updates(p, step);
            monitors = checkpoint.restore(&folder.last(), &parameters, &mut optimizer, updates)?;
        }
        let average = MovingAverage::start(&parameters, &mut optimizer, precision)?;
        let newest = NewestCheckpoint::begin(step);
        let metrics = open_record(&folder, &config, newest.step, group)?;
        let evaluation = OnlineEvaluation::new(&config, mix.labelled(), &device, monitors)?;
        if config.model.calibrate && step == 0 {
            evaluation.subset.calibrate(&model)?;
        }
        Ok(Self {
            config,
            group: group.clone(),
            device_sum: DeviceSum::start(&device, group)?,
            folder,
            precision,
            inputs,
            model,
            parameters,
            optimizer,
            average,
            metrics,
            evaluation,
            pending: None,
            stages,
            step,
            newest,
            works_ahead: !device.is_cpu(),
            shown,
            writer: CheckpointWriter::start(),
        })
    }

    /// Runs to the end, or until `stop` is set; writes a checkpoint before it returns.
    ///
    /// # Errors
    /// Fails if a shard or the disk does, or the loss is not finite.
    pub fn run(&mut self, stop: &AtomicBool, report: &mut dyn FnMut(Event)) -> Result<RunOutcome> {
        let mut tell_nobody = |_: Event| {};
        let outcome = match self.is_first() {
            true => self.run_and_save(stop, report),
            false => self.run_and_save(stop, &mut tell_nobody),
        };
        let outcome = outcome.map_err(|error| self.group.explain(error));
        self.group.leave(outcome.as_ref().err().map(ToString::to_string).as_deref());
        outcome
    }

    fn run_and_save(&mut self, stop: &AtomicBool, report: &mut dyn FnMut(Event)) -> Result<RunOutcome> {
        let outcome = self.run_steps(stop, report);
        // Whatever ended the run, its record is whole.
        let concluded = self.conclude_evaluation(report);
        let outcome = outcome?;
        concluded?;
        self.save(report)?;
        self.writer.wait()?.into_iter().for_each(|step| report(Event::Checkpoint(step)));
        Ok(outcome)
    }

    fn run_steps(&mut self, stop: &AtomicBool, report: &mut dyn FnMut(Event)) -> Result<RunOutcome> {
        report(self.begin_event());
        self.inputs.describe_mix().into_iter().for_each(|line| report(Event::Header(line)));
        self.describe_device()?.into_iter().for_each(|text| report(Event::Header(text)));
        let (first, end) = (self.step, self.last_step());
        if self.step == 0 && self.config.monitor.probe_every > 0 {
            self.evaluate(report)?;
        }
        while self.step < end {
            let record = self.step()?;
            self.log_step(record, report)?;
            self.save_and_evaluate_when_due(report)?;
            let stop_after = self.config.run.stop_after;
            let is_stopped = stop_after > 0 && self.step - first >= stop_after;
            if let Some(outcome) = self.find_end(stop, is_stopped)? {
                return Ok(outcome);
            }
        }
        Ok(RunOutcome::Done)
    }

    /// One training step.
    fn step(&mut self) -> Result<StepRecord> {
        let start = Instant::now();

        // 1. Forward and backward: predictions against targets, through which no gradient flows.
        let gradients = self.forward_backward()?;

        // 2. AdamW: encoder and predictor learn.
        let updated = self.update(&gradients)?;

        // 3. EMA: the target encoder follows the encoder, as long as that learns.
        let momentum = self.move_average()?;

        self.step += 1;
        Ok(StepRecord {
            step: self.step,
            epoch: self.epoch_after(self.step),
            loss: gradients.loss,
            measures: StepMeasures::average(&gradients.measures),
            learning_rate: updated.learning_rate,
            momentum,
            gradient_norm: updated.gradient_norm,
            samples: self.config.optim.accumulate * self.config.optim.batch,
            waited: gradients.waited,
            seconds: start.elapsed().as_secs_f64(),
            shown: gradients.shown,
        })
    }

    /// Gradients of all batches of a step.
    fn forward_backward(&mut self) -> Result<StepGradients> {
        let mut sum = self.forward_backward_batch(0)?;
        for nth in 1..self.config.optim.accumulate {
            let next = self.forward_backward_batch(nth)?;
            self.optimizer.add(&mut sum.gradients, &next.gradients)?;
            sum.loss += next.loss;
            sum.measures.extend(next.measures);
            sum.waited += next.waited;
        }
        Ok(sum)
    }

    /// Of the batch of this step that comes after `nth` others.
    fn forward_backward_batch(&mut self, nth: usize) -> Result<StepGradients> {
        if self.group.count() > 1 {
            return self.forward_backward_parts(nth);
        }
        let (plan, stage) = (self.input_plan(self.step, nth), self.place().stage);
        let NextInput { inputs, batch, waited, shown } = self.inputs.next(plan)?;
        let input = &inputs[0];
        let dropout = Draws::new(self.config.run.seed, &format!("batch {batch}"), "dropout").bits();
        let pass = ForwardPass::of_run(dropout, self.precision);
        let output = self.model.step(input, &pass)?;
        let is_frozen = |p: &Parameter| stage.freezes(p);
        let gradients =
            ParameterGradients::backward_thawed(&output.loss, &pass.tape, &self.parameters, is_frozen)?;
        // A device is waited for when it has been given all its work, and the host has done its own.
        self.plan_ahead(nth).into_iter().for_each(|plan| self.inputs.make_ahead(plan));
        let loss = f64::from(output.loss.to_scalar::<f32>()?) / self.config.optim.accumulate as f64;
        let shown = (plan.shown > 0).then(|| TrainedSamples::select(shown, input, &output)).transpose()?;
        let measures = vec![StepMeasures::measure(&output)?];
        Ok(StepGradients { gradients, loss, measures, waited, shown: shown.map(Box::new) })
    }

    /// AdamW with the rates of this step.
    fn update(&mut self, step: &StepGradients) -> Result<UpdateSummary> {
        let (at, stage) = (self.step_place(step.loss), self.place().stage);
        let share = |p: &Parameter| stage.rate_of(p, self.config.whole.blocks_rate);
        self.optimizer.step(&self.parameters, &step.gradients, at, share)
    }

    /// Records a step; every `monitor.print_every` steps checks its guards and reports it.
    fn log_step(&mut self, record: StepRecord, report: &mut dyn FnMut(Event)) -> Result<()> {
        if self.metrics.is_none() {
            return Ok(());
        }
        let scalars = record.scalars();
        self.record(scalars.clone())?;
        report(Event::Record(scalars.clone()));
        if let Some(samples) = record.shown {
            report(Event::Samples(Box::new(TrainedSamples { step: self.step, ..*samples })));
        }
        let monitor = &self.config.monitor;
        let is_due = self.step.is_multiple_of(monitor.print_every.max(1));
        // What the head answers for does not collapse: it is fixed.
        if is_due && self.stages.place(self.step - 1).stage == Stage::Encoder {
            let alarms = self.evaluation.state.alarms.check_step(monitor, &record.measures);
            alarms.into_iter().for_each(|text| report(Event::Alarm(text)));
        }
        if is_due || self.step == self.last_step() {
            report(Event::Step(scalars));
        }
        Ok(())
    }

    /// Evaluation and checkpoint where they are due.
    fn save_and_evaluate_when_due(&mut self, report: &mut dyn FnMut(Event)) -> Result<()> {
        let per_epoch = self.stages.steps_per_epoch();
        let probe_every = self.config.monitor.probe_every * per_epoch;
        let is_last = self.step == self.last_step();
        if self.pending.as_ref().is_some_and(|pending| pending.is_due(self.step)) {
            self.conclude_evaluation(report)?;
        }
        if probe_every > 0 && (self.step.is_multiple_of(probe_every) || is_last) {
            self.evaluate(report)?;
        }
        let every = match self.config.run.checkpoint_every {
            0 => per_epoch,
            steps => steps,
        };
        if self.step.is_multiple_of(every) && !is_last && self.is_old_enough()? {
            self.save(report)?;
        }
        Ok(())
    }

    /// Whether an alarm has stood for as long as `monitor.patience` allows.
    pub fn is_collapsed(&self) -> bool {
        let patience = self.config.monitor.patience;
        self.evaluation.state.alarms.0.values().any(|&count| count >= patience)
    }
}

mod device_facts;
mod evaluating;
mod joining;
mod part_passes;
mod place;
mod saving;

use evaluating::PendingEvaluation;
use joining::{check_parts, open_folder, open_record};

#[cfg(test)]
mod ahead_tests;
#[cfg(test)]
mod bad_input_tests;
#[cfg(test)]
mod collapse_tests;
#[cfg(test)]
mod emulation_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod gradient_tests;
#[cfg(test)]
mod parts_tests;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod shown_tests;
