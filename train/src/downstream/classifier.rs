//! An encoder and the official classification head on it.

use candle_core::{Device, Tensor};
use jepa3d_loader::Batch;
use jepa3d_probe::best_part;

use super::evaluation::EvaluationSource;
use super::task::DownstreamModel;
use super::thaw::EncoderPhase;
use crate::config::{DataConfig, PretrainConfig};
use crate::downstream::config::DownstreamConfig;
use crate::error::Result;
use crate::features::patch_tensors;
use crate::models::{Backbone, PatchTensors};
use crate::nn::{
    ClassLoss, ClassifierHead, EncoderInput, ForwardPass, HeadSizes, ParameterStore, Parameters,
    class_shares, pool_tokens,
};
use crate::trained_samples::TrainedLabels;

/// Patches to the shares of classes.
#[derive(Debug)]
pub(crate) struct Classifier {
    backbone: Backbone,
    head: ClassifierHead,
    loss: ClassLoss,
    /// Label in the dataset of every class.
    labels: Vec<i32>,
    data: DataConfig,
    device: Device,
}

/// What a classifier says of the samples of a part, in stored order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Predictions {
    pub ids: Vec<String>,
    /// True classes.
    pub labels: Vec<u32>,
    /// `[n, C]`.
    pub shares: Vec<f32>,
    pub classes: usize,
}

impl Predictions {
    /// The class with the largest share, the first of equal ones, of every sample.
    pub(crate) fn classes(&self) -> Vec<u32> {
        let largest = |row: &[f32]| best_part(row, 0..self.classes) as u32;
        self.shares.chunks_exact(self.classes.max(1)).map(largest).collect()
    }
}

impl Classifier {
    /// Drawn from the run's seed; `encoder` says the architecture, `config` what is dropped in it and the head, `labels` which classes
    /// of the dataset are told apart.
    ///
    /// # Errors
    /// Fails if a device does.
    pub(crate) fn new(
        config: &DownstreamConfig,
        encoder: &PretrainConfig,
        labels: &[i32],
        device: &Device,
    ) -> Result<(Self, Parameters)> {
        let store = ParameterStore::new(config.run.seed, device);
        let backbone = Backbone::below_head(encoder, &store)?;
        let sizes =
            HeadSizes { width: encoder.model.width, hidden: config.head.hidden, classes: labels.len() };
        let head = ClassifierHead::new(sizes, config.head.dropout, &store.builder().pp("cls_head"))?;
        let loss = ClassLoss { smoothing: config.head.smoothing, weights: None };
        let (data, device) = (config.data.clone(), device.clone());
        let labels = labels.to_vec();
        let model = Self { backbone, head, loss, labels, data, device };
        Ok((model, store.into_parameters()))
    }

    /// Pooled features `[B, 2 D]` in training.
    fn train_features(
        &self,
        points: &PatchTensors,
        phase: EncoderPhase,
        pass: &ForwardPass,
    ) -> Result<Tensor> {
        if phase == EncoderPhase::Frozen {
            return pool_tokens(&self.backbone.features(points)?);
        }
        let tokens = self.backbone.train_tokens(points, pass)?;
        let positions = self.backbone.positions.forward(&points.centers)?;
        let input = EncoderInput { tokens: &tokens, positions: Some(&positions), keys: None };
        pool_tokens(&self.backbone.encoder.train(input, pass)?)
    }

    /// The classes of a batch of labelled samples.
    fn classes_of(&self, batch: &Batch) -> Vec<u32> {
        let class = |label: &Option<i32>| self.labels.iter().position(|own| Some(*own) == *label);
        batch
            .labels
            .iter()
            .map(|label| class(label).expect("parts hold samples of these classes") as u32)
            .collect()
    }

    /// Scores `[B, C]` for evaluation.
    fn judge(&self, batch: &Batch) -> Result<Tensor> {
        let points = patch_tensors(batch, &self.data, &self.device)?;
        self.head.eval(&pool_tokens(&self.backbone.features(&points)?)?)
    }

    /// Scores for evaluation as numbers.
    #[cfg(test)]
    pub(crate) fn scores(&self, batch: &Batch) -> Result<Vec<f32>> {
        Ok(self.judge(batch)?.flatten_all()?.to_vec1()?)
    }

    /// What it says of every sample of a part.
    ///
    /// # Errors
    /// Fails if a shard does.
    pub(crate) fn predict(&self, source: &EvaluationSource<'_>) -> Result<Predictions> {
        let mut found = Predictions::default();
        source.for_each(|batch| {
            let scores = self.judge(batch)?;
            found.classes = scores.dim(1)?;
            found.shares.extend(class_shares(&scores)?);
            found.ids.extend_from_slice(&batch.sample_ids);
            found.labels.extend(self.classes_of(batch));
            Ok(())
        })?;
        Ok(found)
    }
}

impl DownstreamModel for Classifier {
    fn loss(&self, batch: &Batch, phase: EncoderPhase, pass: &ForwardPass) -> Result<Tensor> {
        let points = patch_tensors(batch, &self.data, &self.device)?;
        let pooled = self.train_features(&points, phase, pass)?;
        let scores = self.head.train(&pooled, pass)?;
        self.loss.of_rows(&scores, &self.classes_of(batch))
    }

    fn show(&self, batch: &Batch, clouds: usize) -> Result<Vec<TrainedLabels>> {
        let shares = class_shares(&self.judge(batch)?)?;
        let found = Predictions { shares, classes: self.labels.len(), ..Predictions::default() }.classes();
        let labels = self.classes_of(batch).into_iter().zip(found).take(clouds).enumerate();
        let one = |(cloud, (truth, predicted)): (usize, (u32, u32))| TrainedLabels {
            cloud,
            points: Vec::new(),
            truth: vec![truth as i16],
            predicted: vec![predicted as i16],
        };
        Ok(labels.map(one).collect())
    }

    /// Share of samples that are classified correctly.
    fn selection_score(&self, source: &EvaluationSource<'_>) -> Result<f64> {
        let found = self.predict(source)?;
        let right = found.classes().iter().zip(&found.labels).filter(|(a, b)| a == b).count();
        Ok(right as f64 / found.labels.len().max(1) as f64)
    }
}
