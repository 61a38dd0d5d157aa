//! Clouds as a run sees them: which patches are context, which are predicted, and how well.

use jepa3d_grouping::{CellEdge, VoxelGrid};
use jepa3d_loader::{
    Masks, PatchesFrom, Places, Regrouper, Subset, cell_edge, crop, draw_masks, gather, upright,
};
use jepa3d_schemas::{Draws, Manifest, Sample};
use jepa3d_train::{DataConfig, FrozenEncoder, PretrainConfig};

use super::groups::ShownGrouping;
use super::select::Specimen;
use crate::error::{Error, Result};

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

/// A cloud with its patches, without augmentation, and its masks in every draw.
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
    /// Groups a sample as training does: stored grouping `grouping`, or a fresh one.
    ///
    /// # Errors
    /// Fails if the cloud cannot be grouped.
    pub(crate) fn new(
        specimen: &Specimen,
        manifest: &Manifest,
        grouping: usize,
        config: &PretrainConfig,
    ) -> Result<Self> {
        let (sample, data) = (&specimen.sample, &config.data);
        let (points, centers, groups) = match data.patches_from {
            PatchesFrom::Shard => stored(sample, manifest, grouping, data),
            PatchesFrom::Online => fresh(sample, manifest, data, config.run.seed)?,
        };
        let mut patches = vec![[0.0; 3]; data.groups * data.group_size];
        gather(&points, &groups.patches, data.group_size, &centers, patches.as_flattened_mut());
        let cells = match cell_edge(manifest) {
            Some(edge) => {
                let grid = grid(sample, (manifest, grouping), edge)?;
                patches.as_flattened_mut().iter_mut().for_each(|x| *x /= grid.edge as f32);
                let all = sample.points.as_chunks::<3>().0;
                let first = groups.patches.iter().step_by(data.group_size);
                Some(first.map(|&i| grid.cell(all[i as usize])).collect())
            }
            None => None,
        };
        Ok(Self {
            id: sample.sample_id.clone(),
            category: sample.category.clone(),
            owners: groups.owners(points.len()),
            points,
            centers,
            patches,
            cells,
            draws: Vec::new(),
        })
    }
}

/// The grid that the blocks of a stored grouping were cut with.
fn grid(sample: &Sample, (manifest, grouping): (&Manifest, usize), edge: CellEdge) -> Result<VoxelGrid> {
    let (shape, all) = (manifest.shape, sample.points.as_chunks::<3>().0);
    let part: Vec<[f32; 3]> = match sample.subset.as_deref() {
        Some(subset) if !subset.is_empty() => {
            subset[grouping * shape.N..(grouping + 1) * shape.N].iter().map(|&i| all[i as usize]).collect()
        }
        _ => all.to_vec(),
    };
    VoxelGrid::fit(&part, shape.G, edge)
        .map_err(|e| Error::Regroup { id: sample.sample_id.clone(), found: e.to_string() })
}

type Grouped = (Vec<[f32; 3]>, Vec<[f32; 3]>, ShownGrouping);

/// Stands a point on the floor that the config asks for.
fn turned(manifest: &Manifest, data: &DataConfig) -> impl Fn(&[f32; 3]) -> [f32; 3] {
    let turn = data.up_axis.and_then(|up| upright(manifest.up_axis, up));
    move |p| turn.map_or(*p, |m| m.map(|row| row[0] * p[0] + row[1] * p[1] + row[2] * p[2]))
}

fn stored(sample: &Sample, manifest: &Manifest, grouping: usize, data: &DataConfig) -> Grouped {
    let shape = manifest.shape;
    let turned = turned(manifest, data);
    let points: Vec<[f32; 3]> = sample.points.as_chunks::<3>().0.iter().map(&turned).collect();
    let groups = ShownGrouping::select(sample, shape.R, grouping).first(data.groups, data.group_size);
    let centers = match &sample.centers {
        // Voxel blocks have centroids, which are no points of the cloud.
        Some(all) if !all.is_empty() => {
            let all = all.as_chunks::<3>().0;
            all[grouping * shape.G..][..data.groups].iter().map(&turned).collect()
        }
        _ => groups.centers.iter().map(|&i| points[i as usize]).collect(),
    };
    (points, centers, groups)
}

fn fresh(sample: &Sample, manifest: &Manifest, data: &DataConfig, seed: u64) -> Result<Grouped> {
    let id = &sample.sample_id;
    let (mut regrouper, turned) = (Regrouper::default(), turned(manifest, data));
    let starts = Draws::new(seed, id, "epoch 0 regroup");
    let sizes = [data.points, data.groups, data.group_size];
    let (mut points, mut cropped) = (sample.points.as_chunks::<3>().0, Vec::new());
    if data.subset == Subset::Crop {
        let middle = points[Draws::new(seed, id, "epoch 0 crop").index(points.len())];
        crop(points, middle, (data.points, manifest.up_axis), &mut cropped);
        points = &cropped;
    }
    let found = regrouper
        .regroup(points, sizes, starts, |points| points.iter_mut().for_each(|p| *p = turned(p)))
        .map_err(|e| Error::Regroup { id: id.clone(), found: e.to_string() })?;
    let centers = found.centers.iter().map(|&i| found.points[i as usize]).collect();
    let groups = ShownGrouping { centers: found.centers, patches: found.patches, counts: None };
    Ok((found.points.to_vec(), centers, groups))
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
        let key = (config.run.seed, *epoch, *batch);
        let masks =
            draw_masks(&config.masking, Places { ids: &ids, centers: centers.as_flattened(), cells }, key)?;
        let errors = match encoder {
            Some(encoder) => encoder.patch_errors(patches.as_flattened(), centers.as_flattened(), &masks)?,
            None => None,
        };
        for (i, cloud) in clouds.iter_mut().enumerate() {
            cloud.draws.push(masks_of(&masks, i, config.data.groups, errors.as_deref()));
        }
    }
    Ok(())
}

/// The masks of one sample of a batch.
fn masks_of(masks: &Masks, sample: usize, groups: usize, errors: Option<&[f32]>) -> CloudMasks {
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
    use super::*;

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
        let found = masks_of(&masks, 1, 6, Some(&errors));
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
