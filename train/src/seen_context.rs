//! Which of the patches that a sensor saw a context is encoded from.
//!
//! Masks are drawn on the centers that targets stand at. A seen cloud has centers of its own, so what is hidden is decided by
//! place: a seen patch belongs to the context if it lies nearer to what the masks leave than to what they hide.

use candle_core::{Device, Tensor};
use jepa3d_loader::{Masks, SeenPatches};

use crate::error::Result;
use crate::models::PatchTensors;

/// What is chosen from.
pub(crate) struct SeenBatch<'a> {
    /// `[B,G,3]`: centers that there are targets at.
    pub centers: &'a [f32],
    pub seen: &'a SeenPatches,
    /// Patches of a sample `G`, seen or not.
    pub groups: usize,
    pub masks: &'a Masks,
}

impl SeenBatch<'_> {
    /// The context of every sample, `n` patches as the masks ask for: those that lie deepest on the side of what is left,
    /// in their order.
    pub(crate) fn choose_context(&self, device: &Device) -> Result<PatchTensors> {
        let places = self.choose_places();
        let (b, n) = (places.len() / self.masks.context_len, self.masks.context_len);
        let size = self.seen.patches.len() / (self.seen.centers.len() / 3);
        let rows = |values: &[f32], width: usize| -> Vec<f32> {
            places.iter().flat_map(|&at| &values[at * width..(at + 1) * width]).copied().collect()
        };
        Ok(PatchTensors {
            patches: Tensor::from_vec(rows(&self.seen.patches, size), (b, n, size / 3, 3), device)?,
            centers: Tensor::from_vec(rows(&self.seen.centers, 3), (b, n, 3), device)?,
            counts: None,
        })
    }

    /// `[B, n]`: rows of the seen patches of the whole batch.
    fn choose_places(&self) -> Vec<usize> {
        let (g, masks) = (self.groups, self.masks);
        let clean = self.centers.as_chunks::<3>().0.chunks_exact(g);
        let seen = self.seen.centers.as_chunks::<3>().0.chunks_exact(g);
        let hidden = masks.targets.chunks_exact(masks.blocks * masks.target_len);
        let visible = masks.context.chunks_exact(masks.context_len);
        let mut chosen = Vec::new();
        for (row, ((clean, seen), (hidden, visible))) in clean.zip(seen).zip(hidden.zip(visible)).enumerate()
        {
            let depth = |at: &[f32; 3]| find_nearest(at, clean, hidden) - find_nearest(at, clean, visible);
            let mut order: Vec<(f32, usize)> = seen.iter().map(depth).zip(0..).collect();
            order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let mut kept: Vec<usize> =
                order[..masks.context_len].iter().map(|&(_, at)| row * g + at).collect();
            kept.sort_unstable();
            chosen.extend(kept);
        }
        chosen
    }
}

/// The distance of the nearest of the named centers.
fn find_nearest(at: &[f32; 3], centers: &[[f32; 3]], named: &[u32]) -> f32 {
    let squared = |center: &[f32; 3]| (0..3).map(|a| (at[a] - center[a]) * (at[a] - center[a])).sum::<f32>();
    named.iter().map(|&i| squared(&centers[i as usize])).fold(f32::INFINITY, f32::min).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clean centers 0, 1, 2, 3 along x, the last two hidden; of four seen patches those near 0 and 1 are the context.
    #[test]
    fn the_context_lies_on_the_side_of_what_is_left() {
        let line = |xs: [f32; 4]| xs.into_iter().flat_map(|x| [x, 0.0, 0.0]).collect::<Vec<f32>>();
        let masks = Masks {
            context_len: 2,
            blocks: 1,
            target_len: 2,
            one_pass: false,
            context: vec![0, 1, 2, 3],
            targets: vec![2, 3, 0, 1],
        };
        let centers = [line([0.0, 1.0, 2.0, 3.0]), line([0.0, 1.0, 2.0, 3.0])].concat();
        let seen_centers = [line([2.9, 0.8, 1.9, -0.5]), line([2.9, 0.8, 1.9, -0.5])].concat();
        let seen = SeenPatches { patches: seen_centers.clone(), centers: seen_centers };
        let batch = SeenBatch { centers: &centers, seen: &seen, groups: 4, masks: &masks };
        assert_eq!(batch.choose_places(), [1, 3, 4, 6], "rows of the batch, in their order");
        let context = batch.choose_context(&Device::Cpu).unwrap();
        assert_eq!(context.patches.dims(), [2, 2, 1, 3]);
        let xs: Vec<f32> = context.centers.narrow(2, 0, 1).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(xs, [0.8, -0.5, 2.9, 1.9]);
    }
}
