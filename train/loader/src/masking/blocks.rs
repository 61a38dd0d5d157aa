//! Blocks of the nearest patches around farthest-point anchors, and a large context block without them (3D-JEPA, Hu et
//! al., arXiv 2409.15803: targets by FPS at a lower scale, a context at a larger one, overlaps taken out of it).

use jepa3d_schemas::Draws;

use super::config::MaskingConfig;
use super::{Masks, by_distance, squared_distance};
use crate::error::Result;
use crate::error::out_of_range;

/// Target blocks may overlap. Contexts are cut to the batch's shortest by dropping members drawn uniformly, so that
/// tensors are rectangular.
pub(super) fn draw(
    config: &MaskingConfig,
    samples: &[Vec<[f32; 3]>],
    (shared, each): (&mut Draws, &mut [Draws]),
) -> Result<Masks> {
    let groups = samples.first().map_or(0, Vec::len);
    let length = share(groups, config.target_ratio, shared).max(1);
    let reach = share(groups, config.context_ratio, shared);
    check_blocks(config.blocks, groups)?;
    let (mut contexts, mut targets) = (Vec::with_capacity(samples.len()), Vec::new());
    for (centers, draws) in samples.iter().zip(each.iter_mut()) {
        let blocks = around_anchors(centers, config.blocks, length, draws);
        contexts.push(seen(centers, reach, &blocks, draws));
        targets.extend(blocks);
    }
    let shortest = contexts.iter().map(Vec::len).min().unwrap_or(0);
    if shortest == 0 {
        let expected =
            format!("a context block that target blocks of {length} of {groups} patches leave part of");
        return Err(out_of_range("masking.context_ratio", expected, format!("a block of {reach}")));
    }
    let cut = contexts.iter().zip(each).flat_map(|(context, draws)| {
        draws.distinct_sorted(context.len(), shortest).into_iter().map(|at| context[at as usize])
    });
    let (context, blocks) = (cut.collect(), config.blocks);
    Ok(Masks { context_len: shortest, blocks, target_len: length, one_pass: false, context, targets })
}

/// A drawn share of `groups`, rounded down.
pub(super) fn share(groups: usize, [low, high]: [f64; 2], draws: &mut Draws) -> usize {
    ((draws.range(low, high.max(low + f64::EPSILON)) * groups as f64 + 1e-9) as usize).min(groups)
}

pub(super) fn check_blocks(blocks: usize, groups: usize) -> Result<()> {
    match blocks <= groups {
        true => Ok(()),
        false => Err(out_of_range("masking.blocks", format!("at most the {groups} patches"), blocks)),
    }
}

/// `count` indices, each the farthest from those before it; the first is drawn. Ties go to the lowest index.
pub(super) fn farthest_anchors(centers: &[[f32; 3]], count: usize, draws: &mut Draws) -> Vec<usize> {
    let mut anchors = vec![draws.index(centers.len())];
    let mut gap = vec![f32::INFINITY; centers.len()];
    while anchors.len() < count {
        let last = anchors[anchors.len() - 1];
        for (gap, &center) in gap.iter_mut().zip(centers) {
            *gap = gap.min(squared_distance(center, centers[last]));
        }
        // An anchor is never drawn twice, also where centers coincide.
        gap[last] = -1.0;
        let farthest = (0..gap.len()).max_by(|&a, &b| gap[a].total_cmp(&gap[b]).then(b.cmp(&a)));
        anchors.extend(farthest);
    }
    anchors
}

/// `[M, L]`: of every anchor the nearest patches, the anchor first.
fn around_anchors(centers: &[[f32; 3]], blocks: usize, length: usize, draws: &mut Draws) -> Vec<u32> {
    let near = |anchor| by_distance(centers, anchor).into_iter().take(length).map(|i| i as u32);
    farthest_anchors(centers, blocks, draws).into_iter().flat_map(near).collect()
}

/// The patches nearest to a drawn center that no target holds, ascending.
fn seen(centers: &[[f32; 3]], reach: usize, targets: &[u32], draws: &mut Draws) -> Vec<u32> {
    let mut is_seen = vec![false; centers.len()];
    let from = draws.index(centers.len());
    by_distance(centers, from).into_iter().take(reach).for_each(|i| is_seen[i] = true);
    targets.iter().for_each(|&i| is_seen[i as usize] = false);
    (0..centers.len() as u32).filter(|&i| is_seen[i as usize]).collect()
}
