//! What is loaded and how, in training and for evaluation.

use jepa3d_grouping::CellEdge;
use jepa3d_schemas::UpAxis;

use crate::augment::Augment;
use crate::batch_points::PointScope;
use crate::corruption::Corruption;
use crate::dataset::PreparedDataset;
use crate::error::{Error, Result, out_of_range};
use crate::mix::DatasetMix;
use crate::patch_source::{PatchesFrom, PointSubset};
use crate::selection::SampleSelection;
use crate::sensor::Sensor;

/// What is loaded, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderConfig {
    /// The split. Default `train`.
    pub split: String,
    /// The samples of the split that are loaded. Default all.
    pub samples: Option<SampleSelection>,
    /// Samples of a batch (on each rank). Default 128.
    pub batch: usize,
    /// Threads that decode and gather; the batches do not depend on it. Default 1.
    pub threads: usize,
    /// Stored groupings or fresh ones. Default stored.
    pub patches_from: PatchesFrom,
    /// Stored groupings that every sample is drawn from, the first ones; 0: all. Default 0.
    pub groupings: usize,
    /// Points `N` of a fresh grouping; stored ones have their own. Default 1024.
    pub points: usize,
    /// Which points those are. Default the farthest.
    pub subset: PointSubset,
    /// Times that an epoch shows every sample. Default 1.
    pub repeat: usize,
    /// What of one view of every sample is loaded. Default none.
    pub views: Option<ViewConfig>,
    /// Which points are loaded with their labels. Default none.
    pub label_points: Option<PointScope>,
    /// Centers `G`: with stored groupings the first of their centers, at most as many as stored. Default 64.
    pub groups: usize,
    /// Points `K` of a patch: with stored groupings the nearest ones, at most as many as stored. Default 32.
    pub group_size: usize,
    /// Samples of the shuffle buffer; if it holds the whole split, the order is a perfect permutation and
    /// everything is decoded once and kept. Default 8192.
    pub shuffle_buffer: usize,
    /// How samples are changed. Default not at all.
    pub augment: Augment,
    /// What a sensor sees of the changed clouds, beside them, in `Batch::seen`. Default nothing.
    pub sensor: Option<Sensor>,
    /// Clouds are turned so that this axis is up. Default as they are stored.
    pub up_axis: Option<UpAxis>,
    /// Seed of order, groupings and augmentation. Default 0.
    pub seed: u64,
    /// Batches made ahead, over all threads. Default 4.
    pub prefetch: usize,
    /// Number of this process among `world` that train together, each on its own part of every step: step `s` takes the
    /// positions `s * batch * world ..` of the epoch, rank `r` the `r`-th part of them. Default 0.
    pub rank: usize,
    /// Processes that train together. Default 1.
    pub world: usize,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            split: "train".into(),
            samples: None,
            batch: 128,
            threads: 1,
            patches_from: PatchesFrom::Shard,
            groupings: 0,
            points: 1024,
            subset: PointSubset::Farthest,
            repeat: 1,
            views: None,
            label_points: None,
            groups: 64,
            group_size: 32,
            shuffle_buffer: 8192,
            augment: Augment::default(),
            sensor: None,
            up_axis: None,
            seed: 0,
            prefetch: 4,
            rank: 0,
            world: 1,
        }
    }
}

impl LoaderConfig {
    /// Checks what does not need a look at the shards.
    ///
    /// # Errors
    /// Fails if a number is 0 that must not be, the augmentation is not legal, or the dataset's stored
    /// groupings are smaller than what is asked for.
    pub fn check(&self, dataset: &PreparedDataset) -> Result<()> {
        let positive = [
            ("data.threads", self.threads),
            ("data.groups", self.groups),
            ("data.group_size", self.group_size),
            ("data.points", self.points),
            ("data.repeat", self.repeat),
        ];
        if let Some((key, _)) = positive.into_iter().find(|&(_, value)| value == 0) {
            return Err(out_of_range(key, "at least 1", 0));
        }
        self.augment.check(self.patches_from)?;
        self.check_patches(dataset)?;
        if let Some(sensor) = &self.sensor {
            sensor.check(self.patches_from, self.subset)?;
        }
        if self.label_points.is_some() && self.sensor.is_some() {
            return Err(out_of_range("data.sensor", "none where points come with their labels", "one"));
        }
        if self.label_points == Some(PointScope::Cloud) && self.patches_from == PatchesFrom::Online {
            let expected = "\"shard\" where all points of clouds are labelled";
            return Err(out_of_range("data.patches_from", expected, "online"));
        }
        self.check_views(dataset)
    }

    /// Checks as [`LoaderConfig::check`] does for each of several datasets, and that these go together.
    ///
    /// # Errors
    /// Fails as that does, or if the datasets do not go together.
    pub(crate) fn check_mix(&self, mix: &DatasetMix) -> Result<()> {
        mix.parts().iter().try_for_each(|part| self.check(&part.dataset))?;
        if mix.is_mixed() && self.label_points.is_some() {
            return Err(out_of_range("--data", "one dataset where points come with their labels", "several"));
        }
        mix.check(self.patches_from, self.views.is_some())
    }

    /// Refuses patches that the stored groupings do not hold, or whose source the dataset does not serve.
    fn check_patches(&self, dataset: &PreparedDataset) -> Result<()> {
        let shape = dataset.shape();
        let is_stored = self.patches_from == PatchesFrom::Shard;
        if is_stored && (self.groups > shape.G || self.group_size > shape.K || shape.R == 0) {
            let expected = format!("at most the stored {} x {} of R = {}", shape.G, shape.K, shape.R);
            let found = format!("{} x {}", self.groups, self.group_size);
            return Err(out_of_range("data.groups x data.group_size", expected, found));
        }
        let most = if is_stored { shape.R } else { 0 };
        if self.groupings > most {
            let expected =
                format!("at most {most} stored groupings of clouds with data.patches_from = \"shard\"");
            return Err(out_of_range("data.groupings", expected, self.groupings));
        }
        if self.sensor.is_some() && dataset.cell_edge().is_some() {
            return Err(out_of_range("data.sensor", "none with voxel blocks", "one"));
        }
        if !is_stored && dataset.cell_edge().is_some() {
            let expected = "\"shard\" for voxel blocks";
            return Err(out_of_range("data.patches_from", expected, "online"));
        }
        if is_stored && self.subset != PointSubset::Farthest {
            let (subset, are) = match self.subset {
                PointSubset::Crop => ("crop", "of whole clouds"),
                _ => ("random", "of farthest points"),
            };
            let expected = format!("\"online\" with data.subset = \"{subset}\": stored groupings are {are}");
            return Err(out_of_range("data.patches_from", expected, "shard"));
        }
        Ok(())
    }

    fn check_views(&self, dataset: &PreparedDataset) -> Result<()> {
        if self.views.is_some() && dataset.manifest().views.is_none() {
            return Err(Error::NoViews { folder: dataset.folder().to_owned() });
        }
        if self.views.is_some() && matches!(dataset.cell_edge(), Some(CellEdge::Fixed(_))) {
            let expected = "patches, or voxel blocks as many in every sample (groups.voxel_edge = \"auto\")";
            return Err(out_of_range("method = \"hybrid\"", expected, "blocks of a fixed edge"));
        }
        Ok(())
    }
}

/// A grouping that is made of every stored cloud for evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FreshStart {
    /// Points `N` of the grouping; a cloud of fewer points is taken whole.
    pub points: usize,
    /// Seed of random starts, as one of several votes takes them; none: the canonical start, as preparation takes it.
    pub seed: Option<u64>,
    /// Whether the points of a cloud that has fewer than `G` or `K` are repeated, in their order; else it is an error.
    pub repeats: bool,
    /// Points are left out first if their distance to their nearest is more than so many times what it is among these
    /// ([`keep_neighborly`](jepa3d_grouping::keep_neighborly)); 0: none are.
    pub outliers: f64,
}

/// How samples are read for evaluation: each once, with its canonical grouping, stored or made afresh.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalConfig {
    /// The samples that are read, of one split. Default all.
    pub samples: Option<SampleSelection>,
    /// Samples of a batch; the last one may be smaller. Default 128.
    pub batch: usize,
    /// Threads; the batches do not depend on it. Default 1.
    pub threads: usize,
    /// Centers `G`. Default 64.
    pub groups: usize,
    /// Points `K` of a patch. Default 32.
    pub group_size: usize,
    /// Clouds are turned so that this axis is up. Default as they are stored.
    pub up_axis: Option<UpAxis>,
    /// Which points are loaded with their labels. Default none.
    pub label_points: Option<PointScope>,
    /// Groups every stored cloud afresh. Default none: the stored grouping.
    pub regroup: Option<FreshStart>,
    /// Changes every stored cloud before it is grouped, so it needs a canonical `regroup`. Default none.
    pub corruption: Option<Corruption>,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            samples: None,
            batch: 128,
            threads: 1,
            groups: 64,
            group_size: 32,
            up_axis: None,
            label_points: None,
            regroup: None,
            corruption: None,
        }
    }
}

impl EvalConfig {
    /// Checks what does not need a look at the shards.
    ///
    /// # Errors
    /// Fails if a number is 0, the stored groupings are smaller than what is asked for and not made afresh, or a cloud is
    /// to be corrupted under a stored grouping.
    pub(crate) fn check(&self, dataset: &PreparedDataset) -> Result<()> {
        let Some(FreshStart { points, seed: None, .. }) = self.regroup else {
            if self.corruption.is_some() {
                let expected = "a fresh grouping where clouds are corrupted";
                return Err(out_of_range(
                    "EvalConfig::regroup",
                    expected,
                    "the stored one, or a random start",
                ));
            }
            return self.loading().check(dataset);
        };
        if self.label_points.is_some() {
            let expected = "stored groupings where points come with their labels";
            return Err(out_of_range("EvalConfig::regroup", expected, "fresh ones"));
        }
        match [self.threads, self.groups, self.group_size, points].contains(&0) {
            true => Err(out_of_range("threads, G, K and N of a fresh grouping", "at least 1", 0)),
            false => Ok(()),
        }
    }

    /// What the loader's threads are asked for.
    pub(crate) fn loading(&self) -> LoaderConfig {
        LoaderConfig {
            split: String::new(),
            samples: self.samples.clone(),
            batch: self.batch,
            threads: self.threads,
            patches_from: self.regroup.map(|_| PatchesFrom::Online).unwrap_or_default(),
            points: self.regroup.map_or(1, |fresh| fresh.points),
            seed: self.regroup.and_then(|fresh| fresh.seed).unwrap_or(0),
            label_points: self.label_points,
            groups: self.groups,
            group_size: self.group_size,
            shuffle_buffer: 0,
            up_axis: self.up_axis,
            ..LoaderConfig::default()
        }
    }
}

/// One view of every sample, as image tokens, and which patches are asked of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewConfig {
    /// Pixels of each side that a view is resized to.
    pub image_size: usize,
    /// Pixels of each side of an image token; divides `image_size`.
    pub image_patch: usize,
    /// The most patches that are asked of a view; more visible ones are drawn from.
    pub queries: usize,
    /// Share of a patch's points that a view must show for the patch to be asked for.
    pub visible: f64,
}

impl ViewConfig {
    /// Image tokens along a side.
    pub fn side(&self) -> usize {
        self.image_size / self.image_patch
    }

    /// Numbers of an image token before it is embedded: three channels of its pixels.
    pub fn token_numbers(&self) -> usize {
        3 * self.image_patch * self.image_patch
    }
}
