//! Settings of the procedural dataset: how many objects of which categories, and how far they are disturbed.
//!
//! Every amplitude may be 0, which gives aligned, undisturbed objects; the shapes themselves
//! do not depend on the amplitudes, the count or the list of categories.

use serde::{Deserialize, Serialize};

use super::catalog::{CATEGORIES, Category};
use crate::error::{Error, Result};

/// Most objects of one category: ids number them with six digits.
pub(super) const MAX_PER_CATEGORY: usize = 1_000_000;

/// Settings of the procedural dataset, the `[dataset]` table of a configuration.
///
/// What is left over by `val_fraction` and `test_fraction` is the `train` split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyntheticConfig {
    /// Number of objects in all, shared out evenly over the categories (the first ones in
    /// alphabetical order get one more where it does not divide). Default 640.
    pub count: usize,
    /// Seed of shapes, colours, disturbances and splits. Default 0.
    pub seed: u64,
    /// Categories to generate; empty means all of them. Default empty.
    pub categories: Vec<String>,
    /// Share of `count` that is programs (objects without a label, `programs/000000` onwards) in `[0,1]`, rounded to
    /// whole objects; the rest is shared out over the categories. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub programs: f64,
    /// Fraction of each category in the `val` split, `[0,1]`. Default 0.1.
    pub val_fraction: f64,
    /// Fraction of each category in the `test` split, `[0,1]`. Default 0.2.
    pub test_fraction: f64,
    /// Largest turn about the vertical axis, degrees, uniform in plus and minus; 180 is any
    /// direction. Default 15.
    pub yaw_degrees: f64,
    /// Largest lean away from the vertical, degrees, in a random direction. Default 4.
    pub tilt_degrees: f64,
    /// Largest stretch of each axis on its own: factors are `exp(u)` with `u` uniform in
    /// plus and minus this. Default 0.15.
    pub stretch: f64,
    /// Amplitude of a smooth bending of the whole object, as a fraction of its radius (half
    /// the diagonal of its bounding box). Attached parts stay attached. Default 0.02.
    pub warp: f64,
    /// Standard deviation of the displacement of single vertices along their normals, as a
    /// fraction of the radius; where vertices are dense, at most 0.08 of the shortest edge.
    /// Default 0.002.
    pub bumps: f64,
}

impl Default for SyntheticConfig {
    fn default() -> Self {
        Self {
            count: 640,
            seed: 0,
            categories: Vec::new(),
            programs: 0.0,
            val_fraction: 0.1,
            test_fraction: 0.2,
            yaw_degrees: 15.0,
            tilt_degrees: 4.0,
            stretch: 0.15,
            warp: 0.02,
            bumps: 0.002,
        }
    }
}

/// Leaves the default out of what is hashed, so that sets of before there were programs keep their fingerprints.
fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

impl SyntheticConfig {
    /// How many of the objects are programs.
    pub(super) fn programs(&self) -> usize {
        (self.programs * self.count as f64).round() as usize
    }

    /// The categories asked for, in alphabetical order, each once.
    ///
    /// # Errors
    /// Fails if a name is unknown or listed twice.
    pub(super) fn chosen(&self) -> Result<Vec<&'static Category>> {
        let known = || CATEGORIES.iter().map(|c| c.name).collect::<Vec<_>>().join(", ");
        for (i, name) in self.categories.iter().enumerate() {
            if !CATEGORIES.iter().any(|c| c.name == name) {
                return Err(config("categories", format!("some of {}", known()), format!("`{name}`")));
            }
            if self.categories[..i].contains(name) {
                return Err(config("categories", "each name once".into(), format!("`{name}` twice")));
            }
        }
        let wanted =
            |c: &&Category| self.categories.is_empty() || self.categories.iter().any(|n| n == c.name);
        Ok(CATEGORIES.iter().filter(wanted).collect())
    }

    /// Checks every number.
    ///
    /// # Errors
    /// Fails if there are no objects or too many, or a fraction or an amplitude is out of its range.
    pub(super) fn check(&self, categories: usize) -> Result<()> {
        let bounded = [
            ("programs", self.programs, 1.0),
            ("val_fraction", self.val_fraction, 1.0),
            ("test_fraction", self.test_fraction, 1.0),
            ("yaw_degrees", self.yaw_degrees, 180.0),
            ("tilt_degrees", self.tilt_degrees, 90.0),
            ("stretch", self.stretch, 1.0),
            ("warp", self.warp, 0.2),
            ("bumps", self.bumps, 0.05),
        ];
        for (key, value, high) in bounded {
            if !(0.0..=high).contains(&value) {
                return Err(config(key, format!("a number from 0 to {high}"), value.to_string()));
            }
        }
        let most = MAX_PER_CATEGORY * categories;
        let programs = self.programs();
        if self.count == 0 || self.count - programs > most || programs > MAX_PER_CATEGORY {
            let and = if programs > 0 { ", as many programs" } else { "" };
            let expected = format!("1 to {most} objects ({MAX_PER_CATEGORY} a category{and})");
            return Err(config("count", expected, self.count.to_string()));
        }
        let held_out = self.val_fraction + self.test_fraction;
        if held_out > 1.0 {
            let expected = "at most 1 together with val_fraction".to_owned();
            return Err(config("test_fraction", expected, format!("a sum of {held_out}")));
        }
        Ok(())
    }
}

/// A setting that has no meaning here.
fn config(key: &'static str, expected: String, found: String) -> Error {
    Error::Config { key, expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Synthetic;

    fn complaint(change: impl Fn(&mut SyntheticConfig)) -> String {
        let mut config = SyntheticConfig::default();
        change(&mut config);
        Synthetic::new(&config).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn errors_name_the_key_what_is_legal_and_what_was_given() {
        let unknown = complaint(|c| c.categories = vec!["chair".into(), "spoon".into()]);
        assert!(unknown.starts_with("dataset.categories: expected some of airplane, bed, "), "{unknown}");
        assert!(unknown.ends_with(", found `spoon`"), "{unknown}");
        assert_eq!(
            complaint(|c| c.categories = vec!["mug".into(), "mug".into()]),
            "dataset.categories: expected each name once, found `mug` twice"
        );
        assert_eq!(
            complaint(|c| (c.count, c.categories) = (0, vec!["mug".into()])),
            "dataset.count: expected 1 to 1000000 objects (1000000 a category), found 0"
        );
        assert_eq!(
            complaint(|c| (c.count, c.categories) = (1_000_001, vec!["mug".into()])),
            "dataset.count: expected 1 to 1000000 objects (1000000 a category), found 1000001"
        );
        assert_eq!(
            complaint(|c| c.programs = 1.5),
            "dataset.programs: expected a number from 0 to 1, found 1.5"
        );
        assert_eq!(
            complaint(|c| (c.count, c.programs) = (1_000_001, 1.0)),
            "dataset.count: expected 1 to 16000000 objects (1000000 a category, as many programs), found 1000001"
        );
        assert_eq!(
            complaint(|c| c.yaw_degrees = -1.0),
            "dataset.yaw_degrees: expected a number from 0 to 180, found -1"
        );
        assert_eq!(
            complaint(|c| c.warp = f64::NAN),
            "dataset.warp: expected a number from 0 to 0.2, found NaN"
        );
        assert_eq!(
            complaint(|c| (c.val_fraction, c.test_fraction) = (0.75, 0.5)),
            "dataset.test_fraction: expected at most 1 together with val_fraction, found a sum of 1.25"
        );
    }

    #[test]
    fn missing_keys_take_their_defaults_and_unknown_keys_are_refused() {
        let config: SyntheticConfig = serde_json::from_str(r#"{"count": 7}"#).unwrap();
        assert_eq!(config, SyntheticConfig { count: 7, ..SyntheticConfig::default() });
        assert!(serde_json::from_str::<SyntheticConfig>(r#"{"conut": 7}"#).is_err());
    }

    #[test]
    fn without_programs_a_config_is_written_as_before_there_were_any() {
        let write = |programs: f64| {
            serde_json::to_string(&SyntheticConfig { programs, ..SyntheticConfig::default() }).unwrap()
        };
        assert!(!write(0.0).contains("programs") && write(0.5).contains(r#""programs":0.5"#));
    }
}
