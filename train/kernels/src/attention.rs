//! Multi-head attention of one sample (Vaswani et al., arXiv 1706.03762); the probabilities are kept, not recomputed.
//!
//! Forward, for each head: `S = Q K^T / sqrt(d)`, `P = softmax(S)`, `A = drop(P)`, `O = A V`. Backward: `dV = A^T dO`,
//! `dP = drop(dO V^T)`, `dS` from `dP` and `P` ([`softmax_backward`]), `dQ = dS K / sqrt(d)`, `dK = dS^T Q / sqrt(d)`.

use jepa3d_products::{Matrix, Product};

use super::dropout::Mask;
use super::softmax::{softmax, softmax_backward};

/// Tokens, width and heads of one attention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    pub tokens: usize,
    pub width: usize,
    pub heads: usize,
}

/// Which third of a row of `qkv`.
#[derive(Clone, Copy)]
enum Third {
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

    fn start(self, third: Third, head: usize) -> usize {
        third as usize * self.width + head * self.size()
    }

    /// Queries, keys or values of a head, `[T, size]`.
    fn third<'a>(&self, qkv: &'a [f32], third: Third, head: usize) -> Matrix<'a, f32> {
        Matrix::with_row_step(&qkv[self.start(third, head)..], self.tokens, self.size(), 3 * self.width)
    }

    /// Elements of the probabilities of one sample.
    pub(crate) fn squares(self) -> usize {
        self.heads * self.tokens * self.tokens
    }
}

/// Dropout of the probabilities of one sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProbabilityDrop {
    pub mask: Mask,
    /// Number of the sample's first probability in the batch.
    pub first: usize,
}

impl ProbabilityDrop {
    /// Of the probabilities of a head, the first of which is `offset` in the sample.
    fn apply(self, probabilities: &mut [f32], offset: usize) {
        self.mask.apply(probabilities, self.first + offset);
    }
}

/// How one sample attends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attention {
    pub heads: Heads,
    /// Tokens that are looked at; the rest is padding.
    pub keys: usize,
    pub drop: Option<ProbabilityDrop>,
}

impl Attention {
    /// Sets `out [T, D]` and `probabilities [heads, T, T]` (those before dropout) from `qkv [T, 3D]`: queries, keys and
    /// values, each split by head.
    pub(crate) fn forward(self, out: &mut [f32], probabilities: &mut [f32], qkv: &[f32]) {
        let heads = self.heads;
        let (t, square) = (heads.tokens, heads.tokens * heads.tokens);
        let mut buffer = Vec::new();
        for head in 0..heads.heads {
            let p = &mut probabilities[head * square..(head + 1) * square];
            let (q, k) = (heads.third(qkv, Third::Query, head), heads.third(qkv, Third::Key, head));
            Product { left: q, right: k.transpose(), scale: heads.scale() }.write_to(p, t);
            softmax(p, t, self.keys);
            let used = self.drop_probabilities(p, &mut buffer, head * square);
            let v = heads.third(qkv, Third::Value, head);
            Product::new(Matrix::new(used, t), v).write_to(&mut out[head * heads.size()..], heads.width);
        }
    }

    /// The probabilities after dropout: the same slice where there is none.
    fn drop_probabilities<'a>(self, p: &'a [f32], buffer: &'a mut Vec<f32>, offset: usize) -> &'a [f32] {
        let Some(drop) = self.drop else { return p };
        buffer.clear();
        buffer.extend_from_slice(p);
        drop.apply(buffer, offset);
        buffer
    }

    /// Sets `dqkv [T, 3D]` from the gradient `dout [T, D]`.
    pub(crate) fn backward(self, dqkv: &mut [f32], dout: &[f32], probabilities: &[f32], qkv: &[f32]) {
        let heads = self.heads;
        let (t, square, row) = (heads.tokens, heads.tokens * heads.tokens, 3 * heads.width);
        let (mut dp, mut buffer) = (vec![0.0f32; square], Vec::new());
        for head in 0..heads.heads {
            let p = &probabilities[head * square..(head + 1) * square];
            let dout = Matrix::with_row_step(&dout[head * heads.size()..], t, heads.size(), heads.width);
            let third = |third| heads.third(qkv, third, head);
            Product::new(dout, third(Third::Value).transpose()).write_to(&mut dp, t);
            let used = self.drop_probabilities(p, &mut buffer, head * square);
            let dv = &mut dqkv[heads.start(Third::Value, head)..];
            Product::new(Matrix::new(used, t).transpose(), dout).write_to(dv, row);
            if let Some(drop) = self.drop {
                drop.apply(&mut dp, head * square);
            }
            softmax_backward(&mut dp, p, t);
            let (ds, scale) = (Matrix::new(&dp, t), heads.scale());
            let dq = &mut dqkv[heads.start(Third::Query, head)..];
            Product { left: ds, right: third(Third::Key), scale }.write_to(dq, row);
            let dk = &mut dqkv[heads.start(Third::Key, head)..];
            Product { left: ds.transpose(), right: third(Third::Query), scale }.write_to(dk, row);
        }
    }
}
