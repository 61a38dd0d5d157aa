//! What a masked model may answer for besides hidden patches: the whole cloud, pooled, and a teacher's embeddings of views; and
//! the whole head.

use candle_core::Tensor;

use super::pooled_term::{PooledTerm, WholeClouds};
use super::step::ViewTargets;
use super::view_term::ViewTerm;
use super::whole_term::WholeTerm;
use crate::config::{PretrainConfig, out_of_range};
use crate::encoder_part::WHOLE_HEAD;
use crate::error::Result;
use crate::nn::{ForwardPass, ParameterBuilder};

/// The terms that weigh something.
#[derive(Debug)]
pub(super) struct SideTerms {
    pooled: Option<PooledTerm>,
    pooled_weight: f64,
    whole: Option<WholeTerm>,
    views: Option<ViewTerm>,
    views_weight: f64,
}

/// What they are asked from and about.
pub(super) struct SideInput<'a> {
    /// `[B, n, D]`: the encoded context.
    pub encoded: &'a Tensor,
    /// `[B, n, 3]`: its centers.
    pub centers: &'a Tensor,
    /// What the target encoder sees, where there is one.
    pub whole: Option<WholeClouds<'a>>,
    pub views: Option<&'a ViewTargets>,
}

/// The losses of the terms.
#[derive(Default)]
pub(super) struct SideLosses {
    /// Each a scalar, before it is weighed, for the record.
    pub terms: Vec<(&'static str, Tensor)>,
    weighted: Vec<Tensor>,
}

impl SideTerms {
    /// Drawn from the run's seed.
    pub(super) fn new(config: &PretrainConfig, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let (pooled_weight, views_weight) = (config.loss.pooled, config.cross.weight);
        let whole =
            config.whole.is_there().then(|| WholeTerm::new(config, &vb.pp(WHOLE_HEAD))).transpose()?;
        let pooled = (pooled_weight > 0.0).then(|| PooledTerm::new(config, &vb.pp("pooled_predictor")));
        let views = (views_weight > 0.0).then(|| ViewTerm::new(config, &vb.pp("view_predictor")));
        let (pooled, views) = (pooled.transpose()?, views.transpose()?);
        Ok(Self { pooled, pooled_weight, whole, views, views_weight })
    }

    /// The whole head.
    ///
    /// # Errors
    /// Fails if there is none.
    pub(super) fn whole(&self) -> Result<&WholeTerm> {
        let none = || out_of_range("features.pooling", "a model with [whole]", "one without");
        self.whole.as_ref().ok_or_else(none)
    }

    /// What each term says.
    pub(super) fn measure(&self, input: &SideInput<'_>, pass: &ForwardPass) -> Result<SideLosses> {
        let mut losses = SideLosses::default();
        if let (Some(term), Some(whole)) = (&self.pooled, &input.whole) {
            losses.add("loss_pooled", term.loss(input.encoded, whole)?, self.pooled_weight)?;
        }
        if let (Some(term), Some(views)) = (&self.views, input.views) {
            let answers = term.answer(input.encoded, input.centers, views, pass)?;
            losses.add("loss_views", answers.loss, self.views_weight)?;
        }
        Ok(losses)
    }
}

impl SideLosses {
    fn add(&mut self, name: &'static str, loss: Tensor, weight: f64) -> Result<()> {
        self.weighted.push((&loss * weight)?);
        self.terms.push((name, loss));
        Ok(())
    }

    /// `loss` and all of them, weighed.
    pub(super) fn add_to(&self, loss: Tensor) -> Result<Tensor> {
        self.weighted.iter().try_fold(loss, |sum, term| Ok((sum + term)?))
    }
}
