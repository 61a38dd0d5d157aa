//! How many labels a run may use: all, a share of every class, or a number of every class.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many labels of each class are used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LabelBudget {
    /// Every label that there is.
    All,
    /// A share of every class, above 0, at most 1; at least one sample of each.
    Share(f64),
    /// So many samples of every class, or all of a smaller one.
    PerClass(usize),
}

impl LabelBudget {
    /// How many samples of a class of `size` are used.
    pub(super) fn count(self, size: usize) -> usize {
        match self {
            Self::All => size,
            Self::Share(share) => ((share * size as f64).round() as usize).max(1).min(size),
            Self::PerClass(count) => count.min(size),
        }
    }
}

impl fmt::Display for LabelBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Share(share) => write!(f, "{}%", share * 100.0),
            Self::PerClass(count) => write!(f, "{count}"),
        }
    }
}

impl FromStr for LabelBudget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "expected \"all\", a share like \"5%\" or a number of a class like \"20\", found {text:?}"
            )
        };
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(share) = text.strip_suffix('%') {
            let share = share.parse::<f64>().map_err(|_| wrong())? / 100.0;
            return if share > 0.0 && share <= 1.0 { Ok(Self::Share(share)) } else { Err(wrong()) };
        }
        match text.parse::<usize>() {
            Ok(count) if count > 0 => Ok(Self::PerClass(count)),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for LabelBudget {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A number as TOML or text: `--set labels.budget=20` gives a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenBudget {
    Text(String),
    Count(usize),
}

impl<'a> Deserialize<'a> for LabelBudget {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Self, D::Error> {
        let text = match WrittenBudget::deserialize(from)? {
            WrittenBudget::Text(text) => text,
            WrittenBudget::Count(count) => count.to_string(),
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_read_and_counted() {
        for (text, of_200, of_7) in
            [("all", 200, 7), ("1%", 2, 1), ("5%", 10, 1), ("20", 20, 7), ("100%", 200, 7)]
        {
            let budget: LabelBudget = text.parse().unwrap();
            assert_eq!((budget.count(200), budget.count(7)), (of_200, of_7), "{text}");
            assert_eq!(budget.to_string(), text);
        }
        for text in ["", "0", "0%", "101%", "-3", "five", "NaN%"] {
            assert!(text.parse::<LabelBudget>().is_err(), "{text}");
        }
    }
}
