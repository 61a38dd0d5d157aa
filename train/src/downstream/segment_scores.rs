//! How well a segmenter labels the points of a dataset, and the loss that it learns from.

use candle_core::Tensor;
use jepa3d_probe::{PartScores, PointConfusion, PointScores, ShapeIou, best_part, shape_iou};
use jepa3d_schemas::PointClasses;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::cross_entropy;

/// Classes of labelled points as indices; none where a point counts for nothing.
///
/// # Errors
/// Fails if a label has no name.
pub(crate) fn find_targets(labels: &[i16], classes: &PointClasses) -> Result<Vec<Option<usize>>> {
    let count = classes.names.len();
    let target = |&label: &i16| match classes.index(label) {
        Some(index) if index >= count => {
            let expected = format!("labels of points below {count}, as the manifest names them");
            Err(Error::PointLabel { expected, found: label })
        }
        target => Ok(target),
    };
    labels.iter().map(target).collect()
}

/// Cross entropy of the points that count; 0 without any.
///
/// # Shapes
/// `scores [P, C]`, `targets [P]` to a scalar.
pub(crate) fn point_loss(scores: &Tensor, targets: &[Option<usize>], smoothing: f64) -> Result<Tensor> {
    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    for (row, target) in targets.iter().enumerate() {
        if let Some(target) = target {
            rows.push(row as u32);
            labels.push(*target as u32);
        }
    }
    if labels.is_empty() {
        return Ok((scores.sum_all()? * 0.0)?);
    }
    if labels.len() == targets.len() {
        return cross_entropy(scores, &labels, smoothing);
    }
    let rows = Tensor::from_slice(&rows, rows.len(), scores.device())?;
    cross_entropy(&scores.index_select(&rows, 0)?, &labels, smoothing)
}

/// Metrics of labelled points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentScores {
    /// Over all points.
    pub points: PointScores,
    /// Points by true and predicted class.
    pub confusion: PointConfusion,
    /// Over shapes, where classes of objects have parts of their own.
    pub parts: Option<PartScores>,
}

impl SegmentScores {
    /// The number that a run is selected by: mIoU by instance of parts, mIoU over classes of scenes.
    pub fn selection(&self) -> f64 {
        self.parts.as_ref().map_or(self.points.mean_iou, |parts| parts.instance_iou)
    }
}

/// One object and the scores of its points.
#[derive(Clone, Copy)]
pub(crate) struct ScoredObject<'a> {
    /// Its class, where it has one.
    pub class: Option<usize>,
    /// `[P]`, as stored.
    pub labels: &'a [i16],
    /// `[P, C]`.
    pub scores: &'a [f32],
}

/// Collects the scores of objects.
pub(crate) struct ScoreCollector<'a> {
    classes: &'a PointClasses,
    confusion: PointConfusion,
    shapes: Vec<ShapeIou>,
}

impl<'a> ScoreCollector<'a> {
    pub(crate) fn new(classes: &'a PointClasses) -> Self {
        Self { classes, confusion: PointConfusion::new(classes.names.len()), shapes: Vec::new() }
    }

    /// Adds an object; gives the predicted label of every point.
    ///
    /// # Errors
    /// Fails if a label has no name.
    pub(crate) fn add(&mut self, object: ScoredObject<'_>) -> Result<Vec<usize>> {
        let count = self.classes.names.len();
        let parts = object.class.and_then(|class| self.classes.parts.get(class)).map(|parts| parts.indices());
        let ignored = self.classes.ignored.and_then(|label| usize::try_from(label).ok());
        let legal = parts.clone().unwrap_or(0..count);
        let predict = |row: &[f32]| match ignored.filter(|ignored| *ignored < count) {
            None => best_part(row, legal.clone()),
            Some(ignored) => {
                let mut row = row.to_vec();
                row[ignored] = f32::NEG_INFINITY;
                best_part(&row, legal.clone())
            }
        };
        let predictions: Vec<usize> = object.scores.chunks_exact(count).map(predict).collect();
        let targets = find_targets(object.labels, self.classes)?;
        self.confusion.add(targets.iter().copied(), &predictions);
        if let (Some(category), Some(parts)) = (object.class, parts)
            && let Some(iou) = shape_iou(&targets, &predictions, parts)
        {
            self.shapes.push(ShapeIou { category, iou });
        }
        Ok(predictions)
    }

    /// The metrics of all objects.
    pub(crate) fn finish(self) -> SegmentScores {
        let categories = self.classes.parts.len();
        SegmentScores {
            points: self.confusion.scores(),
            parts: (categories > 0).then(|| PartScores::measure(&self.shapes, categories)),
            confusion: self.confusion,
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn scenes() -> PointClasses {
        let names = ["ignore", "car", "road"].map(str::to_owned).to_vec();
        PointClasses { names, parts: vec![], ignored: Some(0) }
    }

    #[test]
    fn what_is_ignored_is_neither_learned_nor_predicted_nor_counted() {
        let classes = scenes();
        assert_eq!(find_targets(&[-1, 0, 1, 2], &classes).unwrap(), [None, None, Some(1), Some(2)]);
        let error = find_targets(&[3], &classes).unwrap_err().to_string();
        assert!(error.contains("expected labels of points below 3") && error.ends_with("found 3"), "{error}");
        let mut scores = ScoreCollector::new(&classes);
        let rows = [9.0, 1.0, 0.0, 9.0, 0.0, 1.0, 9.0, 1.0, 0.0];
        let object = ScoredObject { class: None, labels: &[1, 1, 0], scores: &rows };
        assert_eq!(scores.add(object).unwrap(), [1, 2, 1]);
        let found = scores.finish();
        assert_eq!((found.points.points, found.points.accuracy, found.parts.clone()), (2, 0.5, None));
        assert_eq!(found.points.iou, [None, Some(0.5), Some(0.0)]);
        assert_eq!(found.selection(), 0.25);
    }

    #[test]
    fn the_loss_is_that_of_the_points_that_count() {
        let scores =
            Tensor::new(&[[1.0f32, 2.0, 0.5], [0.0, 3.0, 1.0], [2.0, 0.0, 0.0]], &Device::Cpu).unwrap();
        let value = |loss: Tensor| loss.to_scalar::<f32>().unwrap();
        let part = value(point_loss(&scores, &[Some(1), None, Some(2)], 0.0).unwrap());
        let rows = Tensor::new(&[[1.0f32, 2.0, 0.5], [2.0, 0.0, 0.0]], &Device::Cpu).unwrap();
        assert_eq!(part, value(cross_entropy(&rows, &[1, 2], 0.0).unwrap()));
        assert_eq!(value(point_loss(&scores, &[None; 3], 0.0).unwrap()), 0.0);
    }
}
