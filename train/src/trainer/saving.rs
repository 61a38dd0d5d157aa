//! What of a run is written into its folder, beside its record: checkpoints, while the next steps are made.

use super::Trainer;
use crate::checkpoint::{CheckpointCopy, RunState};
use crate::error::Result;
use crate::monitor::MonitorState;
use crate::request::Event;
use crate::run_folder::{RunOrigin, config_to_record, prune_checkpoints};

impl Trainer {
    /// Has a checkpoint written of this step; tells which have been.
    pub(super) fn save(&mut self, report: &mut dyn FnMut(Event)) -> Result<()> {
        self.writer.poll()?.into_iter().for_each(|step| report(Event::Checkpoint(step)));
        if self.newest.step == Some(self.step) {
            return Ok(());
        }
        self.conclude_evaluation(report)?;
        self.check_alike()?;
        self.newest.replace(self.step);
        let Some(metrics) = &mut self.metrics else { return Ok(()) };
        metrics.flush()?;
        let (copy, last, keep) = (self.copy(true)?, self.folder.last(), self.config.run.keep);
        let (numbered, folder) = (self.folder.numbered(self.step), self.folder.path.clone());
        self.writer.ask(Some(self.step), move || {
            copy.write(&last)?;
            if keep > 0 {
                copy.strip().write(&numbered)?;
                prune_checkpoints(&folder, keep)?;
            }
            Ok(())
        });
        Ok(())
    }

    /// Whether a checkpoint that is due is written: by the clock of the first process, for all of them.
    pub(super) fn is_old_enough(&self) -> Result<bool> {
        let own = u8::from(self.newest.is_old_enough(&self.config.run));
        Ok(self.group.gather_bytes(&[own])?.first() == Some(&1))
    }

    /// What a checkpoint of this step holds.
    pub(super) fn copy(&self, is_resumable: bool) -> Result<CheckpointCopy> {
        let optimizer = is_resumable.then_some(&self.optimizer);
        CheckpointCopy::take(
            &self.parameters,
            optimizer,
            self.state_after(self.step, &self.evaluation.state).entry(),
        )
    }

    /// Where the run stood after `step` steps, when its monitors remembered this.
    pub(super) fn state_after(&self, step: u64, monitors: &MonitorState) -> RunState {
        let RunOrigin { fingerprint, steps_per_epoch, teacher, grouping, up_axis } = self.inputs.origin();
        let MonitorState { alarms, first_position, best } = monitors.clone();
        RunState {
            teacher,
            grouping,
            up_axis: Some(up_axis),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            step,
            steps_per_epoch,
            fingerprint,
            encoder_only: false,
            config: config_to_record(&self.config),
            best,
            first_position,
            alarms: alarms.0,
        }
    }
}
