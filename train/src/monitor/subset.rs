//! A fixed subset of clouds, and what of collapse can be measured on it.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use jepa3d_loader::{EvalConfig, PreparedDataset, for_each_in_order};
use jepa3d_probe::{MIN_CLOUDS, PatchVectors, PositionBasis, cloud_share, effective_rank, fixed_subset};

use crate::config::{Pooling, PretrainConfig};
use crate::error::{Error, Result};
use crate::features::patch_tensors;
use crate::models::{PatchTensors, PretrainModel};

/// Measured on a fixed subset of clouds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SubsetMeasures {
    /// Effective rank of pooled features.
    pub rank: f64,
    /// Numbers of a pooled feature.
    pub width: usize,
    /// Clouds that it is measured on; the rank cannot be larger.
    pub clouds: usize,
    /// Share of the variance of the targets that position explains; `None` for coordinates, and on fewer
    /// than four clouds.
    pub position_target: Option<f64>,
    /// Share of the variance of the encoder's output that position explains.
    pub position_encoder: Option<f64>,
    /// Share of the variance of the encoder's output that lies between clouds: near 1, all patches of a
    /// cloud say the same. `None` on fewer than four clouds.
    pub cloud_encoder: Option<f64>,
}

/// What a model makes of the subset, off any device.
pub(crate) struct SubsetOutputs {
    /// Of the encoder, `[clouds, groups, width]`.
    outputs: Vec<f32>,
    /// As many targets; empty for coordinates.
    targets: Vec<f32>,
    /// `[clouds, groups, 3]`.
    centers: Vec<f32>,
    /// `[clouds, 2 width]`.
    pooled: Vec<f32>,
    width: usize,
    groups: usize,
    basis: PositionBasis,
}

/// A fixed subset of clouds.
pub(crate) struct MonitorSubset {
    batches: Vec<PatchTensors>,
    basis: PositionBasis,
    groups: usize,
}

/// The clouds that a subset is taken from, and how they are read.
pub(crate) struct SubsetSource<'a> {
    pub dataset: &'a Arc<PreparedDataset>,
    /// Without any, all.
    pub splits: &'a [&'a str],
    pub eval: &'a EvalConfig,
}

impl MonitorSubset {
    /// Reads the samples of the training split with the smallest hashes of their ids.
    pub(crate) fn read(
        config: &PretrainConfig,
        dataset: &Arc<PreparedDataset>,
        device: &Device,
    ) -> Result<Self> {
        let (splits, eval) = ([config.data.split.as_str()], config.data.eval_config(dataset));
        Self::read_from(&SubsetSource { dataset, splits: &splits, eval: &eval }, config, device)
    }

    /// Reads the samples with the smallest hashes of their ids.
    ///
    /// Clouds with more voxel blocks than others keep their first, which are spread the widest.
    pub(crate) fn read_from(
        from: &SubsetSource<'_>,
        config: &PretrainConfig,
        device: &Device,
    ) -> Result<Self> {
        let SubsetSource { dataset, splits, eval } = *from;
        let d = &config.data;
        let mut ids = Vec::new();
        for_each_in_order::<Error>(dataset, splits, eval, |batch| {
            ids.extend_from_slice(&batch.sample_ids);
            Ok(())
        })?;
        let mut is_wanted = vec![false; ids.len()];
        fixed_subset(&ids, config.monitor.subset).into_iter().for_each(|i| is_wanted[i] = true);
        let mut at = 0;
        let mut batches = Vec::new();
        for_each_in_order::<Error>(dataset, splits, eval, |batch| {
            let wanted: Vec<usize> = (0..batch.rows).filter(|&i| is_wanted[at + i]).collect();
            at += batch.rows;
            if !wanted.is_empty() {
                batches.push(select_samples(&patch_tensors(&batch, d, device)?, &wanted)?);
            }
            Ok(())
        })?;
        let sizes = batches.iter().map(|points| Ok(points.centers.dim(1)?)).collect::<Result<Vec<_>>>()?;
        let groups = sizes.into_iter().min().unwrap_or(0);
        let batches = batches.iter().map(|points| first_patches(points, groups)).collect::<Result<_>>()?;
        Ok(Self { batches, basis: PositionBasis::of_monitor(config.model.extent()), groups })
    }

    /// Clouds that it holds.
    pub(crate) fn clouds(&self) -> Result<usize> {
        Ok(self.batches.iter().map(|points| points.centers.dim(0)).sum::<candle_core::Result<usize>>()?)
    }

    /// Sets the running statistics of a model's batch norms to those of its patches.
    pub(crate) fn calibrate(&self, model: &PretrainModel) -> Result<()> {
        let cat = |part: fn(&PatchTensors) -> &Tensor| -> Result<Tensor> {
            Ok(Tensor::cat(&self.batches.iter().map(part).collect::<Vec<_>>(), 0)?)
        };
        let counts: Option<Vec<Vec<u16>>> = self.batches.iter().map(|points| points.counts.clone()).collect();
        model.calibrate(&PatchTensors {
            patches: cat(|points| &points.patches)?,
            centers: cat(|points| &points.centers)?,
            counts: counts.map(|counts| counts.concat()),
        })
    }

    /// What a model makes of the subset.
    pub(crate) fn observe(&self, model: &PretrainModel) -> Result<SubsetOutputs> {
        let (mut outputs, mut targets) = (Vec::new(), Vec::new());
        let (mut centers, mut pooled) = (Vec::new(), Vec::new());
        let mut width = 0;
        for points in &self.batches {
            let features = model.features(points)?;
            width = features.dim(2)?;
            pooled.extend(Pooling::MaxMean.pool(&features)?.flatten_all()?.to_vec1::<f32>()?);
            outputs.extend(features.flatten_all()?.to_vec1::<f32>()?);
            centers.extend(points.centers.flatten_all()?.to_vec1::<f32>()?);
            if let Some(latents) = model.target_latents(points)? {
                targets.extend(latents.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        let (groups, basis) = (self.groups, self.basis.clone());
        Ok(SubsetOutputs { outputs, targets, centers, pooled, width, groups, basis })
    }
}

impl SubsetOutputs {
    /// Measures them.
    pub(crate) fn measure(&self) -> Result<SubsetMeasures> {
        let (width, groups, centers) = (self.width, self.groups, &self.centers);
        let clouds = centers.len() / 3 / groups.max(1);
        let patches = |vectors| PatchVectors { vectors, width, centers, per_cloud: groups };
        let share = |vectors: PatchVectors<'_>| match vectors.vectors.is_empty() || clouds < MIN_CLOUDS {
            true => Ok(None),
            false => self.basis.share(vectors).map(Some),
        };
        Ok(SubsetMeasures {
            rank: effective_rank(&self.pooled, 2 * width)?,
            width: 2 * width,
            clouds,
            position_target: share(patches(&self.targets))?,
            position_encoder: share(patches(&self.outputs))?,
            cloud_encoder: match clouds < MIN_CLOUDS {
                true => None,
                false => Some(cloud_share(patches(&self.outputs))?),
            },
        })
    }
}

/// The named samples of a batch.
fn select_samples(points: &PatchTensors, wanted: &[usize]) -> Result<PatchTensors> {
    let rows = wanted.iter().map(|&i| i as u32).collect();
    let rows = Tensor::from_vec(rows, wanted.len(), points.centers.device())?;
    let groups = points.centers.dim(1)?;
    let select =
        |all: &Vec<u16>| wanted.iter().flat_map(|&i| &all[i * groups..][..groups]).copied().collect();
    Ok(PatchTensors {
        patches: points.patches.index_select(&rows, 0)?,
        centers: points.centers.index_select(&rows, 0)?,
        counts: points.counts.as_ref().map(select),
    })
}

/// The first `groups` patches of every sample.
fn first_patches(points: &PatchTensors, groups: usize) -> Result<PatchTensors> {
    let first = |x: &Tensor| -> Result<Tensor> { Ok(x.narrow(1, 0, groups)?.contiguous()?) };
    let all = points.centers.dim(1)?;
    let cut = |counts: &Vec<u16>| counts.chunks_exact(all).flat_map(|row| &row[..groups]).copied().collect();
    Ok(PatchTensors {
        patches: first(&points.patches)?,
        centers: first(&points.centers)?,
        counts: points.counts.as_ref().map(cut),
    })
}
