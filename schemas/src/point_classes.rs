//! What the labels of single points mean: parts of objects, or classes of what a scene shows.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The point labels of a prepared dataset. Points of a negative label are of no class, and count for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointClasses {
    /// Names; a point label is an index into this list.
    pub names: Vec<String>,
    /// The labels that the points of each class of objects have, one range a class; empty where a point of any object may
    /// have any label, as in scenes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<LabelRange>,
    /// A label of points that count for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<i16>,
}

/// Labels from `first` to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelRange {
    /// The first label.
    pub first: i16,
    /// The one after the last.
    pub end: i16,
}

impl From<Range<i16>> for LabelRange {
    fn from(range: Range<i16>) -> Self {
        Self { first: range.start, end: range.end }
    }
}

impl LabelRange {
    /// The labels as indices into names.
    pub fn indices(self) -> Range<usize> {
        let index = |label: i16| usize::try_from(label).unwrap_or(0);
        index(self.first)..index(self.end)
    }
}

impl PointClasses {
    /// The index of a label among the names; `None` if its point counts for nothing.
    pub fn index(&self, label: i16) -> Option<usize> {
        usize::try_from(label).ok().filter(|_| Some(label) != self.ignored)
    }

    /// Says what contradicts itself, given the number of classes of objects.
    pub(crate) fn find_fault(&self, classes: usize) -> Option<String> {
        if !self.parts.is_empty() && self.parts.len() != classes {
            return Some(format!("{} ranges of parts for {classes} classes", self.parts.len()));
        }
        let names = self.names.len();
        let is_legal = |range: &LabelRange| 0 <= range.first && range.first < range.end;
        let fits = |range: &LabelRange| is_legal(range) && range.indices().end <= names;
        let odd = self.parts.iter().find(|range| !fits(range));
        odd.map(|range| format!("parts {} to before {} of {names} names", range.first, range.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_must_fit_classes_and_names() {
        let parts = |ranges: &[Range<i16>]| PointClasses {
            names: vec!["a".into(), "b".into(), "c".into()],
            parts: ranges.iter().map(|range| range.clone().into()).collect(),
            ignored: None,
        };
        assert_eq!(parts(&[]).find_fault(7), None);
        assert_eq!(parts(&[0..1, 1..3]).find_fault(2), None);
        assert_eq!(parts(&[0..1, 1..2]).find_fault(3).unwrap(), "2 ranges of parts for 3 classes");
        for (range, found) in [(1..4, "1 to before 4"), (-1..1, "-1 to before 1"), (2..2, "2 to before 2")] {
            let fault = parts(&[range]).find_fault(1).unwrap();
            assert_eq!(fault, format!("parts {found} of 3 names"));
        }
    }

    #[test]
    fn negative_and_ignored_labels_count_for_nothing() {
        let classes = PointClasses { ignored: Some(0), ..PointClasses::default() };
        assert_eq!([-1, 0, 1, 7].map(|label| classes.index(label)), [None, None, Some(1), Some(7)]);
    }
}
