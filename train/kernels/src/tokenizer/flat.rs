//! The tokenizer's widths and its parameters as one flat vector, the form in which candle differentiates them.

use std::ops::Range;

use candle_core::Result;

use super::tile::PAD;
use crate::parts::{BatchParts, add_parts};

/// Channels after each layer: 3 -> c1 -> c2, max; 2 c2 -> c3 -> d, max.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Widths {
    pub(crate) c1: usize,
    pub(crate) c2: usize,
    pub(crate) c3: usize,
    pub(crate) d: usize,
}

impl Widths {
    /// Rounds up to whole panels; the channels added hold zeros throughout.
    pub(crate) fn pad(self) -> Self {
        let up = |n: usize| n.next_multiple_of(PAD);
        Self { c1: up(self.c1), c2: up(self.c2), c3: up(self.c3), d: up(self.d) }
    }

    /// Where each parameter lies in the flat vector.
    pub(crate) fn ranges(self) -> FlatRanges {
        let Self { c1, c2, c3, d } = self;
        let mut end = 0;
        let mut next = |len: usize| {
            end += len;
            end - len..end
        };
        FlatRanges {
            first: next(c1 * 3),
            bn1_weight: next(c1),
            bn1_bias: next(c1),
            lift: next(c2 * c1),
            lift_bias: next(c2),
            mix: next(c3 * 2 * c2),
            bn2_weight: next(c3),
            bn2_bias: next(c3),
            out: next(d * c3),
            out_bias: next(d),
        }
    }
}

/// Ranges of the flat vector, row-major [out, in] as in the official state dict.
pub(crate) struct FlatRanges {
    pub(crate) first: Range<usize>,
    pub(crate) bn1_weight: Range<usize>,
    pub(crate) bn1_bias: Range<usize>,
    pub(crate) lift: Range<usize>,
    pub(crate) lift_bias: Range<usize>,
    pub(crate) mix: Range<usize>,
    pub(crate) bn2_weight: Range<usize>,
    pub(crate) bn2_bias: Range<usize>,
    pub(crate) out: Range<usize>,
    pub(crate) out_bias: Range<usize>,
}

impl FlatRanges {
    pub(crate) fn len(&self) -> usize {
        self.out_bias.end
    }
}

/// Flat parameters, and where each lies.
#[derive(Clone, Copy)]
pub(crate) struct FlatWeights<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) ranges: &'a FlatRanges,
    pub(crate) widths: Widths,
}

/// Mean and biased variance per channel, and what normalising with them needs; in f64.
#[derive(Clone, Debug)]
pub(crate) struct ChannelMoments {
    pub(crate) mean: Vec<f64>,
    pub(crate) var: Vec<f64>,
}

impl ChannelMoments {
    pub(crate) const EPS: f64 = 1e-5;

    pub(crate) fn inverse_std(&self, c: usize) -> f64 {
        1.0 / (self.var[c] + Self::EPS).sqrt()
    }

    /// What normalises channel `c`, multiplies with `weight` and adds `bias`.
    pub(crate) fn fold(&self, c: usize, weight: f32, bias: f32) -> ScaleShift {
        let scale = f64::from(weight) * self.inverse_std(c);
        ScaleShift { scale, shift: f64::from(bias) - scale * self.mean[c] }
    }
}

/// `scale * y + shift`.
#[derive(Clone, Copy)]
pub(crate) struct ScaleShift {
    pub(crate) scale: f64,
    pub(crate) shift: f64,
}

/// Mean and covariance (biased) of all points of all patches.
#[derive(Clone, Debug)]
pub(crate) struct PointMoments {
    pub(crate) mean: [f64; 3],
    pub(crate) covariance: [[f64; 3]; 3],
}

/// The moments of points, and how many these are.
pub(crate) struct CountedMoments {
    pub(crate) moments: PointMoments,
    pub(crate) rows: f64,
}

impl PointMoments {
    /// Of the points of all parts of a batch.
    pub(crate) fn measure(points: &[f32], parts: Option<&dyn BatchParts>) -> Result<CountedMoments> {
        let mut sum = [0.0, 0.0, 0.0, (points.len() / 3) as f64];
        for p in points.as_chunks::<3>().0 {
            for a in 0..3 {
                sum[a] += f64::from(p[a]);
            }
        }
        add_parts(parts, "sums of points", &mut sum)?;
        let [x, y, z, n] = sum;
        let mean = [x, y, z].map(|s| s / n);
        let mut products = [[0.0f64; 3]; 3];
        for p in points.as_chunks::<3>().0 {
            let off = [0, 1, 2].map(|a| f64::from(p[a]) - mean[a]);
            for a in 0..3 {
                for b in 0..3 {
                    products[a][b] += off[a] * off[b];
                }
            }
        }
        add_parts(parts, "products of points", products.as_flattened_mut())?;
        let moments = Self { mean, covariance: products.map(|row| row.map(|s| s / n)) };
        Ok(CountedMoments { moments, rows: n })
    }

    /// Statistics of `first x`, exactly: the first layer is linear, so no pass over its output is needed.
    pub(crate) fn push_through(&self, first: &[f32]) -> ChannelMoments {
        let rows = || first.as_chunks::<3>().0.iter().map(|w| w.map(f64::from));
        let mean = rows().map(|w| dot(w, self.mean)).collect();
        let var = rows().map(|w| dot(w, self.along(w)).max(0.0)).collect();
        ChannelMoments { mean, var }
    }

    /// The covariance times `w`.
    pub(crate) fn along(&self, w: [f64; 3]) -> [f64; 3] {
        self.covariance.map(|row| dot(row, w))
    }
}

pub(crate) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
