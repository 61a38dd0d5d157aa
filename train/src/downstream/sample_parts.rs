//! The parts of a set: what is trained on, what the best epoch is selected on, what is judged at the end.

use std::collections::BTreeMap;

use jepa3d_loader::{ListedSample, PreparedDataset, SampleSelection};
use jepa3d_probe::is_validation;
use jepa3d_schemas::Draws;

use super::config::DownstreamConfig;
use super::label_budget::LabelBudget;
use crate::config::out_of_range;
use crate::error::Result;

/// Some samples of a split.
#[derive(Clone, Debug)]
pub(crate) struct SamplePart {
    /// The split that they are of.
    pub split: String,
    /// In stored order.
    pub samples: Vec<ListedSample>,
}

impl SamplePart {
    /// What the loader takes.
    pub(crate) fn selection(&self) -> SampleSelection {
        SampleSelection::new(self.samples.iter().map(|sample| sample.at))
    }

    /// Number of samples.
    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }
}

/// The parts of a run.
#[derive(Clone, Debug)]
pub(crate) struct SampleParts {
    pub training: SamplePart,
    /// Held out of the training part; empty where nothing is selected.
    pub selection: SamplePart,
    pub evaluation: SamplePart,
    /// What is judged, in words.
    pub evaluated: String,
    /// What is worth saying of them, a line each.
    pub notes: Vec<String>,
}

impl SampleParts {
    /// Parts with labels of whole samples, drawn class by class.
    ///
    /// # Errors
    /// Fails if a split does not exist, fewer than two classes can be trained on, or no sample of one of them can be judged.
    pub(crate) fn draw_by_class(config: &DownstreamConfig, dataset: &PreparedDataset) -> Result<Self> {
        let classes = dataset.classes();
        let class_name = |label: usize| classes[label].clone();
        let strata = |sample: &ListedSample| {
            let label = usize::try_from(sample.label?).ok()?;
            (label < classes.len()).then_some(label)
        };
        let mut parts = Self::draw(config, dataset, &strata, &class_name)?;
        let trained = count_strata(&parts.training.samples, &strata);
        let names_of = |counts: &BTreeMap<usize, usize>| {
            counts.keys().map(|&label| class_name(label)).collect::<Vec<_>>().join(", ")
        };
        if trained.len() < 2 {
            let found = format!("{} ({})", trained.len(), names_of(&trained));
            let key = format!("labels of {}", parts.training.split);
            return Err(out_of_range(&key, "at least two classes to be trained on", found));
        }
        let judged = count_strata(&parts.evaluation.samples, &strata);
        let unseen: Vec<String> = judged
            .keys()
            .filter(|label| !trained.contains_key(label))
            .map(|&label| class_name(label))
            .collect();
        if unseen.len() == judged.len() {
            let key = format!("labels of {}", parts.evaluated);
            let expected = format!("classes that are trained on ({})", names_of(&trained));
            return Err(out_of_range(&key, expected, names_of(&judged)));
        }
        if !unseen.is_empty() {
            let names = unseen.join(", ");
            parts.notes.push(format!("classes that are judged and never trained on: {names}"));
        }
        Ok(parts)
    }

    /// Parts of the samples that `strata` gives a number, drawn number by number.
    ///
    /// # Errors
    /// Fails if a split does not exist, or no sample can be trained on or judged.
    pub(crate) fn draw(
        config: &DownstreamConfig,
        dataset: &PreparedDataset,
        strata: &dyn Fn(&ListedSample) -> Option<usize>,
        name: &dyn Fn(usize) -> String,
    ) -> Result<Self> {
        let split = config.data.split.clone();
        let test = config.labels.test_split.clone();
        if test == split {
            return Err(out_of_range("labels.test_split", "another split than the one trained on", test));
        }
        let all = dataset.list_samples(&split)?;
        let mut notes = Vec::new();
        let known = keep_known(all, strata, &split, &mut notes);
        let (pool, evaluation, evaluated) = if test.is_empty() {
            let (held, pool): (Vec<_>, Vec<_>) = known.into_iter().partition(|s| is_validation(&s.id));
            let evaluated = format!("a fixed fifth of {split} by hash of the id");
            (pool, SamplePart { split: split.clone(), samples: held }, evaluated)
        } else {
            let judged = keep_known(dataset.list_samples(&test)?, strata, &test, &mut notes);
            let evaluated = format!("the split {test}");
            (known, SamplePart { split: test, samples: judged }, evaluated)
        };
        let share = if config.labels.budget == LabelBudget::All { config.labels.selection } else { 0.0 };
        let hold = |size: usize| if size > 1 { (share * size as f64).round() as usize } else { 0 };
        let (held, pool) = Strata { seed: 0, purpose: "selection", strata }.split(pool, &hold);
        let count = |size: usize| config.labels.budget.count(size);
        let drawing = Strata { seed: config.run.seed, purpose: "labels", strata };
        note_small_classes(config.labels.budget, &count_strata(&pool, strata), name, &mut notes);
        let (training, _) = drawing.split(pool, &count);
        for (what, of, samples) in
            [("trained on", &split, &training), ("judged", &evaluated, &evaluation.samples)]
        {
            if samples.is_empty() {
                let expected = format!("labelled samples to be {what}");
                return Err(out_of_range(&format!("labels of {of}"), expected, "none"));
            }
        }
        Ok(Self {
            training: SamplePart { split: split.clone(), samples: training },
            selection: SamplePart { split, samples: held },
            evaluation,
            evaluated,
            notes,
        })
    }
}

/// Samples with a label; the others are counted in a note.
fn keep_known(
    samples: Vec<ListedSample>,
    strata: &dyn Fn(&ListedSample) -> Option<usize>,
    split: &str,
    notes: &mut Vec<String>,
) -> Vec<ListedSample> {
    let before = samples.len();
    let known: Vec<ListedSample> = samples.into_iter().filter(|sample| strata(sample).is_some()).collect();
    if known.len() < before {
        notes.push(format!("{} samples of {split} have no label and are left out", before - known.len()));
    }
    known
}

/// Samples by stratum.
fn count_strata(
    samples: &[ListedSample],
    strata: &dyn Fn(&ListedSample) -> Option<usize>,
) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for stratum in samples.iter().filter_map(strata) {
        *counts.entry(stratum).or_default() += 1;
    }
    counts
}

fn note_small_classes(
    budget: LabelBudget,
    counts: &BTreeMap<usize, usize>,
    name: &dyn Fn(usize) -> String,
    notes: &mut Vec<String>,
) {
    let LabelBudget::PerClass(wanted) = budget else { return };
    let small: Vec<String> = counts
        .iter()
        .filter(|&(_, &size)| size < wanted)
        .map(|(&stratum, size)| format!("{} ({size})", name(stratum)))
        .collect();
    if !small.is_empty() {
        notes.push(format!(
            "classes with fewer than {wanted} samples, all of which are used: {}",
            small.join(", ")
        ));
    }
}

/// A draw of samples from every stratum.
struct Strata<'a> {
    seed: u64,
    purpose: &'static str,
    strata: &'a dyn Fn(&ListedSample) -> Option<usize>,
}

impl Strata<'_> {
    /// The samples that are drawn, `count(size)` of a stratum of `size`, and the rest; both in stored order.
    ///
    /// What is drawn depends on the ids alone, not on their order, and fewer are some of more.
    fn split(
        &self,
        samples: Vec<ListedSample>,
        count: &dyn Fn(usize) -> usize,
    ) -> (Vec<ListedSample>, Vec<ListedSample>) {
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, sample) in samples.iter().enumerate() {
            if let Some(stratum) = (self.strata)(sample) {
                members.entry(stratum).or_default().push(at);
            }
        }
        let mut is_drawn = vec![false; samples.len()];
        for (stratum, mut places) in members {
            places.sort_unstable_by(|&a, &b| samples[a].id.cmp(&samples[b].id));
            let mut draws = Draws::new(self.seed, &format!("class {stratum}"), self.purpose);
            let order = draws.distinct(places.len(), count(places.len()));
            order.into_iter().for_each(|at| is_drawn[places[at]] = true);
        }
        let (mut drawn, mut rest) = (Vec::new(), Vec::new());
        for (sample, is_drawn) in samples.into_iter().zip(is_drawn) {
            if is_drawn { drawn.push(sample) } else { rest.push(sample) }
        }
        (drawn, rest)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jepa3d_loader::RowAt;

    use super::*;

    fn samples(count: usize) -> Vec<ListedSample> {
        let sample = |i: usize| ListedSample {
            id: format!("s{i:04}"),
            label: Some((i % 3) as i32),
            at: RowAt { group: 0, row: i as u32 },
        };
        (0..count).map(sample).collect()
    }

    #[test]
    fn draws_are_nested_stratified_and_free_of_order() {
        let strata = |sample: &ListedSample| usize::try_from(sample.label?).ok();
        let draw = |samples: Vec<ListedSample>, wanted: usize| -> BTreeSet<String> {
            let drawing = Strata { seed: 3, purpose: "labels", strata: &strata };
            let (drawn, rest) = drawing.split(samples, &|size| wanted.min(size));
            assert_eq!(drawn.len() + rest.len(), 90);
            for class in 0..3 {
                assert_eq!(drawn.iter().filter(|s| s.label == Some(class)).count(), wanted);
            }
            drawn.into_iter().map(|sample| sample.id).collect()
        };
        let few = draw(samples(90), 4);
        assert!(few.is_subset(&draw(samples(90), 9)));
        let mut turned = samples(90);
        turned.reverse();
        assert_eq!(draw(turned, 4), few);
    }
}
