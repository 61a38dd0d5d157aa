//! Features of a frozen encoder for every sample of a dataset, pooled over tokens.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use jepa3d_grouping::CellEdge;
use jepa3d_loader::{Batch, EvalConfig, PreparedDataset, for_each_in_order};
use jepa3d_probe::FeatureSet;
use serde::{Deserialize, Serialize};

use crate::config::DataConfig;
use crate::error::{Error, Result};
use crate::models::Model;

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
}

/// Maximum, then mean over tokens.
///
/// # Shapes
/// `features [B, G, D]` to `B * 2D` numbers.
pub(crate) fn pool_max_mean(features: &Tensor) -> Result<Vec<f32>> {
    let pooled = Tensor::cat(&[features.max(1)?, features.mean(1)?], 1)?;
    Ok(pooled.flatten_all()?.to_vec1()?)
}

/// Tensors of a batch: patches `[B, G, K, 3]`, centers `[B, G, 3]`.
pub(crate) fn tensors(batch: &Batch, data: &DataConfig, device: &Device) -> Result<(Tensor, Tensor)> {
    let (b, g, k) = (batch.rows, batch.groups, data.group_size);
    let patches = Tensor::from_slice(&batch.patches, (b, g, k, 3), device)?;
    let centers = Tensor::from_slice(&batch.centers, (b, g, 3), device)?;
    Ok((patches, centers))
}

/// How samples are read for evaluation: stored order and grouping, no augmentation.
///
/// Batches of one where clouds may have different numbers of voxel blocks: others must not decide which count.
pub(crate) fn eval_config(data: &DataConfig, dataset: &PreparedDataset) -> EvalConfig {
    let is_uneven = matches!(dataset.cell_edge(), Some(CellEdge::Fixed(_)));
    EvalConfig {
        groups: data.groups,
        group_size: data.group_size,
        batch: if is_uneven { 1 } else { 64 },
        up_axis: data.up_axis,
        threads: data.threads,
        ..EvalConfig::default()
    }
}

/// Pooled features of every sample of `splits` (none: all), in stored order, with the stored deterministic grouping.
///
/// # Errors
/// Fails if a shard does, or the dataset's groups do not serve the model.
pub(crate) fn features_of(
    model: &Model,
    dataset: &Arc<PreparedDataset>,
    (data, splits): (&DataConfig, &[String]),
    pooling: Pooling,
    device: &Device,
) -> Result<FeatureSet> {
    let mut set = FeatureSet::default();
    let all: Vec<String> = dataset.splits().into_iter().map(|(name, _)| name.to_owned()).collect();
    let splits = if splits.is_empty() { &all } else { splits };
    for split in splits {
        for_each_in_order::<Error>(dataset, &[split.as_str()], &eval_config(data, dataset), |batch| {
            let (patches, centers) = tensors(&batch, data, device)?;
            let features = model.features(&patches, &centers)?;
            set.width = pooling.width(features.dim(2)?);
            set.values.extend(match pooling {
                Pooling::MaxMean => pool_max_mean(&features)?,
                Pooling::Mean => features.mean(1)?.flatten_all()?.to_vec1()?,
            });
            set.splits.extend(std::iter::repeat_n(split.clone(), batch.rows));
            set.labels.extend(&batch.labels);
            set.ids.extend_from_slice(&batch.sample_ids);
            Ok(())
        })?;
    }
    Ok(set)
}
