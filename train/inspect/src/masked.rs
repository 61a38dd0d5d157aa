//! Clouds as a run sees them: which patches are context, which are predicted, and how well.

use std::collections::BTreeMap;

use jepa3d_loader::{
    Augment, BatchKey, LoaderConfig, Masks, PatchMaker, PatchPlaces, SamplePatches, draw_masks,
};
use jepa3d_schemas::Manifest;
use jepa3d_train::{FrozenEncoder, PretrainConfig, TrainedSamples};

use super::groups::ShownGrouping;
use super::select::Specimen;
use crate::error::Result;

/// What a patch is in a draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PatchRole {
    /// The encoder sees it.
    Context,
    /// It is predicted; the target blocks that hold it, ascending.
    Target(Vec<usize>),
    /// Neither.
    Unused,
}

/// The masks of one cloud in one draw.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CloudMasks {
    /// `[G]`.
    pub roles: Vec<PatchRole>,
    /// `[G]`: share of the targets' variance that a prediction leaves, mean over the blocks that hold the
    /// patch; NaN where none does. Absent without a checkpoint.
    pub errors: Option<Vec<f32>>,
}

/// When masks are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DrawAt {
    /// The epoch, from 0.
    pub epoch: u64,
    /// Optimiser steps before it.
    pub step: u64,
    /// Number of its first batch.
    pub batch: u64,
}

/// A cloud with its patches as training has them in epoch 0, but for random changes, and its masks in every draw.
#[derive(Clone, Debug)]
pub(crate) struct MaskedCloud {
    pub id: String,
    pub category: Option<String>,
    /// `[S]`, or `[N]` where patches are made anew at every step.
    pub points: Vec<[f32; 3]>,
    /// `[G]`.
    pub centers: Vec<[f32; 3]>,
    /// The patch that shows each point.
    pub owners: Vec<Option<usize>>,
    /// `[G,K]`, minus the center; of voxel blocks in units of the cell's edge.
    pub patches: Vec<[f32; 3]>,
    /// `[G]`, of voxel blocks.
    pub cells: Option<Vec<[i32; 3]>>,
    /// One a draw.
    pub draws: Vec<CloudMasks>,
}

impl MaskedCloud {
    /// Has the patches of a sample made as training makes them: of stored grouping `grouping`, or of a fresh one.
    ///
    /// # Errors
    /// Fails if the cloud cannot be grouped.
    pub(crate) fn new(
        specimen: &Specimen,
        manifest: &Manifest,
        grouping: usize,
        config: &PretrainConfig,
    ) -> Result<Self> {
        let sample = &specimen.sample;
        let maker = PatchMaker::new(manifest, &without_random_changes(config.loader_config()));
        let made = maker.make(sample, &specimen.views, grouping, 0)?;
        let SamplePatches { points, centers, patches, members, counts, cells } = made;
        let groups = ShownGrouping {
            centers: members.iter().step_by(config.data.group_size).copied().collect(),
            patches: members,
            counts: (!counts.is_empty()).then_some(counts),
        };
        Ok(Self {
            id: sample.sample_id.clone(),
            category: sample.category.clone(),
            owners: groups.owners(points.len()),
            points,
            centers,
            patches,
            cells: (!cells.is_empty()).then_some(cells),
            draws: Vec::new(),
        })
    }

    /// The clouds of a step that was just trained on, named by their places in it, from 1, with its masks as their one draw.
    ///
    /// A point that several patches share is that of the patch in which it comes first. Without patches there are none.
    #[cfg_attr(not(feature = "rerun"), allow(dead_code, reason = "only recordings that grow show steps"))]
    pub(crate) fn of_step(samples: &TrainedSamples) -> Vec<Self> {
        let count = samples.ids.len().max(1);
        let centers = samples.centers.as_chunks::<3>().0;
        let patches = samples.patches.as_chunks::<3>().0;
        let (groups, points) = (centers.len() / count, patches.len() / count);
        let size = points / groups.max(1);
        let cloud = |at: usize| {
            let (centers, unit) = (&centers[at * groups..][..groups], samples.units[at]);
            let patches = &patches[at * points..][..points];
            let place = |(i, p): (usize, &[f32; 3])| [0, 1, 2].map(|a| centers[i / size][a] + unit * p[a]);
            let points: Vec<[f32; 3]> = patches.iter().enumerate().map(place).collect();
            let draw = match &samples.masks {
                Some(masks) => select_masks(masks, at, groups, samples.errors.as_deref()),
                None => CloudMasks { roles: vec![PatchRole::Context; groups], errors: None },
            };
            Self {
                id: (at + 1).to_string(),
                category: None,
                owners: first_owners(&points, size),
                points,
                centers: centers.to_vec(),
                patches: patches.to_vec(),
                cells: None,
                draws: vec![draw],
            }
        };
        let shown = if patches.is_empty() { 0 } else { samples.ids.len() };
        (0..shown).map(cloud).collect()
    }
}

/// Of `points` in patches of `size`, which may hold the same ones, the patch of each; none but for the one in which it comes
/// first (ties by patch). Places that are this close are one point: they differ by the rounding of their centers.
#[cfg_attr(not(feature = "rerun"), allow(dead_code, reason = "only recordings that grow show steps"))]
fn first_owners(points: &[[f32; 3]], size: usize) -> Vec<Option<usize>> {
    const GRAIN: f32 = 1e-4;
    let mut first: BTreeMap<[i32; 3], usize> = BTreeMap::new();
    for (i, point) in points.iter().enumerate() {
        let rank = |i: usize| (i % size, i / size);
        let best = first.entry(point.map(|x| (x / GRAIN).round() as i32)).or_insert(i);
        if rank(i) < rank(*best) {
            *best = i;
        }
    }
    let mut owners = vec![None; points.len()];
    first.into_values().for_each(|i| owners[i] = Some(i / size));
    owners
}

/// What is left of the augmentation when nothing is drawn: clouds still have the size that the encoder knows.
fn without_random_changes(config: LoaderConfig) -> LoaderConfig {
    let normalize = config.augment.normalize;
    LoaderConfig { augment: Augment { normalize, ..Augment::default() }, sensor: None, ..config }
}

/// Draws the masks of all clouds, as one batch, at each of `at`; with an encoder also the errors of its
/// predictions.
///
/// # Errors
/// Fails if the masks leave no context, or the encoder does.
pub(crate) fn draw(
    clouds: &mut [MaskedCloud],
    config: &PretrainConfig,
    at: &[DrawAt],
    encoder: Option<&FrozenEncoder>,
) -> Result<()> {
    let ids: Vec<String> = clouds.iter().map(|cloud| cloud.id.clone()).collect();
    let centers: Vec<[f32; 3]> = clouds.iter().flat_map(|cloud| &cloud.centers).copied().collect();
    let patches: Vec<[f32; 3]> = clouds.iter().flat_map(|cloud| &cloud.patches).copied().collect();
    let cells: Vec<[i32; 3]> =
        clouds.iter().filter_map(|cloud| cloud.cells.as_ref()).flatten().copied().collect();
    let cells = (!cells.is_empty()).then_some(cells.as_slice());
    for DrawAt { epoch, batch, .. } in at {
        let key = BatchKey { seed: config.run.seed, epoch: *epoch, batch: *batch };
        let places = PatchPlaces { ids: &ids, centers: centers.as_flattened(), cells };
        let masks = draw_masks(&config.masking, places, key)?;
        let errors = match encoder {
            Some(encoder) => encoder.patch_errors(patches.as_flattened(), centers.as_flattened(), &masks)?,
            None => None,
        };
        for (i, cloud) in clouds.iter_mut().enumerate() {
            cloud.draws.push(select_masks(&masks, i, config.data.groups, errors.as_deref()));
        }
    }
    Ok(())
}

/// The masks of one sample of a batch.
fn select_masks(masks: &Masks, sample: usize, groups: usize, errors: Option<&[f32]>) -> CloudMasks {
    let mut roles = vec![PatchRole::Unused; groups];
    for &patch in &masks.context[sample * masks.context_len..][..masks.context_len] {
        roles[patch as usize] = PatchRole::Context;
    }
    let asked = masks.blocks * masks.target_len;
    let targets = &masks.targets[sample * asked..][..asked];
    for (i, &patch) in targets.iter().enumerate() {
        match &mut roles[patch as usize] {
            PatchRole::Target(blocks) => blocks.push(i / masks.target_len),
            role => *role = PatchRole::Target(vec![i / masks.target_len]),
        }
    }
    let errors = errors.map(|errors| {
        let (mut sums, mut counts) = (vec![0.0f32; groups], vec![0.0f32; groups]);
        for (&patch, error) in targets.iter().zip(&errors[sample * asked..]) {
            sums[patch as usize] += error;
            counts[patch as usize] += 1.0;
        }
        sums.iter().zip(counts).map(|(sum, count)| sum / count).collect()
    });
    CloudMasks { roles, errors }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use jepa3d_fixtures::{grouped_set, viewed_set};
    use jepa3d_loader::{Batch, Loader, MaskKind, PatchesFrom, PointSubset, PreparedDataset};
    use jepa3d_schemas::UpAxis;
    use jepa3d_train::Method;

    use super::*;
    use crate::run_tests;
    use crate::select::{Query, Selection};

    /// The first epoch of training, in batches of one sample.
    fn first_epoch(folder: &Path, config: &PretrainConfig) -> BTreeMap<String, Batch> {
        let dataset = Arc::new(PreparedDataset::open(folder).unwrap());
        let loading = LoaderConfig { batch: 1, ..without_random_changes(config.loader_config()) };
        let mut loader = Loader::start(&dataset, loading, 0).unwrap();
        let steps = 0..loader.steps_per_epoch();
        steps.map(|_| loader.next().unwrap()).map(|batch| (batch.sample_ids[0].clone(), batch)).collect()
    }

    /// Every cloud that is shown is, in one of its `groupings`, what training has of it.
    fn assert_shows_batches(folder: &Path, config: &PretrainConfig, groupings: usize) {
        let batches = first_epoch(folder, config);
        let query = Query { split: Some(config.data.split.clone()), limit: 99, ..Query::default() };
        let selection = Selection::new(folder, &query).unwrap();
        assert!(selection.len() > 3 && selection.len() == batches.len());
        selection
            .visit(&mut |specimen| {
                let batch = &batches[&specimen.sample.sample_id];
                let is_shown = |&number: &usize| {
                    let cloud = MaskedCloud::new(specimen, selection.manifest(), number, config).unwrap();
                    cloud.patches.as_flattened() == batch.patches
                        && cloud.centers.as_flattened() == batch.centers
                        && cloud.cells == batch.cells
                };
                assert_eq!((0..groupings).filter(is_shown).count(), 1, "{:?}", config.data);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn clouds_are_shown_as_training_has_them() {
        let dir = tempfile::tempdir().unwrap();
        viewed_set::write_dataset(dir.path(), true);
        let mut config = run_tests::config(MaskKind::Region);
        assert_shows_batches(dir.path(), &config, 2);
        config.data.up_axis = Some(UpAxis::Z);
        config.data.augment = Augment { normalize: true, rotate_up: 1.0, ..Augment::default() };
        assert_shows_batches(dir.path(), &config, 2);
        config.data.patches_from = PatchesFrom::Online;
        config.data.points = 24;
        assert_shows_batches(dir.path(), &config, 1);
        config.data.subset = PointSubset::Crop;
        assert_shows_batches(dir.path(), &config, 1);
        config.method = Method::Hybrid;
        assert_shows_batches(dir.path(), &config, 1);
    }

    #[test]
    fn voxel_blocks_are_shown_as_training_has_them() {
        let dir = tempfile::tempdir().unwrap();
        grouped_set::write(dir.path(), &[("blocks", 5)], 2);
        let mut config = run_tests::config(MaskKind::DisjointBlocks);
        config.data.split = "blocks".into();
        (config.data.groups, config.data.group_size) = (5, 3);
        assert_shows_batches(dir.path(), &config, grouped_set::SHAPE.R);
    }

    #[test]
    fn roles_and_errors_are_those_of_the_sample() {
        let masks = Masks {
            context_len: 1,
            blocks: 2,
            target_len: 2,
            one_pass: false,
            context: vec![0, 4],
            targets: vec![9, 9, 9, 9, 1, 2, 2, 3],
        };
        let errors = [9.0, 9.0, 9.0, 9.0, 0.1, 0.2, 0.6, 0.8];
        let found = select_masks(&masks, 1, 6, Some(&errors));
        let target = |blocks: &[usize]| PatchRole::Target(blocks.to_vec());
        let expected = [
            PatchRole::Unused,
            target(&[0]),
            target(&[0, 1]),
            target(&[1]),
            PatchRole::Context,
            PatchRole::Unused,
        ];
        assert_eq!(found.roles, expected);
        let errors = found.errors.unwrap();
        assert!(errors[0].is_nan() && errors[4].is_nan() && errors[5].is_nan());
        assert_eq!(errors[1..4], [0.1, 0.4, 0.8]);
    }
}
