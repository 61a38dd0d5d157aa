//! From batches to what a model's step takes: tensors, masks, views. All draws are functions of (seed, epoch, batch, sample).

use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor};
use jepa3d_loader::{
    Batch, BatchKey, BatchViews, DatasetMix, Error as LoaderError, Loader, Masks, MixPart, PreparedDataset,
    SeenPatches, TeacherCache, draw_masks,
};
use jepa3d_schemas::{HISTOGRAM_NUMBERS, POSE_NUMBERS, UpAxis};

use crate::config::{Method, PretrainConfig, TargetKind, out_of_range};
use crate::error::Result;
use crate::features::{patch_tensors, place_patches};
use crate::models::{CrossInput, HybridInput, MaskedInput, PatchTensors, StepInput, ViewImages, ViewTargets};
use crate::nn::PROJECTED;
use crate::run_folder::RunOrigin;
use crate::seen_context::SeenBatch;
use crate::stages::{Stage, Stages};
use crate::trained_samples::ShownRows;

mod share;
mod whole_looks;

pub(crate) use share::InputShare;

/// The inputs of a run's steps, one after the other.
pub(crate) struct StepInputs {
    config: PretrainConfig,
    device: Device,
    /// What batches are of.
    mix: DatasetMix,
    /// The first of them.
    dataset: Arc<PreparedDataset>,
    source: InputSource,
    loader: Loader,
    /// Made before it is asked for.
    ahead: Option<Result<NextInput>>,
}

/// What a method's inputs are made from, besides batches.
enum InputSource {
    Masked { teacher: Option<Box<TeacherCache>> },
    Cross { teacher: Box<TeacherCache> },
    Hybrid,
}

impl InputSource {
    /// The teacher that is learned from.
    fn teacher(&self) -> Option<&TeacherCache> {
        match self {
            Self::Masked { teacher } => teacher.as_deref(),
            Self::Cross { teacher } => Some(teacher),
            Self::Hybrid => None,
        }
    }
}

/// How the next batch is handed out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputPlan {
    /// Its first rows that are described.
    pub shown: usize,
    /// In how many parts, of which masks are drawn and cut each alone.
    pub parts: usize,
}

/// The input of one forward pass of each part.
pub(crate) struct NextInput {
    /// One a part, in their order.
    pub inputs: Vec<StepInput>,
    /// Number of their batch since the start of the run, from 0.
    pub batch: u64,
    /// Seconds that the loader was waited for.
    pub waited: f64,
    /// What is known of the rows that are shown, all of the first part.
    pub shown: ShownRows,
}

impl StepInputs {
    /// Starts the loader of this process's share after `steps` steps, and opens the teacher's cache where the method learns from one.
    ///
    /// # Errors
    /// Fails if a dataset does not serve the config, has no such cache, or one whose embeddings have another width than
    /// the config states, or the datasets do not go together.
    pub(crate) fn start(
        config: &PretrainConfig,
        mix: &DatasetMix,
        device: &Device,
        share: InputShare,
        steps: u64,
    ) -> Result<Self> {
        let source = match config.method {
            Method::Masked => {
                let has_views = config.cross.weight > 0.0;
                let teacher = has_views.then(|| open_teacher(config, mix).map(Box::new)).transpose()?;
                InputSource::Masked { teacher }
            }
            Method::Hybrid => InputSource::Hybrid,
            Method::Cross => InputSource::Cross { teacher: Box::new(open_teacher(config, mix)?) },
        };
        let first_batch = steps * config.optim.accumulate as u64;
        let loader = Loader::start_mix(mix, share.narrow(config.loader_config()), first_batch)?;
        Ok(Self {
            config: config.clone(),
            device: device.clone(),
            mix: mix.clone(),
            dataset: Arc::clone(mix.first()),
            source,
            loader,
            ahead: None,
        })
    }

    /// Optimiser steps of an epoch.
    pub(crate) fn steps_per_epoch(&self) -> u64 {
        (self.loader.steps_per_epoch() / self.config.optim.accumulate as u64).max(1)
    }

    /// What they are made from.
    pub(crate) fn origin(&self) -> RunOrigin {
        let teacher = self.source.teacher().map(describe);
        let fingerprint = self.mix.fingerprint();
        let grouping = self.config.data.learned_grouping(&self.dataset).map(|groups| groups.to_string());
        let up_axis = self.config.data.up_axis.unwrap_or(self.dataset.up_axis());
        RunOrigin { fingerprint, steps_per_epoch: self.steps_per_epoch(), teacher, grouping, up_axis }
    }

    /// Where they are put.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Samples that an epoch shows, each counted once where it shows all.
    pub(crate) fn samples(&self) -> usize {
        self.loader.samples() / self.config.data.repeat
    }

    /// What of each dataset an epoch shows, where there are several.
    pub(crate) fn describe_mix(&self) -> Vec<String> {
        let count = |part: &MixPart| {
            let split = &self.config.data.split;
            let splits = part.dataset.splits();
            let total = splits.iter().find(|(name, _)| name == split).map_or(0, |&(_, count)| count);
            let (shown, folder) = ((total as f64 * part.weight).round(), part.dataset.folder().display());
            format!("data: {folder}, weight {}: {shown} of its {total} samples an epoch", part.weight)
        };
        let is_said = self.mix.is_mixed() || self.mix.parts()[0].weight != 1.0;
        self.mix.parts().iter().filter(|_| is_said).map(count).collect()
    }

    /// Waits for this process's share of the next batch, unless it was made ahead, by the same plan.
    ///
    /// # Errors
    /// Fails if the loader does, masks leave no context, or the cache lacks a sample.
    pub(crate) fn next(&mut self, plan: InputPlan) -> Result<NextInput> {
        self.ahead.take().unwrap_or_else(|| self.make_next(plan))
    }

    /// Makes what [`StepInputs::next`] will give next, and its error if there is one, while a device does what it was given.
    pub(crate) fn make_ahead(&mut self, plan: InputPlan) {
        self.ahead = Some(self.make_next(plan));
    }

    fn make_next(&mut self, plan: InputPlan) -> Result<NextInput> {
        let start = Instant::now();
        let batch = self.loader.next()?;
        let waited = start.elapsed().as_secs_f64();
        let cut = (plan.parts > 1).then(|| batch.cut(plan.parts));
        let parts = cut.as_deref().unwrap_or(std::slice::from_ref(&batch));
        let shown = self.describe_rows(&parts[0], plan.shown.min(parts[0].rows))?;
        let inputs = parts.iter().map(|part| self.make(part)).collect::<Result<_>>()?;
        let number = batch.number;
        self.loader.recycle(batch);
        Ok(NextInput { inputs, batch: number, waited, shown })
    }

    fn make(&self, batch: &Batch) -> Result<StepInput> {
        let clean = || patch_tensors(batch, &self.config.data, &self.device);
        Ok(match &self.source {
            InputSource::Masked { teacher } => {
                let stage = Stages::new(&self.config, self.steps_per_epoch()).of_batch(batch.number);
                if let (Stage::WholeHead { .. }, Some(seen)) = (stage, &batch.seen) {
                    return Ok(StepInput::Whole(self.whole_looks(batch, seen)?));
                }
                let (points, masks) = (clean()?, self.masks(batch)?);
                let (context, turned) = (self.seen_context(batch, &masks)?, self.turned(batch)?);
                let views = teacher.as_ref().map(|teacher| self.view_targets(teacher, batch)).transpose()?;
                StepInput::Masked(MaskedInput { points, masks, context, turned, views })
            }
            InputSource::Cross { teacher } => {
                let points = match &batch.seen {
                    Some(seen) => self.tensors_of(seen, batch)?,
                    None => clean()?,
                };
                StepInput::Cross(CrossInput { points, views: self.view_targets(teacher, batch)? })
            }
            InputSource::Hybrid => {
                let no_views = || LoaderError::NoViews { folder: self.dataset.folder().to_owned() };
                let views = self.view_images(batch.views.as_ref().ok_or_else(no_views)?, batch.rows)?;
                StepInput::Hybrid(HybridInput { points: clean()?, masks: self.masks(batch)?, views })
            }
        })
    }

    /// What is known of the first `count` rows of a batch besides their patches.
    fn describe_rows(&self, batch: &Batch, count: usize) -> Result<ShownRows> {
        let mut rows = ShownRows {
            ids: batch.sample_ids[..count].to_vec(),
            are_latents: self.config.target.kind == TargetKind::Latent,
            ..ShownRows::default()
        };
        for at in 0..count {
            rows.units.push(batch.edges.as_ref().map_or(1.0, |edges| edges[at]));
            rows.views.push(match (self.source.teacher(), &batch.views) {
                (Some(teacher), _) => {
                    let (seed, count) = (self.config.run.seed, self.config.cross.views);
                    teacher.choose_views(batch, at, seed, count)?.iter().map(|view| view.view).collect()
                }
                (_, Some(views)) if views.numbers[at] != u16::MAX => vec![views.numbers[at]],
                _ => Vec::new(),
            });
        }
        Ok(rows)
    }

    fn key(&self, batch: &Batch) -> BatchKey {
        BatchKey { seed: self.config.run.seed, epoch: batch.epoch, batch: batch.number }
    }

    fn masks(&self, batch: &Batch) -> Result<Masks> {
        Ok(draw_masks(&self.config.masking, batch.places(), self.key(batch))?)
    }

    /// The context, where a sensor saw the clouds otherwise than they are.
    fn seen_context(&self, batch: &Batch, masks: &Masks) -> Result<Option<PatchTensors>> {
        let Some(seen) = &batch.seen else { return Ok(None) };
        let seen = SeenBatch { centers: &batch.centers, seen, groups: batch.groups, masks };
        Ok(Some(seen.choose_context(&self.device)?))
    }

    /// The clouds turned once more, where the pooled term asks for it.
    fn turned(&self, batch: &Batch) -> Result<Option<PatchTensors>> {
        let most = self.config.loss.pooled_turn;
        if most == 0.0 {
            return Ok(None);
        }
        Ok(Some(self.tensors_of(&batch.turn_again(self.up_axis(), most, self.key(batch)), batch)?))
    }

    /// Up in the clouds, as they are handed out.
    fn up_axis(&self) -> UpAxis {
        self.config.data.up_axis.unwrap_or(self.dataset.up_axis())
    }

    /// As many patches as the batch has.
    fn tensors_of(&self, seen: &SeenPatches, batch: &Batch) -> Result<PatchTensors> {
        let size = (batch.rows, batch.groups, self.config.data.group_size, 3);
        place_patches(&seen.patches, &seen.centers, size, &self.device)
    }

    /// Views as tensors; padding that no sample of the batch needs is cut off.
    fn view_images(&self, views: &BatchViews, b: usize) -> Result<ViewImages> {
        let (h, most) = (self.config.hybrid.view(), self.config.hybrid.queries);
        let q = views.counts.iter().copied().max().unwrap_or(0).max(1) as usize;
        let unit = self.config.model.extent() as f32;
        let rows = views.projected.chunks_exact(PROJECTED * most);
        let projected: Vec<f32> = rows
            .flat_map(|row| row[..PROJECTED * q].as_chunks::<PROJECTED>().0)
            .flat_map(|&[u, v, depth]| [u, v, depth / unit])
            .collect();
        let patches = views.patches.chunks_exact(most).flat_map(|row| &row[..q]).copied().collect();
        let pixels = (b, h.side() * h.side(), h.token_numbers());
        Ok(ViewImages {
            pixels: Tensor::from_slice(&views.pixels, pixels, &self.device)?,
            patches,
            projected: Tensor::from_vec(projected, (b, q, PROJECTED), &self.device)?,
            counts: views.counts.clone(),
        })
    }

    /// The views that every sample is predicted with; where one has fewer than asked for, weights of 0 stand in.
    fn view_targets(&self, teacher: &TeacherCache, batch: &Batch) -> Result<ViewTargets> {
        let (b, count, width) = (batch.rows, self.config.cross.views, teacher.width());
        let rows = teacher.draw_views(batch, self.config.run.seed, count)?;
        let tensor = |values: Vec<f32>, numbers: usize| -> Result<Tensor> {
            Ok(Tensor::from_vec(values, (b, count, numbers), &self.device)?)
        };
        Ok(ViewTargets {
            embeddings: tensor(rows.embeddings, width)?,
            poses: tensor(rows.poses, POSE_NUMBERS)?,
            histograms: tensor(rows.histograms, HISTOGRAM_NUMBERS)?,
            weights: tensor(rows.weights, 1)?,
        })
    }
}

/// Makes the first input of a run and nothing more: what fails here would fail the run at its start.
///
/// # Errors
/// Fails as a run does whose dataset does not serve its config, or whose masks leave no context.
pub fn try_first_input(config: &PretrainConfig, mix: &DatasetMix) -> Result<()> {
    config.check()?;
    let share = InputShare { rank: 0, world: 1 };
    StepInputs::start(config, mix, &Device::Cpu, share, 0)?.next(InputPlan { shown: 0, parts: 1 })?;
    Ok(())
}

fn open_teacher(config: &PretrainConfig, mix: &DatasetMix) -> Result<TeacherCache> {
    let cache = TeacherCache::open_mix(mix, &config.teacher.name, &[&config.data.split])?;
    if cache.width() != config.teacher.width {
        let expected = format!("the width {} of the cache {:?}", cache.width(), config.teacher.name);
        return Err(out_of_range("teacher.width", expected, config.teacher.width));
    }
    Ok(cache)
}

/// What a teacher's cache was made from.
fn describe(teacher: &TeacherCache) -> String {
    let facts = teacher.facts();
    format!(
        "{} {} ({}; {}), views {}",
        facts.kind, facts.weights, facts.preprocessing, facts.pooling, facts.views_plan
    )
}
