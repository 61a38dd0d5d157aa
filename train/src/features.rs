//! Features of a frozen encoder for every sample of a dataset: pooled over tokens, and over turns where that is asked for.

use std::sync::Arc;

use candle_core::{D, Device, Tensor};
use jepa3d_loader::{Batch, EvalConfig, PreparedDataset, for_each_in_order};
use jepa3d_probe::FeatureSet;
use jepa3d_schemas::UpAxis;

use crate::config::{DataConfig, FeatureConfig, Pooling};
use crate::error::{Error, Result};
use crate::models::{PatchTensors, PretrainModel};
use crate::turned_features::{add_harmonics, turn_places};

impl Pooling {
    /// `features [B, G, D]` to `[B, D]` or `[B, 2 D]`.
    pub(crate) fn pool(self, features: &Tensor) -> Result<Tensor> {
        let mean = features.mean(1)?;
        Ok(match self {
            Self::MaxMean => Tensor::cat(&[features.max(1)?, mean], 1)?,
            Self::Mean => mean,
            Self::MeanStd => {
                let apart = features.broadcast_sub(&mean.unsqueeze(1)?)?;
                Tensor::cat(&[mean, apart.sqr()?.mean(1)?.sqrt()?], 1)?
            }
        })
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
        let pooled = (0..self.features.turns).map(|turn| {
            let share = turn as f64 / self.features.turns as f64;
            let [patches, centers] =
                [&batch.patches, &batch.centers].map(|places| turn_places(places, up, share));
            let points = place_patches(&patches, &centers, size, self.device)?;
            self.pool(&PatchTensors { counts: batch.counts.clone(), ..points })
        });
        let pooled = Tensor::stack(&pooled.collect::<Result<Vec<Tensor>>>()?, 0)?;
        add_harmonics(&pooled, self.features.harmonics())
    }

    fn pool(&self, points: &PatchTensors) -> Result<Tensor> {
        self.features.pooling.pool(&self.model.features(points)?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_those_of_a_loop_over_tokens() {
        let values: Vec<f32> = (0..2 * 5 * 3).map(|i| ((i * 37 % 23) as f32).sin()).collect();
        let features = Tensor::from_vec(values.clone(), (2, 5, 3), &Device::Cpu).unwrap();
        for b in 0..2 {
            for d in 0..3 {
                let tokens: Vec<f32> = (0..5).map(|g| values[(b * 5 + g) * 3 + d]).collect();
                let mean = tokens.iter().sum::<f32>() / 5.0;
                let std = (tokens.iter().map(|t| (t - mean) * (t - mean)).sum::<f32>() / 5.0).sqrt();
                let most = tokens.iter().copied().fold(f32::MIN, f32::max);
                let row =
                    |pooling: Pooling| pooling.pool(&features).unwrap().to_vec2::<f32>().unwrap()[b].clone();
                for (pooling, places, wanted) in [
                    (Pooling::MaxMean, [d, 3 + d], [most, mean]),
                    (Pooling::Mean, [d, d], [mean, mean]),
                    (Pooling::MeanStd, [d, 3 + d], [mean, std]),
                ] {
                    let found = row(pooling);
                    assert!(
                        places.iter().zip(wanted).all(|(&at, wanted)| (found[at] - wanted).abs() < 1e-6),
                        "{pooling:?}"
                    );
                }
            }
        }
    }
}
