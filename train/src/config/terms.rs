//! Checks of the terms of the loss, and of what features take from them.

use super::PretrainConfig;
use super::cross::Method;
use super::features::{FeatureConfig, Pooling};
use super::range::{BoundedCount, out_of_range};
use super::task::{TargetKind, WholeAnswers, WholeConfig};
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
        let WholeConfig { epochs, hidden, answers, one_sided, blocks_rate } = self.whole;
        BoundedCount::new("whole.epochs", epochs as usize, 0, 1 << 20).check()?;
        if !(0.0..=1.0).contains(&one_sided) {
            return Err(out_of_range("whole.one_sided", "a share of 1", one_sided));
        }
        if !(0.0..=1.0).contains(&blocks_rate) {
            return Err(out_of_range("whole.blocks_rate", "a share of 1", blocks_rate));
        }
        BoundedCount::new("whole.hidden", hidden, 1, 1 << 14).check()?;
        let is_latent = self.method == Method::Masked && self.target.kind == TargetKind::Latent;
        if self.whole.is_there() && !(is_latent && self.data.sensor.is_some()) {
            let expected = "0 but with method = \"masked\", latent targets and data.sensor";
            return Err(out_of_range("whole.epochs", expected, epochs));
        }
        if answers == WholeAnswers::Turns && self.features.turns == 1 {
            return Err(out_of_range("features.turns", "at least 2 with whole.answers = \"turns\"", 1));
        }
        if answers == WholeAnswers::Turns && blocks_rate > 0.0 {
            let expected = "0 with whole.answers = \"turns\"";
            return Err(out_of_range("whole.blocks_rate", expected, blocks_rate));
        }
        self.check_features(&self.features)
    }

    /// Whether the model has what makes features in this way.
    pub(crate) fn check_features(&self, features: &FeatureConfig) -> Result<()> {
        if features.pooling != Pooling::Whole {
            return Ok(());
        }
        if !self.whole.is_there() {
            let expected = "max-mean, mean or mean-std without [whole]";
            return Err(out_of_range("features.pooling", expected, "whole"));
        }
        let (learned, asked) = (self.features.over_circle(), features.over_circle());
        match self.whole.answers == WholeAnswers::Turns && learned != asked {
            true => {
                let expected = format!("{learned}, as the whole head learned (or another pooling)");
                Err(out_of_range("features.turns", expected, asked))
            }
            false => Ok(()),
        }
    }

    /// Looks at a cloud, turned by equal angles, that one answer of the whole head is made of.
    pub(crate) fn looks_of_whole(&self) -> usize {
        match self.whole.answers {
            WholeAnswers::Look => 1,
            WholeAnswers::Turns => self.features.turns,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::OverTurns;

    #[test]
    fn a_head_needs_what_it_learns_from_and_answers_need_a_head() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/pretrain"));
        let load = |preset: &str, sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
            PretrainConfig::load(&folder.join(preset), &sets).map_err(|e| e.to_string())
        };
        let (sensor, plain, cross) =
            ("3d-jepa-sensor-small.toml", "3d-jepa-small.toml", "cross-jepa-small.toml");
        let asked = load(sensor, &["whole.epochs=1", "features.pooling=whole"]).unwrap();
        assert!(asked.to_toml().contains("[whole]\nepochs = 1\nhidden = 512\none_sided = 0.5\n"));
        assert!(!load(sensor, &[]).unwrap().to_toml().contains("whole"), "nothing is said of none");
        let needs = "config: whole.epochs: expected 0 but with method = \"masked\", latent targets and data.sensor, found 1";
        for (preset, sets, message) in [
            (plain, &["whole.epochs=1"][..], needs),
            (cross, &["whole.epochs=1"], needs),
            (
                sensor,
                &["whole.epochs=1", "whole.one_sided=1.5"],
                "config: whole.one_sided: expected a share of 1, found 1.5",
            ),
            (
                sensor,
                &["whole.epochs=1", "whole.blocks_rate=-0.5"],
                "config: whole.blocks_rate: expected a share of 1, found -0.5",
            ),
            (
                sensor,
                &["whole.epochs=1", "whole.answers=turns"],
                "config: features.turns: expected at least 2 with whole.answers = \"turns\", found 1",
            ),
            (
                sensor,
                &["whole.epochs=1", "whole.answers=turns", "features.turns=8", "whole.blocks_rate=0.5"],
                "config: whole.blocks_rate: expected 0 with whole.answers = \"turns\", found 0.5",
            ),
            (
                sensor,
                &["whole.epochs=1", "whole.hidden=0"],
                "config: whole.hidden: expected 1 to 16384, found 0",
            ),
            (
                sensor,
                &["features.pooling=whole"],
                "config: features.pooling: expected max-mean, mean or mean-std without [whole], found whole",
            ),
        ] {
            assert_eq!(load(preset, sets).unwrap_err(), message, "{preset} {sets:?}");
        }
    }

    #[test]
    fn answers_of_turns_are_for_those_that_the_head_learned_from() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/pretrain"));
        let sets = ["whole.epochs=1", "whole.answers=turns", "features.turns=8", "features.pooling=whole"];
        let sets = sets.map(str::to_owned);
        let config = PretrainConfig::load(&folder.join("3d-jepa-sensor-small.toml"), &sets).unwrap();
        assert!(config.to_toml().contains("answers = \"turns\""));
        let check = |asked: FeatureConfig| config.check_features(&asked).map_err(|e| e.to_string());
        assert_eq!(check(FeatureConfig { outliers: 2.0, ..config.features }), Ok(()));
        assert_eq!(
            check(FeatureConfig { turns: 4, ..config.features }).unwrap_err(),
            "config: features.turns: expected 8 turns, as the whole head learned (or another pooling), found 4 turns"
        );
        let extremes = OverTurns::Extremes;
        let error = check(FeatureConfig { over_turns: extremes, ..config.features }).unwrap_err();
        assert!(error.ends_with("found mean and extremes of 8 turns"), "{error}");
        assert_eq!(check(FeatureConfig { turns: 4, pooling: Pooling::MeanStd, ..config.features }), Ok(()));
    }
}
