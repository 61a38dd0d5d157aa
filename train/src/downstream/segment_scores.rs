//! How well a segmenter labels the points of a dataset, and the loss that it learns from.

use candle_core::Tensor;
use jepa3d_probe::{PartScores, PointConfusion, PointScores, ShapeIou, best_part, shape_iou};
use jepa3d_schemas::PointClasses;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::ClassLoss;

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
pub(crate) fn point_loss(scores: &Tensor, targets: &[Option<usize>], rule: &ClassLoss) -> Result<Tensor> {
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
        return rule.of_rows(scores, &labels);
    }
    let rows = Tensor::from_slice(&rows, rows.len(), scores.device())?;
    rule.of_rows(&scores.index_select(&rows, 0)?, &labels)
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

/// What the points of one object were taken for.
pub(crate) struct ScoredPoints {
    /// `[P]`: predicted classes.
    pub predicted: Vec<usize>,
    /// `[P]`: true classes; none where a point counts for nothing.
    pub truth: Vec<Option<usize>>,
    /// Its mIoU: over the parts of its class, or over the classes that occur in it; none if no point counts.
    pub iou: Option<f64>,
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

    /// Adds an object; gives what its points were taken for.
    ///
    /// # Errors
    /// Fails if a label has no name.
    pub(crate) fn add(&mut self, object: ScoredObject<'_>) -> Result<ScoredPoints> {
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
        let predicted: Vec<usize> = object.scores.chunks_exact(count).map(predict).collect();
        let truth = find_targets(object.labels, self.classes)?;
        self.confusion.add(truth.iter().copied(), &predicted);
        let iou = match (object.class, parts) {
            (Some(category), Some(parts)) => {
                let iou = shape_iou(&truth, &predicted, parts);
                self.shapes.extend(iou.map(|iou| ShapeIou { category, iou }));
                iou
            }
            _ => scene_iou(&truth, &predicted, count),
        };
        Ok(ScoredPoints { predicted, truth, iou })
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

/// Mean over the classes that occur in one scene, in truth or in predictions; none if no point counts.
fn scene_iou(truth: &[Option<usize>], predicted: &[usize], classes: usize) -> Option<f64> {
    let mut own = PointConfusion::new(classes);
    own.add(truth.iter().copied(), predicted);
    let scores = own.scores();
    (scores.points > 0).then_some(scores.mean_iou)
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
        let scored = scores.add(object).unwrap();
        assert_eq!((scored.predicted, scored.truth), (vec![1, 2, 1], vec![Some(1), Some(1), None]));
        assert_eq!(scored.iou, Some(0.25));
        assert_eq!(scene_iou(&[None], &[1], 3), None);
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
        let part = value(point_loss(&scores, &[Some(1), None, Some(2)], &ClassLoss::default()).unwrap());
        let rows = Tensor::new(&[[1.0f32, 2.0, 0.5], [2.0, 0.0, 0.0]], &Device::Cpu).unwrap();
        assert_eq!(part, value(ClassLoss::default().of_rows(&rows, &[1, 2]).unwrap()));
        assert_eq!(value(point_loss(&scores, &[None; 3], &ClassLoss::default()).unwrap()), 0.0);
    }
}
