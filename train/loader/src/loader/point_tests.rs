//! Labelled points of batches against the stored clouds.

use std::collections::BTreeMap;
use std::sync::Arc;

use jepa3d_fixtures::grouped_set::SHAPE;
use jepa3d_schemas::{Draws, Sample};

use super::tests::{cloud, config, dataset, samples, take};
use super::{EvalConfig, Loader, LoaderConfig, for_each_in_order};
use crate::augment::{Augment, Per};
use crate::batch::Batch;
use crate::batch_points::PointScope;
use crate::error::Error;
use crate::patch_source::{PatchesFrom, PointSubset};

/// Every point must be the stored one that its index names, with its label, changed as `change` says.
fn check(batch: &Batch, truth: &BTreeMap<String, Sample>, change: impl Fn(&str, &mut [[f32; 3]], &[u32])) {
    let points = batch.points.as_ref().unwrap();
    assert_eq!((points.ends.len(), points.labels.len()), (batch.rows, points.positions.len() / 3));
    let mut start = 0;
    for (id, &end) in batch.sample_ids.iter().zip(&points.ends) {
        let sample = &truth[id];
        let indices = &points.indices[start..end];
        assert!(indices.is_sorted_by(|a, b| a < b));
        let all = cloud(sample);
        let mut part: Vec<[f32; 3]> = indices.iter().map(|&i| all[i as usize]).collect();
        change(id, &mut part, indices);
        assert_eq!(part.as_flattened(), &points.positions[3 * start..3 * end]);
        let labels = sample.point_labels.as_ref().unwrap();
        for (&index, label) in indices.iter().zip(&points.labels[start..end]) {
            assert_eq!(labels[index as usize], *label);
        }
        start = end;
    }
}

#[test]
fn the_points_of_a_grouping_come_with_their_labels_and_nothing_else_changes() {
    let (_folder, dataset) = dataset(4);
    let truth = samples(&dataset, "train");
    let turned = Augment { per: Per::Sample, rotate_up: 3.0, translate: 0.2, ..Augment::default() };
    for augment in [Augment::default(), turned] {
        let plain = LoaderConfig { augment, ..config() };
        let asked = LoaderConfig { label_points: Some(PointScope::Grouping), ..plain.clone() };
        let batches = take(&dataset, asked, 0, 9);
        for (batch, without) in batches.iter().zip(take(&dataset, plain.clone(), 0, 9)) {
            check(batch, &truth, |id, points, _| {
                let draws = Draws::new(plain.seed, id, &format!("epoch {} augment", batch.epoch));
                let change = plain.augment.draw(dataset.up_axis(), draws);
                if !plain.augment.is_identity() {
                    change.apply(points, &[], || unreachable!("no jitter"));
                }
            });
            let ends: Vec<usize> = (1..=batch.rows).map(|i| i * SHAPE.N).collect();
            assert_eq!(batch.points.as_ref().unwrap().ends, ends);
            assert_eq!(Batch { points: None, ..batch.clone() }, without);
        }
    }
}

#[test]
fn fresh_groupings_and_crops_trace_their_points() {
    let (_folder, dataset) = dataset(4);
    let truth = samples(&dataset, "train");
    for (subset, points) in
        [(PointSubset::Farthest, SHAPE.N), (PointSubset::Farthest, 1000), (PointSubset::Crop, 15)]
    {
        let config = LoaderConfig {
            patches_from: PatchesFrom::Online,
            subset,
            points,
            label_points: Some(PointScope::Grouping),
            ..config()
        };
        for batch in take(&dataset, config, 0, 5) {
            let starts = batch.points.as_ref().unwrap();
            check(&batch, &truth, |id, part, indices| {
                if subset == PointSubset::Crop {
                    // All are moved alike; which way is the crop's own affair, tested beside it.
                    let row = batch.sample_ids.iter().position(|other| other == id).unwrap();
                    let first = if row == 0 { 0 } else { starts.ends[row - 1] };
                    let stored = cloud(&truth[id])[indices[0] as usize];
                    let moved = [0, 1, 2].map(|a| starts.positions[3 * first + a] - stored[a]);
                    assert_eq!(part.len(), points);
                    for (i, point) in part.iter_mut().enumerate() {
                        let shown = &starts.positions[3 * (first + i)..][..3];
                        assert!((0..3).all(|a| (point[a] + moved[a] - shown[a]).abs() < 1e-5));
                        point.copy_from_slice(shown);
                    }
                }
            });
        }
    }
}

#[test]
fn evaluation_serves_all_points_of_a_cloud_and_unlabelled_sets_are_named() {
    let (_folder, dataset) = dataset(4);
    let truth = samples(&dataset, "val");
    let eval = EvalConfig {
        batch: 3,
        groups: SHAPE.G,
        group_size: SHAPE.K,
        label_points: Some(PointScope::Cloud),
        ..EvalConfig::default()
    };
    let mut seen = 0;
    for_each_in_order::<Error>(&dataset, &["val"], &eval, |batch| {
        check(&batch, &truth, |_, _, _| {});
        seen += batch.points.unwrap().labels.len();
        Ok(())
    })
    .unwrap();
    assert_eq!(seen, truth.values().map(|sample| sample.points.len() / 3).sum::<usize>());

    let online =
        LoaderConfig { label_points: Some(PointScope::Cloud), patches_from: PatchesFrom::Online, ..config() };
    let error = Loader::start(&dataset, online, 0).err().unwrap().to_string();
    assert!(error.contains("\"shard\" where all points of clouds are labelled"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    jepa3d_fixtures::grouped_set::write(folder.path(), &[("unlabelled", 8)], 4);
    let bare = Arc::new(crate::dataset::PreparedDataset::open(folder.path()).unwrap());
    let asked =
        LoaderConfig { split: "unlabelled".into(), label_points: Some(PointScope::Grouping), ..config() };
    let error = Loader::start(&bare, asked, 0).unwrap().next().unwrap_err().to_string();
    assert!(
        error.contains("column point_labels, row 0: expected a label for every point, found none"),
        "{error}"
    );
}
