//! Features of a frozen encoder for every sample of a dataset: pooled over tokens, and over turns where that is asked for.

use std::sync::Arc;

use candle_core::{D, Device, Tensor};
use jepa3d_loader::{Batch, EvalConfig, PreparedDataset, for_each_in_order};
use jepa3d_probe::FeatureSet;
use jepa3d_schemas::UpAxis;

use crate::config::{DataConfig, FeatureConfig};
use crate::error::{Error, Result};
use crate::models::{PatchTensors, PretrainModel};
use crate::turned_features::turn_looks;

/// Patches of a batch on a device.
pub(crate) fn patch_tensors(batch: &Batch, data: &DataConfig, device: &Device) -> Result<PatchTensors> {
    let size = (batch.rows, batch.groups, data.group_size, 3);
    let points = place_patches(&batch.patches, &batch.centers, size, device)?;
    Ok(PatchTensors { counts: batch.counts.clone(), ..points })
}

/// `patches` and `centers` of the size `(B, G, K, 3)` on a device.
pub(crate) fn place_patches(
    patches: &[f32],
    centers: &[f32],
    size: (usize, usize, usize, usize),
    device: &Device,
) -> Result<PatchTensors> {
    let (b, g, _, axes) = size;
    let patches = Tensor::from_slice(patches, size, device)?;
    let centers = Tensor::from_slice(centers, (b, g, axes), device)?;
    Ok(PatchTensors { patches, centers, counts: None })
}

/// What makes features.
#[derive(Clone, Copy)]
pub(crate) struct FeatureExtractor<'a> {
    pub model: &'a PretrainModel,
    pub data: &'a DataConfig,
    pub device: &'a Device,
    pub features: FeatureConfig,
}

impl FeatureExtractor<'_> {
    /// Pooled features of every sample of `splits` (none: all) that `eval` wants, in stored order.
    ///
    /// # Errors
    /// Fails if a shard does, or the dataset's groups do not serve the model.
    pub(crate) fn extract(
        &self,
        dataset: &Arc<PreparedDataset>,
        splits: &[String],
        eval: &EvalConfig,
    ) -> Result<FeatureSet> {
        Ok(extract_all(&[*self], dataset, splits, eval)?.remove(0))
    }

    /// Features `[B, F]` of a batch whose clouds stand on `up`.
    fn encode(&self, batch: &Batch, up: UpAxis) -> Result<Tensor> {
        if self.features.turns == 1 {
            return self.pool(&patch_tensors(batch, self.data, self.device)?);
        }
        let size = (batch.rows, batch.groups, self.data.group_size, 3);
        let looks = turn_looks(&batch.patches, &batch.centers, up, self.features.turns);
        let pooled = looks.map(|[patches, centers]| {
            let points = place_patches(&patches, &centers, size, self.device)?;
            self.pool(&PatchTensors { counts: batch.counts.clone(), ..points })
        });
        let pooled = Tensor::stack(&pooled.collect::<Result<Vec<Tensor>>>()?, 0)?;
        self.model.join_looks(&pooled, &self.features)
    }

    fn pool(&self, points: &PatchTensors) -> Result<Tensor> {
        self.model.pool(self.features.pooling, &self.model.features(points)?)
    }

    /// Adds the features of a batch of `split`.
    fn add(&self, batch: &Batch, from: FeatureSource<'_>, set: &mut FeatureSet) -> Result<()> {
        let features = self.encode(batch, from.up)?;
        set.width = features.dim(D::Minus1)?;
        set.values.extend(features.flatten_all()?.to_vec1::<f32>()?);
        set.splits.extend(std::iter::repeat_n(from.split.to_owned(), batch.rows));
        set.labels.extend(&batch.labels);
        set.ids.extend_from_slice(&batch.sample_ids);
        Ok(())
    }
}

/// Where clouds come from.
#[derive(Clone, Copy)]
struct FeatureSource<'a> {
    split: &'a str,
    /// As they are handed out.
    up: UpAxis,
}

/// What several models that are given the same clouds make of them: the clouds are read and grouped once.
///
/// # Errors
/// Fails as [`FeatureExtractor::extract`] does.
pub(crate) fn extract_all(
    extractors: &[FeatureExtractor<'_>],
    dataset: &Arc<PreparedDataset>,
    splits: &[String],
    eval: &EvalConfig,
) -> Result<Vec<FeatureSet>> {
    let mut sets = vec![FeatureSet::default(); extractors.len()];
    let all: Vec<String> = dataset.splits().into_iter().map(|(name, _)| name.to_owned()).collect();
    let splits = if splits.is_empty() { &all } else { splits };
    let up = eval.up_axis.unwrap_or(dataset.up_axis());
    for split in splits {
        let from = FeatureSource { split, up };
        for_each_in_order::<Error>(dataset, &[split.as_str()], eval, |batch| {
            extractors.iter().zip(&mut sets).try_for_each(|(model, set)| model.add(&batch, from, set))
        })?;
    }
    Ok(sets)
}
