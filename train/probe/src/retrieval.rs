//! Retrieval: the samples of a gallery ranked for every query by the cosine of standardised features.
//!
//! The gallery is the training part and the queries are what a probe would classify. Right is what has the query's class.
//! Average precision is the mean, over all right samples of the gallery, of the precision at their ranks; recall at k the
//! share of queries with at least one right sample among the first k; precision at k the share of the first k that are right.

use std::collections::BTreeMap;

use crate::config::Evaluation;
use crate::error::{Error, Result};
use crate::features::{FeatureSet, Standardisation};
use crate::knn::judge_similarities;
use crate::parts::rows_of_parts;

/// What was found for one query.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrievedQuery {
    /// Its row among the features.
    pub row: usize,
    /// Its class.
    pub label: i32,
    /// Rows of the nearest of the gallery, the nearest first; equally near ones in the order of their rows.
    pub nearest: Vec<usize>,
    /// Whether each of them is right.
    pub is_right: Vec<bool>,
    /// Over the whole gallery.
    pub average_precision: f64,
}

/// What was found for all queries.
#[derive(Clone, Debug, PartialEq)]
pub struct Retrieval {
    /// The queries whose class the gallery has, in the order of their rows.
    pub queries: Vec<RetrievedQuery>,
    /// Labelled samples of the gallery, by class.
    pub gallery: BTreeMap<i32, usize>,
    /// Queries of classes that the gallery does not have, which nothing could answer, by class; they are in no mean.
    pub left_out: BTreeMap<i32, usize>,
    /// Ranks that are kept of every query: what was asked for, or all of a smaller gallery.
    pub depth: usize,
}

/// Means over queries, in percent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetrievalScores {
    /// Queries that count.
    pub queries: usize,
    /// Mean average precision.
    pub mean_average_precision: f64,
    /// Recall at 1, 2, ... up to the depth.
    pub recall: Vec<f64>,
    /// Precision at 1, 2, ... up to the depth.
    pub precision: Vec<f64>,
}

/// Ranks the training part for every labelled sample of the evaluation part, and keeps the first `depth` ranks.
///
/// Features are standardised with mean and deviation of the whole training part, unlabelled samples too; unlabelled samples
/// are neither queries nor in the gallery.
///
/// # Errors
/// Fails if arrays disagree, a feature is not finite (the row is named), the depth is 0, the evaluation split is the training
/// split, or a part has no labelled sample.
pub fn retrieve(
    features: &FeatureSet,
    evaluation: &Evaluation,
    training_split: &str,
    depth: usize,
) -> Result<Retrieval> {
    features.check()?;
    evaluation.check(training_split)?;
    let (training, evaluated) = rows_of_parts(features, evaluation, training_split);
    let standardisation = Standardisation::fit(&features.gather(&training), features.width);
    let known = LabelledRows::gather(features, training, &standardisation);
    let asked = LabelledRows::gather(features, evaluated, &standardisation);
    for (part, rows) in [("gallery", &known.rows), ("queries", &asked.rows)] {
        if rows.is_empty() || depth == 0 || features.width == 0 {
            let found = format!("{} of {} samples, depth {depth}", rows.len(), features.len());
            let expected = "labelled samples, and a depth of at least 1".to_owned();
            return Err(Error::Features { what: part.to_owned(), expected, found });
        }
    }
    Ok(rank_all(&known, &asked, features.width, depth))
}

/// The labelled of some rows, standardised.
struct LabelledRows {
    rows: Vec<usize>,
    labels: Vec<i32>,
    /// `[n, width]`.
    values: Vec<f32>,
}

impl LabelledRows {
    fn gather(features: &FeatureSet, rows: Vec<usize>, standardisation: &Standardisation) -> Self {
        let rows: Vec<usize> = rows.into_iter().filter(|&i| features.labels[i].is_some()).collect();
        let labels = rows.iter().filter_map(|&i| features.labels[i]).collect();
        let mut values = features.gather(&rows);
        standardisation.apply(&mut values);
        Self { rows, labels, values }
    }

    fn count_classes(&self) -> BTreeMap<i32, usize> {
        let mut counts = BTreeMap::new();
        self.labels.iter().for_each(|&label| *counts.entry(label).or_default() += 1);
        counts
    }
}

fn rank_all(known: &LabelledRows, asked: &LabelledRows, width: usize, depth: usize) -> Retrieval {
    let (gallery, depth) = (known.count_classes(), depth.min(known.rows.len()));
    let judge = |query: usize, similarities: &[f32]| {
        let label = asked.labels[query];
        let order = rank_row(similarities);
        let is_right = |&i: &u32| known.labels[i as usize] == label;
        let average_precision = average_precision(order.iter().map(is_right))?;
        let first = &order[..depth];
        Some(RetrievedQuery {
            row: asked.rows[query],
            label,
            nearest: first.iter().map(|&i| known.rows[i as usize]).collect(),
            is_right: first.iter().map(is_right).collect(),
            average_precision,
        })
    };
    let queries = judge_similarities(&known.values, &asked.values, width, judge);
    let mut left_out = asked.count_classes();
    left_out.retain(|label, _| !gallery.contains_key(label));
    Retrieval { queries: queries.into_iter().flatten().collect(), gallery, left_out, depth }
}

/// All of the gallery, the most similar first; ties by index.
fn rank_row(similarities: &[f32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..similarities.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| {
        similarities[b as usize].total_cmp(&similarities[a as usize]).then(a.cmp(&b))
    });
    order
}

/// Mean precision at the ranks of what is right; none if nothing is.
pub(crate) fn average_precision(ranking: impl Iterator<Item = bool>) -> Option<f64> {
    let (mut right, mut sum) = (0usize, 0.0);
    for (before, _) in ranking.enumerate().filter(|(_, is_right)| *is_right) {
        right += 1;
        sum += right as f64 / (before + 1) as f64;
    }
    (right > 0).then(|| sum / right as f64)
}

impl Retrieval {
    /// Means over all queries.
    pub fn scores(&self) -> RetrievalScores {
        score(self.queries.iter(), self.depth)
    }

    /// Means over the queries of every class that has some, by class.
    pub fn scores_by_class(&self) -> BTreeMap<i32, RetrievalScores> {
        let labels = self.gallery.keys().copied();
        let of_class = |label: i32| self.queries.iter().filter(move |query| query.label == label);
        let scores = labels.map(|label| (label, score(of_class(label), self.depth)));
        scores.filter(|(_, scores)| scores.queries > 0).collect()
    }
}

fn score<'a>(queries: impl Iterator<Item = &'a RetrievedQuery> + Clone, depth: usize) -> RetrievalScores {
    let count = queries.clone().count();
    let mean = |value: &dyn Fn(&RetrievedQuery) -> f64| {
        100.0 * queries.clone().map(value).sum::<f64>() / count.max(1) as f64
    };
    let right = |query: &RetrievedQuery, k: usize| query.is_right[..k].iter().filter(|x| **x).count() as f64;
    RetrievalScores {
        queries: count,
        mean_average_precision: mean(&|query| query.average_precision),
        recall: (1..=depth).map(|k| mean(&|query| right(query, k).min(1.0))).collect(),
        precision: (1..=depth).map(|k| mean(&|query| right(query, k) / k as f64)).collect(),
    }
}
