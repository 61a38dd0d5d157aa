//! The tokenizer's widths and its parameters as one flat vector, the form in which candle differentiates them.

use std::ops::Range;

use super::tile::PAD;

/// Channels after each layer: 3 -> c1 -> c2, max; 2 c2 -> c3 -> d, max.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Widths {
    pub(super) c1: usize,
    pub(super) c2: usize,
    pub(super) c3: usize,
    pub(super) d: usize,
}

impl Widths {
    /// Rounded up to whole panels; the channels added hold zeros throughout.
    pub(super) fn padded(self) -> Self {
        let up = |n: usize| n.next_multiple_of(PAD);
        Self { c1: up(self.c1), c2: up(self.c2), c3: up(self.c3), d: up(self.d) }
    }

    /// Where each parameter lies in the flat vector.
    pub(super) fn layout(self) -> Layout {
        let Self { c1, c2, c3, d } = self;
        let mut end = 0;
        let mut next = |len: usize| {
            end += len;
            end - len..end
        };
        Layout {
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
pub(super) struct Layout {
    pub(super) first: Range<usize>,
    pub(super) bn1_weight: Range<usize>,
    pub(super) bn1_bias: Range<usize>,
    pub(super) lift: Range<usize>,
    pub(super) lift_bias: Range<usize>,
    pub(super) mix: Range<usize>,
    pub(super) bn2_weight: Range<usize>,
    pub(super) bn2_bias: Range<usize>,
    pub(super) out: Range<usize>,
    pub(super) out_bias: Range<usize>,
}

impl Layout {
    pub(super) fn len(&self) -> usize {
        self.out_bias.end
    }
}

/// Flat parameters with their layout.
#[derive(Clone, Copy)]
pub(super) struct Flat<'a> {
    pub(super) values: &'a [f32],
    pub(super) layout: &'a Layout,
    pub(super) widths: Widths,
}

/// Mean and biased variance per channel, and what normalising with them needs; in f64.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    pub(super) mean: Vec<f64>,
    pub(super) var: Vec<f64>,
}

impl Norm {
    pub(super) const EPS: f64 = 1e-5;

    pub(super) fn inverse_std(&self, c: usize) -> f64 {
        1.0 / (self.var[c] + Self::EPS).sqrt()
    }

    /// `scale * y + shift` is the normalised `y`, times `weight`, plus `bias`.
    pub(super) fn affine(&self, c: usize, weight: f32, bias: f32) -> (f64, f64) {
        let scale = f64::from(weight) * self.inverse_std(c);
        (scale, f64::from(bias) - scale * self.mean[c])
    }
}

/// Mean and covariance (biased) of all points of all patches.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    pub(super) mean: [f64; 3],
    pub(super) covariance: [[f64; 3]; 3],
}

impl Moments {
    pub(super) fn of(points: &[f32]) -> Self {
        let n = (points.len() / 3) as f64;
        let mut sum = [0.0f64; 3];
        for p in points.as_chunks::<3>().0 {
            for a in 0..3 {
                sum[a] += f64::from(p[a]);
            }
        }
        let mean = sum.map(|s| s / n);
        let mut products = [[0.0f64; 3]; 3];
        for p in points.as_chunks::<3>().0 {
            let off = [0, 1, 2].map(|a| f64::from(p[a]) - mean[a]);
            for a in 0..3 {
                for b in 0..3 {
                    products[a][b] += off[a] * off[b];
                }
            }
        }
        Self { mean, covariance: products.map(|row| row.map(|s| s / n)) }
    }

    /// Statistics of `first x`, exactly: the first layer is linear, so no pass over its output is needed.
    pub(super) fn after(&self, first: &[f32]) -> Norm {
        let rows = || first.as_chunks::<3>().0.iter().map(|w| w.map(f64::from));
        let mean = rows().map(|w| dot(w, self.mean)).collect();
        let var = rows().map(|w| dot(w, self.along(w)).max(0.0)).collect();
        Norm { mean, var }
    }

    /// covariance x w
    pub(super) fn along(&self, w: [f64; 3]) -> [f64; 3] {
        self.covariance.map(|row| dot(row, w))
    }
}

pub(super) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
