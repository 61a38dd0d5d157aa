//! Checks of the terms of the loss, and of what features take from them.

use super::PretrainConfig;
use super::cross::Method;
use super::features::Pooling;
use super::range::{BoundedCount, out_of_range};
use super::task::{TargetKind, WholeConfig};
use crate::error::Result;

impl PretrainConfig {
    pub(super) fn check_loss(&self) -> Result<()> {
        let l = &self.loss;
        for (key, found) in [
            ("loss.variance", l.variance),
            ("loss.variance_floor", l.variance_floor),
            ("loss.covariance", l.covariance),
            ("loss.sigreg", l.sigreg),
            ("loss.pooled", l.pooled),
            ("loss.pooled_turn", l.pooled_turn),
            ("cross.weight", self.cross.weight),
        ] {
            if !(found.is_finite() && found >= 0.0) {
                return Err(out_of_range(key, "a finite number of at least 0", found));
            }
        }
        if l.pooled > 0.0 && (self.method != Method::Masked || self.target.kind == TargetKind::Coordinates) {
            let expected = "0 but with method = \"masked\" and latent targets";
            return Err(out_of_range("loss.pooled", expected, l.pooled));
        }
        if l.pooled_turn > 0.0 && l.pooled == 0.0 {
            return Err(out_of_range("loss.pooled_turn", "0 without loss.pooled", l.pooled_turn));
        }
        if self.cross.weight > 0.0 && self.method != Method::Masked {
            return Err(out_of_range("cross.weight", "0 but with method = \"masked\"", self.cross.weight));
        }
        match l.beta.is_finite() && l.beta > 0.0 {
            true => Ok(()),
            false => Err(out_of_range("loss.beta", "a positive number", l.beta)),
        }
    }

    pub(super) fn check_whole(&self) -> Result<()> {
        let WholeConfig { weight, hidden } = self.whole;
        if !(weight.is_finite() && weight >= 0.0) {
            return Err(out_of_range("whole.weight", "a finite number of at least 0", weight));
        }
        BoundedCount::new("whole.hidden", hidden, 1, 1 << 14).check()?;
        let is_latent = self.method == Method::Masked && self.target.kind == TargetKind::Latent;
        if self.whole.is_there() && !(is_latent && self.data.sensor.is_some()) {
            let expected = "0 but with method = \"masked\", latent targets and data.sensor";
            return Err(out_of_range("whole.weight", expected, weight));
        }
        if self.whole.is_there() && self.loss.pooled_turn > 0.0 {
            let expected = "0 with [whole], which answers for clouds as they stand";
            return Err(out_of_range("loss.pooled_turn", expected, self.loss.pooled_turn));
        }
        self.check_pooling(self.features.pooling)
    }

    /// Whether the model has what makes features in this way.
    pub(crate) fn check_pooling(&self, pooling: Pooling) -> Result<()> {
        match pooling == Pooling::Whole && !self.whole.is_there() {
            true => {
                Err(out_of_range("features.pooling", "max-mean, mean or mean-std without [whole]", "whole"))
            }
            false => Ok(()),
        }
    }
}
