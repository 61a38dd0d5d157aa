//! The loader against brute force: coverage, order, resuming, threads, ranks, groupings, broken shards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use jepa3d_fixtures::grouped_set::{SHAPE, accept, write};
use jepa3d_schemas::{Sample, ShardReader};
use tempfile::TempDir;

use super::{EvalConfig, Loader, LoaderConfig, for_each_in_order};
use crate::augment::{Augment, Per};
use crate::batch::Batch;
use crate::dataset::PreparedDataset;
use crate::error::Error;
use crate::patch_source::PatchesFrom;

const SHARDS: &[(&str, usize)] = &[("train", 23), ("train", 17), ("val", 5), ("train", 9)];

pub(super) fn dataset(group: usize) -> (TempDir, Arc<PreparedDataset>) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), SHARDS, group);
    let dataset = Arc::new(PreparedDataset::open(folder.path()).unwrap());
    (folder, dataset)
}

pub(super) fn config() -> LoaderConfig {
    LoaderConfig {
        batch: 6,
        groups: SHAPE.G,
        group_size: SHAPE.K,
        points: SHAPE.N,
        shuffle_buffer: 16,
        seed: 5,
        ..LoaderConfig::default()
    }
}

pub(super) fn take(
    dataset: &Arc<PreparedDataset>,
    config: LoaderConfig,
    first: u64,
    count: u64,
) -> Vec<Batch> {
    let mut loader = Loader::start(dataset, config, first).unwrap();
    (0..count)
        .map(|_| {
            let batch = loader.next().unwrap();
            loader.recycle(batch.clone());
            batch
        })
        .collect()
}

pub(super) fn samples(dataset: &PreparedDataset, split: &str) -> BTreeMap<String, Sample> {
    let shards = dataset.manifest().shards.iter().filter(|shard| shard.split == split);
    let mut all = BTreeMap::new();
    for shard in shards {
        let reader = ShardReader::open(&dataset.folder().join(&shard.file)).unwrap();
        for index in 0..reader.row_groups() {
            let group = reader.read_row_group(index, &[]).unwrap();
            all.extend(
                (0..group.rows).map(|row| group.sample(row).unwrap()).map(|s| (s.sample_id.clone(), s)),
            );
        }
    }
    all
}

pub(super) fn cloud(sample: &Sample) -> Vec<[f32; 3]> {
    sample.points.as_chunks::<3>().0.to_vec()
}

/// (centers, patches) of a stored grouping, by definition.
pub(super) fn stored(sample: &Sample, r: usize, groups: usize, size: usize) -> (Vec<f32>, Vec<f32>) {
    let points = cloud(sample);
    let (mut centers, mut patches) = (Vec::new(), Vec::new());
    for g in 0..groups {
        let center = points[sample.center_indices[r * SHAPE.G + g] as usize];
        centers.extend(center);
        for k in 0..size {
            let p = points[sample.patch_indices[(r * SHAPE.G + g) * SHAPE.K + k] as usize];
            patches.extend([0, 1, 2].map(|a| p[a] - center[a]));
        }
    }
    (centers, patches)
}

#[test]
fn every_epoch_visits_each_sample_once_with_its_own_patches() {
    for (group, buffer) in [(1, 1), (4, 16), (7, 20), (64, 3), (4, 1000)] {
        let (_folder, dataset) = dataset(group);
        let config = LoaderConfig { batch: 7, shuffle_buffer: buffer, threads: 2, ..config() };
        let truth = samples(&dataset, "train");
        let mut groupings = BTreeSet::new();
        for epoch in take(&dataset, config, 0, 21).chunks(7) {
            let ids: BTreeSet<&String> = epoch.iter().flat_map(|batch| &batch.sample_ids).collect();
            assert_eq!(ids.len(), 49, "7 whole batches of 7 of 49 samples");
            for batch in epoch {
                for (i, id) in batch.sample_ids.iter().enumerate() {
                    let (sample, width) = (&truth[id], SHAPE.G * SHAPE.K * 3);
                    assert_eq!(batch.labels[i], sample.label);
                    let found = (
                        batch.centers[i * SHAPE.G * 3..][..SHAPE.G * 3].to_vec(),
                        batch.patches[i * width..][..width].to_vec(),
                    );
                    let r = (0..SHAPE.R).find(|&r| stored(sample, r, SHAPE.G, SHAPE.K) == found);
                    groupings.insert(r.expect("one of the stored groupings"));
                }
            }
        }
        assert_eq!(groupings.len(), SHAPE.R, "all groupings are drawn");
    }
}

#[test]
fn batches_do_not_depend_on_threads_or_prefetch() {
    let (_folder, dataset) = dataset(4);
    for patches_from in [PatchesFrom::Shard, PatchesFrom::Online] {
        let augment = Augment { per: Per::Sample, rotate_up: 3.0, jitter: 0.01, ..Augment::default() };
        let config = LoaderConfig { patches_from, augment, ..config() };
        let one = take(&dataset, config.clone(), 0, 30);
        for (threads, prefetch) in [(2, 1), (5, 9)] {
            let config = LoaderConfig { threads, prefetch, ..config.clone() };
            assert_eq!(one, take(&dataset, config, 0, 30), "{threads} threads");
        }
    }
}

#[test]
fn a_run_resumes_at_any_batch() {
    let (_folder, dataset) = dataset(4);
    for buffer in [16, 1000] {
        let config = LoaderConfig { shuffle_buffer: buffer, threads: 2, ..config() };
        let through = take(&dataset, config.clone(), 0, 20);
        for first in 0..19 {
            let rest = take(&dataset, config.clone(), first, 20 - first);
            assert_eq!(through[first as usize..], rest, "from {first}");
        }
    }
}

#[test]
fn ranks_divide_the_steps_of_one_order() {
    let (_folder, dataset) = dataset(4);
    let config = LoaderConfig { batch: 8, ..config() };
    let whole = take(&dataset, config.clone(), 0, 12);
    let ranks = [0, 1].map(|rank| {
        let config = LoaderConfig { batch: 4, rank, world: 2, ..config.clone() };
        take(&dataset, config, 0, 12)
    });
    for (step, batch) in whole.iter().enumerate() {
        let parts = ranks.each_ref().map(|rank| rank[step].sample_ids.clone()).concat();
        assert_eq!(batch.sample_ids, parts, "step {step}");
    }
}

#[test]
fn memory_holds_the_buffer_and_not_the_split() {
    let (_folder, dataset) = dataset(2);
    let mut loader =
        Loader::start(&dataset, LoaderConfig { batch: 2, shuffle_buffer: 8, ..config() }, 0).unwrap();
    (0..60).for_each(|_| drop(loader.next().unwrap()));
    // Half a buffer to either side, fluctuation, and what the next batches need; at an epoch's end twice.
    assert!((8..=36).contains(&loader.resident_rows()), "{} rows", loader.resident_rows());
}

#[test]
fn evaluation_visits_the_splits_in_stored_order_with_the_canonical_grouping() {
    let (_folder, dataset) = dataset(4);
    for threads in [1, 3] {
        let eval =
            EvalConfig { batch: 8, threads, groups: SHAPE.G, group_size: SHAPE.K, ..EvalConfig::default() };
        let mut truth = samples(&dataset, "train");
        let (mut ids, mut sizes) = (Vec::new(), Vec::new());
        for_each_in_order(&dataset, &["train"], &eval, |batch| {
            sizes.push(batch.rows);
            for (i, id) in batch.sample_ids.iter().enumerate() {
                let (centers, patches) = stored(&truth[id], 0, SHAPE.G, SHAPE.K);
                assert_eq!(batch.centers[i * centers.len()..][..centers.len()], centers);
                assert_eq!(batch.patches[i * patches.len()..][..patches.len()], patches);
            }
            ids.extend(batch.sample_ids);
            Ok::<(), Error>(())
        })
        .unwrap();
        assert_eq!(sizes, [8, 8, 8, 8, 8, 8, 1]);
        assert!(ids.iter().eq(truth.keys()));
        let mut all = 0;
        for_each_in_order(&dataset, &[], &eval, |batch| {
            all += batch.rows;
            Ok::<(), Error>(())
        })
        .unwrap();
        truth.append(&mut samples(&dataset, "val"));
        assert_eq!(all, truth.len());
    }
}

fn refused(folder: &Path) -> String {
    let outcome = || -> crate::error::Result<()> {
        let dataset = Arc::new(PreparedDataset::open(folder)?);
        let mut loader = Loader::start(&dataset, LoaderConfig { threads: 3, ..config() }, 0)?;
        for _ in 0..8 {
            loader.next()?;
        }
        Ok(())
    };
    outcome().unwrap_err().to_string()
}

#[test]
fn a_broken_shard_stops_the_run_with_its_name() {
    let (folder, dataset) = dataset(4);
    let name = dataset.manifest().shards[1].file.clone();
    let path = folder.path().join(&name);
    let bytes = std::fs::read(&path).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 3] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    let error = refused(folder.path());
    assert!(error.contains(&name) && error.contains("content hash: expected"), "{error}");
    std::fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    assert!(refused(folder.path()).contains(&name));
    // Whole footers over bytes that do not decode.
    let mut noise = bytes.clone();
    noise[4..bytes.len() / 2].fill(0xA5);
    std::fs::write(&path, &noise).unwrap();
    accept(folder.path());
    assert!(refused(folder.path()).contains(&name));
    std::fs::remove_file(&path).unwrap();
    assert!(refused(folder.path()).contains(&name));
    std::fs::remove_file(folder.path().join("manifest.json")).unwrap();
    assert!(refused(folder.path()).ends_with("found no manifest.json (prepare writes it last)"));
}

#[test]
fn an_error_is_said_again_and_a_missing_split_names_those_there_are() {
    let (folder, dataset) = dataset(4);
    let path = folder.path().join(&dataset.manifest().shards[0].file);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 4;
    std::fs::write(&path, &bytes).unwrap();
    let mut loader = Loader::start(&dataset, config(), 0).unwrap();
    let first = loop {
        if let Err(error) = loader.next() {
            break error.to_string();
        }
    };
    assert_eq!(first, loader.next().unwrap_err().to_string());
    let none = Loader::start(&dataset, LoaderConfig { split: "test".into(), ..config() }, 0).err().unwrap();
    assert!(none.to_string().ends_with("split: expected one of train, val; found \"test\""), "{none}");
}

#[test]
fn columns_that_are_not_needed_are_not_decoded() {
    let (folder, dataset) = dataset(64);
    let before = take(&dataset, config(), 0, 8);
    let path = folder.path().join(&dataset.manifest().shards[0].file);
    let reader = ShardReader::open(&path).unwrap();
    let sizes: BTreeMap<&str, (u64, u64)> = reader
        .column_bytes()
        .into_iter()
        .scan(4, |at, (name, bytes, _)| {
            Some((
                name,
                (*at, {
                    *at += bytes;
                    *at
                }),
            ))
        })
        .collect();
    let mut bytes = std::fs::read(&path).unwrap();
    for column in ["normals", "subset", "norm_center", "source"] {
        let (start, end) = sizes[column];
        bytes[start as usize..end as usize].fill(0xA5);
    }
    std::fs::write(&path, &bytes).unwrap();
    assert!(ShardReader::open(&path).unwrap().read_row_group(0, &["normals"]).is_err());
    accept(folder.path());
    let dataset = Arc::new(PreparedDataset::open(folder.path()).unwrap());
    assert_eq!(before, take(&dataset, config(), 0, 8));
}

#[test]
fn dropping_the_loader_ends_its_threads() {
    let (_folder, dataset) = dataset(4);
    for taken in [0, 1, 5] {
        let mut loader = Loader::start(&dataset, LoaderConfig { threads: 4, ..config() }, 0).unwrap();
        (0..taken).for_each(|_| drop(loader.next().unwrap()));
        let maker = Arc::downgrade(&loader.maker);
        drop(loader);
        assert!(maker.upgrade().is_none(), "no thread holds on to anything");
    }
}
