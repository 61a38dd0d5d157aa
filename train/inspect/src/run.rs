//! A pretraining run to look at: its record, and what it hides from the encoder of some clouds.

use std::path::Path;

use jepa3d_loader::{MaskKind, PatchesFrom, learned_from};
use jepa3d_schemas::UpAxis;
use jepa3d_train::{
    FrozenEncoder, LAST_FILE, Logged, METRICS_FILE, PretrainConfig, read_metrics, read_run_config,
};

use super::masked::{DrawAt, MaskedCloud, draw};
use super::select::{Query, Selection};
use crate::error::{Error, Result, out_of_range};

/// Clouds of the batch that errors are measured in: enough for batch statistics, few enough to wait for.
const BATCH: usize = 32;

/// What to look at.
#[derive(Clone, Debug)]
pub struct RunQuery {
    /// Which clouds; without a split those of the run's own.
    pub clouds: Query,
    /// Draws of the masks, evenly spread over the epochs done. Default 4.
    pub draws: usize,
}

impl Default for RunQuery {
    fn default() -> Self {
        Self { clouds: Query::default(), draws: 4 }
    }
}

/// A run with some clouds of its dataset.
pub struct RunView {
    name: String,
    pub(crate) config: PretrainConfig,
    pub(crate) log: Vec<Logged>,
    pub(crate) clouds: Vec<MaskedCloud>,
    pub(crate) draws: Vec<DrawAt>,
    pub(crate) up_axis: UpAxis,
    /// Where the errors of predictions come from; none without checkpoint or clouds.
    pub(crate) checkpoint: Option<String>,
    /// Steps of that checkpoint, 0 without.
    trained: u64,
}

/// What a recording shows.
#[derive(Clone, Copy)]
pub enum Shown<'a> {
    /// Samples of a prepared dataset.
    Dataset(&'a Selection),
    /// A run.
    Run(&'a RunView),
}

impl<'a> From<&'a Selection> for Shown<'a> {
    fn from(selection: &'a Selection) -> Self {
        Self::Dataset(selection)
    }
}

impl<'a> From<&'a RunView> for Shown<'a> {
    fn from(run: &'a RunView) -> Self {
        Self::Run(run)
    }
}

impl RunView {
    /// Opens the run folder `folder`; with the folder `data` of its dataset also clouds, their masks and, if there
    /// is a checkpoint, the errors of its predictions.
    ///
    /// # Errors
    /// Fails if the folder has no config, its record cannot be read, the dataset is not the one that was trained on or has
    /// no such samples, or the stored groups do not serve the config.
    pub fn open(folder: &Path, data: Option<&Path>, query: &RunQuery) -> Result<Self> {
        let config = read_run_config(folder)?;
        let log = read_log(folder)?;
        let name = folder.canonicalize().map_err(|e| Error::io(folder, e))?;
        let name = name.file_name().map_or_else(|| "run".to_owned(), |n| n.to_string_lossy().into_owned());
        let (clouds, draws, up_axis, checkpoint) = (Vec::new(), Vec::new(), UpAxis::Y, None);
        let mut run = Self { name, config, log, clouds, draws, up_axis, checkpoint, trained: 0 };
        if let Some(data) = data {
            run.read_clouds(folder, data, query)?;
        }
        Ok(run)
    }

    /// Name of the run folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Clouds that are shown.
    pub fn clouds(&self) -> usize {
        self.clouds.len()
    }

    /// Steps of the record, or of the checkpoint.
    pub(crate) fn steps(&self) -> u64 {
        self.log.iter().map(|entry| entry.step).max().unwrap_or(0).max(self.trained)
    }

    /// Target blocks of a draw.
    pub(crate) fn blocks(&self) -> usize {
        match self.config.masking.kind {
            MaskKind::Runs | MaskKind::FpsBlocks | MaskKind::DisjointBlocks => self.config.masking.blocks,
            MaskKind::Region | MaskKind::Random => 1,
        }
    }

    /// The masks in words.
    pub(crate) fn masking(&self) -> String {
        let m = &self.config.masking;
        let percent = |[low, high]: [f64; 2]| match low == high {
            true => format!("{:.0} %", 100.0 * low),
            false => format!("{:.0} to {:.0} %", 100.0 * low, 100.0 * high),
        };
        let (blocks, hidden) = (m.blocks, percent(m.target_ratio));
        match m.kind {
            MaskKind::Runs => {
                let seen = percent(m.context_ratio);
                format!("{blocks} target runs of {hidden} of the patches, context {seen} of the rest")
            }
            MaskKind::Region => format!("regions around {blocks} anchors, {hidden} of the patches hidden"),
            MaskKind::FpsBlocks => {
                let seen = percent(m.context_ratio);
                format!(
                    "{blocks} target blocks of {hidden} of the patches, context the rest of a block of {seen}"
                )
            }
            MaskKind::DisjointBlocks => {
                format!("{blocks} disjoint target blocks of {hidden} of the patches, context the rest")
            }
            MaskKind::Random => format!("a random {hidden} of the patches hidden"),
        }
    }

    /// Reads the clouds that `query` asks for, draws their masks and measures the errors of predictions.
    fn read_clouds(&mut self, folder: &Path, data: &Path, query: &RunQuery) -> Result<()> {
        let split = query.clouds.split.clone().unwrap_or_else(|| self.config.data.split.clone());
        let wanted = Query { split: Some(split.clone()), ..query.clouds.clone() };
        let shown = Selection::new(data, &wanted)?;
        self.check_groups(&shown)?;
        self.up_axis = self.config.data.up_axis.unwrap_or(shown.manifest().up_axis);
        let encoder = self.encoder(folder, &shown)?;
        // A record may lack what the checkpoint was trained for.
        self.trained = encoder.as_ref().and_then(FrozenEncoder::step).unwrap_or(0);
        let mut clouds = self.read(&shown)?;
        let count = clouds.len();
        if encoder.is_some() {
            let others = Query { limit: BATCH.max(count), split: Some(split), sample: None, ..wanted };
            let others = self.read(&Selection::new(data, &others)?)?;
            let others = others.into_iter().filter(|other| clouds.iter().all(|cloud| cloud.id != other.id));
            let others: Vec<MaskedCloud> = others.take(BATCH.saturating_sub(count)).collect();
            clouds.extend(others);
        }
        self.draws = self.spread(&shown, query.draws);
        draw(&mut clouds, &self.config, &self.draws, encoder.as_ref())?;
        clouds.truncate(count);
        self.clouds = clouds;
        self.checkpoint = encoder.map(|encoder| encoder.source().to_owned());
        Ok(())
    }

    fn read(&self, selection: &Selection) -> Result<Vec<MaskedCloud>> {
        let mut clouds = Vec::new();
        selection.visit(&mut |specimen| {
            let (manifest, grouping) = (selection.manifest(), selection.grouping());
            clouds.push(MaskedCloud::new(specimen, manifest, grouping, &self.config)?);
            Ok(())
        })?;
        Ok(clouds)
    }

    /// The newest checkpoint, if there is one and it was trained on this dataset.
    fn encoder(&self, folder: &Path, shown: &Selection) -> Result<Option<FrozenEncoder>> {
        let path = folder.join(LAST_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let encoder = FrozenEncoder::open(folder, None, "cpu")?;
        let found = &shown.manifest().fingerprint;
        match encoder.fingerprint() {
            Some(trained) if !learned_from(trained, found) => Err(Error::Checkpoint {
                path,
                expected: format!("the dataset it was trained on, fingerprint {trained}"),
                found: format!("{found} in {}", shown.folder().display()),
            }),
            _ => Ok(Some(encoder)),
        }
    }

    fn check_groups(&self, shown: &Selection) -> Result<()> {
        let (data, shape) = (&self.config.data, shown.manifest().shape);
        let is_stored = data.patches_from == PatchesFrom::Shard;
        if is_stored && (data.groups > shape.G || data.group_size > shape.K || shape.R == 0) {
            let expected = format!("at most the stored {} x {} of R = {}", shape.G, shape.K, shape.R);
            let found = format!("{} x {}", data.groups, data.group_size);
            return Err(out_of_range("data.groups x data.group_size", expected, found));
        }
        Ok(())
    }

    /// The first batches of epochs that are evenly spread over those done, the newest among them.
    fn spread(&self, shown: &Selection, draws: usize) -> Vec<DrawAt> {
        let splits = &shown.manifest().splits;
        let samples = splits.get(&self.config.data.split).map_or(0, |counts| counts.written);
        let (batch, accumulate) = (self.config.optim.batch, self.config.optim.accumulate as u64);
        let steps = ((samples / batch.max(1)) as u64 / accumulate.max(1)).max(1);
        let newest = self.steps().saturating_sub(1) / steps;
        epochs(newest, draws as u64)
            .map(|epoch| DrawAt { epoch, step: epoch * steps, batch: epoch * steps * accumulate })
            .collect()
    }
}

/// The record of a run; one without has no lines.
fn read_log(folder: &Path) -> Result<Vec<Logged>> {
    let is_there = folder.join(METRICS_FILE).symlink_metadata().is_ok();
    Ok(if is_there { read_metrics(folder)? } else { Vec::new() })
}

/// `count` epochs from 0 to `newest`, or the first ones where there are not that many.
fn epochs(newest: u64, count: u64) -> impl Iterator<Item = u64> {
    let last = newest.max(count.saturating_sub(1));
    (0..count).map(move |i| i * last / (count - 1).max(1))
}

#[cfg(test)]
mod tests {
    use super::epochs;

    #[test]
    fn draws_are_spread_over_the_epochs_done() {
        let of = |newest, count| epochs(newest, count).collect::<Vec<u64>>();
        assert_eq!(of(23, 4), [0, 7, 15, 23]);
        assert_eq!(of(0, 4), [0, 1, 2, 3]);
        assert_eq!(of(9, 1), [0]);
        assert_eq!(of(9, 0), [0; 0]);
    }
}
