//! From a batch to what a model's step takes: tensors, masks, views of a teacher's cache. All draws are functions of (seed,
//! epoch, batch, sample).

use std::sync::Arc;

use candle_core::{Device, Tensor};
use jepa3d_loader::{Batch, CachedView, PreparedDataset, TeacherCache, ViewPart, draw_masks};
use jepa3d_schemas::{Draws, HISTOGRAM_NUMBERS, POSE_NUMBERS};

use crate::config::{Method, PretrainConfig, out_of_range};
use crate::error::Result;
use crate::features::tensors;
use crate::models::{ImageInput, StepInput, ViewTargets};
use crate::nn::PROJECTED;

/// What a run's steps are made from, besides batches.
pub(crate) struct InputMaker {
    config: PretrainConfig,
    device: Device,
    teacher: Option<TeacherCache>,
}

impl InputMaker {
    /// Opens the teacher's cache where the method learns from one.
    ///
    /// # Errors
    /// Fails if the dataset has no such cache, or its embeddings have another width than the config states.
    pub(crate) fn new(
        config: &PretrainConfig,
        dataset: &Arc<PreparedDataset>,
        device: &Device,
    ) -> Result<Self> {
        let teacher = match config.method {
            Method::Masked | Method::Hybrid => None,
            Method::Cross => {
                let cache = TeacherCache::open(dataset, &config.teacher.name, &[&config.data.split])?;
                if cache.width() != config.teacher.width {
                    let expected =
                        format!("the width {} of the cache {:?}", cache.width(), config.teacher.name);
                    return Err(out_of_range("teacher.width", expected, config.teacher.width));
                }
                Some(cache)
            }
        };
        Ok(Self { config: config.clone(), device: device.clone(), teacher })
    }

    /// What the teacher's cache was made from.
    pub(crate) fn teacher(&self) -> Option<String> {
        let facts = self.teacher.as_ref()?.facts();
        Some(format!(
            "{} {} ({}; {}), views {}",
            facts.kind, facts.weights, facts.preprocessing, facts.pooling, facts.views_plan
        ))
    }

    /// The input of one step.
    ///
    /// # Errors
    /// Fails if masks leave no context, or the cache lacks a sample.
    pub(crate) fn of(&self, batch: &Batch) -> Result<StepInput> {
        let (patches, centers) = tensors(batch, &self.config.data, &self.device)?;
        let key = (self.config.run.seed, batch.epoch, batch.number);
        let masks = match self.config.method {
            Method::Masked | Method::Hybrid => Some(draw_masks(&self.config.masking, batch.places(), key)?),
            Method::Cross => None,
        };
        let views = self.teacher.as_ref().map(|teacher| self.views(teacher, batch)).transpose()?;
        let images = batch.views.as_ref().map(|views| self.images(views, batch.rows)).transpose()?;
        Ok(StepInput { patches, centers, counts: batch.counts.clone(), masks, views, images })
    }

    /// Views as tensors; padding that no sample of the batch needs is cut off.
    fn images(&self, views: &ViewPart, b: usize) -> Result<ImageInput> {
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
        Ok(ImageInput {
            pixels: Tensor::from_slice(&views.pixels, pixels, &self.device)?,
            patches,
            projected: Tensor::from_vec(projected, (b, q, PROJECTED), &self.device)?,
            counts: views.counts.clone(),
        })
    }

    /// For every sample views drawn without replacement from those that say something; where a sample has fewer, weights
    /// of 0 stand in.
    fn views(&self, teacher: &TeacherCache, batch: &Batch) -> Result<ViewTargets> {
        let (b, count, width) = (batch.rows, self.config.cross.views, teacher.width());
        let mut rows = Rows::default();
        for (id, key) in batch.sample_ids.iter().zip(batch.keys()) {
            let valid: Vec<CachedView<'_>> = teacher.views(id)?.filter(|view| view.valid).collect();
            let purpose = format!("views of epoch {}", batch.epoch);
            let mut draws = Draws::new(self.config.run.seed, key, &purpose);
            let chosen = draws.distinct_sorted(valid.len(), count.min(valid.len()));
            chosen.iter().for_each(|&at| rows.push(&valid[at as usize]));
            (chosen.len()..count).for_each(|_| rows.push_nothing(width));
        }
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

#[derive(Default)]
struct Rows {
    embeddings: Vec<f32>,
    poses: Vec<f32>,
    histograms: Vec<f32>,
    weights: Vec<f32>,
}

impl Rows {
    fn push(&mut self, view: &CachedView<'_>) {
        self.embeddings.extend_from_slice(view.embedding);
        self.poses.extend_from_slice(view.pose);
        self.histograms.extend_from_slice(view.histogram);
        self.weights.push(1.0);
    }

    fn push_nothing(&mut self, width: usize) {
        let zeros = |values: &mut Vec<f32>, numbers: usize| values.extend(std::iter::repeat_n(0.0, numbers));
        zeros(&mut self.embeddings, width);
        zeros(&mut self.poses, POSE_NUMBERS);
        zeros(&mut self.histograms, HISTOGRAM_NUMBERS);
        self.weights.push(0.0);
    }
}
