//! Defines which split a scene belongs to: the official lists, or a file of the user's.
//!
//! The tables do not say; the official lists stand in the devkit (`nuscenes/utils/splits.py`) by
//! scene name. Kept here are the scene numbers of the two validation lists; every other scene of
//! `v1.0-mini` and `v1.0-trainval` is `train`, and every scene of `v1.0-test` is `test`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::budget::Budget;
use crate::error::{ParseError, Result};
use crate::files::read_file;
use crate::split::Split;

/// The 2 validation scenes of `v1.0-mini`.
const MINI_VAL: [(u16, u16); 2] = [(103, 103), (916, 916)];

/// The 150 validation scenes of `v1.0-trainval`, as inclusive ranges of scene numbers.
const VAL: [(u16, u16); 26] = [
    (3, 3),
    (12, 18),
    (35, 36),
    (38, 39),
    (92, 110),
    (221, 221),
    (268, 278),
    (329, 332),
    (344, 346),
    (519, 524),
    (552, 565),
    (625, 627),
    (629, 630),
    (632, 638),
    (770, 771),
    (775, 775),
    (777, 778),
    (780, 784),
    (794, 800),
    (802, 802),
    (904, 917),
    (919, 931),
    (962, 963),
    (966, 969),
    (971, 972),
    (1059, 1073),
];

/// The split of every scene of a version.
pub(super) struct Splits {
    rule: SplitRule,
    /// What the rule is, for the person who prepares the data.
    pub(super) note: String,
}

enum SplitRule {
    /// Every scene is in this split.
    All(Split),
    /// Scenes with these numbers are `val`, the others `train`.
    Val(&'static [(u16, u16)]),
    /// Split by scene name; a name that is not there is `train`.
    Named(BTreeMap<String, Split>),
}

impl Splits {
    /// The official splits of a version.
    pub(super) fn official(version: &str) -> Self {
        let (rule, note) = match version {
            "v1.0-mini" => (SplitRule::Val(&MINI_VAL), "official mini_train and mini_val scenes"),
            "v1.0-trainval" => (SplitRule::Val(&VAL), "official train (700) and val (150) scenes"),
            "v1.0-test" => (SplitRule::All(Split::Test), "all scenes are the official test scenes"),
            _ => (
                SplitRule::All(Split::Train),
                "no official split is known for this version: all scenes are train",
            ),
        };
        Self { rule, note: format!("splits: {note}") }
    }

    /// The splits of a JSON file `{"train": [scene names], "val": [..], "test": [..]}`.
    ///
    /// # Errors
    /// Fails if the file is missing, is not of that form, or names a scene twice.
    pub(super) fn from_file(path: &Path) -> Result<Self> {
        let expected = || "the split file that dataset.splits names".to_owned();
        let bytes = read_file(path, &Budget::default()).map_err(|e| e.or_missing(expected))?;
        let named = parse_split_file(&bytes).map_err(|e| e.in_file(path))?;
        let note = format!("splits: {} scenes named by the split file, others are train", named.len());
        Ok(Self { rule: SplitRule::Named(named), note })
    }

    /// The split of a scene, by its name.
    pub(super) fn split_of_scene(&self, name: &str) -> Split {
        match &self.rule {
            SplitRule::All(split) => *split,
            SplitRule::Named(named) => named.get(name).copied().unwrap_or(Split::Train),
            SplitRule::Val(ranges) => {
                let number = name.strip_prefix("scene-").and_then(|digits| digits.parse::<u16>().ok());
                let held_out = number.is_some_and(|n| ranges.iter().any(|&(a, b)| a <= n && n <= b));
                if held_out { Split::Val } else { Split::Train }
            }
        }
    }
}

fn parse_split_file(bytes: &[u8]) -> Result<BTreeMap<String, Split>, ParseError> {
    const FORM: &str = "{\"train\": [scene names], \"val\": [..], \"test\": [..]}";
    let lists: BTreeMap<String, Vec<String>> =
        serde_json::from_slice(bytes).map_err(|e| ParseError::line(e.line(), FORM, e.to_string()))?;
    let mut named = BTreeMap::new();
    for (key, scenes) in lists {
        let unknown = || ParseError::line(1, FORM, format!("a split {key:?}"));
        let split = Split::from_name(&key).ok_or_else(unknown)?;
        for scene in scenes {
            if let Some(before) = named.insert(scene.clone(), split) {
                let found = format!("{scene:?} in {} and in {}", before.name(), split.name());
                return Err(ParseError::line(1, "each scene once", found));
            }
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn official_lists_have_the_official_sizes() {
        let size: u16 = VAL.iter().map(|(a, b)| b - a + 1).sum();
        assert_eq!(size, 150);
        assert!(VAL.windows(2).all(|w| w[0].0 <= w[0].1 && w[0].1 < w[1].0));
        let full = Splits::official("v1.0-trainval");
        for (scene, split) in
            [(3, "val"), (4, "train"), (61, "train"), (553, "val"), (1073, "val"), (1074, "train")]
        {
            assert_eq!(full.split_of_scene(&format!("scene-{scene:04}")).name(), split, "{scene}");
        }
        let mini = Splits::official("v1.0-mini");
        let val = [61, 553, 655, 757, 796, 1077, 1094, 1100, 103, 916]
            .map(|n| mini.split_of_scene(&format!("scene-{n:04}")) == Split::Val);
        assert_eq!(val, [false, false, false, false, false, false, false, false, true, true]);
        assert_eq!(Splits::official("v1.0-test").split_of_scene("scene-0077"), Split::Test);
        assert_eq!(Splits::official("v1.0-own").split_of_scene("scene-0003"), Split::Train);
    }

    #[test]
    fn split_files() {
        let named = parse_split_file(b"{\"val\": [\"a\"], \"test\": [\"b\"]}").unwrap();
        let splits = Splits { rule: SplitRule::Named(named), note: String::new() };
        assert_eq!(
            ["a", "b", "c"].map(|s| splits.split_of_scene(s)),
            [Split::Val, Split::Test, Split::Train]
        );
        let error = |text: &str| parse_split_file(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            error("{\"train\": [\"a\"], \"val\": [\"a\"]}"),
            "expected each scene once, found \"a\" in train and in val, line 1"
        );
        assert!(error("{\"dev\": []}").ends_with("found a split \"dev\", line 1"));
        assert!(error("[").starts_with("expected {\"train\": [scene names]"));
    }
}
