//! Features of a frozen encoder for every sample of a dataset, pooled over tokens.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use jepa3d_loader::{Batch, PreparedDataset, for_each_in_order};
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
    let (b, g, k) = (batch.rows, batch.groups, data.group_size);
    let patches = Tensor::from_slice(&batch.patches, (b, g, k, 3), device)?;
    let centers = Tensor::from_slice(&batch.centers, (b, g, 3), device)?;
    Ok(PatchTensors { patches, centers, counts: batch.counts.clone() })
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
    /// Pooled features of every sample of `splits` (none: all), in stored order, with the stored deterministic grouping.
    ///
    /// # Errors
    /// Fails if a shard does, or the dataset's groups do not serve the model.
    pub(crate) fn extract(&self, dataset: &Arc<PreparedDataset>, splits: &[String]) -> Result<FeatureSet> {
        let mut set = FeatureSet::default();
        let all: Vec<String> = dataset.splits().into_iter().map(|(name, _)| name.to_owned()).collect();
        let splits = if splits.is_empty() { &all } else { splits };
        for split in splits {
            for_each_in_order::<Error>(
                dataset,
                &[split.as_str()],
                &self.data.eval_config(dataset),
                |batch| {
                    let points = patch_tensors(&batch, self.data, self.device)?;
                    let features = self.model.features(&points)?;
                    set.width = self.pooling.width(features.dim(2)?);
                    set.values.extend(self.pooling.pool(&features)?);
                    set.splits.extend(std::iter::repeat_n(split.clone(), batch.rows));
                    set.labels.extend(&batch.labels);
                    set.ids.extend_from_slice(&batch.sample_ids);
                    Ok(())
                },
            )?;
        }
        Ok(set)
    }
}
