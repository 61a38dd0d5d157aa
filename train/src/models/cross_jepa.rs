//! CrossJEPA (Perera et al., arXiv 2511.18424): points predict the embeddings that a frozen image encoder gives rendered views
//! of the same object. Nothing is hidden, nothing is averaged; targets were computed once.

use candle_core::{Device, Tensor};

use super::backbone::Backbone;
use super::targets::normed;
use super::{StepInput, StepOutput};
use crate::config::{LossConfig, Norm, PretrainConfig};
use crate::error::Result;
use crate::nn::{Parameters, Pass, ViewPredictor};

/// Point encoder and the predictor of views.
#[derive(Debug)]
pub(crate) struct CrossJepa {
    backbone: Backbone,
    predictor: ViewPredictor,
    norm: Norm,
    loss: LossConfig,
}

impl CrossJepa {
    /// A model with its parameters, drawn from the run's seed.
    pub(crate) fn new(config: &PretrainConfig, device: &Device) -> Result<(Self, Parameters)> {
        let mut p = Parameters::new(config.run.seed, device);
        let backbone = Backbone::new(&mut p, config)?;
        let sizes = (&config.model, &config.predictor, &config.cross);
        let predictor = ViewPredictor::new(&mut p, "predictor", sizes, config.teacher.width)?;
        Ok((Self { backbone, predictor, norm: config.target.norm, loss: config.loss.clone() }, p))
    }

    /// Loss of one batch, in training: mean over the views that there are.
    pub(crate) fn step(
        &self,
        input: &StepInput,
        pass: &Pass,
        mark: &mut dyn FnMut(&'static str),
    ) -> Result<StepOutput> {
        let views = input.views.as_ref().expect("the trainer looks views up for this method");
        let tokens = self.backbone.tokenizer.train(&input.patches, input.counts.as_deref())?;
        mark("tokenizer");
        let positions = self.backbone.positions.forward(&input.centers)?;
        let encoded = self.backbone.encoder.train(&tokens, Some(&positions), pass)?;
        mark("context");
        let targets = normed(&views.embeddings, self.norm)?.detach();
        let facts = (&views.poses, &views.histograms);
        let predictions = self.predictor.forward((&encoded, &input.centers), facts, pass)?;
        let rows = self.loss.by_row(&predictions, &targets)?;
        let count = views.weights.sum_all()?.maximum(1.0)?;
        let mut loss = rows.mul(&views.weights)?.sum_all()?.div(&count)?;
        if let Some(spread) = self.loss.spread(&encoded.mean(1)?)? {
            loss = (loss + spread)?;
        }
        mark("predictor");
        Ok(StepOutput {
            loss,
            predictions: predictions.detach(),
            targets,
            kind: self.loss.kind,
            terms: Vec::new(),
        })
    }

    /// Sets the running statistics of the batch norms to those of these patches.
    pub(crate) fn calibrate(&self, patches: &Tensor, counts: Option<&[u16]>) -> Result<()> {
        self.backbone.tokenizer.calibrate(patches, counts)
    }

    /// Features of every patch for evaluation: final norm, running statistics.
    ///
    /// # Shapes
    /// `patches [B, G, K, 3]`, `centers [B, G, 3]` to `[B, G, D]`.
    pub(crate) fn features(&self, patches: &Tensor, centers: &Tensor) -> Result<Tensor> {
        self.backbone.features(patches, centers)
    }
}
