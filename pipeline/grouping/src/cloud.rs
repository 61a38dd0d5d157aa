//! A cloud prepared for grouping: points in small spatial buckets with bounding boxes.
//!
//! A large cloud is split at medians along the widest axis (a kd-tree of which only the leaves
//! are kept) until a leaf holds at most [`BUCKET`] points; a small one is a single run of
//! points, because there testing every point in vector registers beats any tree.

use crate::error::{Error, Result};
use crate::lanes::{Block, Boxes, LANES};

/// Most points of a bucket.
pub(crate) const BUCKET: usize = 64;

/// Clouds up to this size are kept as one run in index order.
pub(crate) const BRUTE_FORCE: usize = 1024;

/// A bucket: blocks `first..last`, `len` points in ascending index order, then padding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    pub first: u32,
    pub last: u32,
}

/// A cloud laid out for [`Cloud::farthest_points`] and [`Cloud::nearest`].
///
/// Building costs `O(N log N)`; every grouping of the cloud shares it. [`Cloud::rebuild`]
/// reuses the memory for another cloud.
#[derive(Clone, Debug, Default)]
pub struct Cloud {
    pub(crate) points: Vec<[f32; 3]>,
    pub(crate) blocks: Vec<Block>,
    /// Index of the point in each lane, `u32::MAX` for padding.
    pub(crate) ids: Vec<[u32; LANES]>,
    pub(crate) buckets: Vec<Bucket>,
    pub(crate) boxes: Vec<Boxes>,
    order: Vec<Slot>,
    spare: Vec<Slot>,
    pub(crate) fps: crate::fps::Scratch,
    pub(crate) nearest: crate::nearest::Scratch,
}

/// A point on its way to its bucket.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    p: [f32; 3],
    id: u32,
}

impl Cloud {
    /// Lays out `points [N,3]`.
    ///
    /// # Errors
    /// Fails if there are no points, more than 2^31, or one is not finite.
    pub fn new(points: &[[f32; 3]]) -> Result<Self> {
        let mut cloud = Self::default();
        cloud.rebuild(points)?;
        Ok(cloud)
    }

    /// Lays out another cloud in the same memory.
    ///
    /// # Errors
    /// As [`Cloud::new`].
    pub fn rebuild(&mut self, points: &[[f32; 3]]) -> Result<()> {
        if points.is_empty() {
            return Err(Error::TooFew { what: "points", expected: 1, found: 0 });
        }
        if points.len() > 1 << 31 {
            return Err(Error::TooMany { found: points.len() });
        }
        if let Some(index) = points.iter().position(|p| !p.iter().all(|x| x.is_finite())) {
            return Err(Error::NotFinite { index, found: points[index] });
        }
        self.points.clear();
        self.points.extend_from_slice(points);
        self.order.clear();
        self.order.extend(points.iter().zip(0..).map(|(&p, id)| Slot { p, id }));
        self.blocks.clear();
        self.ids.clear();
        self.buckets.clear();
        self.boxes.clear();
        let mut order = std::mem::take(&mut self.order);
        if points.len() <= BRUTE_FORCE {
            self.push_bucket(&order);
        } else {
            let mut spare = std::mem::take(&mut self.spare);
            spare.resize(order.len(), Slot::default());
            let cell = bounds(&order);
            self.split(&mut order, &mut spare, cell);
            self.spare = spare;
        }
        self.order = order;
        Ok(())
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there are no points (only before the first [`Cloud::rebuild`]).
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Cuts `slots`, which lie between the corners `cell`, into buckets.
    ///
    /// The partition is stable, so points stay in index order all the way down.
    fn split(&mut self, slots: &mut [Slot], spare: &mut [Slot], cell: Corners) {
        if slots.len() <= BUCKET {
            self.push_bucket(slots);
            return;
        }
        let axis = widest(cell);
        let cut = sampled_median(slots, axis);
        let left = partition(slots, spare, |p| p[axis] < cut);
        if left.min(slots.len() - left) * 8 < slots.len() {
            self.split_exactly(slots, spare);
            return;
        }
        let (mut lower, mut upper) = (cell, cell);
        lower.1[axis] = cut;
        upper.0[axis] = cut;
        let (left, right) = slots.split_at_mut(left);
        self.split(left, spare, lower);
        self.split(right, spare, upper);
    }

    /// Cuts at the exact median of the axis along which the points spread most: for clouds that
    /// the sampled median cuts badly, those with many equal coordinates among them.
    fn split_exactly(&mut self, slots: &mut [Slot], spare: &mut [Slot]) {
        let cell = bounds(slots);
        let axis = widest(cell);
        let mut values: Vec<f32> = slots.iter().map(|s| s.p[axis]).collect();
        let middle = values.len() / 2;
        let cut = *values.select_nth_unstable_by(middle, f32::total_cmp).1;
        let mut left = partition(slots, spare, |p| p[axis] < cut);
        if left * 8 < slots.len() {
            let with_equals = partition(slots, spare, |p| p[axis] <= cut);
            // The rest are those beyond the median, if any; all equal: by order.
            left = if with_equals < slots.len() { with_equals } else { left };
            if left != with_equals {
                left = partition(slots, spare, |p| p[axis] < cut);
            }
        }
        let left = if left == 0 { middle } else { left };
        let (lower, upper) = slots.split_at_mut(left);
        let cells = (bounds(lower), bounds(upper));
        self.split(lower, spare, cells.0);
        self.split(upper, spare, cells.1);
    }

    fn push_bucket(&mut self, slots: &[Slot]) {
        let first = self.blocks.len();
        for chunk in slots.chunks(LANES) {
            // Padding lies at infinity: nearest to nothing, and no NaN in a difference to it.
            let (mut block, mut ids) = (Block::FAR, [u32::MAX; LANES]);
            for (lane, slot) in chunk.iter().enumerate() {
                block.set(lane, slot.p);
                ids[lane] = slot.id;
            }
            self.blocks.push(block);
            self.ids.push(ids);
        }
        let number = self.buckets.len();
        if number.is_multiple_of(LANES) {
            self.boxes.push(Boxes::FAR);
        }
        let (low, high) = bounds(slots);
        let boxes = &mut self.boxes[number / LANES];
        boxes.low.set(number % LANES, low);
        boxes.high.set(number % LANES, high);
        self.buckets.push(Bucket { first: first as u32, last: self.blocks.len() as u32 });
    }
}

/// Lowest and highest corner of a box.
type Corners = ([f32; 3], [f32; 3]);

fn widest((low, high): Corners) -> usize {
    // Halved before the difference: coordinates may be as large as f32 holds.
    let extent: [f32; 3] = std::array::from_fn(|a| high[a] / 2.0 - low[a] / 2.0);
    (0..3).fold(0, |best, a| if extent[a] > extent[best] { a } else { best })
}

/// The median coordinate of an even sample of the points.
fn sampled_median(slots: &[Slot], axis: usize) -> f32 {
    let mut sample = [0.0; 33];
    let step = slots.len() as f64 / sample.len() as f64;
    for (i, value) in sample.iter_mut().enumerate() {
        *value = slots[(i as f64 * step) as usize].p[axis];
    }
    *sample.select_nth_unstable_by(16, f32::total_cmp).1
}

/// Moves the points of which `test` holds to the front, keeping both sides in order, and says
/// how many they are. Branchless: both places are written, one counts.
fn partition(slots: &mut [Slot], spare: &mut [Slot], test: impl Fn(&[f32; 3]) -> bool) -> usize {
    let spare = &mut spare[..slots.len()];
    let (mut left, mut right) = (0, 0);
    for i in 0..slots.len() {
        let slot = slots[i];
        slots[left] = slot;
        spare[right] = slot;
        let is_left = usize::from(test(&slot.p));
        left += is_left;
        right += 1 - is_left;
    }
    slots[left..].copy_from_slice(&spare[..right]);
    left
}

fn bounds(slots: &[Slot]) -> ([f32; 3], [f32; 3]) {
    let (mut low, mut high) = (slots[0].p, slots[0].p);
    for slot in slots {
        for a in 0..3 {
            low[a] = crate::lanes::smaller(low[a], slot.p[a]);
            high[a] = crate::lanes::greater(high[a], slot.p[a]);
        }
    }
    (low, high)
}

/// The point farthest from the mean of the cloud (in f64), ties to the lowest index: the
/// canonical start of farthest point sampling. 0 for an empty cloud.
pub fn farthest_from_centroid(points: &[[f32; 3]]) -> u32 {
    let mut sum = [0.0f64; 3];
    for p in points {
        for a in 0..3 {
            sum[a] += f64::from(p[a]);
        }
    }
    let mean = sum.map(|s| s / points.len().max(1) as f64);
    let distance = |p: &[f32; 3]| -> f64 {
        let [x, y, z] = [0, 1, 2].map(|a| f64::from(p[a]) - mean[a]);
        (x * x + y * y) + z * z
    };
    let mut best = (0, f64::NEG_INFINITY);
    for (i, p) in points.iter().enumerate() {
        let d = distance(p);
        if d > best.1 {
            best = (i, d);
        }
    }
    best.0 as u32
}
