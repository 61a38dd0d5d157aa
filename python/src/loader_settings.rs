//! What a Python `Loader` asks for, as JSON: the keys are those of `[data]`, `[masking]` and `[hybrid]` of a pretraining config.

use jepa3d_loader::{Augment, LoaderConfig, MaskingConfig, PatchesFrom, PointSubset, Sensor, ViewConfig};
use jepa3d_schemas::UpAxis;
use serde::Deserialize;

/// Settings of a stream of batches; every process has its own `rank` of `world`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoaderSettings {
    split: String,
    /// Samples of a step over all ranks.
    pub batch: usize,
    pub rank: usize,
    pub world: usize,
    threads: usize,
    prefetch: usize,
    pub seed: u64,
    shuffle_buffer: usize,
    repeat: usize,
    patches_from: PatchesFrom,
    groupings: usize,
    points: usize,
    subset: PointSubset,
    groups: usize,
    pub group_size: usize,
    up_axis: Option<UpAxis>,
    augment: Augment,
    sensor: Option<Sensor>,
    views: Option<ViewSettings>,
    pub masking: Option<MaskingConfig>,
    /// The cache of a teacher's embeddings, and how many views of every sample are drawn from it.
    pub teacher: Option<TeacherSettings>,
}

/// `[hybrid]`: one view of every sample as image tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ViewSettings {
    image_size: usize,
    image_patch: usize,
    queries: usize,
    visible: f64,
}

/// Which embeddings come with every sample.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TeacherSettings {
    pub name: String,
    pub views: usize,
}

impl LoaderSettings {
    /// What this rank's loader is asked for.
    pub(crate) fn loader_config(&self) -> LoaderConfig {
        let views = self.views.as_ref().map(|views| ViewConfig {
            image_size: views.image_size,
            image_patch: views.image_patch,
            queries: views.queries,
            visible: views.visible,
        });
        LoaderConfig {
            split: self.split.clone(),
            samples: None,
            batch: self.batch / self.world.max(1),
            threads: self.threads,
            patches_from: self.patches_from,
            groupings: self.groupings,
            points: self.points,
            subset: self.subset,
            repeat: self.repeat,
            views,
            label_points: None,
            groups: self.groups,
            group_size: self.group_size,
            shuffle_buffer: self.shuffle_buffer,
            augment: self.augment.clone(),
            sensor: self.sensor.clone(),
            up_axis: self.up_axis,
            seed: self.seed,
            prefetch: self.prefetch,
            rank: self.rank,
            world: self.world,
        }
    }
}
