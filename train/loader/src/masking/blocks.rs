//! Blocks of the nearest patches around farthest-point anchors, and a large context block without them (3D-JEPA, Hu et
//! al., arXiv 2409.15803: targets by FPS at a lower scale, a context at a larger one, overlaps taken out of it).

use jepa3d_schemas::Draws;

use super::anchors::{check_blocks, draw_anchors};
use super::config::MaskingConfig;
use super::distance::sort_by_distance;
use super::share::draw_share;
use super::{CloudPlaces, Masks};
use crate::error::{Result, out_of_range};

/// Target blocks may overlap. Contexts are cut to the batch's shortest by dropping members drawn uniformly, so that
/// tensors are rectangular.
pub(super) fn draw(
    config: &MaskingConfig,
    clouds: &[CloudPlaces<'_>],
    shared: &mut Draws,
    each: &mut [Draws],
) -> Result<Masks> {
    let groups = clouds.first().map_or(0, |cloud| cloud.centers.len());
    let length = draw_share(groups, config.target_ratio, shared).max(1);
    let reach = draw_share(groups, config.context_ratio, shared);
    check_blocks(config.blocks, groups)?;
    let (mut contexts, mut targets) = (Vec::with_capacity(clouds.len()), Vec::new());
    for (cloud, draws) in clouds.iter().zip(each.iter_mut()) {
        let blocks = draw_blocks(cloud, config.blocks, length, draws)?;
        contexts.push(draw_context(cloud.centers, reach, &blocks, draws));
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

/// `[M, L]`: of every anchor the nearest patches, the anchor first.
fn draw_blocks(cloud: &CloudPlaces<'_>, blocks: usize, length: usize, draws: &mut Draws) -> Result<Vec<u32>> {
    let anchors = draw_anchors(cloud, blocks, draws)?;
    let near = |anchor| sort_by_distance(cloud.centers, anchor).into_iter().take(length).map(|i| i as u32);
    Ok(anchors.into_iter().flat_map(near).collect())
}

/// The `reach` patches nearest to a drawn center, without those that a target holds, ascending.
fn draw_context(centers: &[[f32; 3]], reach: usize, targets: &[u32], draws: &mut Draws) -> Vec<u32> {
    let mut is_seen = vec![false; centers.len()];
    let from = draws.index(centers.len());
    sort_by_distance(centers, from).into_iter().take(reach).for_each(|i| is_seen[i] = true);
    targets.iter().for_each(|&i| is_seen[i as usize] = false);
    (0..centers.len() as u32).filter(|&i| is_seen[i as usize]).collect()
}
