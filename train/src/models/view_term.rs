//! The view term: encoded points answer for the embeddings that a frozen image encoder gives views of the same object
//! (CrossJEPA, Perera et al., arXiv 2511.18424).

use candle_core::Tensor;
use jepa3d_kernels::{BatchParts, add_parts};

use super::step::ViewTargets;
use super::targets::normalize_targets;
use crate::config::{LossConfig, PretrainConfig, TargetNorm};
use crate::error::Result;
use crate::nn::{ForwardPass, ParameterBuilder, ViewPredictor, ViewQueries};

/// The predictor of views, and how its answers are compared.
#[derive(Debug)]
pub(super) struct ViewTerm {
    predictor: ViewPredictor,
    norm: TargetNorm,
    loss: LossConfig,
}

/// What the predictor says of views, beside what is right.
pub(super) struct ViewAnswers {
    /// Mean over the views that there are: a scalar.
    pub loss: Tensor,
    /// `[B, V, D_t]`.
    pub predictions: Tensor,
    /// Like the predictions; without gradient.
    pub targets: Tensor,
}

impl ViewTerm {
    /// Drawn from the run's seed.
    pub(super) fn new(config: &PretrainConfig, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let predictor = ViewPredictor::new(config, vb)?;
        Ok(Self { predictor, norm: config.target.norm, loss: config.loss.clone() })
    }

    /// Answers for every view from the encoded patches `[B, n, D]` and their centers `[B, n, 3]`.
    pub(super) fn answer(
        &self,
        encoded: &Tensor,
        centers: &Tensor,
        views: &ViewTargets,
        pass: &ForwardPass,
    ) -> Result<ViewAnswers> {
        let targets = normalize_targets(&views.embeddings, self.norm, pass.parts())?.detach();
        let queries = ViewQueries { poses: &views.poses, histograms: &views.histograms };
        let predictions = self.predictor.forward(encoded, centers, queries, pass)?;
        let rows = self.loss.by_row(&predictions, &targets)?;
        let count = match pass.parts() {
            Some(parts) => count_for_part(views, parts)?,
            None => views.weights.sum_all()?.maximum(1.0)?,
        };
        let loss = rows.mul(&views.weights)?.sum_all()?.div(&count)?;
        Ok(ViewAnswers { loss, predictions, targets })
    }
}

/// The views of all parts, a part's share of them: the mean over the parts of what is divided by it is the mean over all views.
fn count_for_part(views: &ViewTargets, parts: &dyn BatchParts) -> Result<Tensor> {
    let mut count = [f64::from(views.weights.sum_all()?.to_scalar::<f32>()?)];
    add_parts(Some(parts), "views", &mut count)?;
    let share = count[0].max(1.0) / parts.count() as f64;
    Ok(Tensor::new(share as f32, views.weights.device())?)
}
