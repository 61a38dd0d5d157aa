//! A run of several processes: what they must agree on before and while they train.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::Device;
use jepa3d_grouping::CellEdge;
use jepa3d_loader::{DatasetMix, MixPart};
use jepa3d_schemas::source_hash;

use super::Trainer;
use crate::config::{PretrainConfig, out_of_range};
use crate::error::{Error, Result};
use crate::metrics::MetricsWriter;
use crate::parallel::{PartGroup, Processes};
use crate::request::{PretrainRequest, RunOutcome};
use crate::run_config::write_run_config;
use crate::run_folder::{RunFolder, config_to_record};

/// Letters of a hash.
const HASH: usize = 32;

impl Trainer {
    /// As [`Trainer::new`], as one of several processes that were all given the same request. The first of them writes the folder and
    /// reports; the others read its checkpoint.
    ///
    /// # Errors
    /// Fails as [`Trainer::new`] does; if `parts` is no multiple of the processes; if a process is lost, has ended, or has another
    /// config, dataset or checkpoint than the first.
    pub fn join(request: PretrainRequest, processes: Processes) -> Result<Self> {
        let group = Arc::new(PartGroup::new(request.config.parts, processes));
        let started = Self::start(request, &group).and_then(|trainer| {
            trainer.check_alike()?;
            Ok(trainer)
        });
        started.inspect_err(|error| group.leave(Some(&error.to_string())))
    }

    /// Whether this process writes and reports.
    pub(super) fn is_first(&self) -> bool {
        self.group.processes().is_first()
    }

    /// Whether the run is to end here, which it is for all processes if it is for one.
    pub(super) fn find_end(&self, stop: &AtomicBool, is_stopped: bool) -> Result<Option<RunOutcome>> {
        let is_ended = self.is_collapsed() && self.config.monitor.abort_on_collapse;
        let own = [u8::from(is_ended), u8::from(is_stopped || stop.load(Ordering::Relaxed))];
        let all = self.group.gather_bytes(&own)?;
        let is_any = |at: usize| all.iter().skip(at).step_by(2).any(|&byte| byte == 1);
        let is_last = self.step == self.last_step();
        Ok(match (is_any(0), is_any(1)) {
            (true, _) => Some(RunOutcome::Collapsed),
            (false, true) if !is_last => Some(RunOutcome::Stopped),
            _ => None,
        })
    }

    /// Fails if a process differs from the first in anything that decides what is trained.
    pub(super) fn check_alike(&self) -> Result<()> {
        if self.group.processes().world() == 1 {
            return Ok(());
        }
        let origin = self.inputs.origin();
        let facts = [
            ("the config", source_hash(&[config_to_record(&self.config).as_bytes()])),
            ("the version", source_hash(&[env!("CARGO_PKG_VERSION").as_bytes()])),
            ("the dataset", source_hash(&[origin.fingerprint.as_bytes()])),
            ("the step of the checkpoint", source_hash(&[&self.step.to_le_bytes()])),
            ("the numbers of the parameters", self.hash_parameters()?),
        ];
        let own: String = facts.iter().map(|(_, hash)| hash.as_str()).collect();
        let all = self.group.gather_bytes(own.as_bytes())?;
        for (rank, told) in all.chunks_exact(own.len()).enumerate() {
            let differs = |at: usize| told[at * HASH..(at + 1) * HASH] != all[at * HASH..(at + 1) * HASH];
            if let Some(at) = (0..facts.len()).find(|&at| differs(at)) {
                let reason =
                    format!("process {rank}: expected {} as in process 0, found another", facts[at].0);
                return Err(Error::Together { reason });
            }
        }
        Ok(())
    }

    fn hash_parameters(&self) -> Result<String> {
        let values = self.parameters.values()?;
        let bytes: Vec<Vec<u8>> = values
            .values()
            .map(|tensor| tensor.values.iter().flat_map(|x| x.to_le_bytes()).collect())
            .collect();
        let slices: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        Ok(source_hash(&slices))
    }
}

/// Opens the folder: the first process to write there, then the others to read.
pub(super) fn open_folder(out: &Path, resume: bool, group: &PartGroup) -> Result<RunFolder> {
    let own = group.processes().is_first().then(|| RunFolder::open(out, resume)).transpose()?;
    group.gather_bytes(&[1])?;
    Ok(own.unwrap_or_else(|| RunFolder::follow(out)))
}

/// Writes the config and opens the record after step `saved`; none but in the first process.
pub(super) fn open_record(
    folder: &RunFolder,
    config: &PretrainConfig,
    saved: Option<u64>,
    group: &PartGroup,
) -> Result<Option<MetricsWriter>> {
    if !group.processes().is_first() {
        return Ok(None);
    }
    write_run_config(&folder.path, config)?;
    MetricsWriter::open(&folder.path, saved).map(Some)
}

/// Refuses what batches in parts cannot be trained with.
pub(super) fn check_parts(
    config: &PretrainConfig,
    device: &Device,
    mix: &DatasetMix,
    group: &PartGroup,
) -> Result<()> {
    let world = group.processes().world();
    if !config.parts.is_multiple_of(world) {
        let expected = format!("a multiple of the {world} processes (--set parts={world})");
        return Err(out_of_range("parts", expected, config.parts));
    }
    if config.parts == 1 {
        return Ok(());
    }
    if !device.is_cpu() && config.parts != world {
        let expected = format!("1, or one for each of the {world} processes, on another device than the CPU");
        return Err(out_of_range("parts", expected, config.parts));
    }
    let is_uneven = |part: &MixPart| matches!(part.dataset.cell_edge(), Some(CellEdge::Fixed(_)));
    if mix.parts().iter().any(is_uneven) {
        let expected =
            "1 with voxel blocks of a fixed edge, whose number is that of the whole batch's smallest cloud";
        return Err(out_of_range("parts", expected, config.parts));
    }
    Ok(())
}
