//! Which patches are context and which are targets.
//!
//! Every kind gives index lists of equal length for all samples of a batch, so that no attention mask is needed.

mod anchors;
#[cfg(test)]
mod block_tests;
mod blocks;
mod config;
mod disjoint;
mod distance;
mod random;
mod region;
mod runs;
mod sequence;
mod share;

use jepa3d_schemas::Draws;

use crate::error::Result;

pub use config::{MaskKind, MaskingConfig, Sequence};
use share::draw_share;

/// Index lists of one batch into its patches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masks {
    /// `n`: patches of the context.
    pub context_len: usize,
    /// `M`: target blocks.
    pub blocks: usize,
    /// `L`: patches of a target block.
    pub target_len: usize,
    /// The predictor answers for all blocks in one pass, where they see each other; else each block for itself.
    pub one_pass: bool,
    /// `[B, n]`.
    pub context: Vec<u32>,
    /// `[B, M, L]`.
    pub targets: Vec<u32>,
}

/// Where the patches of a batch are.
#[derive(Clone, Copy, Debug)]
pub struct PatchPlaces<'a> {
    /// One id a sample.
    pub ids: &'a [String],
    /// `[B, G, 3]`.
    pub centers: &'a [f32],
    /// `[B, G]` grid cells, of voxel blocks only.
    pub cells: Option<&'a [[i32; 3]]>,
}

/// What the draws of a batch derive from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchKey {
    /// Seed of the run.
    pub seed: u64,
    /// Epoch of the batch, from 0.
    pub epoch: u64,
    /// Number of the batch since the start of the run, from 0.
    pub batch: u64,
}

/// The patches of one sample.
struct CloudPlaces<'a> {
    id: &'a str,
    /// `[G]`.
    centers: &'a [[f32; 3]],
    /// `[G]` grid cells, of voxel blocks only.
    cells: Option<&'a [[i32; 3]]>,
}

impl PatchPlaces<'_> {
    /// Those of each sample; all have equally many.
    fn split(&self) -> Vec<CloudPlaces<'_>> {
        let all = self.centers.as_chunks::<3>().0;
        let groups = all.len() / self.ids.len().max(1);
        let one = |i: usize| i * groups..(i + 1) * groups;
        let cloud = |(i, id)| CloudPlaces {
            id,
            centers: &all[one(i)],
            cells: self.cells.map(|cells| &cells[one(i)]),
        };
        self.ids.iter().map(String::as_str).enumerate().map(cloud).collect()
    }
}

/// Draws the masks of one batch, a function of (seed, epoch, batch number, sample ids, centers).
///
/// # Errors
/// Fails if no patch is left for the context, or there are more blocks or anchors than patches.
pub fn draw_masks(config: &MaskingConfig, places: PatchPlaces<'_>, key: BatchKey) -> Result<Masks> {
    let clouds = places.split();
    let mut shared = Draws::new(key.seed, &format!("batch {}", key.batch), "masks");
    let purpose = format!("mask of epoch {}", key.epoch);
    let mut each: Vec<Draws> = places.ids.iter().map(|id| Draws::new(key.seed, id, &purpose)).collect();
    match config.kind {
        MaskKind::Runs => runs::draw(config, &clouds, &mut shared),
        MaskKind::FpsBlocks => blocks::draw(config, &clouds, &mut shared, &mut each),
        MaskKind::DisjointBlocks => disjoint::draw(config, &clouds, &mut shared, &mut each),
        MaskKind::Region | MaskKind::Random => draw_subsets(config, &clouds, &mut shared, &mut each),
    }
}

/// One target set a sample, of equal size in all of them; the context is all that is left.
fn draw_subsets(
    config: &MaskingConfig,
    clouds: &[CloudPlaces<'_>],
    shared: &mut Draws,
    each: &mut [Draws],
) -> Result<Masks> {
    let groups = clouds.first().map_or(0, |cloud| cloud.centers.len());
    let hidden = draw_share(groups, config.target_ratio, shared);
    let (mut context, mut targets) = (Vec::new(), Vec::new());
    for (cloud, draws) in clouds.iter().zip(each) {
        let chosen = match config.kind {
            MaskKind::Region => region::draw(cloud.centers, config.blocks, hidden, draws)?,
            _ => random::draw(groups, hidden, draws)?,
        };
        context.extend((0..groups as u32).filter(|i| chosen.binary_search(i).is_err()));
        targets.extend(chosen);
    }
    Ok(Masks {
        context_len: groups - hidden,
        blocks: 1,
        target_len: hidden,
        one_pass: true,
        context,
        targets,
    })
}
