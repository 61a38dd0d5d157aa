//! Forward and backward of a batch in parts: a thread a part, gradients summed in the order of the parts of all processes.

use std::panic::resume_unwind;
use std::sync::Arc;

use jepa3d_schemas::Draws;

use super::{StepGradients, Trainer};
use crate::error::Result;
use crate::models::{PretrainModel, StepInput};
use crate::monitor::StepMeasures;
use crate::nn::{ForwardPass, Parameter, Parameters};
use crate::optim::ParameterGradients;
use crate::parallel::{OwnPart, PartGroup};
use crate::precision::PassPrecision;
use crate::stages::Stage;
use crate::step_inputs::NextInput;
use crate::trained_samples::{ShownRows, TrainedSamples};

/// Of a part's thread: candle walks a graph by recursion.
const STACK_BYTES: usize = 16 << 20;

/// What all parts are passed with.
struct PartRunner<'a> {
    model: &'a PretrainModel,
    parameters: &'a Parameters,
    precision: PassPrecision,
    stage: Stage,
    group: &'a Arc<PartGroup>,
    seed: u64,
    batch: u64,
}

/// What the pass of one part gives.
struct PassedPart {
    gradients: ParameterGradients,
    loss: f64,
    measures: StepMeasures,
    shown: Option<TrainedSamples>,
}

/// Ends the meetings of the parts if its thread ends before it is done.
struct PartGuard<'a> {
    group: &'a PartGroup,
    is_done: bool,
}

impl Drop for PartGuard<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.group.fail("another part of the batch ended with an error");
        }
    }
}

impl PartRunner<'_> {
    fn run(&self, own: usize, input: &StepInput, shown: Option<ShownRows>) -> Result<PassedPart> {
        let mut guard = PartGuard { group: self.group, is_done: false };
        let passed = self.pass(own, input, shown);
        guard.is_done = passed.is_ok();
        passed
    }

    fn pass(&self, own: usize, input: &StepInput, shown: Option<ShownRows>) -> Result<PassedPart> {
        let number = self.group.processes().rank() * self.group.own() + own;
        let key = |name: String| Draws::new(self.seed, &name, "dropout").bits();
        let dropout = key(format!("batch {} part {number}", self.batch));
        let pass = ForwardPass::of_run(dropout, self.precision)
            .of_part(OwnPart::new(self.group, own), key(format!("batch {}", self.batch)));
        let output = self.model.step(input, &pass)?;
        let is_frozen = |p: &Parameter| self.stage.freezes(p);
        let gradients =
            ParameterGradients::backward_thawed(&output.loss, &pass.tape, self.parameters, is_frozen)?;
        Ok(PassedPart {
            gradients,
            loss: f64::from(output.loss.to_scalar::<f32>()?),
            measures: StepMeasures::measure(&output)?,
            shown: shown.map(|rows| TrainedSamples::select(rows, input, &output)).transpose()?,
        })
    }

    /// All parts of this process, each in a thread of its own, `meanwhile` in this one.
    fn run_all(
        &self,
        inputs: &[StepInput],
        mut shown: Option<ShownRows>,
        meanwhile: impl FnOnce(),
    ) -> Result<Vec<PassedPart>> {
        let found: Vec<Result<PassedPart>> = std::thread::scope(|scope| {
            let start = |(own, input)| {
                let shown = shown.take();
                let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
                thread.spawn_scoped(scope, move || self.run(own, input, shown))
            };
            let threads: Vec<_> = inputs.iter().enumerate().map(start).collect();
            meanwhile();
            let join =
                |thread: std::io::Result<std::thread::ScopedJoinHandle<'_, Result<PassedPart>>>| match thread
                {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    Err(error) => Err(candle_core::Error::wrap(error).into()),
                };
            threads.into_iter().map(join).collect()
        });
        let is_own = |error: &crate::error::Error| !error.to_string().contains("another part of the batch");
        let mut errors = Vec::new();
        let mut passed = Vec::new();
        for part in found {
            match part {
                Ok(part) => passed.push(part),
                Err(error) => errors.push(error),
            }
        }
        // Parts that were waited for in vain are not the reason.
        let at = errors.iter().position(is_own).unwrap_or(0);
        match errors.is_empty() {
            true => Ok(passed),
            false => Err(errors.swap_remove(at)),
        }
    }
}

impl Trainer {
    /// As `forward_backward_batch`, of a batch in parts.
    pub(super) fn forward_backward_parts(&mut self, nth: usize) -> Result<StepGradients> {
        let (plan, ahead) = (self.input_plan(self.step, nth), self.plan_ahead(nth));
        let NextInput { inputs, batch, waited, shown } = self.inputs.next(plan)?;
        let runner = PartRunner {
            model: &self.model,
            parameters: &self.parameters,
            precision: self.precision,
            stage: self.place().stage,
            group: &self.group,
            seed: self.config.run.seed,
            batch,
        };
        let shown = (plan.shown > 0).then_some(shown);
        let make_ahead = || ahead.into_iter().for_each(|plan| self.inputs.make_ahead(plan));
        let passed = runner.run_all(&inputs, shown, make_ahead)?;
        let (loss, measures) = self.average_measures(&passed)?;
        let (mut own, mut shown) = (Vec::new(), None);
        for part in passed {
            own.push(part.gradients);
            shown = shown.or(part.shown);
        }
        Ok(StepGradients {
            gradients: self.average_gradients(own)?,
            loss: loss / self.config.optim.accumulate as f64,
            measures: vec![measures],
            waited,
            shown: shown.map(Box::new),
        })
    }

    /// The mean over the parts of all processes.
    fn average_gradients(&self, own: Vec<ParameterGradients>) -> Result<ParameterGradients> {
        let parts = self.group.count();
        let stage = self.place().stage;
        let is_frozen = |p: &Parameter| stage.freezes(p);
        if let (Some(device), [one]) = (&self.device_sum, own.as_slice()) {
            let sum = device.sum(&one.flatten_in_place()?)?;
            return ParameterGradients::cut(&(sum / parts as f64)?, &self.parameters, is_frozen);
        }
        let own: Vec<Vec<f32>> = own.into_iter().map(ParameterGradients::flatten).collect::<Result<_>>()?;
        let mut sum = self.group.sum(&own)?;
        sum.iter_mut().for_each(|x| *x /= parts as f32);
        ParameterGradients::unflatten(&sum, &self.parameters, is_frozen)
    }

    /// The means over the parts of all processes of the loss and of what else is measured.
    fn average_measures(&self, passed: &[PassedPart]) -> Result<(f64, StepMeasures)> {
        let own: Vec<f64> =
            passed.iter().flat_map(|part| [vec![part.loss], part.measures.numbers()].concat()).collect();
        let all = self.group.gather_numbers(&own)?;
        let each = own.len() / passed.len();
        let measures: Vec<StepMeasures> =
            all.chunks_exact(each).map(|part| passed[0].measures.with_numbers(&part[1..])).collect();
        let losses: f64 = all.chunks_exact(each).map(|part| part[0]).sum();
        Ok((losses / self.group.count() as f64, StepMeasures::average(&measures)))
    }
}
