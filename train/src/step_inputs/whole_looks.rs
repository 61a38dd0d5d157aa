//! What a step of the whole head takes: clean clouds and what a sensor sees of them, once for every look that an answer is made of.

use jepa3d_loader::{Batch, SeenPatches};

use super::StepInputs;
use crate::error::Result;
use crate::models::{PatchTensors, WholeInput};
use crate::turned_features::turn_looks;

impl StepInputs {
    /// Both, as they stand and, where the head answers for what is made of turns, turned.
    pub(super) fn whole_looks(&self, batch: &Batch, seen: &SeenPatches) -> Result<WholeInput> {
        let (up, turns) = (self.up_axis(), self.config.looks_of_whole());
        let place =
            |[patches, centers]: [Vec<f32>; 2]| self.tensors_of(&SeenPatches { patches, centers }, batch);
        let clean = turn_looks(&batch.patches, &batch.centers, up, turns).map(|look| {
            let points = place(look)?;
            Ok(PatchTensors { counts: batch.counts.clone(), ..points })
        });
        let seen = turn_looks(&seen.patches, &seen.centers, up, turns).map(place);
        Ok(WholeInput { points: clean.collect::<Result<_>>()?, seen: seen.collect::<Result<_>>()? })
    }
}
