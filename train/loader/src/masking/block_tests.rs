//! Blocks of 3D-JEPA by their definitions: exact sizes, disjointness, contiguity, spread of the anchors, over seeds, group
//! counts and both groupings.

use std::collections::BTreeSet;

use jepa3d_schemas::Draws;

use super::anchors::draw_anchors;
use super::config::{MaskKind, MaskingConfig};
use super::distance::squared_distance;
use super::{BatchKey, CloudPlaces, Masks, PatchPlaces, draw_masks};

const GROUPS: [usize; 5] = [16, 32, 64, 256, 1024];

fn config(kind: MaskKind) -> MaskingConfig {
    MaskingConfig { kind, context_ratio: [0.85, 1.0], ..MaskingConfig::default() }
}

/// Centers on a surface; with `cells`, distinct cells of a grid and points inside them.
fn clouds(seed: u64, samples: usize, groups: usize, is_grid: bool) -> (Vec<f32>, Vec<[i32; 3]>) {
    let (mut centers, mut cells) = (Vec::new(), Vec::new());
    for sample in 0..samples {
        let mut draws = Draws::new(seed, &sample.to_string(), "block test");
        let side = (2.0 * (groups as f64).cbrt()).ceil() as usize;
        let mut taken = BTreeSet::new();
        while taken.len() < groups {
            let cell = [0, 1, 2].map(|_| draws.index(side) as i32);
            if taken.insert(cell) {
                let inside = |k: usize, draws: &mut Draws| cell[k] as f32 + draws.unit() as f32;
                let at = match is_grid {
                    true => [inside(0, &mut draws), inside(1, &mut draws), inside(2, &mut draws)],
                    // Now and then on a lattice, so that distances tie.
                    false if seed.is_multiple_of(3) => cell.map(|c| c as f32),
                    false => [0, 1, 2].map(|_| draws.normal() as f32),
                };
                centers.extend(at);
                cells.push(cell);
            }
        }
    }
    (centers, cells)
}

fn drawn(kind: MaskKind, seed: u64, groups: usize, is_grid: bool) -> (Masks, Vec<f32>, Vec<[i32; 3]>) {
    let ids = ["a", "b", "c"].map(str::to_owned);
    let (centers, cells) = clouds(seed, ids.len(), groups, is_grid);
    let places = PatchPlaces { ids: &ids, centers: &centers, cells: is_grid.then_some(&cells) };
    let masks = draw_masks(&config(kind), places, BatchKey { seed, epoch: 0, batch: 3 }).unwrap();
    let again = draw_masks(&config(kind), places, BatchKey { seed, epoch: 0, batch: 3 }).unwrap();
    assert_eq!(masks, again, "a function of seed, epoch, batch and sample");
    let other = draw_masks(&config(kind), places, BatchKey { seed, epoch: 1, batch: 3 }).unwrap();
    assert_ne!(masks.targets, other.targets, "another epoch, other masks");
    (masks, centers, cells)
}

/// Context and target blocks of every sample.
fn samples(masks: &Masks) -> Vec<(&[u32], Vec<&[u32]>)> {
    let per_sample = masks.blocks * masks.target_len;
    let targets = masks.targets.chunks_exact(per_sample).map(|t| t.chunks_exact(masks.target_len).collect());
    masks.context.chunks_exact(masks.context_len).zip(targets).collect()
}

#[test]
fn fps_blocks_are_the_nearest_of_spread_anchors_and_never_seen() {
    for (seed, groups) in (0..12).flat_map(|seed| GROUPS.map(|groups| (seed, groups))) {
        let (masks, centers, _) = drawn(MaskKind::FpsBlocks, seed, groups, false);
        let low = ((groups as f64 * 0.15) as usize).max(1);
        assert!((low..=groups / 5).contains(&masks.target_len), "{} of {groups}", masks.target_len);
        for (i, (context, blocks)) in samples(&masks).into_iter().enumerate() {
            let centers = centers[i * groups * 3..(i + 1) * groups * 3].as_chunks::<3>().0;
            for block in &blocks {
                assert_nearest(centers, block);
            }
            let anchors: Vec<usize> = blocks.iter().map(|block| block[0] as usize).collect();
            assert_spread(centers, &anchors);
            assert!(context.is_sorted() && context.iter().all(|c| blocks.iter().all(|b| !b.contains(c))));
            let distinct: BTreeSet<_> = context.iter().collect();
            assert_eq!(distinct.len(), masks.context_len);
        }
    }
}

/// No patch outside the block is nearer to its anchor than one inside; ties by index.
fn assert_nearest(centers: &[[f32; 3]], block: &[u32]) {
    let key = |i: u32| (squared_distance(centers[i as usize], centers[block[0] as usize]), i);
    let mut order: Vec<u32> = (0..centers.len() as u32).collect();
    order.sort_by(|&a, &b| key(a).partial_cmp(&key(b)).unwrap());
    assert_eq!(&order[..block.len()], block);
}

/// Each anchor is the farthest from all before it.
fn assert_spread(centers: &[[f32; 3]], anchors: &[usize]) {
    let gap = |i: usize, before: &[usize]| {
        before.iter().map(|&a| squared_distance(centers[i], centers[a])).fold(f32::INFINITY, f32::min)
    };
    for n in 1..anchors.len() {
        let free = (0..centers.len()).filter(|i| !anchors[..n].contains(i));
        let farthest = free.map(|i| gap(i, &anchors[..n])).fold(0.0f32, f32::max);
        assert_eq!(gap(anchors[n], &anchors[..n]), farthest);
    }
}

#[test]
fn sizes_of_fps_blocks_follow_the_specification() {
    // Simulated there: union mean 42 (33..48), context before the cut mean 20; spheres stand in for surfaces.
    let ids: Vec<String> = (0..128).map(|i| i.to_string()).collect();
    let mut centers = Vec::new();
    for id in &ids {
        let mut draws = Draws::new(5, id, "sphere");
        for _ in 0..64 {
            let p = [0, 1, 2].map(|_| draws.normal());
            let norm = p.iter().map(|x| x * x).sum::<f64>().sqrt();
            centers.extend(p.map(|x| (x / norm) as f32));
        }
    }
    let places = PatchPlaces { ids: &ids, centers: &centers, cells: None };
    let (mut union, mut count, mut seen) = (0, 0, 0);
    for batch in 0..40 {
        let masks =
            draw_masks(&config(MaskKind::FpsBlocks), places, BatchKey { seed: 1, epoch: batch, batch })
                .unwrap();
        assert!((9..=12).contains(&masks.target_len) && masks.context_len >= 4, "{masks:?}");
        seen += masks.context_len;
        for targets in masks.targets.chunks_exact(4 * masks.target_len) {
            union += targets.iter().collect::<BTreeSet<_>>().len();
            count += 1;
        }
    }
    let (union, seen) = (union as f64 / f64::from(count), seen as f64 / 40.0);
    assert!((36.0..46.0).contains(&union), "union of targets: mean {union}");
    assert!((12.0..20.0).contains(&seen), "context, cut to the shortest of 128: mean {seen}");
}

#[test]
fn disjoint_blocks_are_exact_disjoint_and_leave_the_complement() {
    for (seed, groups) in (0..12).flat_map(|seed| GROUPS.map(|groups| (seed, groups))) {
        // The twin looks at every pair in every turn.
        if groups == 1024 && seed > 0 {
            continue;
        }
        for is_grid in [false, true] {
            let (masks, centers, cells) = drawn(MaskKind::DisjointBlocks, seed, groups, is_grid);
            assert_eq!(masks.context_len + 4 * masks.target_len, groups);
            for (i, (context, blocks)) in samples(&masks).into_iter().enumerate() {
                let all: BTreeSet<u32> = blocks.iter().copied().flatten().chain(context).copied().collect();
                assert_eq!(all.len(), groups, "disjoint, and nothing is left out");
                let centers = centers[i * groups * 3..(i + 1) * groups * 3].as_chunks::<3>().0;
                let anchors: Vec<usize> = blocks.iter().map(|block| block[0] as usize).collect();
                assert_spread(centers, &anchors);
                let cells = is_grid.then(|| &cells[i * groups..(i + 1) * groups]);
                assert_eq!(
                    blocks,
                    twin(centers, cells, &anchors, masks.target_len),
                    "seed {seed}, G {groups}"
                );
                cells.into_iter().for_each(|cells| assert_connected(cells, &blocks));
            }
        }
    }
}

/// Round by round by the definition, with every ring found anew.
fn twin(centers: &[[f32; 3]], cells: Option<&[[i32; 3]]>, anchors: &[usize], length: usize) -> Vec<Vec<u32>> {
    let mut blocks: Vec<Vec<u32>> = anchors.iter().map(|&a| vec![a as u32]).collect();
    for _ in 1..length {
        for b in 0..blocks.len() {
            let is_free = |i: u32| blocks.iter().all(|block| !block.contains(&i));
            let gap = |i: u32| squared_distance(centers[i as usize], centers[anchors[b]]);
            let rings = cells.map(|cells| rings(cells, &blocks[b]));
            let ring = |i: u32| rings.as_ref().map_or(0, |rings| rings[i as usize]);
            let free = (0..centers.len() as u32).filter(|&i| is_free(i));
            let key = |i: u32| (ring(i), gap(i), i);
            let next = free.min_by(|&x, &y| key(x).partial_cmp(&key(y)).unwrap()).unwrap();
            blocks[b].push(next);
        }
    }
    blocks
}

/// Rings of all cells around a block that grew in this order; those out of reach are equally far.
fn rings(cells: &[[i32; 3]], block: &[u32]) -> Vec<u32> {
    let touch = |a: usize, b: usize| a != b && (0..3).all(|k| (cells[a][k] - cells[b][k]).abs() < 2);
    let mut rings = vec![u32::MAX; cells.len()];
    for &member in block {
        let member = member as usize;
        let own = if rings[member] == u32::MAX { 0 } else { rings[member] };
        rings[member] = own;
        for i in 0..cells.len() {
            if touch(i, member) {
                rings[i] = rings[i].min(own + 1);
            }
        }
    }
    rings
}

/// A cell that joins touches an earlier one, unless no free cell did.
fn assert_connected(cells: &[[i32; 3]], blocks: &[&[u32]]) {
    let touch = |a: u32, b: u32| (0..3).all(|k| (cells[a as usize][k] - cells[b as usize][k]).abs() < 2);
    let length = blocks[0].len();
    for turn in 1..length {
        for (b, block) in blocks.iter().enumerate() {
            let (before, joins) = (&block[..turn], block[turn]);
            if before.iter().any(|&m| touch(m, joins)) {
                continue;
            }
            // Blocks before this one in the round have already taken theirs.
            let owned = |i: u32| {
                blocks.iter().enumerate().any(|(o, other)| other[..turn + usize::from(o < b)].contains(&i))
            };
            let could = (0..cells.len() as u32).any(|i| !owned(i) && before.iter().any(|&m| touch(m, i)));
            assert!(!could, "block {b} left its component while it could grow");
        }
    }
}

#[test]
fn coinciding_centers_still_give_distinct_anchors() {
    let cloud = CloudPlaces { id: "a", centers: &[[0.5; 3]; 6], cells: None };
    let anchors = draw_anchors(&cloud, 4, &mut Draws::new(1, "x", "y")).unwrap();
    assert_eq!(anchors.iter().collect::<BTreeSet<_>>().len(), 4);
}

#[test]
fn shares_that_leave_nothing_are_refused() {
    let ids = ["a".to_owned()];
    let (centers, _) = clouds(1, 1, 16, false);
    let places = PatchPlaces { ids: &ids, centers: &centers, cells: None };
    let ratio = |kind, target: f64, context: f64| {
        let config = MaskingConfig { target_ratio: [target; 2], context_ratio: [context; 2], ..config(kind) };
        draw_masks(&config, places, BatchKey { seed: 1, epoch: 0, batch: 0 }).unwrap_err().to_string()
    };
    assert_eq!(
        ratio(MaskKind::DisjointBlocks, 0.25, 1.0),
        "config: masking.target_ratio: expected 4 blocks that leave some of 16 patches, found blocks of 4"
    );
    assert_eq!(
        ratio(MaskKind::FpsBlocks, 1.0, 0.5),
        "config: masking.context_ratio: expected a context block that target blocks of 16 of 16 patches leave part of, \
         found a block of 8"
    );
    let config = MaskingConfig { blocks: 17, ..config(MaskKind::FpsBlocks) };
    let error =
        draw_masks(&config, places, BatchKey { seed: 1, epoch: 0, batch: 0 }).unwrap_err().to_string();
    assert_eq!(error, "config: masking.blocks: expected at most the 16 patches, found 17");
}
