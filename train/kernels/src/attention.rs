//! Multi-head attention of one sample with its backward; the probabilities are kept, not recomputed.

use jepa3d_products::{Matrix, Store, scaled_product_into};
use pulp::Arch;

use super::dropout::Mask;
use super::math::exp;
use super::rows::{dot, sum_with};

/// Tokens, width and heads of one attention.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub tokens: usize,
    pub width: usize,
    pub heads: usize,
}

/// Which part of a row of `qkv`.
#[derive(Clone, Copy)]
enum Part {
    Query,
    Key,
    Value,
}

impl Heads {
    fn size(self) -> usize {
        self.width / self.heads
    }

    fn scale(self) -> f32 {
        1.0 / (self.size() as f32).sqrt()
    }

    fn start(self, part: Part, head: usize) -> usize {
        part as usize * self.width + head * self.size()
    }

    fn part<'a>(&self, qkv: &'a [f32], part: Part, head: usize) -> Matrix<'a, f32> {
        Matrix::strided(&qkv[self.start(part, head)..], self.tokens, self.size(), 3 * self.width)
    }

    /// Elements of the probabilities of one sample.
    pub(super) fn squares(self) -> usize {
        self.heads * self.tokens * self.tokens
    }
}

/// `out [T, D]` from `qkv [T, 3D]` (queries, keys, values, each split by head); `probabilities [heads, T, T]`
/// are set to those before dropout. Only the first `keys` tokens are looked at (the rest is padding). `first` is the
/// index of the sample's first probability in the batch.
pub(super) fn attend(
    out: &mut [f32],
    probabilities: &mut [f32],
    qkv: &[f32],
    (heads, keys): (Heads, usize),
    drop: Option<(Mask, usize)>,
) {
    let (t, square) = (heads.tokens, heads.tokens * heads.tokens);
    let mut dropped = Vec::new();
    for head in 0..heads.heads {
        let p = &mut probabilities[head * square..(head + 1) * square];
        let (q, k) = (heads.part(qkv, Part::Query, head), heads.part(qkv, Part::Key, head));
        scaled_product_into(p, t, Store::Set, heads.scale(), (q, k.transposed()));
        softmax_rows(p, t, keys);
        let used = dropped_form(p, &mut dropped, drop, head * square);
        let v = heads.part(qkv, Part::Value, head);
        let columns = &mut out[head * heads.size()..];
        scaled_product_into(columns, heads.width, Store::Set, 1.0, (Matrix::new(used, t), v));
    }
}

/// The probabilities after dropout: the same slice where there is none.
fn dropped_form<'a>(
    p: &'a [f32],
    buffer: &'a mut Vec<f32>,
    drop: Option<(Mask, usize)>,
    offset: usize,
) -> &'a [f32] {
    let Some((mask, first)) = drop else { return p };
    buffer.clear();
    buffer.extend_from_slice(p);
    mask.apply(buffer, first + offset);
    buffer
}

/// Sets `dqkv [T, 3D]` from the gradient `dout [T, D]`.
pub(super) fn attend_backward(
    dqkv: &mut [f32],
    dout: &[f32],
    (probabilities, qkv): (&[f32], &[f32]),
    heads: Heads,
    drop: Option<(Mask, usize)>,
) {
    let (t, square, row) = (heads.tokens, heads.tokens * heads.tokens, 3 * heads.width);
    let (mut dp, mut dropped) = (vec![0.0f32; square], Vec::new());
    for head in 0..heads.heads {
        let p = &probabilities[head * square..(head + 1) * square];
        let dout = Matrix::strided(&dout[head * heads.size()..], t, heads.size(), heads.width);
        let part = |part| heads.part(qkv, part, head);
        scaled_product_into(&mut dp, t, Store::Set, 1.0, (dout, part(Part::Value).transposed()));
        let used = dropped_form(p, &mut dropped, drop, head * square);
        let dv = &mut dqkv[heads.start(Part::Value, head)..];
        scaled_product_into(dv, row, Store::Set, 1.0, (Matrix::new(used, t).transposed(), dout));
        if let Some((mask, first)) = drop {
            mask.apply(&mut dp, first + head * square);
        }
        softmax_backward(&mut dp, p, t);
        let ds = Matrix::new(&dp, t);
        let dq = &mut dqkv[heads.start(Part::Query, head)..];
        scaled_product_into(dq, row, Store::Set, heads.scale(), (ds, part(Part::Key)));
        let dk = &mut dqkv[heads.start(Part::Key, head)..];
        scaled_product_into(dk, row, Store::Set, heads.scale(), (ds.transposed(), part(Part::Query)));
    }
}

/// Softmax of the first `keys` of every row, in place; 0 behind them, so that the backward needs no such bound.
fn softmax_rows(x: &mut [f32], width: usize, keys: usize) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for row in x.chunks_exact_mut(width) {
                let (row, padding) = row.split_at_mut(keys);
                padding.fill(0.0);
                let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                for value in row.iter_mut() {
                    *value = exp(*value - largest);
                }
                let inverse = 1.0 / sum_with(row, |v| v);
                for value in row {
                    *value *= inverse;
                }
            }
        },
    );
}

/// `dp = p * (dp - sum(dp * p))` for every row.
fn softmax_backward(dp: &mut [f32], p: &[f32], width: usize) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (dp, p) in dp.chunks_exact_mut(width).zip(p.chunks_exact(width)) {
                let along = dot(dp, p);
                for (dp, p) in dp.iter_mut().zip(p) {
                    *dp = p * (*dp - along);
                }
            }
        },
    );
}
