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
    findings: JoinHandle<Result<JudgedEvaluation>>,
    /// The encoder that it is of.
    copy: CheckpointCopy,
    /// What monitors remembered then.
    monitors: MonitorState,
    step: u64,
    epoch: f64,
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
        let (step, epoch) = (self.step, self.epoch());
        let observation = self.evaluation.observe(&self.model, step)?;
        if self.works_ahead {
            let copy = self.copy(false)?;
            let findings = std::thread::spawn(move || observation.judge());
            let (monitors, later) = (self.evaluation.state.clone(), Vec::new());
            self.pending = Some(PendingEvaluation { findings, copy, monitors, step, epoch, later });
            return Ok(());
        }
        let found = observation.judge()?.conclude(&mut self.evaluation.state, &self.config.monitor);
        let copy = found.is_best.then(|| self.copy(false)).transpose()?;
        self.tell(found, copy, step, epoch, report)
    }

    /// Waits for the evaluation that is being judged, if there is one; then records what has waited for it.
    pub(super) fn conclude_evaluation(&mut self, report: &mut dyn FnMut(Event)) -> Result<()> {
        let Some(pending) = self.pending.take() else { return Ok(()) };
        let PendingEvaluation { findings, copy, mut monitors, step, epoch, later } = pending;
        let findings = findings.join().unwrap_or_else(|panic| resume_unwind(panic));
        let told = findings.and_then(|findings| {
            findings.conclude(&mut monitors, &self.config.monitor);
            let found = findings.conclude(&mut self.evaluation.state, &self.config.monitor);
            let copy = found.is_best.then(|| copy.with_state(self.state_after(step, &monitors).entry()));
            self.tell(found, copy, step, epoch, report)
        });
        later.into_iter().try_for_each(|scalars| self.record(scalars))?;
        told
    }

    /// Records and reports an evaluation; `copy`: of the best encoder so far.
    fn tell(
        &mut self,
        found: EvaluationRecord,
        copy: Option<CheckpointCopy>,
        step: u64,
        epoch: f64,
        report: &mut dyn FnMut(Event),
    ) -> Result<()> {
        found.alarms.into_iter().for_each(|text| report(Event::Alarm(text)));
        found.left_out.into_iter().for_each(|text| report(Event::Header(text)));
        if let Some(copy) = copy {
            let path = self.folder.best();
            self.writer.ask(None, move || copy.write(&path));
        }
        let scalars = Scalars { step, epoch, values: found.values };
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
