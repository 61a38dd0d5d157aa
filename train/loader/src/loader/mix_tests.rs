//! Several datasets at once against brute force: shares, order, resuming, threads, ranks, refusals.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jepa3d_fixtures::grouped_set::{SHAPE, write};
use jepa3d_schemas::{Manifest, UpAxis};
use tempfile::TempDir;

use super::tests::{config, stored};
use super::{Loader, LoaderConfig};
use crate::augment::{Augment, Per};
use crate::batch::Batch;
use crate::config::ViewConfig;
use crate::mix::{DataShare, DatasetMix, learned_from};
use crate::patch_source::PatchesFrom;

/// Two sets whose samples have the same names: 40 and 50 of the split `train`.
struct Pair {
    folder: TempDir,
}

impl Pair {
    fn new() -> Self {
        let pair = Self { folder: tempfile::tempdir().unwrap() };
        write(&pair.path("a"), &[("train", 23), ("train", 17)], 4);
        write(&pair.path("b"), &[("train", 50), ("val", 3)], 7);
        pair.edit("b", |manifest| manifest.fingerprint = "b".into());
        pair
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn edit(&self, name: &str, edit: impl FnOnce(&mut Manifest)) {
        let mut manifest = Manifest::read(&self.path(name)).unwrap();
        edit(&mut manifest);
        manifest.write(&self.path(name)).unwrap();
    }

    fn mix(&self, weights: [f64; 2]) -> DatasetMix {
        let share = |(name, weight): (&str, f64)| DataShare { folder: self.path(name), weight };
        DatasetMix::open(&["a", "b"].into_iter().zip(weights).map(share).collect::<Vec<_>>()).unwrap()
    }

    fn refused(&self, config: LoaderConfig) -> String {
        Loader::start_mix(&self.mix([1.0, 1.0]), config, 0).err().unwrap().to_string()
    }
}

fn take(mix: &DatasetMix, config: LoaderConfig, first: u64, count: u64) -> Vec<Batch> {
    let mut loader = Loader::start_mix(mix, config, first).unwrap();
    (0..count).map(|_| loader.next().unwrap()).collect()
}

#[test]
fn an_epoch_shows_of_every_set_what_its_weight_says() {
    let pair = Pair::new();
    for (buffer, weights, counts) in
        [(16, [1.0, 1.0], [40, 50]), (1000, [0.5, 0.3], [20, 15]), (16, [0.25, 1.5], [10, 75])]
    {
        let mix = pair.mix(weights);
        let config = LoaderConfig { batch: 5, shuffle_buffer: buffer, ..config() };
        let steps = Loader::start_mix(&mix, config.clone(), 0).unwrap().steps_per_epoch();
        assert_eq!(steps, (counts[0] + counts[1]) as u64 / 5);
        let mut shown = BTreeMap::<(u32, String), usize>::new();
        for epoch in take(&mix, config, 0, 4 * steps).chunks(steps as usize) {
            let mut keys = BTreeSet::new();
            for batch in epoch {
                assert!(batch.labels.iter().all(Option::is_none), "classes of several sets are not mixed");
                keys.extend(batch.keys().iter().cloned());
                let each = batch.sets.iter().copied().zip(batch.sample_ids.iter().cloned());
                each.for_each(|sample| *shown.entry(sample).or_default() += 1);
                let found = batch.sets.iter().filter(|&&set| set == 0).count() as f64;
                let share = 5.0 * counts[0] as f64 / (counts[0] + counts[1]) as f64;
                assert!((found - share).abs() <= 2.0, "{found} of the first set, its share is {share}");
            }
            assert_eq!(keys.len(), counts[0] + counts[1], "every sample has draws of its own");
        }
        for (set, total) in [(0, 40), (1, 50)] {
            let times: Vec<usize> =
                shown.iter().filter(|((own, _), _)| *own == set).map(|(_, &times)| times).collect();
            assert_eq!(times.iter().sum::<usize>(), 4 * counts[set as usize]);
            assert_eq!(times.len(), total.min(4 * counts[set as usize]), "others until all were shown");
            assert!(times.iter().max().unwrap() - times.iter().min().unwrap() <= 1);
        }
    }
}

#[test]
fn samples_are_those_of_their_sets() {
    let pair = Pair::new();
    let mix = pair.mix([1.0, 1.0]);
    let truth = [0, 1].map(|set| super::tests::samples(&mix.parts()[set].dataset, "train"));
    for batch in take(&mix, config(), 0, 15) {
        for (i, (id, &set)) in batch.sample_ids.iter().zip(&batch.sets).enumerate() {
            let width = SHAPE.G * SHAPE.K * 3;
            let found = (
                batch.centers[i * SHAPE.G * 3..][..SHAPE.G * 3].to_vec(),
                batch.patches[i * width..][..width].to_vec(),
            );
            assert!((0..SHAPE.R).any(|r| stored(&truth[set as usize][id], r, SHAPE.G, SHAPE.K) == found));
        }
    }
}

#[test]
fn a_mix_resumes_anywhere_on_any_threads_and_ranks() {
    let pair = Pair::new();
    for (buffer, patches_from) in [(16, PatchesFrom::Shard), (1000, PatchesFrom::Online)] {
        let mix = pair.mix([1.0, 0.3]);
        let augment = Augment { per: Per::Sample, rotate_up: 3.0, jitter: 0.01, ..Augment::default() };
        let config = LoaderConfig { batch: 8, shuffle_buffer: buffer, patches_from, augment, ..config() };
        let through = take(&mix, config.clone(), 0, 20);
        for first in [1, 6, 7, 13, 19] {
            let other = LoaderConfig { threads: 1 + first as usize % 4, prefetch: 3, ..config.clone() };
            assert_eq!(through[first as usize..], take(&mix, other, first, 20 - first), "from {first}");
        }
        let ranks =
            [0, 1].map(|rank| take(&mix, LoaderConfig { batch: 4, rank, world: 2, ..config.clone() }, 0, 20));
        for (step, batch) in through.iter().enumerate() {
            let parts = ranks.each_ref().map(|rank| rank[step].keys().to_vec()).concat();
            assert_eq!(batch.keys(), parts, "step {step}");
        }
    }
}

#[test]
fn one_set_of_weight_1_is_that_set() {
    let pair = Pair::new();
    let alone = DatasetMix::open(&[DataShare::from(pair.path("a").as_path())]).unwrap();
    let dataset = alone.first();
    assert_eq!(alone.fingerprint(), dataset.fingerprint());
    let config = LoaderConfig { repeat: 2, ..config() };
    let mut loader = Loader::start(dataset, config.clone(), 0).unwrap();
    for batch in take(&alone, config, 0, 20) {
        assert_eq!(batch, loader.next().unwrap());
        assert!(batch.labels.iter().all(Option::is_some) && batch.sets.iter().all(|&set| set == 0));
    }
}

#[test]
fn sets_that_do_not_go_together_are_named() {
    let pair = Pair::new();
    let (a, b) = (pair.path("a").display().to_string(), pair.path("b").display().to_string());
    let online = LoaderConfig { patches_from: PatchesFrom::Online, ..config() };
    let views = ViewConfig { image_size: 8, image_patch: 4, queries: 4, visible: 0.5 };
    let no_views = pair.refused(LoaderConfig { views: Some(views), ..online.clone() });
    assert_eq!(no_views, format!("{a}: expected views, found none (prepare --only views adds them)"));
    pair.edit("b", |manifest| manifest.shape.N = 25);
    let letters =
        format!("{b}: expected stored groupings R 3, N 24, G 6, K 5 as in {a}, found R 3, N 25, G 6, K 5");
    assert_eq!(pair.refused(config()), letters);
    Loader::start_mix(&pair.mix([1.0, 1.0]), online.clone(), 0).unwrap();
    pair.edit("b", |manifest| manifest.up_axis = UpAxis::Y);
    assert_eq!(pair.refused(online.clone()), format!("{b}: expected the up axis z as in {a}, found y"));
    let split = pair.refused(LoaderConfig { split: "val".into(), ..online });
    assert!(split.starts_with(&format!("{b}: expected the up axis")), "{split}");
    write(&pair.path("b"), &[("train", 9), ("blocks", 9)], 4);
    pair.edit("b", |manifest| manifest.fingerprint = "b".into());
    assert_eq!(
        pair.refused(config()),
        format!("{b}: expected groups: patches as in {a}, found voxel blocks")
    );
    let twice = DatasetMix::open(&[&a, &a].map(|folder| Path::new(folder).into())).unwrap_err().to_string();
    assert_eq!(
        twice,
        format!("{a}: expected every dataset once (a weight of 2 shows it twice), found that of {a} again")
    );
    let few = pair.mix([0.001, 1.0]);
    let few = Loader::start_mix(&few, config(), 0).err().unwrap().to_string();
    assert!(few.contains("groups") || few.contains("a weight of"), "{few}");
}

#[test]
fn shares_are_read_from_text() {
    let pair = Pair::new();
    let share = |text: &str| text.parse::<DataShare>().unwrap();
    let want = |folder: &str, weight| DataShare { folder: folder.into(), weight };
    assert_eq!(share("a/b"), want("a/b", 1.0));
    assert_eq!(share("a/b:0.3"), want("a/b", 0.3));
    assert_eq!(share("C:/b:2"), want("C:/b", 2.0));
    assert_eq!(share("a:b"), want("a:b", 1.0));
    let odd = pair.path("of:2");
    std::fs::create_dir(&odd).unwrap();
    assert_eq!(share(odd.to_str().unwrap()), DataShare::from(odd.as_path()), "there is such a folder");
    for wrong in ["a:0", "a:-1", "a:inf", "a:NaN"] {
        let error = wrong.parse::<DataShare>().unwrap_err().to_string();
        assert!(error.starts_with("config: --data: expected a weight above 0"), "{error}");
    }
    let mix = pair.mix([1.0, 0.3]).fingerprint();
    assert!(mix.ends_with(" + b:0.3") && learned_from(&mix, "b") && !learned_from(&mix, "0.3"), "{mix}");
}
