//! Few-shot classification with frozen features: a linear SVM an episode.

use std::collections::HashMap;

use rayon::prelude::*;
use serde::Serialize;

use crate::episodes::{Episode, EpisodeList};
use crate::error::{Error, Result};
use crate::examples::Examples;
use crate::features::{FeatureSet, Standardisation};
use crate::few_labels::FEW_LABELS_C;
use crate::report::{align_rows, print_spread};
use crate::statistics::{MeanDeviation, accuracy};
use crate::svm::{LinearSvm, Solver};

/// Accuracy over the episodes of some ways and shots.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FewShotLine {
    /// Classes an episode.
    pub way: usize,
    /// Labelled samples a class.
    pub shot: usize,
    /// Mean over the episodes, in percent.
    pub mean: f64,
    /// Deviation over the episodes (with `n - 1`), in percent.
    pub deviation: f64,
    /// Of each episode, by fold, in percent.
    pub accuracies: Vec<f64>,
}

/// The lines of one encoder, under a heading.
#[derive(Clone, Debug, Serialize)]
pub struct FewShotColumn {
    /// Heading, for example the run.
    pub title: String,
    /// A line for every pair of ways and shots, as listed.
    pub lines: Vec<FewShotLine>,
}

/// Classifies the queries of every episode by a one-vs-one linear SVM (hinge loss, C = 0.012) on its labelled samples.
///
/// Features are standardised by mean and deviation of the split that the labelled samples are from, without any query:
/// that needs no labels.
///
/// # Errors
/// Fails if the list names a sample that the features lack or label otherwise, or a feature is not finite.
pub fn few_shot(features: &FeatureSet, list: &EpisodeList) -> Result<Vec<FewShotLine>> {
    features.check()?;
    let table = SampleTable::new(features, list)?;
    let accuracies: Vec<f64> =
        list.episodes.par_iter().map(|episode| table.score(episode)).collect::<Result<_>>()?;
    Ok(sum_up_episodes(list, &accuracies))
}

/// Lines over the episodes of a list, of which `accuracies` says the share of queries that were classified correctly.
pub fn sum_up_episodes(list: &EpisodeList, accuracies: &[f64]) -> Vec<FewShotLine> {
    let mut lines: Vec<FewShotLine> = Vec::new();
    for (Episode { way, shot, .. }, accuracy) in list.episodes.iter().zip(accuracies) {
        match lines.iter_mut().find(|line| line.way == *way && line.shot == *shot) {
            Some(line) => line.accuracies.push(100.0 * accuracy),
            None => lines.push(FewShotLine {
                way: *way,
                shot: *shot,
                mean: 0.0,
                deviation: 0.0,
                accuracies: vec![100.0 * accuracy],
            }),
        }
    }
    for line in &mut lines {
        let spread = MeanDeviation::measure(&line.accuracies);
        (line.mean, line.deviation) = (spread.mean, spread.deviation);
    }
    lines
}

/// Standardised features by id.
struct SampleTable<'a> {
    width: usize,
    values: Vec<f32>,
    rows: HashMap<&'a str, usize>,
    labels: &'a [Option<i32>],
}

impl<'a> SampleTable<'a> {
    fn new(features: &'a FeatureSet, list: &EpisodeList) -> Result<Self> {
        let rows: HashMap<&str, usize> =
            features.ids.iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect();
        let mut is_query = vec![false; features.len()];
        for id in list.episodes.iter().flat_map(|e| &e.classes).flat_map(|class| &class.queries) {
            if let Some(&row) = rows.get(id.as_str()) {
                is_query[row] = true;
            }
        }
        let is_known = |&row: &usize| features.splits[row] == list.support_split && !is_query[row];
        let known: Vec<usize> = (0..features.len()).filter(is_known).collect();
        let mut values = features.values.clone();
        Standardisation::fit(&features.gather(&known), features.width).apply(&mut values);
        Ok(Self { width: features.width, values, rows, labels: &features.labels })
    }

    /// The vector of a sample, if it is there and of the class that the list says.
    fn vector(&self, id: &str, label: i32) -> Result<&[f32]> {
        let error = |expected: String, found: String| {
            Err(Error::Features { what: format!("sample {id} of an episode"), expected, found })
        };
        match self.rows.get(id) {
            None => {
                error("features of it".to_owned(), "none: is the list of another set or split?".to_owned())
            }
            Some(&row) if self.labels[row] != Some(label) => {
                let found = self.labels[row].map_or_else(|| "none".to_owned(), |label| label.to_string());
                error(format!("label {label}"), found)
            }
            Some(&row) => Ok(&self.values[row * self.width..][..self.width]),
        }
    }

    /// Share of an episode's queries that are classified correctly.
    fn score(&self, episode: &Episode) -> Result<f64> {
        let (mut support, mut queries) = (LabelledVectors::default(), LabelledVectors::default());
        for class in &episode.classes {
            for (ids, vectors) in [(&class.support, &mut support), (&class.queries, &mut queries)] {
                for id in ids {
                    vectors.values.extend_from_slice(self.vector(id, class.label)?);
                    vectors.labels.push(class.label);
                }
            }
        }
        let examples = Examples { values: &support.values, width: self.width, labels: &support.labels };
        let svm = LinearSvm::fit(examples, Solver::OneVsOne, FEW_LABELS_C)?;
        Ok(accuracy(&svm.predict(&queries.values), &queries.labels))
    }
}

#[derive(Default)]
struct LabelledVectors {
    values: Vec<f32>,
    labels: Vec<i32>,
}

/// The columns side by side: a line for every pair of ways and shots, then how they were measured.
pub fn print_few_shot(columns: &[FewShotColumn], list: &EpisodeList) -> String {
    let Some(first) = columns.first() else { return String::new() };
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(columns.iter().map(|column| column.title.clone()));
    for (i, line) in first.lines.iter().enumerate() {
        let mut row = vec![format!("{}-way {}-shot", line.way, line.shot)];
        row.extend(
            columns.iter().map(|column| print_spread(column.lines[i].mean, column.lines[i].deviation)),
        );
        rows.push(row);
    }
    align_rows(&rows) + "\n" + &describe_few_shot(columns, list)
}

/// How columns were measured, a fact a line.
pub fn describe_few_shot(columns: &[FewShotColumn], list: &EpisodeList) -> String {
    let Some(first) = columns.first() else { return String::new() };
    let folds = first.lines.first().map_or(0, |line| line.accuracies.len());
    let queries =
        list.episodes.first().and_then(|e| e.classes.first()).map_or(0, |class| class.queries.len());
    let mut text = format!(
        "accuracies in percent, mean and deviation over {folds} episodes, {queries} queries a class; episodes of seed {}, \
         labelled samples from {}, queries from {}\n\
         frozen features, standardised by the labelled split without queries; SVM one-vs-one, hinge loss, C = {FEW_LABELS_C}\n",
        list.seed, list.support_split, list.query_split,
    );
    for class in &list.left_out {
        text += &format!("too small to be drawn: {class}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Evaluation;
    use crate::draw_episodes::EpisodeConfig;
    use jepa3d_schemas::Draws;

    /// Classes in directions of their own, with noise of the given strength.
    fn features(noise: f64) -> FeatureSet {
        let mut set = FeatureSet { width: 6, ..FeatureSet::default() };
        let mut draws = Draws::new(0, "features", "test");
        for i in 0..6 * 80 {
            set.ids.push(format!("s{i:04}"));
            set.labels.push(Some(i % 6));
            set.splits.push(if i < 240 { "train" } else { "test" }.to_owned());
            for c in 0..6 {
                set.values.push((f64::from(u8::from(c == i % 6)) + noise * draws.normal()) as f32);
            }
        }
        set
    }

    fn config() -> EpisodeConfig {
        EpisodeConfig {
            ways: vec![2, 5],
            shots: vec![1, 10],
            evaluation: Evaluation::Split("test".to_owned()),
            ..EpisodeConfig::default()
        }
    }

    #[test]
    fn easy_classes_are_told_apart_noise_is_chance_and_more_shots_help() {
        let measure = |noise| {
            let set = features(noise);
            let list = EpisodeList::draw(&set, &[], "f", &config()).unwrap();
            few_shot(&set, &list).unwrap()
        };
        assert!(measure(0.01).iter().all(|line| line.mean == 100.0 && line.deviation == 0.0));
        let noisy = measure(0.5);
        assert_eq!(noisy.iter().map(|line| line.accuracies.len()).collect::<Vec<_>>(), [10; 4]);
        assert!(noisy[0].mean < noisy[1].mean && noisy[2].mean < noisy[3].mean, "{noisy:?}");
        let chance = measure(1e4);
        assert!((chance[1].mean - 50.0).abs() < 12.0 && (chance[3].mean - 20.0).abs() < 8.0, "{chance:?}");
    }

    #[test]
    fn a_list_of_another_set_is_refused_by_sample() {
        let set = features(0.1);
        let list = EpisodeList::draw(&set, &[], "f", &config()).unwrap();
        let mut other = set.clone();
        other.ids.iter_mut().for_each(|id| id.insert(0, 'x'));
        let error = few_shot(&other, &list).unwrap_err().to_string();
        assert!(error.contains("of an episode: expected features of it"), "{error}");
        let mut wrong = set;
        wrong.labels.iter_mut().for_each(|label| *label = label.map(|l| l + 1));
        assert!(few_shot(&wrong, &list).unwrap_err().to_string().contains("expected label"));
    }

    #[test]
    fn the_table_says_how_it_was_measured() {
        let set = features(0.01);
        let list = EpisodeList::draw(&set, &[], "f", &config()).unwrap();
        let column = FewShotColumn { title: "a".to_owned(), lines: few_shot(&set, &list).unwrap() };
        let text = print_few_shot(&[column], &list);
        assert!(text.contains("5-way 10-shot  100.0 +- 0.0"), "{text}");
        assert!(text.contains("over 10 episodes, 20 queries a class"), "{text}");
    }
}
