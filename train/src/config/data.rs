//! Settings of what is loaded, and what the loader is asked for.

use jepa3d_grouping::CellEdge;
use jepa3d_loader::{
    Augment, EvalConfig, LoaderConfig, PatchesFrom, PointSubset, PreparedDataset, SampleSelection, Sensor,
    ViewConfig,
};
use jepa3d_schemas::UpAxis;
use serde::{Deserialize, Serialize};

use super::grouping::GroupLetters;

/// What the loader hands out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// The split that is trained on.
    pub split: String,
    /// Patches as they are stored, or grouped anew at every step.
    pub patches_from: PatchesFrom,
    /// Stored groupings that every sample is drawn from, the first ones. Left out: all.
    #[serde(skip_serializing_if = "is_zero")]
    pub groupings: usize,
    /// `N`: points of a grouping that is made at every step.
    pub points: usize,
    /// Which points those are.
    pub subset: PointSubset,
    /// Times that an epoch shows every sample, each with draws of its own: for sets of few large scenes.
    pub repeat: usize,
    /// `G`: patches of a sample.
    pub groups: usize,
    /// `K`: points of a patch.
    pub group_size: usize,
    /// Samples among which the order is shuffled freely.
    pub shuffle_buffer: usize,
    /// Loader threads; the batches do not depend on them. 0: one on the CPU, on another device as many as feed it.
    pub threads: usize,
    /// Batches that are ready ahead of time.
    pub prefetch: usize,
    /// Clouds are turned so that this axis is up, here and where features are made: for encoders that are trained on one
    /// dataset and used on another. Left out: as they are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_axis: Option<UpAxis>,
    /// Random motions of the clouds.
    pub augment: Augment,
    /// What a sensor would see of the clouds: the context's, where the targets are the clean ones. Left out: the same clouds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensor: Option<Sensor>,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            split: "train".into(),
            patches_from: PatchesFrom::Shard,
            groupings: 0,
            points: 1024,
            subset: PointSubset::Farthest,
            repeat: 1,
            groups: 64,
            group_size: 32,
            shuffle_buffer: 65_536,
            threads: 1,
            prefetch: 4,
            up_axis: None,
            augment: Augment::default(),
            sensor: None,
        }
    }
}

/// Whether a number that may be left out is.
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What of a run decides its batches, besides [`DataConfig`].
pub(crate) struct BatchPlan {
    /// Samples of a batch.
    pub batch: usize,
    pub seed: u64,
    /// What of one view of every sample is loaded.
    pub views: Option<ViewConfig>,
    /// Which samples of the split; none: all.
    pub samples: Option<SampleSelection>,
}

impl DataConfig {
    /// What the loader is asked for in training.
    ///
    /// Both sides are written out, so that the compiler names a setting that one of them forgets.
    pub(crate) fn loader_config(&self, plan: BatchPlan) -> LoaderConfig {
        let Self {
            split,
            patches_from,
            groupings,
            points,
            subset,
            repeat,
            groups,
            group_size,
            shuffle_buffer,
            threads,
            prefetch,
            up_axis,
            augment,
            sensor,
        } = self.clone();
        let BatchPlan { batch, seed, views, samples } = plan;
        LoaderConfig {
            split,
            samples,
            label_points: None,
            batch,
            threads: threads.max(1),
            patches_from,
            groupings,
            points,
            subset,
            repeat,
            views,
            groups,
            group_size,
            shuffle_buffer,
            augment,
            sensor,
            up_axis,
            seed,
            prefetch,
            rank: 0,
            world: 1,
        }
    }

    /// The groups that a model learns from in a dataset; `None` where clouds are cropped, as stored ones are not.
    pub(crate) fn learned_grouping(&self, dataset: &PreparedDataset) -> Option<GroupLetters> {
        match self.patches_from {
            PatchesFrom::Shard => Some(GroupLetters::read_stored(dataset)),
            PatchesFrom::Online => self.fresh_grouping(),
        }
    }

    /// The groups of whole clouds that are made at every step; `None` if none are.
    pub(crate) fn fresh_grouping(&self) -> Option<GroupLetters> {
        let is_fresh = self.patches_from == PatchesFrom::Online && self.subset != PointSubset::Crop;
        is_fresh.then(|| GroupLetters::patches(self.points, self.groups, self.group_size))
    }

    /// How samples are read for evaluation: stored order and grouping, no augmentation.
    ///
    /// Batches of one where clouds may have different numbers of voxel blocks: others must not decide which count.
    pub(crate) fn eval_config(&self, dataset: &PreparedDataset) -> EvalConfig {
        let is_uneven = matches!(dataset.cell_edge(), Some(CellEdge::Fixed(_)));
        EvalConfig {
            samples: None,
            label_points: None,
            groups: self.groups,
            group_size: self.group_size,
            batch: if is_uneven { 1 } else { 64 },
            up_axis: self.up_axis,
            threads: self.threads.max(1),
            ..EvalConfig::default()
        }
    }
}
