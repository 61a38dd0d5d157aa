//! Patches against brute force: stored groupings, fresh ones, and what augmentation does to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use jepa3d_fixtures::grouped_set::{SHAPE, write};
use jepa3d_grouping::{CellEdge, VoxelGrid};
use jepa3d_schemas::Draws;

use super::tests::{cloud, config, dataset, samples, stored, take};
use super::{Loader, LoaderConfig};
use crate::augment::{Augment, Per, rotate_about};
use crate::batch::Batch;
use crate::dataset::PreparedDataset;
use crate::patch_source::PatchesFrom;

#[test]
fn fewer_centers_and_neighbours_are_the_first_ones_and_more_are_refused() {
    let (_folder, dataset) = dataset(4);
    let truth = samples(&dataset, "train");
    let config = LoaderConfig { groups: 4, group_size: 3, ..config() };
    for batch in take(&dataset, config.clone(), 0, 4) {
        let patches = batch.patches.chunks_exact(4 * 3 * 3);
        for ((id, patches), centers) in
            batch.sample_ids.iter().zip(patches).zip(batch.centers.chunks_exact(12))
        {
            let found = (centers.to_vec(), patches.to_vec());
            assert!((0..SHAPE.R).any(|r| stored(&truth[id], r, 4, 3) == found));
        }
    }
    let error = Loader::start(&dataset, LoaderConfig { groups: 7, ..config }, 0).err().unwrap().to_string();
    let expected =
        "config: data.groups x data.group_size: expected at most the stored 6 x 5 of R = 3, found 7 x 3";
    assert_eq!(error, expected);
}

pub(super) fn squared(a: &[f32; 3], b: &[f32; 3]) -> f32 {
    let [x, y, z] = [0, 1, 2].map(|i| a[i] - b[i]);
    (x * x + y * y) + z * z
}

/// Farthest point sampling by definition.
pub(super) fn farthest(points: &[[f32; 3]], count: usize, start: usize) -> Vec<usize> {
    let mut chosen = vec![start];
    while chosen.len() < count {
        let distance = |p: &[f32; 3]| chosen.iter().map(|&c| squared(p, &points[c])).fold(f32::MAX, f32::min);
        let best = (0..points.len()).filter(|i| !chosen.contains(i)).rev();
        chosen.push(best.max_by(|&i, &j| distance(&points[i]).total_cmp(&distance(&points[j]))).unwrap());
    }
    chosen
}

#[test]
fn a_batch_says_how_far_each_cloud_turned() {
    let (_folder, dataset) = dataset(4);
    for per in [Per::Batch, Per::Sample] {
        let augment = Augment { per, rotate_up: 3.0, translate: 0.1, ..Augment::default() };
        let still = take(&dataset, LoaderConfig { augment: Augment::default(), ..config() }, 5, 1).remove(0);
        let turned = take(&dataset, LoaderConfig { augment, ..config() }, 5, 1).remove(0);
        assert_eq!(still.turns, vec![0.0; still.rows]);
        assert_eq!(turned.turns.len(), turned.rows);
        let size = turned.patches.len() / turned.rows;
        for (row, &turn) in turned.turns.iter().enumerate() {
            assert!(turn != 0.0 && turn.abs() <= 3.0);
            let m = rotate_about(dataset.up_axis(), turn);
            let patches = |batch: &Batch| batch.patches[row * size..][..size].as_chunks::<3>().0.to_vec();
            for (p, q) in patches(&still).iter().zip(patches(&turned)) {
                for (axis, row) in m.iter().enumerate() {
                    let want: f64 = row.iter().zip(p).map(|(a, &b)| a * f64::from(b)).sum();
                    assert!((want - f64::from(q[axis])).abs() < 1e-6, "{turn}");
                }
            }
        }
    }
}

#[test]
fn online_patches_are_those_of_the_definition_on_the_augmented_cloud() {
    let (_folder, dataset) = dataset(4);
    let truth = samples(&dataset, "train");
    let augment = Augment { per: Per::Sample, ..Augment::official() };
    let config = LoaderConfig { patches_from: PatchesFrom::Online, augment, ..config() };
    for batch in take(&dataset, config.clone(), 5, 9) {
        for (i, id) in batch.sample_ids.iter().enumerate() {
            let draws =
                |purpose: &str| Draws::new(config.seed, id, &format!("epoch {} {purpose}", batch.epoch));
            let (points, mut starts) = (cloud(&truth[id]), draws("regroup"));
            let mut subset = farthest(&points, SHAPE.N, starts.index(points.len()));
            subset.sort_unstable();
            let mut part: Vec<[f32; 3]> = subset.iter().map(|&j| points[j]).collect();
            let change = config.augment.draw(dataset.up_axis(), draws("augment"));
            change.apply(&mut part, &[], || unreachable!("no jitter"));
            let radius = part.iter().map(|p| squared(p, &[0.0; 3]).sqrt()).fold(0.0, f32::max);
            assert!((radius - 1.0).abs() < 1e-5);
            let (mut centers, mut patches) = (Vec::new(), Vec::new());
            for center in farthest(&part, SHAPE.G, starts.index(SHAPE.N)) {
                let mut near: Vec<usize> = (0..SHAPE.N).collect();
                near.sort_by(|&a, &b| {
                    squared(&part[a], &part[center]).total_cmp(&squared(&part[b], &part[center]))
                });
                centers.extend(part[center]);
                let patch =
                    near[..SHAPE.K].iter().flat_map(|&j| [0, 1, 2].map(|a| part[j][a] - part[center][a]));
                patches.extend(patch);
            }
            assert_eq!(batch.centers[i * centers.len()..][..centers.len()], centers);
            assert_eq!(batch.patches[i * patches.len()..][..patches.len()], patches);
        }
    }
}

#[test]
fn similarities_after_a_stored_grouping_keep_it_farthest_and_nearest() {
    let (_folder, dataset) = dataset(4);
    let augment = Augment {
        per: Per::Sample,
        normalize: true,
        rotate_up: 3.0,
        mirror: [true; 3],
        scale_uniform: [0.5, 2.0],
        translate: 0.3,
        ..Augment::default()
    };
    let plain = take(&dataset, config(), 0, 8);
    let changed = take(&dataset, LoaderConfig { augment, ..config() }, 0, 8);
    for (a, b) in plain.iter().zip(&changed) {
        assert_eq!(a.sample_ids, b.sample_ids);
        let width = SHAPE.G * SHAPE.K * 3;
        for (p, q) in a.patches.chunks_exact(width).zip(b.patches.chunks_exact(width)) {
            let norm = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
            let factor = norm(q) / norm(p);
            assert!(p != q && factor.is_finite());
            for (p, q) in p.chunks_exact(3).zip(q.chunks_exact(3)) {
                assert!((norm(p) * factor - norm(q)).abs() < 1e-5, "one factor a sample");
                assert!((p[2].abs() * factor - q[2].abs()).abs() < 1e-5, "z is up");
            }
        }
    }
}

#[test]
fn one_change_a_batch_or_one_a_sample() {
    let (_folder, dataset) = dataset(4);
    let distinct = |per: Per| {
        let augment = Augment { per, scale_uniform: [0.5, 2.0], ..Augment::default() };
        let plain = take(&dataset, config(), 3, 1).remove(0);
        let batch = take(&dataset, LoaderConfig { augment, ..config() }, 3, 1).remove(0);
        let width = SHAPE.G * 3;
        let factors: BTreeSet<i32> = (0..batch.rows)
            .map(|i| (batch.centers[i * width] / plain.centers[i * width] * 1e4).round() as i32)
            .collect();
        factors.len()
    };
    assert_eq!((distinct(Per::Batch), distinct(Per::Sample)), (1, 6));
}

#[test]
fn voxel_blocks_come_with_their_centroids_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("blocks", 9)], 4);
    let dataset = Arc::new(PreparedDataset::open(folder.path()).unwrap());
    let truth = samples(&dataset, "blocks");
    let [groups, size] = [4, 3];
    let loading = LoaderConfig { split: "blocks".into(), batch: 4, groups, group_size: size, ..config() };
    let turned =
        Augment { per: Per::Sample, rotate_up: 3.0, scale_uniform: [0.5, 2.0], ..Augment::default() };
    let changed = take(&dataset, LoaderConfig { augment: turned, ..loading.clone() }, 0, 6);
    for (batch, changed) in take(&dataset, loading, 0, 6).iter().zip(&changed) {
        for (i, id) in batch.sample_ids.iter().enumerate() {
            let (sample, centers) = (&truth[id], &batch.centers[i * groups * 3..][..groups * 3]);
            let all = sample.centers.as_ref().unwrap();
            let r = (0..SHAPE.R).find(|r| all[r * SHAPE.G * 3..][..groups * 3] == *centers).unwrap();
            let counts = &sample.patch_counts.as_ref().unwrap()[r * SHAPE.G..][..groups];
            let found = &batch.counts.as_ref().unwrap()[i * groups..][..groups];
            assert!(counts.iter().map(|&count| count.min(3)).eq(found.iter().copied()));
            let first = cloud(sample)[sample.patch_indices[r * SHAPE.G * SHAPE.K] as usize];
            let width = groups * size * 3;
            let part: Vec<[f32; 3]> = sample.subset.as_ref().unwrap()[r * SHAPE.N..(r + 1) * SHAPE.N]
                .iter()
                .map(|&i| cloud(sample)[i as usize])
                .collect();
            let grid = VoxelGrid::fit(&part, SHAPE.G, CellEdge::Auto).unwrap();
            let edge = grid.edge as f32;
            assert_eq!(batch.patches[i * width..][..3], [0, 1, 2].map(|a| (first[a] - centers[a]) / edge));
            let cells = &batch.cells.as_ref().unwrap()[i * groups..][..groups];
            let members = sample.patch_indices[r * SHAPE.G * SHAPE.K..].iter().step_by(SHAPE.K);
            assert!(members.zip(cells).all(|(&i, cell)| grid.cell(cloud(sample)[i as usize]) == *cell));
            // One factor for points and centroids.
            let norm = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
            let factor = norm(&changed.centers[i * groups * 3..][..3]) / norm(&centers[..3]);
            let ratio =
                norm(&changed.patches[i * width..][..width]) / norm(&batch.patches[i * width..][..width]);
            assert!((factor - ratio).abs() < 1e-4 && (factor - 1.0).abs() > 1e-4, "{factor} {ratio}");
        }
    }
}
