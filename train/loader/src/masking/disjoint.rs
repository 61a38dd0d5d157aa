//! Disjoint contiguous blocks that grow from farthest-point anchors in turns; the context is all that is left.
//!
//! Patches grow by distance to the anchor, voxel blocks over the 26 neighbours of a cell.

use jepa3d_schemas::Draws;

use super::anchors::{check_blocks, draw_anchors};
use super::config::MaskingConfig;
use super::distance::{sort_by_distance, squared_distance};
use super::share::draw_share;
use super::{CloudPlaces, Masks};
use crate::error::{Result, out_of_range};

/// No block owns this patch.
const FREE: u32 = u32::MAX;

/// Exactly `M * L` targets a sample, `L` drawn once a batch; the context is the exact complement, ascending.
pub(super) fn draw(
    config: &MaskingConfig,
    clouds: &[CloudPlaces<'_>],
    shared: &mut Draws,
    each: &mut [Draws],
) -> Result<Masks> {
    let groups = clouds.first().map_or(0, |cloud| cloud.centers.len());
    check_blocks(config.blocks, groups)?;
    let length = draw_share(groups, config.target_ratio, shared).max(1);
    let hidden = config.blocks * length;
    if hidden >= groups {
        let expected = format!("{} blocks that leave some of {groups} patches", config.blocks);
        return Err(out_of_range("masking.target_ratio", expected, format!("blocks of {length}")));
    }
    let (mut context, mut targets) = (Vec::new(), Vec::new());
    for (cloud, draws) in clouds.iter().zip(each) {
        let blocks = grow_blocks(cloud, config.blocks, length, draws)?;
        let is_target = |i: &u32| blocks.iter().any(|block| block.contains(i));
        context.extend((0..groups as u32).filter(|i| !is_target(i)));
        targets.extend(blocks.into_iter().flatten());
    }
    let (context_len, blocks) = (groups - hidden, config.blocks);
    Ok(Masks { context_len, blocks, target_len: length, one_pass: true, context, targets })
}

/// `[M, L]`, each block in the order in which it grew. Anchors belong to their blocks before the first turn.
fn grow_blocks(
    cloud: &CloudPlaces<'_>,
    blocks: usize,
    length: usize,
    draws: &mut Draws,
) -> Result<Vec<Vec<u32>>> {
    let anchors = draw_anchors(cloud, blocks, draws)?;
    let mut owner = vec![FREE; cloud.centers.len()];
    for (block, &anchor) in anchors.iter().enumerate() {
        owner[anchor] = block as u32;
    }
    let mut growing: Vec<GrowingBlock<'_>> =
        anchors.iter().map(|&anchor| GrowingBlock::new(cloud, anchor)).collect();
    for _ in 1..length {
        for (number, block) in growing.iter_mut().enumerate() {
            if let Some(next) = block.next(&owner) {
                owner[next] = number as u32;
                block.add(next);
            }
        }
    }
    Ok(growing.into_iter().map(|block| block.members).collect())
}

/// A block while patches join it.
struct GrowingBlock<'a> {
    cloud: &'a CloudPlaces<'a>,
    anchor: usize,
    /// All patches, nearest to the anchor first.
    near: Vec<usize>,
    members: Vec<u32>,
    /// Rings from the anchor at which a cell touches the block; `FREE` where it does not.
    ring: Vec<u32>,
}

impl<'a> GrowingBlock<'a> {
    fn new(cloud: &'a CloudPlaces<'a>, anchor: usize) -> Self {
        let near = sort_by_distance(cloud.centers, anchor);
        let ring = vec![FREE; cloud.centers.len()];
        let mut block = Self { cloud, anchor, near, members: Vec::new(), ring };
        block.ring[anchor] = 0;
        block.add(anchor);
        block
    }

    /// Takes a patch in; its neighbours come one ring later.
    fn add(&mut self, member: usize) {
        self.members.push(member as u32);
        let Some(cells) = self.cloud.cells else { return };
        let ring = match self.ring[member] {
            // From another component: it starts anew.
            FREE => 0,
            ring => ring,
        };
        self.ring[member] = ring;
        for (i, cell) in cells.iter().enumerate() {
            if are_neighbours(*cell, cells[member]) {
                self.ring[i] = self.ring[i].min(ring + 1);
            }
        }
    }

    /// The free cell of the least (ring, distance, index); where the component is used up, and among patches, the nearest.
    fn next(&self, owner: &[u32]) -> Option<usize> {
        let gap = |i: usize| squared_distance(self.cloud.centers[i], self.cloud.centers[self.anchor]);
        let touching = (0..owner.len()).filter(|&i| owner[i] == FREE && self.ring[i] != FREE);
        let first = |&a: &usize, &b: &usize| {
            self.ring[a].cmp(&self.ring[b]).then(gap(a).total_cmp(&gap(b))).then(a.cmp(&b))
        };
        touching.min_by(first).or_else(|| self.near.iter().copied().find(|&i| owner[i] == FREE))
    }
}

/// Whether two different cells share a face, an edge or a corner.
fn are_neighbours(a: [i32; 3], b: [i32; 3]) -> bool {
    a != b && (0..3).all(|k| (a[k] - b[k]).abs() <= 1)
}
