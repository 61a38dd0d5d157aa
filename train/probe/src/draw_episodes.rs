//! Draws n-way k-shot episodes from the labelled samples of a set.

use std::collections::BTreeMap;

use jepa3d_schemas::Draws;

use crate::config::Evaluation;
use crate::episodes::{Episode, EpisodeClass, EpisodeList, FORMAT, validation_part};
use crate::error::{Error, Result};
use crate::features::{FeatureSet, is_validation};

/// Which episodes are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeConfig {
    /// Numbers of classes.
    pub ways: Vec<usize>,
    /// Numbers of labelled samples a class.
    pub shots: Vec<usize>,
    /// Episodes for every pair of them.
    pub folds: usize,
    /// Queries a class.
    pub queries: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// The split of the labelled samples.
    pub support_split: String,
    /// Where the queries are from; with [`Evaluation::Validation`] the labelled samples are from the rest of their split.
    pub evaluation: Evaluation,
}

impl Default for EpisodeConfig {
    /// 5 and 10 ways, 10 and 20 shots, 10 folds, 20 queries a class.
    fn default() -> Self {
        Self {
            ways: vec![5, 10],
            shots: vec![10, 20],
            folds: 10,
            queries: 20,
            seed: 0,
            support_split: "train".to_owned(),
            evaluation: Evaluation::Validation,
        }
    }
}

/// The samples of a class that may be drawn, ascending by id: draws do not depend on the order of a set.
#[derive(Default)]
struct ClassPool<'a> {
    support: Vec<&'a str>,
    queries: Vec<&'a str>,
}

/// What episodes of a set are drawn from.
struct EpisodeSource<'a> {
    config: &'a EpisodeConfig,
    classes: &'a [String],
    pools: BTreeMap<i32, ClassPool<'a>>,
    /// Labels of the classes with enough samples, ascending.
    drawable: Vec<i32>,
}

impl EpisodeList {
    /// Draws the episodes of a set; `classes` are its class names, `fingerprint` tells it from others.
    ///
    /// A class is drawn where it has enough samples for the shots and the queries; the others are named in
    /// [`EpisodeList::left_out`]. The labelled samples of 10 shots are the first of those of 20.
    ///
    /// # Errors
    /// Fails if a number is 0, or fewer classes than the largest number of ways have enough samples.
    pub fn draw(
        samples: &FeatureSet,
        classes: &[String],
        fingerprint: &str,
        config: &EpisodeConfig,
    ) -> Result<Self> {
        check_config(config)?;
        let source = EpisodeSource::new(samples, classes, config);
        let left_out = source.left_out();
        let most = config.ways.iter().copied().max().unwrap_or(0);
        if source.drawable.len() < most {
            return Err(Error::Features {
                what: format!("classes with {} samples and {} queries", config.most_shots(), config.queries),
                expected: format!("at least {most}"),
                found: source.describe_drawable(),
            });
        }
        let query_split = match &config.evaluation {
            Evaluation::Validation => validation_part(&config.support_split),
            Evaluation::Split(split) => split.clone(),
        };
        Ok(Self {
            format: FORMAT.to_owned(),
            fingerprint: fingerprint.to_owned(),
            seed: config.seed,
            support_split: config.support_split.clone(),
            query_split,
            left_out,
            episodes: source.draw_all(),
        })
    }
}

impl EpisodeConfig {
    fn most_shots(&self) -> usize {
        self.shots.iter().copied().max().unwrap_or(0)
    }
}

impl<'a> EpisodeSource<'a> {
    fn new(samples: &'a FeatureSet, classes: &'a [String], config: &'a EpisodeConfig) -> Self {
        let pools = pool_samples(samples, config);
        let has_enough = |pool: &ClassPool<'_>| {
            pool.support.len() >= config.most_shots() && pool.queries.len() >= config.queries
        };
        let drawable = pools.iter().filter(|(_, pool)| has_enough(pool)).map(|(&label, _)| label).collect();
        Self { config, classes, pools, drawable }
    }

    fn class_name(&self, label: i32) -> String {
        let known = usize::try_from(label).ok().and_then(|label| self.classes.get(label));
        known.cloned().unwrap_or_else(|| label.to_string())
    }

    /// The classes with too few samples, and what they have.
    fn left_out(&self) -> Vec<String> {
        let too_small = self.pools.iter().filter(|(label, _)| !self.drawable.contains(label));
        let tell = |(&label, pool): (&i32, &ClassPool<'_>)| {
            let (support, queries) = (pool.support.len(), pool.queries.len());
            format!("{}: {support} to learn from, {queries} queries", self.class_name(label))
        };
        too_small.map(tell).collect()
    }

    /// How many classes may be drawn, and why not others.
    fn describe_drawable(&self) -> String {
        let count = self.drawable.len();
        match self.left_out() {
            small if small.is_empty() => format!("{count}, and no other labelled samples"),
            small => format!("{count} (too small: {})", small.join("; ")),
        }
    }

    fn draw_all(&self) -> Vec<Episode> {
        let EpisodeConfig { ways, shots, folds, .. } = self.config;
        let mut episodes = Vec::new();
        for &way in ways {
            for &shot in shots {
                episodes.extend((0..*folds).map(|fold| self.draw_one(EpisodePlace { way, shot, fold })));
            }
        }
        episodes
    }

    fn draw_one(&self, place: EpisodePlace) -> Episode {
        let EpisodePlace { way, shot, fold } = place;
        let drawn = place.draws(self.config, "classes").distinct(self.drawable.len(), way);
        let mut labels: Vec<i32> = drawn.into_iter().map(|at| self.drawable[at]).collect();
        labels.sort_unstable();
        let classes = labels.into_iter().map(|label| self.draw_class(place, label)).collect();
        Episode { way, shot, fold, classes }
    }

    fn draw_class(&self, place: EpisodePlace, label: i32) -> EpisodeClass {
        let pool = &self.pools[&label];
        let draw = |purpose: &str, pool: &[&str], count: usize| -> Vec<String> {
            let mut draws = place.draws(self.config, &format!("{purpose} of class {label}"));
            draws.distinct(pool.len(), count).into_iter().map(|at| pool[at].to_owned()).collect()
        };
        EpisodeClass {
            label,
            name: self.class_name(label),
            support: draw("support", &pool.support, place.shot),
            queries: draw("queries", &pool.queries, self.config.queries),
        }
    }
}

fn check_config(config: &EpisodeConfig) -> Result<()> {
    let smallest = |what: &'static str, least: usize, values: &[usize]| match values.iter().min() {
        Some(&value) if value >= least => Ok(()),
        found => Err(Error::Range {
            what,
            expected: format!("numbers of at least {least}"),
            found: found.map_or_else(|| "none".to_owned(), usize::to_string),
        }),
    };
    smallest("ways", 2, &config.ways)?;
    smallest("shots", 1, &config.shots)?;
    smallest("folds", 1, &[config.folds])?;
    smallest("queries", 1, &[config.queries])
}

/// The samples of every class, by what they may be drawn for.
fn pool_samples<'a>(samples: &'a FeatureSet, config: &EpisodeConfig) -> BTreeMap<i32, ClassPool<'a>> {
    let mut pools: BTreeMap<i32, ClassPool<'a>> = BTreeMap::new();
    for ((id, label), split) in samples.ids.iter().zip(&samples.labels).zip(&samples.splits) {
        let Some(label) = *label else { continue };
        let is_support_split = *split == config.support_split;
        let is_query = match &config.evaluation {
            Evaluation::Validation => is_support_split && is_validation(id),
            Evaluation::Split(name) => split == name,
        };
        let pool = pools.entry(label).or_default();
        if is_query {
            pool.queries.push(id);
        } else if is_support_split {
            pool.support.push(id);
        }
    }
    for pool in pools.values_mut() {
        pool.support.sort_unstable();
        pool.queries.sort_unstable();
    }
    pools
}

/// Which episode a class is drawn for.
#[derive(Clone, Copy)]
struct EpisodePlace {
    way: usize,
    shot: usize,
    fold: usize,
}

impl EpisodePlace {
    /// Draws for a purpose of an episode; shots do not enter, so that fewer shots are some of more.
    fn draws(self, config: &EpisodeConfig, purpose: &str) -> Draws {
        let Self { way, fold, .. } = self;
        Draws::new(config.seed, &format!("{way}-way fold {fold}"), &format!("few-shot {purpose}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(classes: usize, count: usize) -> FeatureSet {
        let mut set = FeatureSet { width: 1, ..FeatureSet::default() };
        for i in 0..classes * count {
            set.ids.push(format!("s{i:04}"));
            set.labels.push(Some((i % classes) as i32));
            set.splits.push(if i % (2 * classes) < classes { "train" } else { "test" }.to_owned());
            set.values.push(0.0);
        }
        set
    }

    fn config() -> EpisodeConfig {
        EpisodeConfig {
            evaluation: Evaluation::Split("test".to_owned()),
            folds: 3,
            ..EpisodeConfig::default()
        }
    }

    #[test]
    fn episodes_are_balanced_disjoint_nested_and_free_of_order() {
        let names: Vec<String> = (0..12).map(|i| format!("class {i}")).collect();
        let set = samples(12, 60);
        let list = EpisodeList::draw(&set, &names, "f", &config()).unwrap();
        assert_eq!(list.episodes.len(), 2 * 2 * 3);
        assert!(list.episodes.iter().all(|episode| episode.fault().is_none()));
        let find = |way, shot, fold| {
            list.episodes.iter().find(|e| (e.way, e.shot, e.fold) == (way, shot, fold)).unwrap()
        };
        let (ten, twenty) = (find(5, 10, 1), find(5, 20, 1));
        for (few, more) in ten.classes.iter().zip(&twenty.classes) {
            assert_eq!(
                (few.label, &few.support[..], &few.queries),
                (more.label, &more.support[..10], &more.queries)
            );
            assert_eq!(few.name, format!("class {}", few.label));
        }
        assert_ne!(find(5, 10, 0), find(5, 10, 1));
        let mut reversed = set.clone();
        reversed.ids.reverse();
        reversed.labels.reverse();
        reversed.splits.reverse();
        assert_eq!(EpisodeList::draw(&reversed, &names, "f", &config()).unwrap(), list);
        let is_test = |id: &String| set.splits[set.ids.iter().position(|x| x == id).unwrap()] == "test";
        assert!(ten.classes.iter().all(|c| c.queries.iter().all(is_test) && !c.support.iter().any(is_test)));
    }

    #[test]
    fn a_list_is_read_back_and_a_wrong_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("episodes.json");
        let list = EpisodeList::draw(&samples(12, 60), &[], "f", &config()).unwrap();
        list.write(&path).unwrap();
        assert_eq!(EpisodeList::read(&path).unwrap(), list);
        let mut twice = list;
        twice.episodes[0].classes[0].queries[0] = twice.episodes[0].classes[0].support[0].clone();
        twice.write(&path).unwrap();
        let error = EpisodeList::read(&path).unwrap_err().to_string();
        assert!(error.contains("episodes.json") && error.contains("5-way 10-shot fold 0"), "{error}");
        std::fs::write(&path, "{}").unwrap();
        assert!(EpisodeList::read(&path).is_err());
    }

    #[test]
    fn classes_that_are_too_small_are_named() {
        let mut set = samples(6, 60);
        set.labels.iter_mut().skip(60).filter(|label| **label == Some(0)).for_each(|label| *label = None);
        let few = EpisodeConfig { ways: vec![5], ..config() };
        let list = EpisodeList::draw(&set, &["sofa".to_owned()], "f", &few).unwrap();
        assert_eq!(list.left_out, ["sofa: 5 to learn from, 5 queries"]);
        let error = EpisodeList::draw(&set, &[], "f", &config()).unwrap_err().to_string();
        assert!(error.contains("at least 10, found 5 (too small: 0: 5 to learn from"), "{error}");
        let none = EpisodeConfig { shots: vec![], ..config() };
        let error = EpisodeList::draw(&set, &[], "f", &none).unwrap_err().to_string();
        assert_eq!(error, "shots: expected numbers of at least 1, found none");
    }
}
