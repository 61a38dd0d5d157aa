//! How points were labelled, counted by true and predicted class: the metrics of scene segmentation.
//!
//! The intersection over union of a class is `TP / (TP + FP + FN)` over all points of all scenes, as the nuScenes devkit
//! computes it; its mean is over the classes that occur, in truth or in predictions.

use serde::{Deserialize, Serialize};

/// Counts of points by true and predicted class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointConfusion {
    classes: usize,
    /// `[C, C]`: a row a true class, a column a predicted one.
    counts: Vec<u64>,
}

/// What a [`PointConfusion`] comes to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PointScores {
    /// Points that count.
    pub points: u64,
    /// Share of points whose class was found; 0 without points.
    pub accuracy: f64,
    /// Mean over the true classes of the share of their points that was found; 0 without points.
    pub class_accuracy: f64,
    /// Mean over the classes that occur of the intersection over union; 0 without points.
    pub mean_iou: f64,
    /// `[C]`: intersection over union of every class; none where it occurs neither in truth nor in predictions.
    pub iou: Vec<Option<f64>>,
}

impl PointConfusion {
    /// Points `[true class][predicted class]`.
    pub fn rows(&self) -> Vec<Vec<u64>> {
        self.counts.chunks_exact(self.classes.max(1)).map(<[u64]>::to_vec).collect()
    }

    /// Of `classes` classes, without points.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Adds points of which truth, where it is known, and prediction are given; those of unknown truth count for nothing.
    ///
    /// # Panics
    /// If a class is out of range.
    pub fn add(&mut self, truth: impl IntoIterator<Item = Option<usize>>, predictions: &[usize]) {
        for (truth, &predicted) in truth.into_iter().zip(predictions) {
            let Some(truth) = truth else { continue };
            assert!(truth < self.classes && predicted < self.classes, "classes below {}", self.classes);
            self.counts[truth * self.classes + predicted] += 1;
        }
    }

    /// Classes `C`.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Points of one true class by predicted class, `[C]`.
    pub fn row(&self, truth: usize) -> &[u64] {
        &self.counts[truth * self.classes..][..self.classes]
    }

    /// The metrics.
    pub fn scores(&self) -> PointScores {
        let hits = |class: usize| self.row(class)[class];
        let known = |class: usize| self.row(class).iter().sum::<u64>();
        let claimed = |class: usize| (0..self.classes).map(|truth| self.row(truth)[class]).sum::<u64>();
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        let points = (0..self.classes).map(known).sum::<u64>();
        let all_hits = (0..self.classes).map(hits).sum::<u64>();
        let recalls: Vec<Option<f64>> = (0..self.classes).map(|c| share(hits(c), known(c))).collect();
        let union = |class: usize| known(class) + claimed(class) - hits(class);
        let iou: Vec<Option<f64>> = (0..self.classes).map(|c| share(hits(c), union(c))).collect();
        PointScores {
            points,
            accuracy: share(all_hits, points).unwrap_or(0.0),
            class_accuracy: mean_known(&recalls).unwrap_or(0.0),
            mean_iou: mean_known(&iou).unwrap_or(0.0),
            iou,
        }
    }
}

/// Mean of those that are known; none without any.
pub(crate) fn mean_known(values: &[Option<f64>]) -> Option<f64> {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}
