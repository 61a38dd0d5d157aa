//! The spatial index: a cloud cut by a k-d split into leaves of 32 points, each with its box.
//!
//! Farthest point sampling and nearest neighbours both walk it: 16 boxes are tested at a time, and only the leaves that can
//! matter are read. What a leaf holds never shows in a result, so ties inside the split need no rule. Building costs
//! `O(S log S)`; every buffer is kept for the next cloud.

use crate::kernels::{BoxGroup, FAN, LEAF, Leaf};

/// Points that the choice of an axis looks at.
const SAMPLED: usize = 64;

/// One point on its way to a leaf.
#[derive(Clone, Copy, Debug)]
#[repr(align(16))]
struct PointRecord {
    at: [f32; 3],
    id: u32,
}

/// Leaves in k-d order, boxes over leaves, boxes over branches of 16 leaves, and where each point went.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpatialIndex {
    records: Vec<PointRecord>,
    /// 32 points each; only the last one may be padded.
    pub(crate) leaves: Vec<Leaf>,
    /// Element `b` holds the boxes of leaves `16 b ..`.
    pub(crate) leaf_boxes: Vec<BoxGroup>,
    /// Element `l` holds the boxes of branches `16 l ..`.
    pub(crate) branch_boxes: Vec<BoxGroup>,
    /// Slot (leaf * 32 + lane) of each point, by original index.
    pub(crate) slots: Vec<u32>,
}

impl SpatialIndex {
    /// Number of points.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Replaces the content by `points`.
    #[inline(always)]
    pub(crate) fn build(&mut self, points: &[[f32; 3]]) {
        self.records.clear();
        self.records.extend(points.iter().zip(0u32..).map(|(&at, id)| PointRecord { at, id }));
        split(&mut self.records);
        self.fill_leaves();
        self.fill_boxes();
    }

    #[inline(always)]
    fn fill_leaves(&mut self) {
        self.slots.clear();
        self.slots.resize(self.records.len(), 0);
        self.leaves.clear();
        for (leaf, chunk) in self.records.chunks(LEAF).enumerate() {
            let mut filled = Leaf::EMPTY;
            for (lane, record) in chunk.iter().enumerate() {
                filled.x.as_flattened_mut()[lane] = record.at[0];
                filled.y.as_flattened_mut()[lane] = record.at[1];
                filled.z.as_flattened_mut()[lane] = record.at[2];
                filled.id[lane] = record.id;
                self.slots[record.id as usize] = (leaf * LEAF + lane) as u32;
            }
            self.leaves.push(filled);
        }
    }

    #[inline(always)]
    fn fill_boxes(&mut self) {
        self.leaf_boxes.clear();
        self.branch_boxes.clear();
        let branches = self.leaves.len().div_ceil(FAN);
        self.leaf_boxes.resize(branches, BoxGroup::EMPTY);
        self.branch_boxes.resize(branches.div_ceil(FAN), BoxGroup::EMPTY);
        for (leaf, records) in self.records.chunks(LEAF).enumerate() {
            let (lo, hi) = bounds(records.iter());
            self.leaf_boxes[leaf / FAN].set(leaf % FAN, lo, hi);
        }
        for branch in 0..branches {
            let (lo, hi) = self.leaf_boxes[branch].hull();
            self.branch_boxes[branch / FAN].set(branch % FAN, lo, hi);
        }
    }
}

/// Orders `records` so that each run of 32 is one leaf and each run of 512 one branch.
fn split(records: &mut [PointRecord]) {
    let leaves = records.len().div_ceil(LEAF);
    if leaves <= 1 {
        return;
    }
    let half = leaves.div_ceil(2);
    let left = if leaves > FAN { half.next_multiple_of(FAN) } else { half };
    let middle = left * LEAF;
    match widest_axis(records) {
        0 => split_at::<0>(records, middle),
        1 => split_at::<1>(records, middle),
        _ => split_at::<2>(records, middle),
    }
    let (below, above) = records.split_at_mut(middle);
    split(below);
    split(above);
}

fn split_at<const AXIS: usize>(records: &mut [PointRecord], middle: usize) {
    records.select_nth_unstable_by(middle, |a, b| {
        a.at[AXIS].partial_cmp(&b.at[AXIS]).unwrap_or(std::cmp::Ordering::Equal)
    });
}

fn widest_axis(records: &[PointRecord]) -> usize {
    // A few points tell the axis well enough; it decides the speed, not the result.
    let sample = records.iter().step_by(records.len().div_ceil(SAMPLED));
    let (lo, hi) = bounds(sample);
    let width = [hi[0] - lo[0], hi[1] - lo[1], hi[2] - lo[2]];
    if width[0] >= width[1] && width[0] >= width[2] {
        0
    } else if width[1] >= width[2] {
        1
    } else {
        2
    }
}

#[inline(always)]
fn bounds<'a>(records: impl Iterator<Item = &'a PointRecord>) -> ([f32; 3], [f32; 3]) {
    let mut lo = [f32::INFINITY; 3];
    let mut hi = [f32::NEG_INFINITY; 3];
    for record in records {
        for axis in 0..3 {
            lo[axis] = if record.at[axis] < lo[axis] { record.at[axis] } else { lo[axis] };
            hi[axis] = if record.at[axis] > hi[axis] { record.at[axis] } else { hi[axis] };
        }
    }
    (lo, hi)
}
