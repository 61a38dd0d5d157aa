//! Evaluations of a run: on a device judged by a thread of their own while the next steps are made, elsewhere at once.
//!
//! The record is the same either way: lines of later steps wait for that of the evaluation.

use std::panic::resume_unwind;
use std::thread::JoinHandle;

use super::Trainer;
use crate::checkpoint::CheckpointCopy;
use crate::error::Result;
use crate::metrics::Scalars;
use crate::monitor::{EvaluationRecord, JudgedEvaluation, MonitorState};
use crate::request::Event;

/// Steps after which an evaluation is waited for, if nothing asks for it before: what follows from it does so at a step that no
/// clock decides.
const JUDGED_IN: u64 = 100;

/// An evaluation that is being judged.
pub(super) struct PendingEvaluation {
    judged: JoinHandle<Result<JudgedEvaluation>>,
    /// The encoder that it is of.
    copy: CheckpointCopy,
    /// What monitors remembered then.
    monitors: MonitorState,
    step: u64,
    /// Of steps since.
    later: Vec<Scalars>,
}

impl PendingEvaluation {
    /// Whether it is waited for after `step` steps.
    pub(super) fn is_due(&self, step: u64) -> bool {
        step >= self.step + JUDGED_IN
    }
}

impl Trainer {
    /// Monitors and the online probe; keeps the checkpoint if it is the best so far.
    pub(super) fn evaluate(&mut self, report: &mut dyn FnMut(Event)) -> Result<()> {
        if !self.is_first() {
            return Ok(());
        }
        self.conclude_evaluation(report)?;
        let step = self.step;
        let observation = self.evaluation.observe(&self.model, step)?;
        if self.works_ahead {
            let (copy, monitors) = (self.copy(false)?, self.evaluation.state.clone());
            let judged = std::thread::spawn(move || observation.judge());
            self.pending = Some(PendingEvaluation { judged, copy, monitors, step, later: Vec::new() });
            return Ok(());
        }
        let found = observation.judge()?.conclude(&mut self.evaluation.state, &self.config.monitor);
        let copy = found.is_best.then(|| self.copy(false)).transpose()?;
        self.tell(found, copy, report)
    }

    /// Waits for the evaluation that is being judged, if there is one; then records what has waited for it.
    pub(super) fn conclude_evaluation(&mut self, report: &mut dyn FnMut(Event)) -> Result<()> {
        let Some(pending) = self.pending.take() else { return Ok(()) };
        let PendingEvaluation { judged, copy, mut monitors, step, later } = pending;
        let judged = judged.join().unwrap_or_else(|panic| resume_unwind(panic));
        let told = judged.and_then(|judged| {
            // Steps since have counted alarms of their own, which the encoder's file knows nothing of.
            judged.conclude(&mut monitors, &self.config.monitor);
            let found = judged.conclude(&mut self.evaluation.state, &self.config.monitor);
            let copy = found.is_best.then(|| copy.with_state(self.state_after(step, &monitors).entry()));
            self.tell(found, copy, report)
        });
        later.into_iter().try_for_each(|scalars| self.record(scalars))?;
        told
    }

    /// Records and reports an evaluation; `copy`: of the best encoder so far.
    fn tell(
        &mut self,
        found: EvaluationRecord,
        copy: Option<CheckpointCopy>,
        report: &mut dyn FnMut(Event),
    ) -> Result<()> {
        found.alarms.into_iter().for_each(|text| report(Event::Alarm(text)));
        found.left_out.into_iter().for_each(|text| report(Event::Header(text)));
        if let Some(copy) = copy {
            let path = self.folder.best();
            self.writer.ask(None, move || copy.write(&path));
        }
        let (step, values) = (found.step, found.values);
        let scalars = Scalars { step, epoch: self.epoch_after(step), values };
        self.record(scalars.clone())?;
        report(Event::Probe(scalars));
        Ok(())
    }

    /// Writes a line of the record, behind that of an evaluation that is being judged.
    pub(super) fn record(&mut self, scalars: Scalars) -> Result<()> {
        match &mut self.pending {
            Some(pending) => pending.later.push(scalars),
            None => self.metrics.as_mut().map_or(Ok(()), |metrics| metrics.write(&scalars))?,
        }
        Ok(())
    }
}
