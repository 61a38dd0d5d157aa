//! Which judged samples are shown to people, and what their points were taken for.

use std::collections::BTreeSet;

use jepa3d_schemas::UpAxis;
use serde::Serialize;

/// A judged sample to be looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SegmentExample {
    /// Its id.
    pub id: String,
    /// Its place among the judged samples, from 1: the best is the first.
    pub place: usize,
    /// Samples that have a place.
    pub places: usize,
    /// Its mIoU from 0 to 1: over the parts of its class, or over the classes that occur in it, in truth or in predictions.
    pub iou: f64,
    /// `[P,3]`: its judged points, as the model had them.
    #[serde(skip)]
    pub points: Vec<f32>,
    /// Which of their axes points up.
    #[serde(skip)]
    pub up: UpAxis,
    /// `[P]`: classes of the points; negative where a point counts for nothing.
    #[serde(skip)]
    pub truth: Vec<i16>,
    /// `[P]`: what they were taken for.
    #[serde(skip)]
    pub predicted: Vec<i16>,
}

/// A judged sample by its mIoU.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RankedSample {
    pub id: String,
    pub iou: f64,
}

/// The places, from 0, of the samples that are shown of `count`: the best, the quartiles, the worst.
fn list_places(count: usize) -> BTreeSet<usize> {
    let Some(last) = count.checked_sub(1) else { return BTreeSet::new() };
    (0..=4).map(|quarter| quarter * last / 4).collect()
}

/// The samples that are shown of all that were judged, without their points; the best first, equal ones by id.
pub(crate) fn choose_examples(mut judged: Vec<RankedSample>, up: UpAxis) -> Vec<SegmentExample> {
    judged.sort_by(|a, b| b.iou.total_cmp(&a.iou).then_with(|| a.id.cmp(&b.id)));
    let places = judged.len();
    let example = |at: usize| SegmentExample {
        id: judged[at].id.clone(),
        place: at + 1,
        places,
        iou: judged[at].iou,
        points: Vec::new(),
        up,
        truth: Vec::new(),
        predicted: Vec::new(),
    };
    list_places(places).into_iter().map(example).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(judged: &[(&str, f64)]) -> Vec<(usize, String)> {
        let ranked = |&(id, iou): &(&str, f64)| RankedSample { id: id.to_owned(), iou };
        let chosen = choose_examples(judged.iter().map(ranked).collect(), UpAxis::Z);
        assert!(chosen.iter().all(|example| example.places == judged.len()));
        chosen.into_iter().map(|example| (example.place, example.id)).collect()
    }

    #[test]
    fn the_best_the_quartiles_and_the_worst_are_shown_whatever_the_order() {
        let mut judged: Vec<(String, f64)> =
            (0..9).map(|i| (format!("s{i}"), 1.0 - 0.1 * f64::from(i))).collect();
        let expected =
            [(1, "s0"), (3, "s2"), (5, "s4"), (7, "s6"), (9, "s8")].map(|(p, id)| (p, id.to_owned()));
        for _ in 0..2 {
            let all: Vec<(&str, f64)> = judged.iter().map(|(id, iou)| (id.as_str(), *iou)).collect();
            assert_eq!(choose(&all), expected);
            judged.reverse();
        }
    }

    #[test]
    fn equal_ones_are_told_apart_by_id_and_few_are_shown_once() {
        let equal = [("b", 0.5), ("a", 0.5), ("c", 0.5)];
        assert_eq!(choose(&equal), [(1, "a".to_owned()), (2, "b".to_owned()), (3, "c".to_owned())]);
        assert_eq!(choose(&[("x", 0.2), ("y", 0.9)]), [(1, "y".to_owned()), (2, "x".to_owned())]);
        assert_eq!(choose(&[("x", 0.2)]), [(1, "x".to_owned())]);
        assert_eq!(choose(&[]), []);
    }
}
