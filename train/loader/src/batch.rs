//! A ready batch, and how a sample's patches get into it.

use crate::masking::Places;

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
    /// `[B,G,K,3]`, minus the center.
    pub patches: Vec<f32>,
    /// `[B,G,3]`, in farthest-point order.
    pub centers: Vec<f32>,
    /// `[B,G]`, voxel blocks only: the first points of a patch that are distinct (0 = no block).
    pub counts: Option<Vec<u16>>,
    /// What tells the draws of each sample from others, where an epoch shows samples several times: the id and which time;
    /// else empty, and the ids serve.
    pub keys: Vec<String>,
    /// One view of every sample, where the method reads views.
    pub views: Option<ViewPart>,
    /// `[B,G]`, voxel blocks only: the cells of their grids. Their patches are in units of the cell's edge.
    pub cells: Option<Vec<[i32; 3]>>,
}

/// One view of every sample of a batch, and the patches that it shows.
///
/// `T` image tokens of `p` x `p` pixels, at most `Q` patches of a sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ViewPart {
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

impl ViewPart {
    /// Adds `count` places of padding.
    pub fn pad(&mut self, count: usize) {
        self.patches.resize(self.patches.len() + count, 0);
        self.projected.resize(self.projected.len() + 3 * count, 0.0);
    }

    /// Adds a sample without views: `pixels` zeros, `queries` places of padding.
    pub fn add_nothing(&mut self, pixels: usize, queries: usize) {
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

    /// Where its patches are.
    pub fn places(&self) -> Places<'_> {
        Places { ids: self.keys(), centers: &self.centers, cells: self.cells.as_deref() }
    }

    /// Makes room for `rows` samples of `groups` patches of `size` points, forgetting what was there.
    pub fn reset(&mut self, rows: usize, [groups, size]: [usize; 2]) {
        (self.rows, self.groups) = (rows, groups);
        self.sample_ids.clear();
        self.labels.clear();
        self.keys.clear();
        // Every value is overwritten, so those of a recycled batch may stay.
        self.patches.resize(rows * groups * size * 3, 0.0);
        self.centers.resize(rows * groups * 3, 0.0);
        (self.counts, self.cells, self.views) = (None, None, None);
    }

    /// Cuts every sample to the fewest blocks that one of them has; `choose` picks which for (sample id, blocks
    /// that there are, how many), ascending.
    pub fn drop_absent(
        &mut self,
        [groups, size]: [usize; 2],
        choose: impl Fn(&str, usize, usize) -> Vec<u32>,
    ) {
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
        self.patches = rows_of(&self.patches, size * 3, &kept);
        self.centers = rows_of(&self.centers, 3, &kept);
    }
}

fn rows_of(values: &[f32], width: usize, rows: &[usize]) -> Vec<f32> {
    rows.iter().flat_map(|&row| &values[row * width..(row + 1) * width]).copied().collect()
}

/// An index into a cloud, stored in as few bits as fit.
pub trait Index: Copy {
    /// The index.
    fn at(self) -> usize;
}

impl Index for u16 {
    #[inline(always)]
    fn at(self) -> usize {
        usize::from(self)
    }
}

impl Index for u32 {
    #[inline(always)]
    fn at(self) -> usize {
        self as usize
    }
}

/// Gathers the patches of one sample: for each of `centers [G,3]` the first points of its row in
/// `stored [G,stored_size]`, minus the center, into `patches [G,K,3]`.
pub fn gather<I: Index>(
    points: &[[f32; 3]],
    stored: &[I],
    stored_size: usize,
    centers: &[[f32; 3]],
    patches: &mut [f32],
) {
    let size = patches.len() / 3 / centers.len();
    let rows = patches.as_chunks_mut::<3>().0.chunks_exact_mut(size);
    for ((patch, indices), center) in rows.zip(stored.chunks_exact(stored_size)).zip(centers) {
        for (out, index) in patch.iter_mut().zip(indices) {
            let p = points[index.at()];
            *out = [p[0] - center[0], p[1] - center[1], p[2] - center[2]];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clouds_are_cut_to_the_fewest_blocks() {
        let mut batch = Batch { sample_ids: vec!["a".into(), "b".into()], ..Batch::default() };
        batch.reset(0, [3, 2]);
        batch.sample_ids = vec!["a".into(), "b".into()];
        batch.rows = 2;
        batch.patches = (0..2 * 3 * 2 * 3).map(|i| i as f32).collect();
        batch.centers = (0..2 * 3 * 3).map(|i| i as f32).collect();
        batch.cells = Some((0..6).map(|i| [i; 3]).collect());
        batch.counts = Some(vec![2, 1, 2, 2, 1, 0]);
        let mut whole = batch.clone();
        batch.drop_absent([3, 2], |id, present, count| {
            assert_eq!((present, count), (if id == "a" { 3 } else { 2 }, 2));
            if id == "a" { vec![0, 2] } else { vec![0, 1] }
        });
        assert_eq!((batch.groups, batch.counts), (2, Some(vec![2, 2, 2, 1])));
        assert_eq!(batch.cells, Some([0, 2, 3, 4].map(|i| [i; 3]).to_vec()));
        assert_eq!(batch.centers, [0, 2, 3, 4].map(|i| [0, 1, 2].map(|a| (3 * i + a) as f32)).concat());
        assert_eq!(batch.patches.len(), 2 * 2 * 2 * 3);
        assert_eq!(batch.patches[6..12], whole.patches[12..18]);
        whole.counts = Some(vec![1; 6]);
        whole.drop_absent([3, 2], |_, _, _| unreachable!("nothing is absent"));
        assert_eq!((whole.groups, whole.centers.len()), (3, 18));
    }
}
