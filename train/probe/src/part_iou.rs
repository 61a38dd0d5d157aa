//! Intersection over union of parts of objects, as the ShapeNetPart benchmark computes it (`method.md` 8.5).
//!
//! A shape's points take the best of the parts of its *true* category. Its value is the mean over these parts, of which one
//! that is neither there nor predicted counts 1; mIoU by instance is the mean over shapes, by category that over the means of
//! categories.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::point_confusion::mean_known;

/// The value of one shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShapeIou {
    /// Its category, an index into the dataset's classes.
    pub category: usize,
    /// Mean over the parts of the category.
    pub iou: f64,
}

/// Means over shapes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartScores {
    /// Shapes.
    pub shapes: usize,
    /// Mean over shapes; 0 without any.
    pub instance_iou: f64,
    /// Mean over categories of the means of their shapes; 0 without any.
    pub category_iou: f64,
    /// The mean of every category; none of one without shapes.
    pub categories: Vec<Option<f64>>,
}

/// The part with the largest of `scores`, one a part of all categories, among those of one category; of equal ones the first.
///
/// # Panics
/// If `parts` is empty or beyond the scores.
pub fn best_part(scores: &[f32], parts: Range<usize>) -> usize {
    let first = parts.start;
    parts.fold(first, |best, part| if scores[part] > scores[best] { part } else { best })
}

/// The value of a shape with the parts `parts`; none if the truth of no point is known. Points of unknown truth count for
/// nothing.
pub fn shape_iou(truth: &[Option<usize>], predictions: &[usize], parts: Range<usize>) -> Option<f64> {
    let known = truth.iter().zip(predictions).filter_map(|(truth, predicted)| Some(((*truth)?, *predicted)));
    let known: Vec<(usize, usize)> = known.collect();
    if known.is_empty() || parts.is_empty() {
        return None;
    }
    let count = parts.len() as f64;
    let iou = |part: usize| {
        let is_part = |(truth, predicted): &&(usize, usize)| *truth == part || *predicted == part;
        let union = known.iter().filter(is_part).count();
        let hits = known.iter().filter(|&&pair| pair == (part, part)).count();
        if union == 0 { 1.0 } else { hits as f64 / union as f64 }
    };
    Some(parts.map(iou).sum::<f64>() / count)
}

impl PartScores {
    /// The means over `shapes` of `categories` categories.
    ///
    /// # Panics
    /// If a category is out of range.
    pub fn measure(shapes: &[ShapeIou], categories: usize) -> Self {
        let mut of_category = vec![Vec::new(); categories];
        shapes.iter().for_each(|shape| of_category[shape.category].push(Some(shape.iou)));
        let categories: Vec<Option<f64>> = of_category.iter().map(|values| mean_known(values)).collect();
        let all: Vec<Option<f64>> = shapes.iter().map(|shape| Some(shape.iou)).collect();
        Self {
            shapes: shapes.len(),
            instance_iou: mean_known(&all).unwrap_or(0.0),
            category_iou: mean_known(&categories).unwrap_or(0.0),
            categories,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_part_is_one_of_the_category() {
        let scores = [9.0, 1.0, 3.0, 3.0, f32::NEG_INFINITY, 8.0];
        assert_eq!([best_part(&scores, 1..5), best_part(&scores, 4..5), best_part(&scores, 0..6)], [2, 4, 0]);
    }

    #[test]
    fn absent_parts_count_one_and_unknown_points_nothing() {
        let truth = [Some(3), Some(3), None, Some(4)];
        assert_eq!(shape_iou(&truth, &[3, 3, 5, 4], 3..6), Some(1.0));
        assert_eq!(shape_iou(&truth, &[3, 4, 5, 4], 3..6), Some((0.5 + 0.5 + 1.0) / 3.0));
        assert_eq!(shape_iou(&[None; 2], &[3, 4], 3..6), None);
        assert_eq!(PartScores::measure(&[], 2).categories, [None, None]);
    }
}
