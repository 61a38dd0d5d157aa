//! Collapse monitors: what they measure, and when they raise an alarm.
//!
//! The published guards watch standard deviations and rank. Targets can keep both and still become a function of a
//! patch's position, so the share of variance that position alone explains is watched too.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use jepa3d_loader::{PreparedDataset, for_each_in_order};
use jepa3d_probe::{
    MIN_CLOUDS, PatchVectors, PositionBasis, cloud_share, effective_rank, explained_share, fixed_subset,
};

use crate::config::{MonitorConfig, PretrainConfig};
use crate::error::{Error, Result};
use crate::features::{eval_config, pool_max_mean, tensors};
use crate::models::{Model, StepOutput};

/// Measured on every step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StepMeasures {
    /// Standard deviation of a channel over all predictions, mean over channels.
    pub pred_std: f64,
    /// The same of the targets.
    pub target_std: f64,
    /// 1 - squared error / variance of the targets.
    pub r2: f64,
    /// Terms of a loss that has several.
    pub terms: Vec<(&'static str, f64)>,
}

impl StepMeasures {
    pub(crate) fn of(output: &StepOutput) -> Result<Self> {
        let width = output.predictions.dims().last().copied().unwrap_or(1);
        let predictions: Vec<f32> = output.compared()?.flatten_all()?.to_vec1()?;
        let targets: Vec<f32> = output.targets.flatten_all()?.to_vec1()?;
        Ok(Self {
            pred_std: channel_std(&predictions, width),
            target_std: channel_std(&targets, width),
            r2: explained_share(&predictions, &targets, width),
            terms: output
                .terms
                .iter()
                .map(|(name, term)| Ok((*name, f64::from(term.to_scalar::<f32>()?))))
                .collect::<Result<_>>()?,
        })
    }
}

impl StepMeasures {
    /// Of several batches of one step.
    pub(crate) fn mean(all: &[Self]) -> Self {
        let mean = |of: fn(&Self) -> f64| all.iter().map(of).sum::<f64>() / all.len().max(1) as f64;
        let names = all.first().map_or(&[][..], |first| &first.terms).iter().enumerate();
        let term = |i: usize| all.iter().map(|m| m.terms[i].1).sum::<f64>() / all.len() as f64;
        Self {
            pred_std: mean(|m| m.pred_std),
            target_std: mean(|m| m.target_std),
            r2: mean(|m| m.r2),
            terms: names.map(|(i, (name, _))| (*name, term(i))).collect(),
        }
    }
}

/// Standard deviation of every channel over the rows, mean over the channels.
fn channel_std(values: &[f32], width: usize) -> f64 {
    let (mut sums, mut squares) = (vec![0.0f64; width], vec![0.0f64; width]);
    for row in values.chunks_exact(width) {
        for j in 0..width {
            let x = f64::from(row[j]);
            sums[j] += x;
            squares[j] += x * x;
        }
    }
    let n = (values.len() / width).max(2) as f64;
    let std = |j: usize| ((squares[j] - sums[j] * sums[j] / n) / (n - 1.0)).max(0.0).sqrt();
    (0..width).map(std).sum::<f64>() / width as f64
}

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
    /// The same of the encoder's output.
    pub position_encoder: Option<f64>,
    /// Share of the variance of the encoder's output that lies between clouds: near 1, all patches of a
    /// cloud say the same. `None` on fewer than four clouds.
    pub cloud_encoder: Option<f64>,
}

/// A fixed subset of clouds.
pub(crate) struct Subset {
    batches: Vec<(Tensor, Tensor)>,
    /// Distinct points of voxel blocks, in the order of the patches.
    counts: Option<Vec<u16>>,
    basis: PositionBasis,
    groups: usize,
}

impl Subset {
    /// The samples of the training split with the smallest hashes of their ids.
    pub(crate) fn of(
        config: &PretrainConfig,
        dataset: &Arc<PreparedDataset>,
        device: &Device,
    ) -> Result<Self> {
        let d = &config.data;
        let (split, eval) = ([d.split.as_str()], eval_config(d, dataset));
        let mut ids = Vec::new();
        for_each_in_order::<Error>(dataset, &split, &eval, |batch| {
            ids.extend_from_slice(&batch.sample_ids);
            Ok(())
        })?;
        let mut is_wanted = vec![false; ids.len()];
        fixed_subset(&ids, config.monitor.subset).into_iter().for_each(|i| is_wanted[i] = true);
        let (mut at, mut batches, mut counts) = (0, Vec::new(), Vec::new());
        for_each_in_order::<Error>(dataset, &split, &eval, |batch| {
            let wanted: Vec<u32> = (0..batch.rows as u32).filter(|&i| is_wanted[at + i as usize]).collect();
            at += batch.rows;
            if !wanted.is_empty() {
                let (patches, centers) = tensors(&batch, d, device)?;
                let rows = Tensor::from_vec(wanted.clone(), wanted.len(), device)?;
                batches.push((patches.index_select(&rows, 0)?, centers.index_select(&rows, 0)?));
                if let Some(all) = &batch.counts {
                    let of = |i: u32| all[i as usize * batch.groups..][..batch.groups].to_vec();
                    counts.extend(wanted.into_iter().map(of));
                }
            }
            Ok(())
        })?;
        Self::new(batches, counts, PositionBasis::of_monitor(config.model.extent()))
    }

    /// `batches`: patches `[B, G, K, 3]` and centers `[B, G, 3]`; `counts`: none, or those of every cloud.
    ///
    /// Clouds with more voxel blocks than others keep their first, which are spread the widest.
    fn new(batches: Vec<(Tensor, Tensor)>, counts: Vec<Vec<u16>>, basis: PositionBasis) -> Result<Self> {
        let sizes = batches.iter().map(|(_, centers)| Ok(centers.dim(1)?)).collect::<Result<Vec<_>>>()?;
        let groups = sizes.into_iter().min().unwrap_or(0);
        let first = |x: &Tensor| -> Result<Tensor> { Ok(x.narrow(1, 0, groups)?.contiguous()?) };
        let batches = batches.iter().map(|(patches, centers)| Ok((first(patches)?, first(centers)?)));
        let flat = counts.iter().flat_map(|counts| &counts[..groups]).copied().collect();
        let counts = (!counts.is_empty()).then_some(flat);
        Ok(Self { batches: batches.collect::<Result<_>>()?, counts, basis, groups })
    }

    /// Sets the running statistics of a model's batch norms to those of its patches.
    pub(crate) fn calibrate(&self, model: &Model) -> Result<()> {
        let patches: Vec<&Tensor> = self.batches.iter().map(|(patches, _)| patches).collect();
        model.calibrate(&Tensor::cat(&patches, 0)?, self.counts.as_deref())
    }

    pub(crate) fn measure(&self, model: &Model) -> Result<SubsetMeasures> {
        let (mut outputs, mut targets, mut centers) = (Vec::new(), Vec::new(), Vec::new());
        let (mut pooled, mut width) = (Vec::new(), 0);
        for (patches, at) in &self.batches {
            let features = model.features(patches, at)?;
            width = features.dim(2)?;
            pooled.extend(pool_max_mean(&features)?);
            outputs.extend(features.flatten_all()?.to_vec1::<f32>()?);
            centers.extend(at.flatten_all()?.to_vec1::<f32>()?);
            if let Some(latents) = model.target_latents(patches, at)? {
                targets.extend(latents.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        let clouds = centers.len() / 3 / self.groups.max(1);
        let patches = |vectors| PatchVectors { vectors, width, centers: &centers, per_cloud: self.groups };
        let share = |of: PatchVectors<'_>| match of.vectors.is_empty() || clouds < MIN_CLOUDS {
            true => Ok(None),
            false => self.basis.share(of).map(Some),
        };
        Ok(SubsetMeasures {
            rank: effective_rank(&pooled, 2 * width)?,
            width: 2 * width,
            clouds,
            position_target: share(patches(&targets))?,
            position_encoder: share(patches(&outputs))?,
            cloud_encoder: match clouds < MIN_CLOUDS {
                true => None,
                false => Some(cloud_share(patches(&outputs))?),
            },
        })
    }
}

/// Alarms that repeat.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarms(pub(crate) BTreeMap<String, u32>);

impl Alarms {
    /// Counts one observation; a message when the alarm has been on `patience` times in a row.
    pub(crate) fn see(
        &mut self,
        config: &MonitorConfig,
        name: &str,
        is_on: bool,
        text: String,
    ) -> Option<String> {
        let count = self.0.entry(name.to_owned()).or_default();
        *count = if is_on { *count + 1 } else { 0 };
        (*count == config.patience).then(|| format!("collapse: {text}, {count} times in a row"))
    }

    /// The guards of one logged step.
    pub(crate) fn step(&mut self, c: &MonitorConfig, m: &StepMeasures) -> Vec<String> {
        let low = |name: &str, value: f64, least: f64| format!("{name} {value:.4} is below {least}");
        [("pred_std", m.pred_std, c.min_pred_std), ("target_std", m.target_std, c.min_target_std)]
            .into_iter()
            .filter_map(|(name, value, least)| self.see(c, name, value < least, low(name, value, least)))
            .collect()
    }

    /// The guards of one look at the subset; `first` is the position share of the targets before step 1.
    pub(crate) fn subset(
        &mut self,
        c: &MonitorConfig,
        m: &SubsetMeasures,
        first: Option<f64>,
    ) -> Vec<String> {
        let least = c.min_rank * m.width.min(m.clouds) as f64;
        let rank = format!("effective rank {:.1} of {} is below {least:.1}", m.rank, m.width);
        let mut messages: Vec<String> = self.see(c, "rank", m.rank < least, rank).into_iter().collect();
        if let (Some(share), Some(first)) = (m.position_target, first) {
            let least = c.min_beyond_position * (1.0 - first);
            let text = format!(
                "position leaves {:.3} of the target variance, below {least:.3} ({:.3} at the start)",
                1.0 - share,
                1.0 - first
            );
            messages.extend(self.see(c, "position", 1.0 - share < least, text));
        }
        if let Some(share) = m.cloud_encoder {
            let most = c.max_cloud;
            let text = format!("{share:.3} of the output's variance lies between clouds, above {most}");
            messages.extend(self.see(c, "cloud", share > most, text));
        }
        messages
    }
}
