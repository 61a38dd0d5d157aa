//! Features of a frozen encoder for every sample of a dataset, pooled over tokens.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use jepa3d_loader::{Batch, EvalConfig, PreparedDataset, for_each_in_order};
use jepa3d_probe::FeatureSet;
use serde::{Deserialize, Serialize};

use crate::config::DataConfig;
use crate::error::{Error, Result};
use crate::models::{PatchTensors, PretrainModel};

/// How tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Maximum over tokens, then mean over tokens: `2 D` numbers (Point-JEPA).
    MaxMean,
    /// Mean over tokens: `D` numbers.
    Mean,
}

impl Pooling {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxMean => "concat[max, mean]",
            Self::Mean => "mean",
        }
    }

    /// Numbers of a vector for an encoder of width `width`.
    pub fn width(self, width: usize) -> usize {
        match self {
            Self::MaxMean => 2 * width,
            Self::Mean => width,
        }
    }

    /// `features [B, G, D]` to `B` vectors, one after the other.
    pub(crate) fn pool(self, features: &Tensor) -> Result<Vec<f32>> {
        let mean = features.mean(1)?;
        let pooled = match self {
            Self::MaxMean => Tensor::cat(&[features.max(1)?, mean], 1)?,
            Self::Mean => mean,
        };
        Ok(pooled.flatten_all()?.to_vec1()?)
    }
}

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
    pub pooling: Pooling,
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

    /// Adds the features of a batch of `split`.
    fn add(&self, batch: &Batch, split: &str, set: &mut FeatureSet) -> Result<()> {
        let features = self.model.features(&patch_tensors(batch, self.data, self.device)?)?;
        set.width = self.pooling.width(features.dim(2)?);
        set.values.extend(self.pooling.pool(&features)?);
        set.splits.extend(std::iter::repeat_n(split.to_owned(), batch.rows));
        set.labels.extend(&batch.labels);
        set.ids.extend_from_slice(&batch.sample_ids);
        Ok(())
    }
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
    for split in splits {
        for_each_in_order::<Error>(dataset, &[split.as_str()], eval, |batch| {
            extractors.iter().zip(&mut sets).try_for_each(|(model, set)| model.add(&batch, split, set))
        })?;
    }
    Ok(sets)
}
