//! CrossJEPA (Perera et al., arXiv 2511.18424): points predict the embeddings that a frozen image encoder gives rendered views
//! of the same object. Nothing is hidden, nothing is averaged; targets were computed once.

use candle_core::{Device, Tensor};

use super::backbone::Backbone;
use super::step::{CrossInput, PatchTensors, StepOutput};
use super::view_term::{ViewAnswers, ViewTerm};
use crate::config::{LossConfig, PretrainConfig};
use crate::error::Result;
use crate::nn::{EncoderInput, ForwardPass, ParameterStore, Parameters};

/// Point encoder and the predictor of views.
#[derive(Debug)]
pub(crate) struct CrossJepa {
    backbone: Backbone,
    views: ViewTerm,
    loss: LossConfig,
}

impl CrossJepa {
    /// A model with its parameters, drawn from the run's seed.
    pub(crate) fn new(config: &PretrainConfig, device: &Device) -> Result<(Self, Parameters)> {
        let store = ParameterStore::new(config.run.seed, device);
        let backbone = Backbone::new(config, &store)?;
        let views = ViewTerm::new(config, &store.builder().pp("predictor"))?;
        let model = Self { backbone, views, loss: config.loss.clone() };
        Ok((model, store.into_parameters()))
    }

    /// Loss of one batch, in training: mean over the views that there are.
    pub(crate) fn step(&self, input: &CrossInput, pass: &ForwardPass) -> Result<StepOutput> {
        let CrossInput { points, views } = input;
        let tokens = self.backbone.tokenizer.train(&points.patches, points.counts.as_deref(), pass)?;
        pass.watch.lap("tokenizer");
        let positions = self.backbone.positions.train(&points.centers, pass)?;
        let context = EncoderInput { tokens: &tokens, positions: Some(&positions), keys: None };
        let encoded = self.backbone.encoder.train(context, pass)?;
        pass.watch.lap("context");
        let ViewAnswers { loss, predictions, targets } =
            self.views.answer(&encoded, &points.centers, views, pass)?;
        let loss = self.loss.add_spread(loss, &encoded, pass)?;
        pass.watch.lap("predictor");
        Ok(StepOutput {
            loss,
            predictions: predictions.detach(),
            targets,
            kind: self.loss.kind,
            record: None,
            terms: Vec::new(),
        })
    }

    /// Sets the running statistics of the batch norms to those of these patches.
    pub(crate) fn calibrate(&self, points: &PatchTensors) -> Result<()> {
        self.backbone.tokenizer.calibrate(&points.patches, points.counts.as_deref())
    }

    /// Features of every patch `[B, G, D]` for evaluation: final norm, running statistics.
    pub(crate) fn features(&self, points: &PatchTensors) -> Result<Tensor> {
        self.backbone.features(points)
    }
}
