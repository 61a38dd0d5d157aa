//! Which patches are context and which are targets.
//!
//! Every preset gives index lists of equal length for all samples of a batch, so that no attention mask is needed.

#[cfg(test)]
mod block_tests;
mod blocks;
mod config;
mod disjoint;
mod random;
mod region;
mod runs;
mod sequence;

use jepa3d_schemas::Draws;

use crate::error::Result;

pub use config::{MaskKind, MaskingConfig, Sequence};
pub use sequence::greedy_order;

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
pub struct Places<'a> {
    /// One id a sample.
    pub ids: &'a [String],
    /// `[B, G, 3]`.
    pub centers: &'a [f32],
    /// `[B, G]` grid cells, of voxel blocks only.
    pub cells: Option<&'a [[i32; 3]]>,
}

/// Draws the masks of one batch, a function of (seed, epoch, batch number, sample ids, centers).
///
/// # Errors
/// Fails if no patch is left for the context.
pub fn draw_masks(
    config: &MaskingConfig,
    places: Places<'_>,
    (seed, epoch, batch): (u64, u64, u64),
) -> Result<Masks> {
    let Places { ids, centers, cells } = places;
    let groups = centers.len() / 3 / ids.len().max(1);
    let samples: Vec<Vec<[f32; 3]>> =
        centers.chunks_exact(groups * 3).map(|cloud| cloud.as_chunks::<3>().0.to_vec()).collect();
    let mut shared = Draws::new(seed, &format!("batch {batch}"), "masks");
    let of_sample = |id: &String| Draws::new(seed, id, &format!("mask of epoch {epoch}"));
    match config.kind {
        MaskKind::Runs => return runs::draw(config, &samples, &mut shared),
        MaskKind::FpsBlocks => {
            let mut each: Vec<Draws> = ids.iter().map(of_sample).collect();
            return blocks::draw(config, &samples, (&mut shared, &mut each));
        }
        MaskKind::DisjointBlocks => {
            let mut each: Vec<Draws> = ids.iter().map(of_sample).collect();
            let clouds: Vec<_> = samples
                .iter()
                .enumerate()
                .map(|(i, centers)| disjoint::Cloud {
                    centers,
                    cells: cells.map(|cells| &cells[i * groups..(i + 1) * groups]),
                })
                .collect();
            return disjoint::draw(config, &clouds, (&mut shared, &mut each));
        }
        MaskKind::Region | MaskKind::Random => {}
    }
    let [low, high] = config.target_ratio;
    let hidden = (shared.range(low, high.max(low + f64::EPSILON)) * groups as f64 + 1e-9) as usize;
    let mut masks = Masks {
        context_len: 0,
        blocks: 1,
        target_len: 0,
        one_pass: true,
        context: Vec::new(),
        targets: Vec::new(),
    };
    for (centers, id) in samples.iter().zip(ids) {
        let mut draws = of_sample(id);
        let targets = match config.kind {
            MaskKind::Region => region::draw(centers, config.blocks, hidden, &mut draws)?,
            _ => random::draw(groups, hidden, &mut draws)?,
        };
        masks.target_len = targets.len();
        masks.context.extend((0..groups as u32).filter(|i| targets.binary_search(i).is_err()));
        masks.targets.extend(targets);
    }
    masks.context_len = groups - masks.target_len;
    Ok(masks)
}

/// All centers, nearest to one of them first; ties by index.
fn by_distance(centers: &[[f32; 3]], from: usize) -> Vec<usize> {
    let gaps: Vec<f32> = centers.iter().map(|&center| squared_distance(center, centers[from])).collect();
    let mut order: Vec<usize> = (0..centers.len()).collect();
    order.sort_by(|&a, &b| gaps[a].total_cmp(&gaps[b]).then(a.cmp(&b)));
    order
}

/// Squared distance, in one fixed order of operations.
fn squared_distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    (x * x + y * y) + z * z
}
