//! `[features]`: how a frozen encoder's tokens become one vector of a cloud.

use serde::{Deserialize, Serialize};

use super::range::out_of_range;
use crate::error::Result;

/// How tokens become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Maximum over tokens, then mean over tokens: `2 D` numbers (Point-JEPA).
    #[default]
    MaxMean,
    /// Mean over tokens: `D` numbers.
    Mean,
    /// Mean, then standard deviation over tokens: `2 D` numbers. A maximum grows with the number of patches that differ; these
    /// two do not, so features of sparse and of dense clouds stay comparable.
    MeanStd,
    /// What the whole head (`[whole]`) answers, asked with the mean and the deviation over tokens: these two of the whole clean
    /// cloud. `2 D` numbers that depend less on what of the cloud is there.
    Whole,
}

impl Pooling {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxMean => "concat[max, mean]",
            Self::Mean => "mean",
            Self::MeanStd => "concat[mean, std]",
            Self::Whole => "concat[mean, std] of the whole cloud, as the head answers",
        }
    }
}

/// What of a row of features, one of each turn, is written after its mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverTurns {
    /// The magnitudes of its first two harmonics; one of them with two or three turns.
    #[default]
    Harmonics,
    /// The same of every fourth feature. Magnitudes say much of an object several times over, and of half an object they are all
    /// too large: fewer of them leave more weight to the means.
    FewHarmonics,
    /// Its maximum, then its minimum. A magnitude grows with whatever differs from turn to turn, and features of half an object
    /// do; an extreme stays near to that of the whole.
    Extremes,
}

impl OverTurns {
    /// Whether it is left out of a config that is written.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `[features]`: the keys, each with a default. What `probe`, `embed`, `fewshot`, `retrieve` and `robustness` make of an encoder;
/// training, its online probe, `finetune` and `segment` do not ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeatureConfig {
    /// How tokens become one vector. Default max-mean.
    pub pooling: Pooling,
    /// Times that every cloud is encoded, turned about the vertical by equal angles. With several, a feature is its mean over the
    /// turns and what `over_turns` says: what stays when an object faces another way. Default 1: as it stands, and nothing
    /// follows.
    pub turns: usize,
    /// What follows the mean over turns. Default harmonics.
    #[serde(skip_serializing_if = "OverTurns::is_default")]
    pub over_turns: OverTurns,
    /// Points are left out before a cloud is grouped afresh if their distance to their nearest is more than so many times
    /// what it is among these. Default 0: none are.
    pub outliers: f64,
}

impl Default for FeatureConfig {
    fn default() -> Self {
        Self { pooling: Pooling::default(), turns: 1, over_turns: OverTurns::default(), outliers: 0.0 }
    }
}

impl FeatureConfig {
    /// Whether it is what other tools make of tokens.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// Fails if one is out of range; the error names key, expected and found.
    pub fn check(&self) -> Result<()> {
        if !(1..=360).contains(&self.turns) {
            return Err(out_of_range("features.turns", "1 to 360", self.turns));
        }
        match self.outliers == 0.0 || (self.outliers.is_finite() && self.outliers > 1.0) {
            true => Ok(()),
            false => Err(out_of_range("features.outliers", "0, or a number above 1", self.outliers)),
        }
    }

    /// As it is printed.
    pub fn describe(&self) -> String {
        let turns = if self.turns == 1 { String::new() } else { format!(", {}", self.over_circle()) };
        let outliers = match self.outliers {
            0.0 => String::new(),
            ratio => format!(", without points {ratio} times as far apart as those around them"),
        };
        format!("{}{turns}{outliers}", self.pooling.name())
    }

    /// The turns and what is made of them, as they are printed.
    pub(crate) fn over_circle(&self) -> String {
        match (self.turns, self.over_turns) {
            (1, _) => "1 turn".to_owned(),
            (turns, OverTurns::Harmonics) => format!("{turns} turns"),
            (turns, OverTurns::FewHarmonics) => format!("{turns} turns, harmonics of every fourth"),
            (turns, OverTurns::Extremes) => format!("mean and extremes of {turns} turns"),
        }
    }

    /// How many numbers follow from several turns where one gives so many.
    pub(crate) fn joined(&self, look: usize) -> usize {
        match (self.turns, self.over_turns) {
            (1, _) => look,
            (_, OverTurns::Harmonics | OverTurns::FewHarmonics) => {
                look + self.harmonics() * look.div_ceil(self.harmonics_every())
            }
            (_, OverTurns::Extremes) => 3 * look,
        }
    }

    /// Of which features there are harmonics: of every so many.
    pub(crate) fn harmonics_every(&self) -> usize {
        match self.over_turns {
            OverTurns::FewHarmonics => 4,
            _ => 1,
        }
    }

    /// Harmonics over the turns that follow the mean.
    pub(crate) fn harmonics(&self) -> usize {
        match self.turns {
            1 => 0,
            2 | 3 => 1,
            _ => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_is_is_said_in_words_and_nonsense_is_refused() {
        let plain = FeatureConfig::default();
        assert_eq!(plain.describe(), "concat[max, mean]");
        let full = FeatureConfig { pooling: Pooling::MeanStd, turns: 8, outliers: 2.0, ..plain };
        assert_eq!(
            full.describe(),
            "concat[mean, std], 8 turns, without points 2 times as far apart as those around them"
        );
        let extremes = FeatureConfig { turns: 4, over_turns: OverTurns::Extremes, ..plain };
        assert_eq!(extremes.describe(), "concat[max, mean], mean and extremes of 4 turns");
        let few = FeatureConfig { turns: 8, over_turns: OverTurns::FewHarmonics, ..plain };
        assert_eq!(few.describe(), "concat[max, mean], 8 turns, harmonics of every fourth");
        assert_eq!([plain, full, extremes, few].map(|config| config.joined(10)), [10, 30, 30, 16]);
        assert_eq!(
            [1, 2, 3, 4, 8].map(|turns| FeatureConfig { turns, ..plain }.harmonics()),
            [0, 1, 1, 2, 2]
        );
        let refused = |config: FeatureConfig| config.check().unwrap_err().to_string();
        assert_eq!(
            refused(FeatureConfig { turns: 0, ..plain }),
            "config: features.turns: expected 1 to 360, found 0"
        );
        for outliers in [1.0, -1.0, f64::NAN] {
            assert!(
                refused(FeatureConfig { outliers, ..plain })
                    .contains("features.outliers: expected 0, or a number above 1")
            );
        }
        assert!(full.check().is_ok() && plain.check().is_ok());
    }
}
