//! Evaluation with a grouping made afresh: by its definition, of corrupted clouds, of some samples alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use jepa3d_fixtures::grouped_set::{SHAPE, write};
use jepa3d_grouping::keep_neighborly;
use jepa3d_schemas::UpAxis;

use super::patch_tests::{farthest, squared};
use super::tests::{cloud, dataset, samples};
use super::{EvalConfig, for_each_in_order};
use crate::batch::Batch;
use crate::config::FreshStart;
use crate::corruption::{Corruption, CorruptionKind};
use crate::dataset::PreparedDataset;
use crate::error::Error;
use crate::selection::SampleSelection;

fn fresh() -> EvalConfig {
    let regroup = Some(FreshStart { points: SHAPE.N, seed: None, repeats: false, outliers: 0.0 });
    EvalConfig { batch: 8, groups: SHAPE.G, group_size: SHAPE.K, regroup, ..EvalConfig::default() }
}

fn visit(dataset: &Arc<PreparedDataset>, split: &str, config: &EvalConfig) -> Result<Vec<Batch>, Error> {
    let mut all = Vec::new();
    for_each_in_order(dataset, &[split], config, |batch| {
        all.push(batch);
        Ok::<(), Error>(())
    })?;
    Ok(all)
}

/// The point farthest from the mean, the first of equals.
fn canonical_start(points: &[[f32; 3]]) -> usize {
    let mean = [0, 1, 2].map(|a| points.iter().map(|p| f64::from(p[a])).sum::<f64>() / points.len() as f64);
    let gap = |i: usize| (0..3).map(|a| (f64::from(points[i][a]) - mean[a]).powi(2)).sum::<f64>();
    (0..points.len()).rev().max_by(|&i, &j| gap(i).total_cmp(&gap(j))).unwrap()
}

#[test]
fn a_fresh_grouping_is_the_canonical_one_of_the_definition() {
    let (_folder, dataset) = dataset(4);
    let truth = samples(&dataset, "train");
    for batch in visit(&dataset, "train", &fresh()).unwrap() {
        for (i, id) in batch.sample_ids.iter().enumerate() {
            let points = cloud(&truth[id]);
            let mut subset = farthest(&points, SHAPE.N, canonical_start(&points));
            subset.sort_unstable();
            let part: Vec<[f32; 3]> = subset.iter().map(|&j| points[j]).collect();
            let (mut centers, mut patches) = (Vec::new(), Vec::new());
            for center in farthest(&part, SHAPE.G, canonical_start(&part)) {
                let mut near: Vec<usize> = (0..SHAPE.N).collect();
                let gap = |i: usize| squared(&part[i], &part[center]);
                near.sort_by(|&a, &b| gap(a).total_cmp(&gap(b)));
                centers.extend(part[center]);
                let near = near[..SHAPE.K].iter();
                patches.extend(near.flat_map(|&j| [0, 1, 2].map(|a| part[j][a] - part[center][a])));
            }
            assert_eq!(batch.centers[i * centers.len()..][..centers.len()], centers);
            assert_eq!(batch.patches[i * patches.len()..][..patches.len()], patches);
        }
    }
}

#[test]
fn turned_clouds_are_grouped_as_they_lie() {
    let (_folder, dataset) = dataset(4);
    let turned = EvalConfig { up_axis: Some(UpAxis::Y), ..fresh() };
    let plain = visit(&dataset, "train", &fresh()).unwrap();
    for (a, b) in plain.iter().zip(visit(&dataset, "train", &turned).unwrap()) {
        for (p, q) in a.centers.chunks_exact(3).zip(b.centers.chunks_exact(3)) {
            assert_eq!([p[0], p[2], -p[1]], q, "z becomes y");
        }
    }
}

#[test]
fn corrupted_clouds_do_not_depend_on_threads_and_can_always_be_grouped() {
    let (_folder, dataset) = dataset(4);
    let plain = visit(&dataset, "train", &fresh()).unwrap();
    for kind in CorruptionKind::ALL {
        let corruption = Some(Corruption { kind, severity: 5, seed: 3 });
        let config = EvalConfig { corruption, ..fresh() };
        let made = visit(&dataset, "train", &config).unwrap();
        assert_eq!(made, visit(&dataset, "train", &EvalConfig { threads: 3, ..config.clone() }).unwrap());
        assert!(made.iter().all(|batch| batch.patches.iter().all(|x| x.is_finite())));
        // A cloud of fewer points than are kept stays as it is.
        assert_eq!(made == plain, kind == CorruptionKind::Subsample, "{kind:?}");
    }
    // A quarter of 41 points is fewer than 12 centers: they are filled up.
    let corruption = Some(Corruption { kind: CorruptionKind::DropGlobal, severity: 5, seed: 3 });
    visit(&dataset, "train", &EvalConfig { corruption, groups: 12, ..fresh() }).unwrap();
    let stored = EvalConfig { corruption, regroup: None, ..fresh() };
    let error = visit(&dataset, "train", &stored).unwrap_err().to_string();
    assert!(error.contains("a fresh grouping where clouds are corrupted"), "{error}");
    let regroup = Some(FreshStart { points: SHAPE.N, seed: Some(1), repeats: false, outliers: 0.0 });
    let error =
        visit(&dataset, "train", &EvalConfig { corruption, regroup, ..fresh() }).unwrap_err().to_string();
    assert!(error.contains("a random start"), "{error}");
}

#[test]
fn clouds_too_small_are_named_and_smaller_ones_taken_whole() {
    let (_folder, dataset) = dataset(4);
    visit(
        &dataset,
        "train",
        &EvalConfig {
            regroup: Some(FreshStart { points: 1000, seed: None, repeats: false, outliers: 0.0 }),
            ..fresh()
        },
    )
    .unwrap();
    let config = EvalConfig {
        regroup: Some(FreshStart { points: 1000, seed: None, repeats: false, outliers: 0.0 }),
        groups: 42,
        ..fresh()
    };
    let error = visit(&dataset, "train", &config).unwrap_err().to_string();
    assert!(error.starts_with("sample s0") && error.contains("cannot be grouped"), "{error}");
    assert!(error.contains("42"), "{error}");
    // Where that is asked for, their points are repeated: the first centers are all of them, and nothing else comes.
    let regroup = Some(FreshStart { points: 1000, seed: None, repeats: true, outliers: 0.0 });
    let truth = samples(&dataset, "train");
    for batch in visit(&dataset, "train", &EvalConfig { regroup, ..config }).unwrap() {
        assert!(batch.patches.iter().all(|x| x.is_finite()));
        for (id, centers) in batch.sample_ids.iter().zip(batch.centers.chunks_exact(3 * 42)) {
            let points = cloud(&truth[id]);
            let centers = centers.as_chunks::<3>().0;
            assert!(points.iter().all(|p| centers[..points.len()].contains(p)), "{id}");
            assert!(centers.iter().all(|p| points.contains(p)), "{id}");
        }
    }
}

#[test]
fn points_that_stand_alone_are_left_out_before_clouds_are_grouped() {
    let (_folder, dataset) = dataset(4);
    let truth = samples(&dataset, "train");
    let outliers = 1.2;
    let all = Some(FreshStart { points: 1000, seed: None, repeats: true, outliers });
    let config = EvalConfig { regroup: all, groups: 41, group_size: 1, ..fresh() };
    let mut left_out = 0;
    for batch in visit(&dataset, "train", &config).unwrap() {
        for (id, centers) in batch.sample_ids.iter().zip(batch.centers.chunks_exact(3 * 41)) {
            let points = cloud(&truth[id]);
            let kept = keep_neighborly(&points, outliers).unwrap();
            let centers = centers.as_chunks::<3>().0;
            for (i, point) in (0..).zip(&points) {
                assert_eq!(centers.contains(point), kept.contains(&i), "{id}");
            }
            left_out += points.len() - kept.len();
        }
    }
    assert!(left_out > 0, "the clouds of the fixture have points that stand alone by that measure");
}

#[test]
fn only_the_samples_that_are_asked_for_are_visited() {
    let (_folder, dataset) = dataset(4);
    let ids = |batches: &[Batch]| batches.iter().flat_map(|b| b.sample_ids.clone()).collect::<Vec<_>>();
    let whole = visit(&dataset, "train", &fresh()).unwrap();
    let wanted: BTreeSet<String> = ids(&whole).into_iter().step_by(5).chain(["none".to_owned()]).collect();
    let listed = dataset.list_samples("train").unwrap();
    let select = |ids: &BTreeSet<String>| Some(SampleSelection::with_ids(&listed, ids));
    for threads in [1, 3] {
        let config = EvalConfig { samples: select(&wanted), batch: 3, threads, ..fresh() };
        let some = visit(&dataset, "train", &config).unwrap();
        assert!(ids(&some).iter().eq(wanted.iter().filter(|id| *id != "none")));
        let at = ids(&whole).iter().position(|id| *id == some[1].sample_ids[0]).unwrap();
        let width = SHAPE.G * 3;
        assert_eq!(some[1].centers[..width], whole[at / 8].centers[at % 8 * width..][..width]);
        let nobody = EvalConfig { samples: select(&BTreeSet::new()), ..fresh() };
        assert!(visit(&dataset, "train", &nobody).unwrap().is_empty());
    }
}

#[test]
fn voxel_blocks_may_be_grouped_as_patches() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("blocks", 9)], 4);
    let dataset = Arc::new(PreparedDataset::open(folder.path()).unwrap());
    let batches = visit(&dataset, "blocks", &fresh()).unwrap();
    assert!(batches.iter().all(|batch| batch.counts.is_none() && batch.cells.is_none()));
}
