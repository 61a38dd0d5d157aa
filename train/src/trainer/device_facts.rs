//! What a run says at its start: its size, and of another device than the CPU its memory.

use jepa3d_kernels::free_memory;

use super::Trainer;
use crate::device_memory::MemoryNeed;
use crate::error::Result;
use crate::request::Event;

impl Trainer {
    /// How large the run is, and where it stands.
    pub(super) fn begin_event(&self) -> Event {
        Event::Begin {
            parameters: self.parameters.trained().map(|p| p.var.elem_count()).sum(),
            samples: self.inputs.samples() as u64,
            steps_per_epoch: self.stages.steps_per_epoch(),
            step: self.step,
            steps: self.last_step(),
        }
    }

    /// What there is to say of another device than the CPU.
    pub(super) fn describe_device(&self) -> Result<Vec<String>> {
        let Some(free) = free_memory(self.inputs.device())? else { return Ok(Vec::new()) };
        let optim = &self.config.optim;
        let memory = match MemoryNeed::count(&self.config, self.precision.kernels) {
            Ok(need) => need.advise(optim.batch, optim.accumulate, free),
            Err(error) => {
                format!("device memory: {:.1} GB are free; not estimated: {error}", 1e-9 * free as f64)
            }
        };
        Ok(vec![memory, format!("loader threads: {}", self.config.data.threads)])
    }
}
