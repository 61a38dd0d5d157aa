//! What a sensor sees against brute force: the frame that it shares with the clean cloud, its patches, its determinism.

use std::sync::Arc;

use jepa3d_fixtures::grouped_set::{SHAPE, write};
use jepa3d_schemas::{Draws, Sample};

use super::patch_tests::{farthest, squared};
use super::tests::{cloud, config, dataset, samples, take};
use super::{Loader, LoaderConfig};
use crate::augment::{Augment, Per};
use crate::batch::Batch;
use crate::corruption::CorruptionKind;
use crate::dataset::PreparedDataset;
use crate::patch_source::{PatchesFrom, PointSubset};
use crate::sensor::Sensor;

/// Clouds are changed as the official recipe does, each for itself.
fn online(sensor: Sensor) -> LoaderConfig {
    let augment = Augment { per: Per::Sample, ..Augment::official() };
    LoaderConfig { patches_from: PatchesFrom::Online, augment, sensor: Some(sensor), ..config() }
}

/// So many random points of every cloud and nothing else.
fn thinned(count: usize) -> Sensor {
    Sensor { clean: 0.0, most: 0, points: [count; 2], repeated: 0.0, ..Sensor::default() }
}

/// The points of patches `[G,K,3]` minus their centers, as they lie.
fn places(patches: &[f32], centers: &[f32], size: usize) -> Vec<[f32; 3]> {
    let (patches, centers) = (patches.as_chunks::<3>().0, centers.as_chunks::<3>().0);
    let place = |(at, p): (usize, &[f32; 3])| [0, 1, 2].map(|axis| p[axis] + centers[at / size][axis]);
    patches.iter().enumerate().map(place).collect()
}

/// The centers and patches of a changed cloud by definition, from a start.
fn group(points: &[[f32; 3]], start: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut centers, mut patches) = (Vec::new(), Vec::new());
    for center in farthest(points, SHAPE.G, start) {
        let mut near: Vec<usize> = (0..points.len()).collect();
        let gap = |i: usize| squared(&points[i], &points[center]);
        near.sort_by(|&a, &b| gap(a).total_cmp(&gap(b)));
        centers.extend(points[center]);
        let near = near[..SHAPE.K].iter();
        patches.extend(near.flat_map(|&j| [0, 1, 2].map(|a| points[j][a] - points[center][a])));
    }
    (centers, patches)
}

#[test]
fn what_is_seen_is_the_definition_and_changes_as_the_clean_cloud_does() {
    let (_folder, dataset) = dataset(4);
    let truth = samples(&dataset, "train");
    let augment = Augment { normalize: false, ..online(thinned(9)).augment };
    let config = LoaderConfig { augment, ..online(thinned(9)) };
    let plain = LoaderConfig { sensor: None, ..config.clone() };
    for (batch, alone) in take(&dataset, config.clone(), 5, 9).into_iter().zip(take(&dataset, plain, 5, 9)) {
        let seen = batch.seen.clone().unwrap();
        assert_eq!(Batch { seen: None, ..batch.clone() }, alone, "the clean ones are as without a sensor");
        for (i, id) in batch.sample_ids.iter().enumerate() {
            let draws =
                |purpose: &str| Draws::new(config.seed, id, &format!("epoch {} {purpose}", batch.epoch));
            // Whether it is clean, how many kinds, how many points, whether they are repeated; then which points.
            let mut plan = draws("sensor");
            for _ in 0..4 {
                plan.unit();
            }
            let points = cloud(&truth[id]);
            let mut points: Vec<[f32; 3]> =
                plan.distinct_sorted(points.len(), 9).into_iter().map(|at| points[at as usize]).collect();
            let change = config.augment.draw(dataset.up_axis(), draws("augment"));
            change.apply(&mut points, &[], || unreachable!("no jitter"));
            let (centers, patches) = group(&points, draws("seen regroup").index(9));
            assert_eq!(seen.centers[i * centers.len()..][..centers.len()], centers);
            assert_eq!(seen.patches[i * patches.len()..][..patches.len()], patches);
        }
    }
}

#[test]
fn both_lie_in_one_frame_whichever_it_is() {
    let (_folder, dataset) = dataset(4);
    for normalize_seen in [false, true] {
        let sensor = Sensor { normalize_seen, ..thinned(1000) };
        // All of it in patches: what is seen is what is there.
        let whole = LoaderConfig { points: 1000, group_size: 40, ..online(sensor) };
        for batch in take(&dataset, whole, 0, 4) {
            let seen = batch.seen.unwrap();
            let [clean, seen] = [(&batch.patches, &batch.centers), (&seen.patches, &seen.centers)]
                .map(|(patches, centers)| places(patches, centers, 40));
            for (clean, seen) in clean.chunks(40 * SHAPE.G).zip(seen.chunks(40 * SHAPE.G)) {
                let near = |p: &[f32; 3]| clean.iter().any(|q| squared(p, q) < 1e-10);
                assert!(seen.iter().all(near), "one cloud in one frame");
            }
        }
        // Of a part of it, either the part or the whole is what fills the unit sphere.
        let sensor = Sensor { normalize_seen, ..thinned(10) };
        let part = LoaderConfig { points: 1000, groups: 1, group_size: 10, ..online(sensor) };
        for batch in take(&dataset, part, 0, 4) {
            let seen = batch.seen.unwrap();
            for (patch, center) in seen.patches.chunks(30).zip(seen.centers.chunks(3)) {
                let seen = places(patch, center, 10);
                let mean = [0, 1, 2].map(|axis| seen.iter().map(|p| p[axis]).sum::<f32>() / 10.0);
                let radius = seen.iter().map(|p| squared(p, &[0.0; 3]).sqrt()).fold(0.0, f32::max);
                let is_unit = squared(&mean, &[0.0; 3]) < 1e-9 && (radius - 1.0).abs() < 1e-4;
                assert_eq!(is_unit, normalize_seen, "mean {mean:?}, radius {radius}");
            }
        }
    }
}

#[test]
fn batches_with_a_sensor_do_not_depend_on_threads_memory_or_the_first_batch() {
    let (_folder, dataset) = dataset(4);
    for subset in [PointSubset::Farthest, PointSubset::Random] {
        let sensor = Sensor { clean: 0.3, most: 3, points: [3, 40], ..Sensor::default() };
        let augment = Augment { jitter: 0.01, ..online(sensor.clone()).augment };
        let config = LoaderConfig { subset, augment, ..online(sensor) };
        let through = take(&dataset, config.clone(), 0, 20);
        let other = LoaderConfig { threads: 3, prefetch: 9, ..config.clone() };
        assert_eq!(through[7..], take(&dataset, other, 7, 13));
        let is_copy = |batch: &Batch, at: usize| {
            let (seen, width) = (batch.seen.as_ref().unwrap(), SHAPE.G * 3);
            seen.centers[at * width..][..width] == batch.centers[at * width..][..width]
        };
        let clean = through.iter().map(|batch| (0..batch.rows).filter(|&at| is_copy(batch, at)).count());
        let share = clean.sum::<usize>() as f64 / 120.0;
        assert!((share - 0.3).abs() < 0.13, "{share}");
        for batch in &through {
            let seen = batch.seen.as_ref().unwrap();
            assert_eq!((seen.patches.len(), seen.centers.len()), (batch.patches.len(), batch.centers.len()));
            assert!(seen.patches.iter().chain(&seen.centers).all(|x| x.is_finite()));
        }
    }
    let clean = take(&dataset, online(Sensor { clean: 1.0, ..Sensor::default() }), 0, 2);
    assert!(clean.iter().all(|batch| batch.seen.as_ref().unwrap().patches == batch.patches));
    let mut recycled = clean[0].clone();
    recycled.reset(6, SHAPE.G, SHAPE.K);
    assert_eq!(recycled.seen, None, "nothing that another batch saw");
}

#[test]
fn random_subsets_are_of_the_cloud() {
    let (_folder, dataset) = dataset(4);
    let truth = samples(&dataset, "train");
    let config = LoaderConfig {
        patches_from: PatchesFrom::Online,
        subset: PointSubset::Random,
        points: 12,
        groups: 1,
        group_size: 12,
        ..config()
    };
    for batch in take(&dataset, config.clone(), 0, 8) {
        for (i, id) in batch.sample_ids.iter().enumerate() {
            let found = places(&batch.patches[i * 36..][..36], &batch.centers[i * 3..][..3], 12);
            let points = cloud(&truth[id]);
            let mut draws = Draws::new(config.seed, id, &format!("epoch {} subset", batch.epoch));
            let chosen = draws.distinct_sorted(points.len(), 12);
            let has = |at: u32| found.iter().any(|p| squared(p, &points[at as usize]) < 1e-10);
            assert!(chosen.into_iter().all(has));
        }
    }
    // Fewer points than are asked for are all of them, as with farthest ones.
    let all = |subset| take(&dataset, LoaderConfig { subset, points: 1000, ..config.clone() }, 0, 2);
    assert_eq!(all(PointSubset::Random), all(PointSubset::Farthest));
}

#[test]
fn a_sensor_is_refused_where_clean_clouds_are_not_grouped_anew() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("blocks", 9)], 4);
    let blocks = Arc::new(PreparedDataset::open(folder.path()).unwrap());
    let (_folder, patches) = dataset(4);
    let refused = |dataset: &Arc<PreparedDataset>, config: LoaderConfig| {
        Loader::start(dataset, config, 0).err().unwrap().to_string()
    };
    let sensor = Sensor { kinds: vec![CorruptionKind::Occlude], most: 1, ..Sensor::default() };
    let stored =
        refused(&patches, LoaderConfig { patches_from: PatchesFrom::Shard, ..online(sensor.clone()) });
    assert!(stored.contains("data.augment.scale_axes") || stored.contains("data.sensor"), "{stored}");
    let augment = Augment::default();
    let stored = LoaderConfig { patches_from: PatchesFrom::Shard, augment, ..online(sensor.clone()) };
    let stored = refused(&patches, stored);
    assert!(stored.contains("with data.sensor: stored groupings are of clean clouds"), "{stored}");
    let crop = refused(&patches, LoaderConfig { subset: PointSubset::Crop, ..online(sensor.clone()) });
    assert!(crop.contains("whole clouds with data.sensor"), "{crop}");
    let voxels = refused(&blocks, LoaderConfig { split: "blocks".into(), ..online(sensor) });
    assert!(voxels.contains("data.sensor") && voxels.contains("voxel blocks"), "{voxels}");
    let random = LoaderConfig { subset: PointSubset::Random, ..config() };
    let random = refused(&patches, random);
    assert!(random.contains("stored groupings are of farthest points"), "{random}");
}

/// A sample whose cloud has so few points that patches repeat them.
#[test]
fn clouds_that_lose_nearly_all_points_are_filled_up_by_repetition() {
    let (_folder, dataset) = dataset(4);
    let truth = samples(&dataset, "train");
    let config = LoaderConfig { augment: Augment::default(), ..online(thinned(2)) };
    for batch in take(&dataset, config, 0, 8) {
        let seen = batch.seen.unwrap();
        for (i, id) in batch.sample_ids.iter().enumerate() {
            let sample: &Sample = &truth[id];
            let width = SHAPE.G * 3;
            let mut centers = seen.centers[i * width..][..width].as_chunks::<3>().0.to_vec();
            assert!(centers.iter().all(|p| cloud(sample).contains(p)));
            centers.sort_by(|a, b| a.partial_cmp(b).unwrap());
            centers.dedup();
            assert_eq!(centers.len(), 2);
        }
    }
}
