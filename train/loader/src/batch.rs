//! A ready batch, and the places in it that samples are written to.

use crate::batch_points::BatchPoints;
use crate::masking::PatchPlaces;

/// Samples as the model takes them: flat, contiguous f32.
///
/// `B` samples, `G` centers, `K` points of a patch; the sizes are those of the config.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Number of the batch since the start of the run, from 0.
    pub number: u64,
    /// Its epoch, from 0.
    pub epoch: u64,
    /// Samples `B`.
    pub rows: usize,
    /// Patches of a sample `G`: that of the config, or fewer where voxel blocks of a fixed edge are.
    pub groups: usize,
    /// `[B]`.
    pub sample_ids: Vec<String>,
    /// `[B]`, indices into the dataset's classes.
    pub labels: Vec<Option<i32>>,
    /// `[B]`, the dataset of a mix that each sample is of, from 0; labels are absent where there are several.
    pub sets: Vec<u32>,
    /// `[B,G,K,3]`, minus the center.
    pub patches: Vec<f32>,
    /// `[B,G,3]`, in farthest-point order.
    pub centers: Vec<f32>,
    /// `[B,G]`, voxel blocks only: the first points of a patch that are distinct (0 = no block).
    pub counts: Option<Vec<u16>>,
    /// What tells the draws of each sample from others, where an epoch shows samples several times or of several sets: the
    /// id, which set, which time; else empty, and the ids serve.
    pub(crate) keys: Vec<String>,
    /// `[B]` radians that each cloud was turned by about its dataset's up axis, counter-clockwise seen from its tip. What else was
    /// drawn (mirroring, for one) is not in it.
    pub turns: Vec<f64>,
    /// One view of every sample, where the method reads views.
    pub views: Option<BatchViews>,
    /// Points of every sample with their labels, where they are asked for.
    pub points: Option<BatchPoints>,
    /// `[B,G]`, voxel blocks only: the cells of their grids. Their patches are in units of the cell's edge.
    pub cells: Option<Vec<[i32; 3]>>,
    /// `[B]`, voxel blocks only: the edge of the cells of each sample.
    pub edges: Option<Vec<f32>>,
    /// What the context encoder sees, where it differs from the targets' patches.
    pub seen: Option<SeenPatches>,
}

/// Patches of the clouds of a batch as a sensor would see them, as many and as large as the clean ones, and in their frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenPatches {
    /// `[B,G,K,3]`, minus the center.
    pub patches: Vec<f32>,
    /// `[B,G,3]`, in farthest-point order; others than the clean centers.
    pub centers: Vec<f32>,
}

/// Where the patches of one sample go.
pub(crate) struct PatchSlot<'a> {
    /// `[G,K,3]`, minus the centers.
    pub patches: &'a mut [[f32; 3]],
    /// `[G,3]`.
    pub centers: &'a mut [[f32; 3]],
    /// Voxel blocks append the distinct points of each of `G` blocks.
    pub counts: &'a mut Vec<u16>,
    /// Voxel blocks append `G` grid cells.
    pub cells: &'a mut Vec<[i32; 3]>,
    /// Voxel blocks append the edge of those cells.
    pub edges: &'a mut Vec<f32>,
    /// Where what a sensor sees of it goes, if that is asked for.
    pub seen: Option<SeenSlot<'a>>,
}

/// Where the patches that a sensor sees of one sample go.
pub(crate) struct SeenSlot<'a> {
    /// `[G,K,3]`, minus the centers.
    pub patches: &'a mut [[f32; 3]],
    /// `[G,3]`.
    pub centers: &'a mut [[f32; 3]],
}

impl SeenSlot<'_> {
    /// What is seen is what is there.
    pub fn copy(&mut self, centers: &[[f32; 3]], patches: &[[f32; 3]]) {
        self.centers.copy_from_slice(centers);
        self.patches.copy_from_slice(patches);
    }
}

/// One view of every sample of a batch, and the patches that it shows.
///
/// `T` image tokens of `p` x `p` pixels, at most `Q` patches of a sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchViews {
    /// `[B]`: number of the view within its sample; `u16::MAX` if the sample has none (its pixels are 0 then).
    pub numbers: Vec<u16>,
    /// `[B,T,3,p,p]`, colours from -1 to 1.
    pub pixels: Vec<f32>,
    /// `[B,Q]`: patches that are asked for, then padding (0).
    pub patches: Vec<u32>,
    /// `[B,Q,3]`: mean u / W, v / H and depth of the visible points of each.
    pub projected: Vec<f32>,
    /// `[B]`: patches that are asked for.
    pub counts: Vec<u32>,
}

impl BatchViews {
    /// Adds `count` places of padding.
    pub(crate) fn pad(&mut self, count: usize) {
        self.patches.resize(self.patches.len() + count, 0);
        self.projected.resize(self.projected.len() + 3 * count, 0.0);
    }

    /// Adds a sample without views: `pixels` zeros, `queries` places of padding.
    pub(crate) fn add_nothing(&mut self, pixels: usize, queries: usize) {
        self.numbers.push(u16::MAX);
        self.pixels.resize(self.pixels.len() + pixels, 0.0);
        self.pad(queries);
        self.counts.push(0);
    }
}

impl Batch {
    /// What the draws of each sample are keyed by.
    pub fn keys(&self) -> &[String] {
        if self.keys.is_empty() { &self.sample_ids } else { &self.keys }
    }

    /// Where its patches are; those of the clean clouds.
    pub fn places(&self) -> PatchPlaces<'_> {
        PatchPlaces { ids: self.keys(), centers: &self.centers, cells: self.cells.as_deref() }
    }

    /// Makes room for `rows` samples of `groups` patches of `size` points, forgetting what was there.
    pub(crate) fn reset(&mut self, rows: usize, groups: usize, size: usize) {
        (self.rows, self.groups) = (rows, groups);
        self.sample_ids.clear();
        self.labels.clear();
        self.sets.clear();
        self.keys.clear();
        self.turns.clear();
        // Every value is overwritten, so those of a recycled batch may stay.
        self.patches.resize(rows * groups * size * 3, 0.0);
        self.centers.resize(rows * groups * 3, 0.0);
        (self.counts, self.cells, self.edges) = (None, None, None);
        (self.views, self.points, self.seen) = (None, None, None);
    }

    /// Makes room for what a sensor sees of the samples, in the memory of what one saw before; all of it is to be written.
    pub(crate) fn make_room_for_seen(&mut self, memory: Option<SeenPatches>) {
        let mut seen = memory.unwrap_or_default();
        seen.patches.resize(self.patches.len(), 0.0);
        seen.centers.resize(self.centers.len(), 0.0);
        self.seen = Some(seen);
    }

    /// Points of a patch `K`.
    fn group_size(&self) -> usize {
        self.patches.len() / self.centers.len().max(1)
    }

    /// Where the patches of sample `at` go; samples are written in order.
    pub(crate) fn slot(&mut self, at: usize) -> PatchSlot<'_> {
        let (groups, points) = (self.groups, self.groups * self.group_size());
        let seen = self.seen.as_mut().map(|seen| SeenSlot {
            patches: &mut seen.patches.as_chunks_mut().0[at * points..][..points],
            centers: &mut seen.centers.as_chunks_mut().0[at * groups..][..groups],
        });
        PatchSlot {
            seen,
            patches: &mut self.patches.as_chunks_mut().0[at * points..][..points],
            centers: &mut self.centers.as_chunks_mut().0[at * groups..][..groups],
            counts: self.counts.get_or_insert_default(),
            cells: self.cells.get_or_insert_default(),
            edges: self.edges.get_or_insert_default(),
        }
    }

    /// Distinct points of each patch of sample `at`, once it is written.
    pub(crate) fn counts_of_sample(&self, at: usize) -> Option<&[u16]> {
        self.counts.as_ref()?.get(at * self.groups..(at + 1) * self.groups)
    }

    /// Ends the writing of samples: what none of them has is absent.
    pub(crate) fn finish(&mut self) {
        self.counts.take_if(|counts| counts.is_empty());
        self.cells.take_if(|cells| cells.is_empty());
        self.edges.take_if(|edges| edges.is_empty());
    }

    /// Cuts every sample to the fewest blocks that one of them has; `choose` picks which for (sample's key, blocks
    /// that there are, how many), ascending.
    pub(crate) fn cut_to_fewest_blocks(&mut self, choose: impl Fn(&str, usize, usize) -> Vec<u32>) {
        let (groups, size) = (self.groups, self.group_size());
        let Some(counts) = self.counts.take() else { return };
        let present: Vec<Vec<usize>> = counts
            .chunks_exact(groups)
            .map(|counts| (0..groups).filter(|&g| counts[g] > 0).collect())
            .collect();
        let fewest = present.iter().map(Vec::len).min().unwrap_or(groups);
        if fewest == groups {
            self.counts = Some(counts);
            return;
        }
        let mut kept = Vec::with_capacity(self.rows * fewest);
        for (row, (id, present)) in self.keys().iter().zip(&present).enumerate() {
            let chosen = choose(id, present.len(), fewest);
            kept.extend(chosen.into_iter().map(|at| row * groups + present[at as usize]));
        }
        self.groups = fewest;
        self.counts = Some(kept.iter().map(|&at| counts[at]).collect());
        self.cells = self.cells.take().map(|cells| kept.iter().map(|&at| cells[at]).collect());
        self.patches = keep_rows(&self.patches, size * 3, &kept);
        self.centers = keep_rows(&self.centers, 3, &kept);
    }
}

fn keep_rows(values: &[f32], width: usize, rows: &[usize]) -> Vec<f32> {
    rows.iter().flat_map(|&row| &values[row * width..(row + 1) * width]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clouds_are_cut_to_the_fewest_blocks() {
        let mut batch = Batch { sample_ids: vec!["a".into(), "b".into()], ..Batch::default() };
        batch.reset(0, 3, 2);
        batch.sample_ids = vec!["a".into(), "b".into()];
        batch.rows = 2;
        batch.patches = (0..2 * 3 * 2 * 3).map(|i| i as f32).collect();
        batch.centers = (0..2 * 3 * 3).map(|i| i as f32).collect();
        batch.cells = Some((0..6).map(|i| [i; 3]).collect());
        batch.counts = Some(vec![2, 1, 2, 2, 1, 0]);
        let mut whole = batch.clone();
        batch.cut_to_fewest_blocks(|id, present, count| {
            assert_eq!((present, count), (if id == "a" { 3 } else { 2 }, 2));
            if id == "a" { vec![0, 2] } else { vec![0, 1] }
        });
        assert_eq!((batch.groups, batch.counts), (2, Some(vec![2, 2, 2, 1])));
        assert_eq!(batch.cells, Some([0, 2, 3, 4].map(|i| [i; 3]).to_vec()));
        assert_eq!(batch.centers, [0, 2, 3, 4].map(|i| [0, 1, 2].map(|a| (3 * i + a) as f32)).concat());
        assert_eq!(batch.patches.len(), 2 * 2 * 2 * 3);
        assert_eq!(batch.patches[6..12], whole.patches[12..18]);
        whole.counts = Some(vec![1; 6]);
        whole.cut_to_fewest_blocks(|_, _, _| unreachable!("nothing is absent"));
        assert_eq!((whole.groups, whole.centers.len()), (3, 18));
    }
}
